"""What the operations need of a running Nexus. The Nexus implements it; tests implement it over the same pure core."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from omnitide.fabric.commands import Command, Header
from omnitide.fabric.decide import Decision
from omnitide.fabric.events import Entry
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState, Provision, TokenPurpose
from omnitide.model.blobs import StoredBlob
from omnitide.operations.searched import FoundBatch, OutputQuestion
from omnitide.operations.tunnels import Opening, Purpose
from omnitide.scheduler.explain import Explanation
from omnitide.security.clear_text import ClearText
from omnitide.security.join_contract import JoinAnswer
from omnitide.telemetry.series.definition import EndpointTrouble, SeriesInfo
from omnitide.telemetry.series.exposition import Sample
from omnitide.telemetry.series.query import Answer as Found
from omnitide.telemetry.series.query import Question
from omnitide.telemetry.series.rows import Rows

Committed = tuple[int, Entry]
"""Revision and entry; a NamedTuple of the two is one."""


class NotServing(Exception):
    """The engine refuses writes: disk full, overload, no leadership, stopping. `retryable`: the same may work later."""

    def __init__(self, reason: str, *, retryable: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


class InternalFault(NotServing):
    """A bug met this one request; everything else goes on. The same request would meet it again."""

    def __init__(self, what: str) -> None:
        super().__init__(f"a fault in the control plane's software kept it from deciding {what}", retryable=False)


class Trimmed(Exception):
    """The entries asked for are no longer kept; `first` is the oldest revision that is."""

    def __init__(self, after: int, first: int) -> None:
        super().__init__(f"entries after revision {after} are no longer kept; the oldest kept is {first}")
        self.after = after
        self.first = first


class WatchLagged(Exception):
    """The watcher's bounded buffer overflowed. Watch again after `resume_from`."""

    def __init__(self, resume_from: int) -> None:
        super().__init__(f"the watcher fell behind; resume after revision {resume_from}")
        self.resume_from = resume_from


class StreamEnded(Exception):
    """The Nexus stops: watch again, here or at another."""


class NodeAway(Exception):
    """The node that would have to be asked has not been heard from since then (wall clock, ms; 0: never)."""

    def __init__(self, node: str, since_ms: int) -> None:
        super().__init__(f"node {node} is away")
        self.node = node
        self.since_ms = since_ms


class RuntimeAway(Exception):
    """The node that would have to be asked is there, and the runtime of its driver does not answer it since then (log
    time, ms; 0: that has only just shown)."""

    def __init__(self, node: str, driver: str, since_ms: int) -> None:
        super().__init__(f"the driver {driver} of node {node} does not answer")
        self.node = node
        self.driver = driver
        self.since_ms = since_ms


class LogsUnavailable(Exception):
    """The node is there and has no logs of the instance to give: never started, removed, or its files are damaged."""

    def __init__(self, reason: str, *, busy: bool = False, dropped: bool = False) -> None:
        """`busy`: it has, and gives as many already as it can at a time. `dropped`: it had; the reason is its rule."""
        super().__init__(reason)
        self.reason = reason
        self.dropped = dropped
        self.busy = busy


class ReachFailed(Exception):
    """A program, file or port of an instance cannot be had, or what was had broke off. `cause` as of its node or
    driver: not-running, no-such-file, port-unknown, busy, broken, ... (open set)."""

    def __init__(self, message: str, *, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class HostUse(msgspec.Struct, frozen=True):
    """What a host uses at the time of its last beat."""

    at_ms: int
    cpu_milli_used: int = 0
    memory_used_bytes: int = 0
    disk_used_bytes: int = 0
    network_received_bytes: int = 0
    """Counters since boot, as is `network_sent_bytes`."""
    network_sent_bytes: int = 0
    load_milli: int = 0
    """One-minute load average, in thousandths."""
    instances_running: int = 0


class NodeLive(msgspec.Struct, frozen=True):
    """What is known of a connected node apart from the fabric's state (law 9)."""

    last_beat_ms: int
    """Wall clock; 0: none yet."""
    stalled_since_ms: int = 0
    """It missed its beats since then while its connection stands; 0: it does not."""
    session_address: str = ""
    """Where its connection comes from."""
    use: HostUse | None = None
    clock_ahead_ms: int = 0
    """How far its own clock is ahead of Nexus's; 0: by little."""
    preparing: Mapping[str, str] = {}
    """What the node gets ready before it starts something, by instance, in a few words."""
    withheld: Mapping[str, str] = {}
    """Why the node is not told of instances that were placed on it, by instance."""


class LogPiece(NamedTuple):
    """A piece of an instance's output, in order; not cut at lines."""

    at_ms: int
    stream: Literal["stdout", "stderr"]
    attempt: int
    data: bytes
    """64 KiB at most; empty in the first of followed output, whose position is where it begins."""
    position: str = ""
    """Where it ends, as its node calls it: letters, digits, `.`, `:` and `-`."""
    gap: bool = False
    """Before it there was output that is not kept any more."""


class NodeVolume(NamedTuple):
    """A volume that a node keeps."""

    namespace: str
    name: str
    size_bytes: int | None
    """None: too much to be measured by the way."""


class Queue(NamedTuple):
    """What waits, by its name in metrics; at the bound, one more is refused."""

    name: str
    length: int
    bound: int


class Check(msgspec.Struct, frozen=True):
    """One dependency, as readiness shows it."""

    name: str
    ok: bool
    detail: str = ""


class NewToken(NamedTuple):
    """A token that was drawn and is not issued yet: `digest` goes into IssueToken, `text` to whoever asked, once."""

    id: str
    text: str
    digest: str


class Limits(msgspec.Struct, frozen=True):
    """Bounds of the API, from the settings; read anew for each request, since some change while it runs."""

    body_bytes: int = 1 << 20
    spec_bytes: int = 256 << 10
    watcher_events: int = 4096
    """Events that wait for a slow watcher before it must resume."""
    watchers: int = 2000
    """Event streams open at once."""
    streams: int = 500
    """Log streams open at once."""
    blob_bytes: int = 20 << 30
    """Of all blobs together."""
    session_ms: int = 12 * 3_600_000
    """From a login to the panel to the next."""
    demo: bool = False
    """No bound, but of the settings too: this fabric is a demonstration."""


class Blobs(Protocol):
    """The content-addressed store (see `store.blobs`). Every method raises BlobError."""

    async def put(self, pieces: AsyncIterator[bytes], expected: str = "") -> StoredBlob: ...

    def read(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]: ...

    async def find(self, digest: str) -> StoredBlob | None: ...

    async def all(self) -> Sequence[StoredBlob]: ...

    async def remove(self, digest: str) -> bool: ...


class Values(Protocol):
    """Where the values of secrets and configs lie, closed. Raises NotServing where they cannot be put away or had."""

    def digest(self, identifier: str, value: ClearText) -> str:
        """Keyed: equal for equal values of one id."""
        ...

    async def put(self, identifier: str, value: ClearText) -> str:
        """Close a value under the key of its id and put it away, durably; the digest by which it is found."""
        ...

    async def open(self, provision: Provision) -> ClearText: ...

    async def drop(self, blob: str, identifier: str = "") -> None:
        """Forget a closed value, and the key of its id where that is given. What fails is done later."""
        ...


class Metrics(Protocol):
    """Samples over time, which are no state (law 9)."""

    async def ask(self, question: Question) -> Found:
        """Raises BadQuery."""
        ...

    async def rows(self, asked: Sequence[str], members: Callable[[str], Sequence[str]]) -> Rows:
        """What instances use, row by row: `members` gives the instances of each that is asked for."""
        ...

    def now_s(self) -> int:
        """The second that is now, by the log's time."""
        ...

    def by_name(self, prefix: str) -> Mapping[str, list[SeriesInfo]]:
        """What there is of the last minutes, by name and in its order."""
        ...

    def counts(self) -> Mapping[str, int]:
        """`series`, their `bytes` and the `bound` of those, and how much was `dropped`."""
        ...

    def dropped(self) -> Mapping[str, int]:
        """How much was dropped, by each reason that there is."""
        ...

    def exposed(self, node: str) -> Iterator[Sample]:
        """The newest sample of each series of a node and its instances, of counters the total, with its time."""
        ...

    def endpoint_trouble(self, instance: str, node: str) -> EndpointTrouble:
        """What is the matter with an instance's own endpoint of metrics now, as far as its node has said."""
        ...

    def busy(self) -> Mapping[str, tuple[int, int]]:
        """By node, of those that have sent samples lately: cpu in thousandths of a core, and bytes of memory in use."""
        ...

    def watch_node(self, node: str) -> None:
        """Somebody looks at a node: for 15 s it sends its samples each second."""
        ...


class Runtime(Protocol):
    """A Nexus, as the operations see it."""

    def committed(self) -> FabricState:
        """The durable state. Every read uses it and names its revision."""
        ...

    async def submit(self, command: Command, header: Header) -> Decision | Rejection:
        """Decide a command; what it was decided into, and on, is durable when this returns. Raises NotServing."""
        ...

    def dry_run(self, command: Command, header: Header) -> Decision | Rejection:
        """What `submit` would decide now; nothing is written."""
        ...

    async def wait_for(self, revision: int, timeout_s: float) -> bool:
        """Whether the committed revision reaches `revision` in that time."""
        ...

    async def entries(self, after: int, limit: int) -> Sequence[Committed]:
        """Durable entries after a revision, in order, `limit` at most; fewer only at the end or where they are large.
        Raises Trimmed."""
        ...

    async def state_at(self, revision: int) -> FabricState:
        """The state as it was at a revision that is durable. Raises Trimmed, NotServing."""
        ...

    def watch(self, after: int) -> AsyncIterator[Sequence[Committed]]:
        """Durable entries in order from `after + 1` on, then as they come; ends when the Nexus stops.

        Raises WatchLagged, Trimmed.
        """
        ...

    def log_id(self) -> str:
        """Incarnation of the log: revisions compare only within one."""
        ...

    def new_id(self, prefix: str) -> str:
        """A new opaque id, never given before: `<prefix>-...`."""
        ...

    def now_ms(self) -> int:
        """The log's time, in milliseconds since 1970: the wall clock's, but for jumps of it (decision 0018)."""
        ...

    def clock_ahead_ms(self) -> int:
        """How far that is ahead of the wall clock of the machine; negative: behind it."""
        ...

    def started_ms(self) -> int:
        """When this Nexus started, by the log's time."""
        ...

    def node_live(self, node_id: str) -> NodeLive | None:
        """None for a node without a session here."""
        ...

    def silent_since_ms(self, node_id: str) -> int:
        """When a node without a session here was heard last, as far as that is known; 0: it is not."""
        ...

    def logs(
        self, instance_id: str, *, follow: bool, tail_lines: int | None, since_ms: int, after: str = "", node: str = ""
    ) -> "AsyncIterator[LogPiece]":
        """An instance's output; with `after` from a piece's position on. Closing the iterator ends the stream.

        `node`: of an instance that the state does not hold any more, whose node may still have it: the id of that.

        Raises NodeAway, RuntimeAway, LogsUnavailable.
        """
        ...

    def search_logs(self, node_id: str, question: OutputQuestion) -> "AsyncIterator[FoundBatch]":
        """Lines of many instances of one node, in its order. Closing the iterator ends the stream.

        Raises NodeAway, LogsUnavailable.
        """
        ...

    def blobs(self) -> Blobs: ...

    def values(self) -> Values: ...

    def metrics(self) -> Metrics: ...

    def ends(self) -> Mapping[str, int]:
        """How often replicas of an agent ended by themselves since this Nexus began, by the agent's id."""
        ...

    def reach(self, instance_id: str, purpose: Purpose) -> Opening:
        """Open a tunnel into an instance for a program, its files or a port."""
        ...

    async def node_volumes(self, node_id: str) -> Sequence[NodeVolume]:
        """The volumes that a node keeps, as it says. Raises NodeAway, ReachFailed."""
        ...

    async def remove_node_volume(self, node_id: str, namespace: str, name: str) -> None:
        """Raises NodeAway, ReachFailed: `in-use`, `no-such-volume`."""
        ...

    async def explain(self, instance_id: str, node_limit: int) -> Explanation:
        """Why a pending instance waits, with up to `node_limit` nodes one by one. Raises KeyError if it is gone."""
        ...

    def readiness(self) -> list[Check]:
        """Each dependency and whether it serves."""
        ...

    def queues(self) -> list[Queue]:
        """What waits in the control plane, and how much may."""
        ...

    def limits(self) -> Limits: ...

    def endpoints(self) -> tuple[str, ...]:
        """`host:port` where nodes reach this fabric's Nexus."""
        ...

    def new_token(self, purpose: TokenPurpose) -> NewToken:
        """Draw a token and digest it with the keyring."""
        ...

    def token_keys(self) -> Mapping[str, bytes]:
        """The keyring's token keys by id, to verify digests with. They never leave the process."""
        ...

    def ca_bundle_pem(self) -> str:
        """The certificates that nodes and clients trust."""
        ...

    async def join(
        self, token_text: str, csr_pem: str, facts: Mapping[str, object], peer: str
    ) -> JoinAnswer | Rejection:
        """Let a node join by the text of a join token, and sign its certificate. Raises NotServing, MalformedToken."""
        ...
