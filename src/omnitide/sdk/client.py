"""The client for programs without an event loop. `async_client` is the same with `await`; a test compares the two."""

import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Literal, TypeVar

import msgspec

import omnitide.sdk.calls as calls
from omnitide.model import explanations as ex
from omnitide.model import happenings as hp
from omnitide.model import inventory as inv
from omnitide.model import objects as ob
from omnitide.model.problem import Problem
from omnitide.model.spec import AgentSpec, JobSpec
from omnitide.sdk.errors import from_answer, from_problem
from omnitide.sdk.exchange import Call, Exchange, Memory, Retries, Wait, tls_hint
from omnitide.sdk.feed import MAX_FRAME, SUBPROTOCOL, Feed
from omnitide.sdk.http import httpx
from omnitide.sdk.target import Target, find_target

T = TypeVar("T")

DEFAULT: Final = "default"
"""The namespace where nothing else is said."""
PAGE: Final = 200
CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
PATIENCE_S: Final = 60.0
"""How long a watch tries to reach a Nexus that does not answer."""


class Client:
    """A connection to a fabric. Thread-safe as far as httpx is. Close it, or use it as a context manager.

    Every method raises FabricError (see `omnitide.sdk.errors`). A read shows at least what this client has written.
    """

    def __init__(
        self,
        target: Target,
        *,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        timeout_s: float = ANSWER_S,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.target = target
        self._retries = retries
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._memory = Memory()
        self._context: ssl.SSLContext | None = target.context()
        self._http = httpx.Client(
            base_url=target.url,
            verify=self._context if self._context is not None else True,
            headers={"authorization": f"Bearer {target.token}"} if target.token else {},
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
            transport=transport,
            trust_env=not target.local,
        )

    @classmethod
    def find(cls, url: str = "", *, token: str = "", token_file: str = "", ca_file: str = "") -> "Client":
        """A client of what is given, else of the environment (OMNITIDE_CLIENT_URL, ...), else of the local fabric."""
        return cls(find_target(url=url, token=token, token_file=token_file, ca_file=ca_file))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def written(self) -> int:
        """The newest revision that this client made."""
        return self._memory.written

    @property
    def seen(self) -> int:
        """The newest revision that any answer named. A read with a `min_revision` one above waits for news."""
        return self._memory.seen

    def _do(self, call: Call[T]) -> T:
        exchange = Exchange(call, self._memory, self._retries, self.target.url, self._rng)
        while True:
            try:
                answer = self._http.request(
                    call.method, call.path, params=exchange.query(), headers=exchange.headers(), content=call.body
                )
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
                hint = tls_hint(reason)
                outcome = exchange.broke(reason, hint=hint, final=bool(hint))
            else:
                outcome = exchange.answered(answer.status_code, answer.headers, answer.content)
            if not isinstance(outcome, Wait):
                return outcome
            self._sleep(outcome.seconds)

    # -- fabric ------------------------------------------------------------------------------------------------------

    def get_fabric(self, *, min_revision: int | None = None) -> inv.FabricStatus:
        """The whole at a glance."""
        return self._do(calls.get_fabric(min_revision))

    def get_version(self) -> inv.VersionInfo:
        return self._do(calls.get_version())

    def check_live(self) -> inv.Health:
        """Whether Nexus answers at all."""
        return self._do(calls.check_live())

    def check_ready(self) -> inv.Health:
        """Whether Nexus serves, with each thing that it depends on."""
        return self._do(calls.check_ready())

    def get_ca(self) -> calls.CaBundle:
        return self._do(calls.get_ca())

    # -- namespaces, tokens ------------------------------------------------------------------------------------------

    def list_namespaces(self, *, cursor: str = "", limit: int = PAGE) -> inv.NamespaceList:
        return self._do(calls.list_namespaces(cursor, limit))

    def namespaces(self) -> Iterator[inv.Namespace]:
        """All of them, page by page; so do the other methods without a verb."""
        cursor = ""
        while True:
            page = self.list_namespaces(cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if not cursor:
                return

    def create_namespace(self, name: str, *, dry_run: bool = False) -> inv.NamespaceChanged:
        return self._do(calls.create_namespace(name, dry_run))

    def delete_namespace(self, name: str, *, dry_run: bool = False) -> inv.NamespaceChanged:
        return self._do(calls.delete_namespace(name, dry_run))

    def list_tokens(self, *, purpose: str = "", cursor: str = "", limit: int = PAGE) -> inv.TokenList:
        return self._do(calls.list_tokens(cursor, limit, purpose))

    def tokens(self, *, purpose: str = "") -> Iterator[inv.Token]:
        cursor = ""
        while True:
            page = self.list_tokens(purpose=purpose, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if not cursor:
                return

    def create_token(
        self,
        purpose: Literal["join", "api"] = "join",
        *,
        ttl: str | int | None = None,
        uses: int = 1,
        note: str = "",
        labels: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> inv.TokenCreated:
        """`ttl`: "1h" or milliseconds. The token's text is in this answer and nowhere else."""
        return self._do(calls.create_token(purpose, ttl, uses, note, labels, dry_run))

    def revoke_token(self, identifier: str, *, dry_run: bool = False) -> inv.TokenRevoked:
        return self._do(calls.revoke_token(identifier, dry_run))

    # -- nodes -------------------------------------------------------------------------------------------------------

    def list_nodes(
        self, *, status: str = "", scheduling: str = "", cursor: str = "", limit: int = PAGE
    ) -> inv.NodeList:
        return self._do(calls.list_nodes(cursor, limit, status, scheduling))

    def nodes(self, *, status: str = "", scheduling: str = "") -> Iterator[inv.Node]:
        cursor = ""
        while True:
            page = self.list_nodes(status=status, scheduling=scheduling, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if not cursor:
                return

    def get_node(self, node: str) -> inv.Node:
        """By name or id."""
        return self._do(calls.get_node(node))

    def cordon_node(self, node: str, *, dry_run: bool = False) -> inv.NodeChanged:
        """Nothing new is placed there."""
        return self._do(calls.change_node(node, "cordon", dry_run))

    def uncordon_node(self, node: str, *, dry_run: bool = False) -> inv.NodeChanged:
        return self._do(calls.change_node(node, "uncordon", dry_run))

    def drain_node(self, node: str, *, dry_run: bool = False) -> inv.NodeChanged:
        """Cordon it, and move what runs there."""
        return self._do(calls.change_node(node, "drain", dry_run))

    def remove_node(self, node: str, *, force: bool = False, dry_run: bool = False) -> inv.NodeChanged:
        return self._do(calls.remove_node(node, force, dry_run))

    # -- agents ------------------------------------------------------------------------------------------------------

    def list_agents(self, *, namespace: str = "", cursor: str = "", limit: int = PAGE) -> ob.AgentList:
        return self._do(calls.list_agents(cursor, limit, namespace))

    def agents(self, *, namespace: str = "") -> Iterator[ob.AgentSummary]:
        cursor = ""
        while True:
            page = self.list_agents(namespace=namespace, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if not cursor:
                return

    def get_agent(self, name: str, *, namespace: str = DEFAULT, min_revision: int | None = None) -> ob.Agent:
        """`min_revision`: as of this revision or later; Nexus waits some seconds for it, then raises `behind`."""
        return self._do(calls.get_agent(namespace, name, min_revision))

    def deploy_agent(
        self,
        name: str,
        spec: AgentSpec,
        *,
        namespace: str = DEFAULT,
        replicas: int | None = None,
        take_over_replicas: bool = False,
        if_match: int | None = None,
        dry_run: bool = False,
    ) -> ob.AgentChanged:
        """Make an agent, or give it a new version. `replicas` None: an agent that is there keeps its number.

        `if_match`: refuse unless the agent's own last revision is this; 0: unless there is none.
        """
        return self._do(calls.deploy_agent(namespace, name, spec, replicas, take_over_replicas, if_match, dry_run))

    def scale_agent(
        self,
        name: str,
        replicas: int,
        *,
        namespace: str = DEFAULT,
        if_match: int | None = None,
        dry_run: bool = False,
    ) -> ob.AgentChanged:
        return self._do(calls.scale_agent(namespace, name, replicas, if_match, dry_run))

    def restart_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        """Replace its instances as a rollout would."""
        return self._do(calls.change_agent(namespace, name, "restart", if_match, dry_run))

    def stop_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return self._do(calls.change_agent(namespace, name, "stop", if_match, dry_run))

    def start_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return self._do(calls.change_agent(namespace, name, "start", if_match, dry_run))

    def delete_agent(
        self, name: str, *, namespace: str = DEFAULT, if_match: int | None = None, dry_run: bool = False
    ) -> ob.AgentChanged:
        return self._do(calls.delete_agent(namespace, name, if_match, dry_run))

    def list_agent_versions(self, name: str, *, namespace: str = DEFAULT) -> ob.AgentVersionList:
        return self._do(calls.list_agent_versions(namespace, name))

    def explain_agent(self, name: str, *, namespace: str = DEFAULT, nodes: int = 0) -> ex.AgentExplanation:
        """Why it is as it is. `nodes`: explain so many nodes one by one."""
        return self._do(calls.explain_agent(namespace, name, nodes))

    # -- jobs --------------------------------------------------------------------------------------------------------

    def list_jobs(self, *, namespace: str = "", status: str = "", cursor: str = "", limit: int = PAGE) -> ob.JobList:
        return self._do(calls.list_jobs(cursor, limit, namespace, status))

    def jobs(self, *, namespace: str = "", status: str = "") -> Iterator[ob.JobSummary]:
        cursor = ""
        while True:
            page = self.list_jobs(namespace=namespace, status=status, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if not cursor:
                return

    def get_job(self, name: str, *, namespace: str = DEFAULT, min_revision: int | None = None) -> ob.Job:
        return self._do(calls.get_job(namespace, name, min_revision))

    def run_job(
        self, spec: JobSpec, *, name: str | None = None, namespace: str = DEFAULT, dry_run: bool = False
    ) -> ob.JobChanged:
        """Begin a job; without a name it gets one."""
        return self._do(calls.run_job(namespace, spec, name, dry_run))

    def cancel_job(self, name: str, *, namespace: str = DEFAULT, dry_run: bool = False) -> ob.JobChanged:
        return self._do(calls.cancel_job(namespace, name, dry_run))

    def delete_job(self, name: str, *, namespace: str = DEFAULT, dry_run: bool = False) -> ob.JobChanged:
        return self._do(calls.delete_job(namespace, name, dry_run))

    # -- instances ---------------------------------------------------------------------------------------------------

    def list_instances(
        self,
        *,
        namespace: str = "",
        agent: str = "",
        job: str = "",
        node: str = "",
        name: str = "",
        status: str = "",
        ended: bool = False,
        cursor: str = "",
        limit: int = PAGE,
    ) -> ob.InstanceList:
        """`ended`: also those that came to an end as they should."""
        filters = {"namespace": namespace, "agent": agent, "job": job, "node": node, "name": name, "status": status}
        return self._do(calls.list_instances(cursor, limit, {**filters, "all": ended}))

    def instances(
        self,
        *,
        namespace: str = "",
        agent: str = "",
        job: str = "",
        node: str = "",
        name: str = "",
        status: str = "",
        ended: bool = False,
    ) -> Iterator[ob.Instance]:
        filters = {"namespace": namespace, "agent": agent, "job": job, "node": node, "name": name, "status": status}
        cursor = ""
        while True:
            page = self._do(calls.list_instances(cursor, PAGE, {**filters, "all": ended}))
            yield from page.items
            cursor = page.next_cursor
            if not cursor:
                return

    def get_instance(self, identifier: str) -> ob.Instance:
        """By id."""
        return self._do(calls.get_instance(identifier))

    def restart_instance(self, identifier: str, *, dry_run: bool = False) -> ob.InstanceChanged:
        return self._do(calls.restart_instance(identifier, dry_run))

    def explain_instance(self, identifier: str, *, nodes: int = 0) -> ex.InstanceExplanation:
        return self._do(calls.explain_instance(identifier, nodes))

    def read_logs(
        self, identifier: str, *, follow: bool = False, tail: int | None = None, since_ms: int = 0
    ) -> Iterator[hp.LogChunk]:
        """What an instance writes, from the first line, the last `tail` lines or the last `since_ms` milliseconds on.

        `follow`: until the instance ends. Breaks with Unreachable if the connection does.
        """
        call = calls.read_logs(identifier, follow, tail, since_ms)
        headers = {"accept": "application/x-ndjson"}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=None if follow else ANSWER_S)
        exchange = Exchange(call, self._memory, Retries(attempts=1), self.target.url, self._rng)
        try:
            with self._http.stream("GET", call.path, params=call.query, headers=headers, timeout=timeout) as answer:
                if answer.status_code != 200:
                    raise from_answer(answer.status_code, answer.read())
                for line in answer.iter_lines():
                    if line:
                        yield chunk_of(line)
        except httpx.TransportError as error:
            exchange.broke(str(error) or type(error).__name__)

    # -- events ------------------------------------------------------------------------------------------------------

    def list_events(
        self,
        *,
        after: int = 0,
        skip: int = 0,
        last: int = 0,
        kinds: Sequence[str] = (),
        namespace: str = "",
        subject: str = "",
        limit: int = PAGE,
    ) -> hp.EventPage:
        """`last`: instead of those after a revision, the newest so many."""
        return self._do(calls.list_events(after, skip, last, kinds, namespace, subject, limit))

    def watch_events(
        self,
        *,
        after: int | None = None,
        kinds: Sequence[str] = (),
        namespace: str = "",
        subject: str = "",
        patience_s: float = PATIENCE_S,
    ) -> "EventWatch":
        """Events from a revision (None: now) on, each once, through broken connections and restarts of Nexus.

        Raises Trimmed where what comes next is not kept any more, Unreachable after `patience_s` without a Nexus.
        """
        feed = Feed(after, calls.watch_query(kinds, namespace, subject), self._rng, patience_s)
        return EventWatch(self.target, self._context, feed, self._sleep)


def chunk_of(line: str) -> hp.LogChunk:
    """Raises the problem that ended the stream."""
    decoded = msgspec.json.decode(line, type=LogLine)
    if decoded.problem is not None:
        raise from_problem(decoded.problem)
    return hp.LogChunk(at_ms=decoded.at_ms, stream=decoded.stream, attempt=decoded.attempt, text=decoded.text)


class LogLine(msgspec.Struct, frozen=True):
    """A line of a stream of output: a chunk, or in the end a problem."""

    at_ms: int = 0
    stream: Literal["stdout", "stderr"] = "stdout"
    attempt: int = 0
    text: str = ""
    problem: Problem | None = None


class EventWatch:
    """An iterator of events that holds a connection. Close it, or use it as a context manager."""

    def __init__(
        self, target: Target, context: ssl.SSLContext | None, feed: Feed, sleep: Callable[[float], None]
    ) -> None:
        from websockets.sync import client as websockets

        self._module = websockets
        self._target = target
        self._context = context
        self._feed = feed
        self._sleep = sleep
        self._socket: websockets.ClientConnection | None = None
        self._closed = False

    @property
    def revision(self) -> int:
        """The newest revision that was seen."""
        return self._feed.revision

    @property
    def lagged(self) -> int:
        """How often this watcher was too slow and had to resume. Nothing was missed by it."""
        return self._feed.lagged

    def close(self) -> None:
        """Also from another thread: the iteration then ends."""
        self._closed = True
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def __enter__(self) -> "EventWatch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[hp.CloudEvent]:
        for batch in self.batches():
            yield from batch

    def open(self) -> "EventWatch":
        """Connect now, so that nothing that happens from here on is missed."""
        while not self._closed and self._socket is None:
            self._connect()
        return self

    def batches(self) -> Iterator[list[hp.CloudEvent]]:
        """As they come, several at a time; an empty batch says that Nexus was heard from."""
        from websockets.exceptions import ConnectionClosed

        try:
            while not self._closed:
                socket = self._socket
                if socket is None:
                    self._connect()
                    continue
                try:
                    frame = socket.recv()
                except ConnectionClosed as gone:
                    self._socket = None
                    if self._closed:
                        return
                    received = gone.rcvd
                    if received is None:
                        self._sleep(self._feed.broke(self._target.url, "the connection broke"))
                    else:
                        self._sleep(self._feed.closed(received.code, received.reason))
                    continue
                yield self._feed.take(frame)
        finally:
            self.close()

    def _connect(self) -> None:
        """Raises FabricError where trying again is of no use."""
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.typing import Subprotocol

        url = self._target.url
        try:
            self._socket = self._module.connect(
                self._feed.address(url),
                ssl=self._context,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers={"authorization": f"Bearer {self._target.token}"} if self._target.token else {},
                compression=None,
                proxy=None if self._target.local else True,
                open_timeout=CONNECT_S,
                close_timeout=1.0,
                max_size=MAX_FRAME,
                max_queue=16,
            )
        except InvalidStatus as refused:
            error = from_answer(refused.response.status_code, bytes(refused.response.body or b""))
            self._sleep(self._feed.refused(error))
        except (OSError, TimeoutError, InvalidHandshake) as error:
            hint = tls_hint(str(error))
            wait = self._feed.broke(url, str(error) or type(error).__name__, hint)
            self._sleep(wait)
