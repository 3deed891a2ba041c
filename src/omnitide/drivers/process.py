"""The process driver: runs are processes of this machine, children of the keeper.

A client of the keeper and little more: the keeper starts, watches, stops and remembers; this translates. The keeper is
started when it is first needed and outlives this process; when it is gone, it is started anew and says what it knows.
"""

import asyncio
import contextlib
import os
import signal
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from weakref import WeakSet

import msgspec

from omnitide.drivers import process_exec, process_files, process_request, process_sandbox, process_usage, process_user
from omnitide.drivers.keeper_link import KeeperLink, KeeperOptions, WireRun, open_link, unavailable
from omnitide.drivers.keeper_upgrade import bring_up_to_date
from omnitide.drivers.process_logs import Beginning, LogState, read_logs
from omnitide.drivers.process_watch import ProcessWatch
from omnitide.drivers.protocol import (
    Driver,
    DriverContext,
    DriverError,
    DriverInfo,
    Exit,
    Launch,
    LogChunk,
    Progress,
    Run,
    RunKey,
    RunState,
    Usage,
)
from omnitide.drivers.streams import Exec, ExecRequest
from omnitide.node.keeper import protocol
from omnitide.node.keeper.disk_use import bytes_below
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.protocol import Refused
from omnitide.node.keeper.run import ZYGOTE

T = TypeVar("T")

_PASS = 0o011
_SANDBOX_TRIES = 8


class _Hello(msgspec.Struct, frozen=True):
    protocol: int
    code: str


class _Info(msgspec.Struct, frozen=True):
    code: str
    enforces: list[str]
    problems: list[str]
    tracks: bool


class _Page(msgspec.Struct, frozen=True):
    runs: list[WireRun]
    more: bool


class _Nothing(msgspec.Struct, frozen=True):
    pass


def to_run(wire: WireRun) -> Run:
    ending = wire.exit
    return Run(
        key=RunKey(wire.instance, wire.attempt),
        state=RunState(wire.state),
        handle=str(wire.pid),
        started_at_ms=wire.started_at_ms,
        exit=Exit(
            code=ending.code,
            signal=ending.signal,
            reason=ending.reason,
            message=ending.message,
            out_of_memory=ending.out_of_memory,
            ended_at_ms=ending.ended_at_ms,
        )
        if ending is not None
        else None,
        unenforced=tuple(wire.unenforced),
        labels=wire.labels,
    )


def signal_number(name: str) -> int:
    """`SIGTERM`, `TERM` or `15` as a number. Raises DriverError."""
    if name.isascii() and name.isdigit() and 1 <= int(name) <= 64:
        return int(name)
    full = name if name.startswith("SIG") else f"SIG{name}"
    try:
        return signal.Signals[full].value
    except KeyError:
        raise DriverError(f"there is no signal {name!r}", cause="invalid", permanent=True) from None


class ProcessDriver:
    """The driver `process`: see `drivers.protocol.Driver`."""

    def __init__(
        self,
        directory: str,
        *,
        cgroup: str = "auto",
        max_runs: int = 2000,
        passage: Sequence[str] = (),
        zygotes: bool = False,
        hidden: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`directory`: the keeper's, private to this user. `cgroup`: `auto`, or `off` to do without control groups.
        `passage`: directories of ours above it, which a run of another user has to pass through on the way to its own:
        opened for that (never to be listed) before the first such run. `zygotes`: look after the keeper's runs that
        were forked from a zygote, another driver's, instead of the processes. `hidden`: what of the node's own a
        sandbox must not see, besides the keeper's directory and the passage."""
        self._zygotes = zygotes
        self._hidden = hidden
        self._options = KeeperOptions(directory, cgroup, max_runs)
        self._link: KeeperLink | None = None
        self._connecting = asyncio.Lock()
        self._outdated: str | None = None
        """Why the keeper is another program than this one's; None until that has been looked at, once in a process."""
        self._watches: WeakSet[ProcessWatch] = WeakSet()
        self._known: dict[RunKey, WireRun] = {}
        """The runs that have not ended, as last heard."""
        self._heard: set[RunKey] | None = None
        """Runs heard of since `_learn` began; None when it is not under way."""
        self._closed = False
        self._passage = tuple(passage)

    @property
    def name(self) -> str:
        return "process"

    # -- connection ------------------------------------------------------------------------------------------------

    async def _connected(self) -> KeeperLink:
        """The link to the keeper, made now if there is none. Raises DriverError."""
        if self._link is not None and not self._link.closed:
            return self._link
        async with self._connecting:
            if self._closed:
                raise unavailable("this driver has been closed")
            if self._link is not None and not self._link.closed:
                return self._link
            if self._outdated is None and self._options.start:
                self._outdated = await asyncio.to_thread(bring_up_to_date, self._options)
            link = await open_link(self._options, self._pushed, self._lost)
            try:
                await link.ask("hello", _Hello, {"protocol": protocol.VERSION})
                await link.ask("watch", _Nothing)
                await self._learn(link)
            except BaseException:
                link.close()
                raise
            self._link = link
            return link

    async def _ask(self, operation: str, answer: type[T], fields: Mapping[str, object], *, patient: bool = False) -> T:
        """As KeeperLink.ask, and again where the keeper was replaced meanwhile: for requests that may come twice."""
        return await self._twice(lambda link: link.ask(operation, answer, fields, patient=patient))

    async def _twice(self, what: Callable[[KeeperLink], Awaitable[T]]) -> T:
        link = await self._connected()
        try:
            return await what(link)
        except DriverError as error:
            if error.cause != "driver-unavailable" or not link.closed or self._closed:
                raise
        return await what(await self._connected())

    async def _learn(self, link: KeeperLink) -> None:
        """Fill `_known`. What is pushed while the list is under way is newer than the list."""
        self._known = {}
        heard = self._heard = set[RunKey]()
        for wire in await _list(link):
            if RunKey(wire.instance, wire.attempt) not in heard:
                self._note(wire)
        self._heard = None

    def _note(self, wire: WireRun) -> None:
        if not self._is_ours(wire):
            return
        key = RunKey(wire.instance, wire.attempt)
        if wire.exit is None:
            self._known[key] = wire
        else:
            self._known.pop(key, None)

    def _is_ours(self, wire: WireRun) -> bool:
        return (wire.kind == ZYGOTE) == self._zygotes

    def _pushed(self, wire: WireRun) -> None:
        if not self._is_ours(wire):
            return
        self._note(wire)
        if self._heard is not None:
            self._heard.add(RunKey(wire.instance, wire.attempt))
        run = to_run(wire)
        for watch in list(self._watches):
            watch.put(run)

    def _lost(self, link: KeeperLink) -> None:
        if link is self._link or self._link is None:
            self._link = None
            for watch in list(self._watches):
                watch.fail(unavailable("the keeper has hung up; recover, and watch again"))

    # -- the protocol ----------------------------------------------------------------------------------------------

    async def probe(self) -> DriverInfo:
        try:
            info = await self._ask("info", _Info, {})
        except DriverError as error:
            return DriverInfo(name=self.name, version="", healthy=False, detail=str(error), silent=True)
        return DriverInfo(
            name=self.name,
            version=f"keeper {protocol.VERSION}+{info.code}",
            healthy=True,
            detail="; ".join([*info.problems, *([self._outdated] if self._outdated else [])]),
            enforces=(*info.enforces, *(["sandbox"] if await asyncio.to_thread(process_sandbox.works) else [])),
            fences=True,
        )

    async def prepare(self, launch: Launch, progress: Progress) -> None:
        """A program of this machine is there or is not."""

    async def start(self, launch: Launch) -> Run:
        identity = await self.identity(launch)
        request = process_request.of_launch(launch, identity, signal_number(launch.stop_signal))
        sandbox = launch.isolation == "sandbox"
        home = self.private_directory(launch) if sandbox else await asyncio.to_thread(process_user.home, identity)
        request["environment"] = {"HOME": home, **launch.environment}
        if sandbox:
            private = self.private_directory(launch)
            hidden = (self._options.directory, *self._passage, *self._hidden())
            request["wrapper"] = await asyncio.to_thread(process_sandbox.wrapper, launch, private, hidden)
            return await self._start_sandbox(request)
        request["links"] = process_request.links(launch)
        return await self.start_request(request)

    async def _start_sandbox(self, request: Mapping[str, object]) -> Run:
        """Anew where the machine's mounts have changed meanwhile. Raises DriverError."""
        for _ in range(_SANDBOX_TRIES - 1):
            try:
                return await self.start_request(request)
            except DriverError as error:
                if error.cause != "sandbox" or error.permanent:
                    raise
        return await self.start_request(request)

    async def identity(self, launch: Launch) -> Mapping[str, object] | None:
        """Who a run is to be, and a free way to its directory. Raises DriverError."""
        if not launch.user:
            return None
        identity = await asyncio.to_thread(process_user.resolve, launch.user)
        self._open_passage()
        return identity

    def private_directory(self, launch: Launch) -> str:
        return os.path.join(Paths(self._options.directory).work, launch.key.instance)

    def directory(self, instance: str) -> str:
        """The private directory of an instance, in which something is to lie before its start; its parents are made."""
        work = Paths(self._options.directory).work
        os.makedirs(work, mode=0o700, exist_ok=True)
        return os.path.join(work, instance)

    async def start_request(self, request: Mapping[str, object]) -> Run:
        """Start what `process_request` and its like have written. Raises DriverError."""
        return to_run(await self._ask("start", WireRun, {"launch": request}))

    async def ensure_zygote(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Have the keeper's zygote of that name ready. Raises DriverError."""
        fields = {"name": name, "command": command, "environment": environment}
        await self._ask("zygote", _Nothing, fields, patient=True)

    def _open_passage(self) -> None:
        """A folder that cannot be opened only keeps a run from reaching its directory by path: it starts within it."""
        for folder in self._passage:
            with contextlib.suppress(OSError):
                mode = stat.S_IMODE(os.stat(folder).st_mode)
                if mode & _PASS != _PASS:
                    os.chmod(folder, mode | _PASS)

    def retire(self) -> None:
        """Start no keeper from now on: one that ends is not followed by another."""
        self._options = msgspec.structs.replace(self._options, start=False)

    async def stop(self, key: RunKey, *, grace_ms: int | None = None) -> None:
        await self._ask("stop", _Nothing, {**_fields(key), "grace_ms": grace_ms})

    async def signal(self, key: RunKey, signal: int) -> None:
        # Not tried again by itself: a signal that has arrived must not arrive twice.
        link = await self._connected()
        await link.ask("signal", _Nothing, {**_fields(key), "signal": signal})

    async def status(self, key: RunKey) -> Run | None:
        return next((run for run in await self.recover() if run.key == key), None)

    async def exec(self, key: RunKey, request: ExecRequest) -> Exec:
        identity = None
        if request.user:
            identity = await asyncio.to_thread(process_user.resolve, request.user)
        await self._connected()
        return await process_exec.begin(self._options.directory, key, request, identity)

    async def _inside(self, instance: str) -> Callable[[ExecRequest], Awaitable[Exec]]:
        """How to run a program in the run of an instance. Raises DriverError if none runs."""
        await self._connected()
        attempts = [key.attempt for key in self._known if key.instance == instance]
        if not attempts:
            message = "it does not run, and only of a running instance can files be copied"
            raise DriverError(message, cause="not-running", permanent=False)
        key = RunKey(instance, max(attempts))
        return lambda request: self.exec(key, request)

    async def archive(self, instance: str, path: str) -> AsyncIterator[bytes]:
        pieces = process_files.archive(await self._inside(instance), path)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def extract(self, instance: str, path: str, data: AsyncIterator[bytes]) -> None:
        await process_files.extract(await self._inside(instance), path, data)

    async def address(self, key: RunKey) -> str:  # noqa: ARG002 - the protocol's
        """Processes share the node's network, but for sandboxes without one."""
        return "127.0.0.1"

    async def recover(self) -> list[Run]:
        return [to_run(wire) for wire in await self._twice(_list) if self._is_ours(wire)]

    async def remove(self, key: RunKey) -> None:
        await self._ask("remove", _Nothing, _fields(key))

    async def remove_instance(self, instance: str) -> None:
        await self._ask("remove-instance", _Nothing, {"instance": instance})

    async def kept_bytes(self, instance: str) -> int:
        """What its output and its directory take of the disk. Raises DriverError."""
        try:
            paths = Paths(self._options.directory)
            places = (paths.logs_of(instance), paths.work_of(instance))
        except Refused as error:
            raise DriverError(str(error), cause=error.cause, permanent=error.permanent) from None
        return await asyncio.to_thread(bytes_below, *places)

    async def fence(self, keys: Sequence[RunKey], within_ms: int) -> None:
        await self._ask("fence", _Nothing, {"keys": [tuple(key) for key in keys], "within_ms": within_ms})

    def watch(self) -> AsyncIterator[Run]:
        watch = ProcessWatch(self._connected)
        self._watches.add(watch)
        return watch

    async def stats(self, keys: Sequence[RunKey]) -> dict[RunKey, Usage]:
        await self._connected()
        running = {key: self._known[key] for key in keys if key in self._known}
        return await asyncio.to_thread(process_usage.measure, running)

    def logs(
        self,
        instance: str,
        *,
        tail_lines: int | None = None,
        since_ms: int = 0,
        after: str = "",
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        wait: Callable[[LogState], Awaitable[LogState]] | None = None
        if follow:

            async def wait_for_more(state: LogState) -> LogState:
                fields = {"instance": instance, "sequence": state.sequence, "position": state.position}
                return await self._ask("follow", LogState, fields, patient=True)

            wait = wait_for_more
        begin = Beginning(tail_lines, since_ms, after)
        return read_logs(self._options.directory, instance, begin, wait=wait)

    async def close(self) -> None:
        self._closed = True
        if self._link is not None:
            self._link.close()
            self._link = None


def _fields(key: RunKey) -> dict[str, object]:
    return {"instance": key.instance, "attempt": key.attempt}


async def _list(link: KeeperLink) -> list[WireRun]:
    """All runs, page by page: no message grows with their number."""
    found: list[WireRun] = []
    after: dict[str, object] = {}
    while True:
        page = await link.ask("list", _Page, after)
        found += page.runs
        if not page.more:
            return found
        after = {"instance": found[-1].instance, "attempt": found[-1].attempt}


def make(context: DriverContext) -> Driver:
    """The entry point."""
    return ProcessDriver(context.directory, cgroup=context.cgroup, passage=context.passage, hidden=context.hidden)
