"""What a user reads of the fabric itself: nodes, namespaces, tokens, the whole at a glance."""

from typing import Final, Literal

from msgspec import field

from omnitide.model.objects import InstanceCounts, Millis, Object, Revision

NodeStatus = Literal["joined", "live", "stalled", "unreachable", "lost"]
"""`stalled`: connected and not answering its beats; shown, not replaced."""

NodeShown = Literal["joined", "live", "away", "stalled", "stopped", "left", "unreachable", "lost"]
"""What a node is shown as. `stopped`: its operator stopped it, and it is that alone until it is back. `left`: with a
goodbye for good, and it is that alone. `away`: after a goodbye for a while; it counts as live."""

TokenState = Literal["valid", "expired", "used-up", "revoked"]


class Driver(Object, frozen=True, kw_only=True):
    name: str
    version: str = ""
    healthy: bool = True
    detail: str = ""
    enforces: tuple[str, ...] = ()
    """Of: cpu, memory, pids, sandbox."""
    absent: bool = False
    """Not healthy only because what it needs is not installed there, and nobody said that it should be."""
    silent_since_ms: Millis = 0
    """Its runtime does not answer its node since then: what it runs there is what was known last. 0: it does."""


class NodeUse(Object, frozen=True, kw_only=True):
    """What the host uses, as of its last beat."""

    at_ms: Millis
    cpu_milli: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    network_received_bytes: int = 0
    """Counters since boot, as is `network_sent_bytes`."""
    network_sent_bytes: int = 0
    load_milli: int = 0
    """One-minute load average, in thousandths."""


class Node(Object, frozen=True, kw_only=True):
    id: str
    name: str
    status: NodeStatus
    since_ms: Millis
    unknown_since_ms: Millis = 0
    """Nothing has been heard of it since then: what it runs is unknown."""
    stalled_since_ms: Millis = 0
    scheduling: Literal["open", "cordoned", "draining", "drained"]
    departing: str = ""
    """Why it said goodbye, if it did."""
    back_within_ms: int = 0
    stopped_ms: Millis = 0
    """Its operator stopped it then, and it has not been back; 0: it was not stopped."""
    draining_since_ms: Millis = 0
    """Since when it is being drained; 0: it is not, or nobody knows."""
    address: str = ""
    """Where its ports can be reached, as it believes."""
    session_address: str = ""
    """Where its connection comes from."""
    labels: dict[str, str] = field(default_factory=dict)
    platform: dict[str, str] = field(default_factory=dict)
    software: str = ""
    drivers: tuple[Driver, ...] = ()
    cpu_milli: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    reserved_cpu_milli: int = 0
    """Set aside for instances, as is `reserved_memory_bytes`."""
    reserved_memory_bytes: int = 0
    port_first: int = 0
    port_last: int = 0
    ports_used: int = 0
    instances: int = 0
    use: NodeUse | None = None
    last_beat_ms: Millis = 0
    clock_ahead_ms: int = 0
    """How far its own clock is ahead of Nexus's, in whole seconds; less than 0: behind. 0 within five seconds. Times
    that it tells are shown by Nexus's clock."""
    session: int = 0
    joined_ms: Millis
    revision: Revision


class NodeList(Object, frozen=True, kw_only=True):
    items: tuple[Node, ...]
    revision: Revision
    next_cursor: str = ""


class NodeChanged(Object, frozen=True, kw_only=True):
    node: Node | None
    change: str
    """labelled, cordoned, uncordoned, draining, removed or unchanged."""
    revision: Revision
    dry_run: bool = False
    replayed: bool = False


class Namespace(Object, frozen=True, kw_only=True):
    name: str
    agents: int
    jobs: int
    created_ms: Millis
    revision: Revision


class NamespaceList(Object, frozen=True, kw_only=True):
    items: tuple[Namespace, ...]
    revision: Revision
    next_cursor: str = ""


class NamespaceChanged(Object, frozen=True, kw_only=True):
    namespace: Namespace | None
    change: str
    """created or deleted."""
    revision: Revision
    dry_run: bool = False
    replayed: bool = False


class Token(Object, frozen=True, kw_only=True):
    """A token, without its secret, which is kept nowhere."""

    id: str
    purpose: Literal["join", "api", "metrics", "login", "session"]
    state: TokenState
    note: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    """Put on each node that joins by it."""
    uses_left: int = 0
    created_ms: Millis
    created_by: str
    expires_ms: Millis = 0
    """0: never."""
    revision: Revision


class TokenList(Object, frozen=True, kw_only=True):
    items: tuple[Token, ...]
    revision: Revision
    next_cursor: str = ""


class TokenCreated(Object, frozen=True, kw_only=True):
    token: Token | None
    """None in a dry run."""
    text: str
    """The token itself. It is shown here once and kept nowhere."""
    revision: Revision
    dry_run: bool = False

    def __repr__(self) -> str:
        """Never the text: objects end up in logs and tracebacks."""
        return f"TokenCreated(id={self.token.id if self.token else ''!r}, revision={self.revision})"


class SessionOpened(Object, frozen=True, kw_only=True):
    """A browser is let in: its cookie comes beside this, as a header that no script of the page can read."""

    session: Token
    proof: str
    """To be shown with each request beside the cookie, as `Omnitide-Proof`; a WebSocket offers `proof.<it>`."""
    revision: Revision

    def __repr__(self) -> str:
        """Never the proof."""
        return f"SessionOpened(id={self.session.id!r}, revision={self.revision})"


class Caller(Object, frozen=True, kw_only=True):
    """Whoever asks: the token or session that was shown."""

    token: Token
    fabric_id: str
    revision: Revision


class TokenRevoked(Object, frozen=True, kw_only=True):
    token: Token | None
    revision: Revision
    dry_run: bool = False
    replayed: bool = False


class NodeCounts(Object, frozen=True, kw_only=True):
    """Each node once: one that its operator stopped, or that left, is counted as that, whatever its status is then."""

    joined: int = 0
    live: int = 0
    stalled: int = 0
    unreachable: int = 0
    lost: int = 0
    closed: int = 0
    """Of all: cordoned, draining or drained."""
    stopped: int = 0
    """See `Node.stopped_ms`."""
    left: int = 0
    """They said goodbye for good, and are members until they are removed."""


WHOLE: Final = "fabric"
"""Subject of a concern that is about all of it, which is then the verdict on the fabric."""


class Concern(Object, frozen=True, kw_only=True):
    """Something that wants a person's eye."""

    subject: str
    text: str
    hint: str = ""
    since_ms: Millis = 0


class FabricStatus(Object, frozen=True, kw_only=True):
    """The whole at a glance."""

    fabric_id: str
    log_id: str
    revision: Revision
    time_ms: Millis
    """Nexus's wall clock."""
    version: str
    """Of Nexus's software."""
    started_ms: Millis
    endpoints: tuple[str, ...]
    """Where nodes reach Nexus."""
    nodes: NodeCounts
    namespaces: int
    agents: int
    jobs: int
    jobs_active: int
    jobs_failed: int = 0
    """Finished so, of those that are still kept."""
    instances: InstanceCounts
    """Of agents, and of jobs that are active."""
    cpu_milli: int
    """Of the nodes together that are live and not stopped, as are the other three."""
    memory_bytes: int
    reserved_cpu_milli: int
    reserved_memory_bytes: int
    concerns: tuple[Concern, ...] = ()
    """The 20 most pressing."""
    demo: bool = False
    """It is a demonstration: its machines are simulated."""
    closed_cpu_milli: int = 0
    """Of `cpu_milli`, what live nodes have that take nothing new: cordoned, draining or drained."""
    closed_memory_bytes: int = 0
    failing: InstanceCounts = InstanceCounts()
    """Of `instances`, by what they do at this moment: replicas that end again and again (see `Instance.failing`), of
    those that are looked at."""
    failing_at_least: bool = False
    """Not all replicas of an agent are looked at, being many: there may be more that do."""
    away: InstanceCounts = InstanceCounts()
    """Of `instances`, by what they were when their node said goodbye for a while, or was stopped: it is waited for, and
    what they do meanwhile nobody knows. None of them is of `failing`."""


class VersionInfo(Object, frozen=True, kw_only=True):
    version: str
    api: str
    """`v1`."""
    feature_level: int
    python: str


class FeatureLevelChanged(Object, frozen=True, kw_only=True):
    feature_level: int
    """Of the log, now."""
    change: Literal["raised", "unchanged"]
    revision: Revision
    dry_run: bool = False
    replayed: bool = False


class HealthCheck(Object, frozen=True, kw_only=True):
    name: str
    ok: bool
    detail: str = ""


class Health(Object, frozen=True, kw_only=True):
    ok: bool
    checks: tuple[HealthCheck, ...] = ()
