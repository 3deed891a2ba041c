"""A Nexus in memory for tests of the surfaces: the real core on a list of entries, honest nodes, faults on demand."""

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from tests.support.honest import HonestNode, facts, first_fit, first_moves
from tests.support.memory_output import Output, memory_search

from omnitide.fabric import commands as cm
from omnitide.fabric.decide import Decision, decide
from omnitide.fabric.events import Entry
from omnitide.fabric.evolve import apply
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.rules.rolling import next_due
from omnitide.fabric.state import FabricState, TokenPurpose, empty_state, spec_of_instance
from omnitide.nexus.ends import Ends
from omnitide.nexus.joining import token_refusal
from omnitide.nexus.manners import Complaints
from omnitide.nexus.samples import Samples
from omnitide.nexus.values import ClosedValues
from omnitide.operations.closing import closing
from omnitide.operations.runtime import (
    Check,
    Limits,
    LogPiece,
    LogsUnavailable,
    NewToken,
    NodeAway,
    NodeLive,
    NodeVolume,
    NotServing,
    Queue,
    ReachFailed,
    Trimmed,
    WatchLagged,
)
from omnitide.operations.searched import FoundBatch, OutputQuestion
from omnitide.operations.tunnels import Purpose, Reached
from omnitide.scheduler.explain import explain_instance
from omnitide.scheduler.explanation import Explanation
from omnitide.scheduler.table import NodeTable
from omnitide.security import tokens
from omnitide.security.join_contract import JoinAnswer
from omnitide.store.blobs import BlobLimits, DirectoryBlobs

START_MS = 1_700_000_000_000
KEYS = {"k1": b"k" * 32}
SYSTEM = cm.Header(principal="system:test")


async def until(condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
    """Wait until it holds. Raises TimeoutError."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.005)


class MemoryRuntime:
    """Implements operations.runtime.Runtime. Time stands still unless `tick` moves it."""

    def __init__(self) -> None:
        self.state: FabricState = empty_state()
        self.log: list[Entry] = []
        self.first = 1
        """Oldest revision that is kept."""
        self.clock_ms = START_MS
        self.ahead_ms = 0
        """Of that to the machine's wall clock."""
        self.refusing: NotServing | None = None
        self.held: asyncio.Event | None = None
        """While set and not fired, submits wait here before they are decided: for races."""
        self.submits_held = 0
        """Submits that wait there now."""
        self.reads_waiting = 0
        """Reads that wait for a revision now."""
        self.bounds = Limits()
        self.checks = [Check("engine", True), Check("event-log", True)]
        self.nodes: dict[str, HonestNode] = {}
        self.live: dict[str, NodeLive] = {}
        self.volumes: dict[str, list[NodeVolume]] = {}
        self.output: dict[str, Output] = {}
        self.log_cut = asyncio.Event()
        """While set, log streams break off when they have given what there is."""
        self.log_streams = 0
        """Log streams open now."""
        self.log_streams_most = 1000
        """A further one is told that its node is busy."""
        self.clocks_ahead: dict[str, int] = {}
        """Of nodes, by id, in milliseconds."""
        self.log_streams_seen = 0
        """The most that were open at a time."""
        self.watch_bound = 10_000
        self.joined: list[tuple[str, str, Mapping[str, object], str]] = []
        self.join_outcome: JoinAnswer | Rejection | None = None
        self.watches = 0
        """Watches opened so far."""
        self.stopped = asyncio.Event()
        self._ids = itertools.count(1)
        self._changed = asyncio.Event()
        self.blob_limits = BlobLimits(total=1 << 30, blob=1 << 29)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._blobs: DirectoryBlobs | None = None
        self._samples: Samples | None = None
        self._ends = Ends()
        self._values: ClosedValues | None = None
        self.apply(cm.CreateFabric(fabric_id="home"))

    # -- what a test does --------------------------------------------------------------------------------------------

    def apply(self, command: cm.Command, principal: str = "system:test", **header: str) -> dict[str, str | int]:
        """Decide and commit at once; fails the test if it is refused."""
        outcome = self._commit(command, cm.Header(principal=principal, **header))
        assert isinstance(outcome, Decision), f"{type(command).__name__} was refused: {outcome}"
        return outcome.result

    def tick(self, milliseconds: int) -> None:
        self.clock_ms += milliseconds

    def api_token(self) -> str:
        """The text of a new API token."""
        drawn = self.new_token(TokenPurpose.API)
        self.apply(cm.IssueToken(id=drawn.id, purpose=TokenPurpose.API, digest=drawn.digest))
        return drawn.text

    def join_token(self, *, uses: int = 1, ttl_ms: int = 3_600_000, labels: Mapping[str, str] | None = None) -> str:
        drawn = self.new_token(TokenPurpose.JOIN)
        command = cm.IssueToken(
            id=drawn.id,
            purpose=TokenPurpose.JOIN,
            digest=drawn.digest,
            uses=uses,
            expires_ms=self.clock_ms + ttl_ms,
            labels=dict(labels or {}),
        )
        self.apply(command)
        return drawn.text

    def add_node(self, name: str, *, cpu: int = 4000, address: str = "127.0.0.1", **more: object) -> HonestNode:
        """A node that has joined and is connected."""
        token = tokens.parse_join_token(self.join_token()).id
        node = HonestNode(
            id=f"n-{name}", name=name, key=f"sha256:{name}", facts=facts(cpu=cpu, address=address, **more)
        )
        self.apply(node.join(token), principal=f"token:{token}")
        self.nodes[name] = node
        self.connect(name)
        return node

    def connect(self, name: str) -> None:
        node = self.nodes[name]
        answer = self.apply(node.hello(), principal=node.principal)
        node.welcomed(int(answer["session"]), int(answer["sequence"]))
        self.live[node.id] = NodeLive(last_beat_ms=self.clock_ms, session_address="127.0.0.1:50000")

    def silence(self, name: str) -> None:
        """The node's lease ends."""
        node = self.nodes[name]
        self.apply(cm.SuspectNode(node=node.id, session=node.session))
        node.cut()
        self.live.pop(node.id, None)

    def settle(self, *, in_no_time: bool = False) -> None:
        """Place what waits, move what is to leave its node, and let the nodes that are connected do and report what
        they should, until all is quiet. `in_no_time`: what has just been started has not run for long enough by then.
        """
        for _ in range(100):
            before = self.state.revision
            if self.state.pending:
                plan = first_fit(self.state, max(self.clock_ms, self.state.time_ms))
                if plan.choices:
                    self.apply(plan)
            if self.state.draining:
                self.apply(first_moves(self.state))
            if self.state.rolling and not in_no_time:
                dues = [next_due(self.state, self.state.agents[agent]) for agent in sorted(self.state.rolling)]
                # Nobody waits here for what has just been started to have run for long enough.
                self.clock_ms = max([self.clock_ms, *(due for due in dues if due is not None)])
                rolling = tuple(sorted(self.state.rolling))
                self.apply(cm.AdvanceRollouts(agents=rolling, late=rolling))
            for node in self.nodes.values():
                if node.session:
                    self._work(node)
            if self.state.revision == before:
                return
        raise AssertionError("the fabric does not come to rest")

    def _work(self, node: HonestNode) -> None:
        node.desire(self.state)
        node.step()
        reports = node.reports()
        if reports is not None:
            self.apply(reports, principal=node.principal)
            node.acknowledged(node.sent + len(node.unsent))

    def exit(self, instance: str, *, code: int | None, cause: str = "", message: str = "") -> None:
        """A running instance ends by itself, and its node says so."""
        known = self.state.instances[instance]
        node = next(one for one in self.nodes.values() if one.id == known.node)
        node.exit(instance, spec_of_instance(self.state, known), code=code, cause=cause, message=message)
        reports = node.reports()
        assert reports is not None
        self.apply(reports, principal=node.principal)
        node.acknowledged(node.sent + len(node.unsent))

    def writes(self, instance: str) -> Output:
        return self.output.setdefault(instance, Output())

    def trim(self, first: int) -> None:
        self.first = first

    # -- Runtime -----------------------------------------------------------------------------------------------------

    def committed(self) -> FabricState:
        return self.state

    def _commit(self, command: cm.Command, header: cm.Header) -> Decision | Rejection:
        outcome = decide(self.state, command, self._stamped(header))
        if isinstance(outcome, Decision) and outcome.payload:
            before, self.state = self.state, outcome.state
            self.log.append(outcome.entry)
            self._ends.on_commit(before, self.state, [(outcome.revision, outcome.entry)])
            self._changed.set()
            self._changed = asyncio.Event()
        return outcome

    def _stamped(self, header: cm.Header) -> cm.Header:
        return cm.Header(
            principal=header.principal,
            time_ms=self.clock_ms,
            correlation=header.correlation,
            namespace=header.namespace,
            idempotency_key=header.idempotency_key,
            fingerprint=header.fingerprint,
        )

    async def submit(self, command: cm.Command, header: cm.Header) -> Decision | Rejection:
        if self.refusing is not None:
            raise self.refusing
        if self.held is not None:
            self.submits_held += 1
            try:
                await self.held.wait()
            finally:
                self.submits_held -= 1
        await asyncio.sleep(0)
        return self._commit(command, header)

    def dry_run(self, command: cm.Command, header: cm.Header) -> Decision | Rejection:
        return decide(self.state, command, self._stamped(header))

    async def wait_for(self, revision: int, timeout_s: float) -> bool:
        self.reads_waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while self.state.revision < revision:
                    if self.stopped.is_set():
                        return False
                    await self._changed.wait()
        except TimeoutError:
            return False
        finally:
            self.reads_waiting -= 1
        return True

    def stop(self) -> None:
        """Nobody who still waits for a change or a revision holds up the end."""
        self.stopped.set()
        self._changed.set()

    async def entries(self, after: int, limit: int) -> list[tuple[int, Entry]]:
        await asyncio.sleep(0)
        if after + 1 < self.first:
            raise Trimmed(after, self.first)
        return list(enumerate(self.log[after : after + limit], start=after + 1))

    async def state_at(self, revision: int) -> FabricState:
        if revision < self.first:
            raise Trimmed(revision - 1, self.first)
        state = empty_state()
        for entry in self.log[:revision]:
            state = apply(state, entry)
        return state

    async def watch(self, after: int) -> AsyncIterator[list[tuple[int, Entry]]]:
        self.watches += 1
        position = after
        while True:
            changed = self._changed
            if self.state.revision - position > self.watch_bound:
                raise WatchLagged(position)
            batch = await self.entries(position, 1000)
            if batch:
                position = batch[-1][0]
                yield batch
            elif self.stopped.is_set():
                return
            else:
                waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(self.stopped.wait())]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for wait in waits:
                        wait.cancel()

    def log_id(self) -> str:
        return "log-1"

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self._ids):06x}"

    def now_ms(self) -> int:
        return self.clock_ms

    def clock_ahead_ms(self) -> int:
        return self.ahead_ms

    def started_ms(self) -> int:
        return START_MS

    def node_live(self, node_id: str) -> NodeLive | None:
        return self.live.get(node_id)

    def silent_since_ms(self, node_id: str) -> int:
        return self.state.nodes[node_id].since_ms

    @contextlib.asynccontextmanager
    async def reach(self, instance_id: str, purpose: Purpose) -> AsyncGenerator[Reached]:
        """There are no real nodes here: tests/integration/node and tests/e2e reach into instances."""
        raise ReachFailed("nothing can be reached into here", cause="unsupported")
        yield  # a generator, as a runtime's is

    async def node_volumes(self, node_id: str) -> Sequence[NodeVolume]:
        """What a test has put into `volumes`; a node that it has not made live is away."""
        node = self.state.nodes[node_id]
        if node_id not in self.live:
            raise NodeAway(node.name, node.since_ms)
        return self.volumes.get(node_id, [])

    async def remove_node_volume(self, node_id: str, namespace: str, name: str) -> None:
        kept = list(await self.node_volumes(node_id))
        left = [one for one in kept if (one.namespace, one.name) != (namespace, name)]
        if left == kept:
            raise ReachFailed("there is none", cause="no-such-volume")
        self.volumes[node_id] = left

    async def logs(
        self, instance_id: str, *, follow: bool, tail_lines: int | None, since_ms: int, after: str = "", node: str = ""
    ) -> AsyncIterator[LogPiece]:
        """A piece's position is its number, from 1."""
        asked = self.state.nodes.get(node or self.state.instances[instance_id].node)
        if asked is None:
            raise LogsUnavailable(f"{self.state.instances[instance_id].name} has not been placed on a node yet")
        if asked.id not in self.live:
            raise NodeAway(asked.name, asked.since_ms)
        if instance_id not in self.state.instances and instance_id not in self.output:
            raise LogsUnavailable("its node keeps none", dropped=True)
        if self.log_streams >= self.log_streams_most:
            raise LogsUnavailable(f"this node has {self.log_streams_most} tunnels open; close one first", busy=True)
        output = self.writes(instance_id)
        self.log_streams += 1
        self.log_streams_seen = max(self.log_streams_seen, self.log_streams)
        try:
            position = int(after or 0)
            if tail_lines is not None:
                position = max(0, len(output.pieces) - tail_lines)
            while position < len(output.pieces) and output.pieces[position].at_ms < since_ms:
                position += 1
            if follow:
                yield LogPiece(0, "stdout", 0, b"", str(position))
            while True:
                output.changed.clear()
                while position < len(output.pieces):
                    position += 1
                    yield output.pieces[position - 1]._replace(position=str(position))
                if self.log_cut.is_set():
                    raise LogsUnavailable("the stream from the node broke")
                if not follow or output.ended:
                    return
                await output.changed.wait()
        finally:
            self.log_streams -= 1

    async def search_logs(self, node_id: str, question: OutputQuestion) -> AsyncIterator[FoundBatch]:
        """By the search that nodes run, over what `writes` holds. A node that is not live is away."""
        asked = self.state.nodes[node_id]
        if asked.id not in self.live:
            raise NodeAway(asked.name, asked.since_ms)
        clock_ms = self.clock_ms + self.clocks_ahead.get(node_id, 0)
        async with closing(memory_search(self.output, self.log_cut, question, clock_ms)) as found:
            async for batch in found:
                yield batch

    def blobs(self) -> DirectoryBlobs:
        """In a folder that goes with this runtime."""
        if self._blobs is None:
            self._blobs = DirectoryBlobs(self._path() / "blobs", lambda: self.blob_limits)
        return self._blobs

    def values(self) -> ClosedValues:
        if self._values is None:
            self._values = ClosedValues.at(self._path() / "secrets", b"s" * 32)
        return self._values

    def metrics(self) -> Samples:
        if self._samples is None:
            self._samples = Samples(self.committed, self.now_ms, Complaints(), 1 << 24)
        return self._samples

    def ends(self) -> Mapping[str, int]:
        return self._ends.by_agent()

    def _path(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="omnitide-test-")
        return Path(self._folder.name)

    async def explain(self, instance_id: str, node_limit: int) -> Explanation:
        instance = self.state.instances[instance_id]
        return explain_instance(
            self.state, NodeTable(self.state), instance, now_ms=self.clock_ms, node_limit=node_limit
        )

    def readiness(self) -> list[Check]:
        return self.checks

    def queues(self) -> list[Queue]:
        return [Queue("commands", 0, 100)]

    def limits(self) -> Limits:
        return self.bounds

    def endpoints(self) -> tuple[str, ...]:
        return ("127.0.0.1:7401",)

    def new_token(self, purpose: TokenPurpose) -> NewToken:
        entropy = next(self._ids).to_bytes(10, "big") + b"\x07" * 20
        make = {
            TokenPurpose.API: tokens.make_api_token,
            TokenPurpose.METRICS: tokens.make_api_token,
            TokenPurpose.LOGIN: tokens.make_login_token,
            TokenPurpose.SESSION: tokens.make_session_token,
        }
        token = (
            tokens.make_join_token(entropy, b"\x01" * 32) if purpose is TokenPurpose.JOIN else make[purpose](entropy)
        )
        return NewToken(token.id, token.text, tokens.digest(token, "k1", KEYS["k1"]))

    def token_keys(self) -> Mapping[str, bytes]:
        return KEYS

    def ca_bundle_pem(self) -> str:
        return "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

    async def join(
        self, token_text: str, csr_pem: str, facts: Mapping[str, object], peer: str
    ) -> JoinAnswer | Rejection:
        self.joined.append((token_text, csr_pem, facts, peer))
        if self.refusing is not None:
            raise self.refusing
        if self.join_outcome is not None:
            return self.join_outcome
        shown = tokens.parse_join_token(token_text)
        refusal = token_refusal(self.state, shown, KEYS)
        if refusal is not None:
            return refusal
        number = next(self._ids)
        command = cm.JoinNode(
            token=shown.id, node=f"n{number}", name=f"node-{number}", key_digest=csr_pem, facts=cm.NodeFacts()
        )
        outcome = await self.submit(command, cm.Header(principal=f"token:{shown.id}"))
        if isinstance(outcome, Rejection):
            return outcome
        return JoinAnswer(
            node_id=command.node,
            fabric_id=self.state.fabric_id,
            certificate_pem="certificate",
            trust_bundle_pem=self.ca_bundle_pem(),
            endpoints=list(self.endpoints()),
            server_time_ms=self.clock_ms,
        )
