"""The driver protocol: how a node's reconciler runs one attempt of an instance, whatever the runtime.

A *run* is one attempt of one instance on this node. A driver starts it, says what becomes of it, and remembers runs
across the death of the node proxy: `recover` lists what exists, ended runs included, until `remove` forgets them. No
call waits for an instance to end; endings arrive through `watch` (and are in `recover`, should a watch be missed).
"""

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec


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
    """Open set: exited, signal, out-of-memory, stopped (asked to, within grace), killed (asked to, after grace),
    fenced, start-failed, unknown."""
    message: str = ""
    out_of_memory: bool = False
    ended_at_ms: int = 0
    """Wall clock, milliseconds since 1970."""


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
    """Of: cpu, memory, pids."""


class DriverError(Exception):
    """A driver could not do what was asked."""

    def __init__(self, message: str, *, cause: str, permanent: bool) -> None:
        super().__init__(message)
        self.cause = cause
        """Cause class: command-not-found, permission, working-directory, user, limits, port-busy, resources,
        driver-unavailable, ... (open set)."""
        self.permanent = permanent
        """True: trying again on this node cannot help."""


class Driver(Protocol):
    """One runtime on one node."""

    @property
    def name(self) -> str: ...

    async def probe(self) -> DriverInfo:
        """Look again at what works here. Never raises for a runtime that is absent: says so in the answer."""
        ...

    async def start(self, launch: Launch) -> Run:
        """Start a run; returns once the program has been executed (for a process: exec succeeded).

        Idempotent: a run that exists already is returned as it is, never started twice. Raises DriverError.
        """
        ...

    async def stop(self, key: RunKey, *, grace_ms: int | None = None) -> None:
        """Begin to stop a run and everything it started; returns at once. Unknown and ended runs are no error."""
        ...

    async def signal(self, key: RunKey, signal: int) -> None:
        """Send a signal to the run's main process. Raises DriverError if it is not running."""
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
