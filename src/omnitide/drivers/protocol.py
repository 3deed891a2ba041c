"""The driver protocol: how a node runs one attempt of an instance, whatever the runtime.

A *run* is one attempt of one instance on this node. A driver starts it, says what becomes of it, and remembers runs
across the death of the node proxy: `recover` lists what exists, ended runs included, until `remove` forgets them. No
call waits for an instance to end; endings arrive through `watch` (and are in `recover`, should a watch be missed).
"""

import enum
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from omnitide.drivers.streams import Exec, ExecRequest
from omnitide.model.container import Container, Sandbox, Wasm

ENTRY_POINTS: Final = "omnitide.drivers"
"""Group of entry points under which drivers are found: each names a function that takes a `DriverContext`."""


class RunKey(NamedTuple):
    """One attempt (1, 2, ...) of an instance."""

    instance: str
    attempt: int


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ceilings for one run. `None` or 0 means unlimited."""

    cpu_milli: int = 0
    """Hard ceiling in thousandths of a core."""
    memory_bytes: int = 0
    pids: int = 0


class LogPolicy(msgspec.Struct, frozen=True):
    """Bounds of what is kept of a run's output on the node."""

    max_file_bytes: int = 10 << 20
    max_files: int = 3
    """Files kept per instance, the one being written included; the oldest are removed first."""
    max_age_ms: int = 0
    """Files whose newest output is older are removed; 0: never."""


class PortBinding(msgspec.Struct, frozen=True):
    """A port of a run."""

    name: str
    host: int
    """On the node."""
    target: int
    """Inside a container; elsewhere the same as `host`."""
    protocol: Literal["tcp", "udp"] = "tcp"
    host_ip: str = ""
    """The node's address at which it is open; empty: at all of them."""


class Mount(msgspec.Struct, frozen=True):
    """A file or directory of the node that a run finds at a path of its own."""

    source: str
    """Absolute path on the node; it exists."""
    target: str
    """As the spec names it: absolute, or below the run's private directory."""
    read_only: bool = False
    firm: bool = False
    """The source was found to be permitted, and to be what it names really: a link in it now was put there since. A
    driver that can tell refuses it."""


class Launch(msgspec.Struct, frozen=True):
    """All that a driver needs to start a run."""

    key: RunKey
    name: str
    """Readable name, e.g. `hello-2.1`, for process titles, logs and errors."""
    command: Sequence[str]
    environment: Mapping[str, str]
    """Complete: the driver adds only PATH where absent."""
    working_directory: str = ""
    """Absolute path; empty means a fresh private directory of the instance."""
    user: str = ""
    """User name or numeric id, optionally `user:group`; empty means the keeper's own user."""
    limits: Limit = Limit()
    limits_required: bool = False
    """True: refuse to start where a limit cannot be enforced. False: run anyway and say so in `Run.unenforced`."""
    log_policy: LogPolicy = LogPolicy()
    stop_signal: str = "SIGTERM"
    stop_grace_ms: int = 10_000
    """From the stop signal until everything left of the run is killed."""
    fence_ms: int = 0
    """Above 0: the run is killed unless `fence` is called again within so many milliseconds."""
    labels: Mapping[str, str] = {}
    """Opaque to the driver; given back by `recover` (the proxy keeps generation and revision there)."""
    namespace: str = ""
    workload: str = ""
    """Name of the agent or job."""
    ports: Sequence[PortBinding] = ()
    mounts: Sequence[Mount] = ()
    real: Mapping[str, str] = {}
    """What paths that the sandbox opens, and the working directory, were found to be when they were permitted."""
    container: Container | None = None
    wasm: Wasm | None = None
    isolation: Literal["none", "sandbox"] = "none"
    sandbox: Sandbox = Sandbox()
    options: Mapping[str, str] = {}
    """For drivers that others ship."""
    credentials: str = ""
    """`user:password` for the registry of the container's image; empty: none."""
    pre_stop: Sequence[str] = ()
    """A command that is run inside the run before its stop signal, within the grace. Empty: none."""

    def __repr__(self) -> str:
        """Without its variables and credentials, which may hold secrets."""
        return f"Launch({self.name!r}, {self.key})"


class RunState(enum.StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"
    UNKNOWN = "unknown"
    """The driver lost sight of the run (its supervisor died): it runs no more, its exit status is unknown."""


class Exit(msgspec.Struct, frozen=True):
    """How a run ended."""

    code: int | None
    """Exit code, or None if ended by a signal or unknown."""
    signal: int | None = None
    reason: str = "exited"
    """Open set: exited, signal, out-of-memory, trap (of a module), stopped (asked to, within grace), killed (asked to,
    after grace), fenced, start-failed, unknown."""
    message: str = ""
    out_of_memory: bool = False
    ended_at_ms: int = 0
    """Wall clock, milliseconds since 1970."""
    cause: str = ""
    """Of one that turned out only after its start never to have run (`start-failed`): as DriverError's."""
    permanent: bool = False
    """With it: trying again on this node cannot help."""


class Run(msgspec.Struct, frozen=True):
    """A run as the driver sees it now."""

    key: RunKey
    state: RunState
    handle: str
    """Opaque to everyone but the driver; the process driver gives the process id."""
    started_at_ms: int = 0
    exit: Exit | None = None
    unenforced: Sequence[str] = ()
    """Limits asked for as best-effort that this node cannot enforce, e.g. ("memory", "pids")."""
    labels: Mapping[str, str] = {}


class Usage(msgspec.Struct, frozen=True):
    """What a run uses now."""

    cpu_ms: int
    """CPU time used so far, milliseconds."""
    memory_bytes: int
    pids: int


class LogChunk(msgspec.Struct, frozen=True):
    """A piece of output as it was read from the run."""

    at_ms: int
    stream: str
    """`stdout` or `stderr`."""
    data: bytes
    """At most 64 KiB."""
    attempt: int
    position: str = ""
    """Where it ends, as the driver calls it; given back as `after`. Letters, digits, `.`, `:` and `-`, 60 at most."""
    gap: bool = False
    """Output between the chunk before and this one is not kept any more."""


class DriverInfo(msgspec.Struct, frozen=True):
    """What a driver can do on this node, as probed."""

    name: str
    version: str
    healthy: bool
    detail: str = ""
    enforces: Sequence[str] = ()
    """Of: cpu, memory, pids, sandbox."""
    fences: bool = False
    """Runs can be fenced: they end when the node proxy is away for too long."""
    absent: bool = False
    """Not healthy, because what it needs is not installed here, and nobody said that it should be: nothing is wrong."""
    silent: bool = False
    """Not healthy, because the runtime does not answer: what it runs is not known until it does."""


class DriverContext(msgspec.Struct, frozen=True):
    """What a driver is made with."""

    directory: str
    """Its own, private to the node's user; the driver makes it. Whatever it leaves there survives the node proxy."""
    node_id: str
    cgroup: str = "auto"
    """`auto`, or `off` to do without control groups of our own."""
    passage: Sequence[str] = ()
    """Directories of the node above `directory`, which a run of another user has to pass through."""
    keeper: str = ""
    """Directory of the node's keeper, for drivers whose runs are processes of this machine; empty: one of its own."""
    hidden: Callable[[], Sequence[str]] = tuple
    """What of the node's machine no sandbox may see, asked at each start."""
    only_to_end: bool = False
    """Nothing is started any more: the runtime is the one that was used here before, whatever the environment says."""


class DriverError(Exception):
    """A driver could not do what was asked."""

    def __init__(self, message: str, *, cause: str, permanent: bool) -> None:
        super().__init__(message)
        self.cause = cause
        """Cause class: command-not-found, permission, working-directory, user, limits, port-busy, resources,
        driver-unavailable, ... (open set)."""
        self.permanent = permanent
        """True: trying again on this node cannot help."""


Progress = Callable[[str], None]
"""Is told in a few words how far a preparation has come: `pulling nginx:1.27, 12.0 of 67.1 MiB`."""


class Driver(Protocol):
    """One runtime on one node."""

    @property
    def name(self) -> str: ...

    async def probe(self) -> DriverInfo:
        """Look again at what works here. Never raises for a runtime that is absent: says so in the answer."""
        ...

    async def prepare(self, launch: Launch, progress: Progress) -> None:
        """Fetch and make what the start needs and may take long: pull an image, compile a module. Idempotent; what has
        been prepared is kept for the next run that needs it. Raises DriverError."""
        ...

    async def start(self, launch: Launch) -> Run:
        """Start a prepared run; returns once the program has been executed (for a process: exec succeeded).

        Idempotent: a run that exists already is returned as it is, never started twice. Raises DriverError.
        """
        ...

    async def stop(self, key: RunKey, *, grace_ms: int | None = None) -> None:
        """Begin to stop a run and everything it started; returns at once. Unknown and ended runs are no error."""
        ...

    async def signal(self, key: RunKey, signal: int) -> None:
        """Send a signal to the run's main process. Raises DriverError if it is not running."""
        ...

    async def status(self, key: RunKey) -> Run | None:
        """The run as it is now; None for one that is not known."""
        ...

    async def exec(self, key: RunKey, request: ExecRequest) -> Exec:
        """Run a further program inside a running run: its directory, user, limits and view of the machine. Raises
        DriverError (cause `not-running`, `command-not-found`, ...)."""
        ...

    def archive(self, instance: str, path: str) -> AsyncIterator[bytes]:
        """A file or directory of an instance as a tar stream, in pieces of 64 KiB at most. Relative paths are below its
        directory; no path leads out of what the instance may see. Raises DriverError (cause `no-such-file`, ...)."""
        ...

    async def extract(self, instance: str, path: str, data: AsyncIterator[bytes]) -> None:
        """Unpack a tar stream below a directory of an instance, as the instance's user. Raises DriverError."""
        ...

    async def address(self, key: RunKey) -> str:
        """The IP address at which this node reaches a run's own ports (a container's), or `127.0.0.1`. Raises
        DriverError."""
        ...

    async def recover(self) -> list[Run]:
        """Every run that the driver knows, ended ones included, by key."""
        ...

    async def remove(self, key: RunKey) -> None:
        """Forget an ended run. Idempotent. Raises DriverError for one that has not ended."""
        ...

    async def remove_instance(self, instance: str) -> None:
        """Forget an instance: its runs, logs and private directory. Idempotent. Raises DriverError if one runs."""
        ...

    async def fence(self, keys: Sequence[RunKey], within_ms: int) -> None:
        """Put off the deadline of fenced runs: they are killed unless called again within `within_ms`."""
        ...

    def watch(self) -> AsyncIterator[Run]:
        """Changes from now on, as they happen. Ends with DriverError when the runtime goes away; then recover."""
        ...

    async def stats(self, keys: Sequence[RunKey]) -> dict[RunKey, Usage]:
        """Use of the running ones among `keys`; the others are absent from the answer."""
        ...

    def logs(
        self,
        instance: str,
        *,
        tail_lines: int | None = None,
        since_ms: int = 0,
        after: str = "",
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        """Kept output of all attempts in order, oldest first; with `follow`, what comes too, until the instance is
        removed, or its last run has ended and the reader has all of it. Raises DriverError where there are no logs.

        `since_ms`: from the first output on that is not older. `after`: from a chunk's position on, and then neither of
        the others counts. With `follow` the first chunk is empty: its position is where the output begins.
        """
        ...

    async def close(self) -> None:
        """Let go of the runtime; runs go on."""
        ...
