"""The driver `docker`: runs are containers, and the engine is who starts, limits and remembers them.

The node proxy may die at any time: containers go on, and their labels say to a later one all that it has to know. The
engine may die too: then every call and the watch fail with `driver-unavailable`, until it is back.
"""

import asyncio
import contextlib
import importlib.util
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakSet, WeakValueDictionary

from omnitide.drivers.docker import address, containers, creating, log_files, naming
from omnitide.drivers.docker.access import Access, Told
from omnitide.drivers.docker.answers import Container, Created, Listed
from omnitide.drivers.docker.ended import Ended
from omnitide.drivers.docker.errors import EngineRefused, unavailable
from omnitide.drivers.docker.image_users import ImageUsers
from omnitide.drivers.docker.networks import Networks
from omnitide.drivers.docker.notes import Notes
from omnitide.drivers.docker.removing import Removing, still_runs
from omnitide.drivers.docker.runs import ENDED, LIVE, run_of
from omnitide.drivers.process_watch import ProcessWatch
from omnitide.drivers.protocol import (
    Driver,
    DriverContext,
    DriverError,
    DriverInfo,
    Launch,
    LogChunk,
    Progress,
    Run,
    RunKey,
    Usage,
)
from omnitide.drivers.streams import Exec, ExecRequest

if TYPE_CHECKING:
    from omnitide.drivers.docker.connection import Connection
    from omnitide.drivers.docker.engine import Engine
    from omnitide.drivers.docker.logs import Kept
    from omnitide.drivers.docker.usage import Groups

T = TypeVar("T")

LEAVE_S: Final = 30.0
"""For the removal of all that a node had, when it is taken down."""
NOT_FOUND: Final = 404
CONFLICT: Final = 409


class DockerDriver:
    """See `drivers.protocol.Driver`."""

    def __init__(
        self,
        directory: str,
        node_id: str,
        *,
        find: Callable[[], str | None] = address.find,
        only_to_end: bool = False,
    ) -> None:
        self._node_id = node_id
        self._only_to_end = only_to_end
        Path(directory).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._notes = Notes(directory)
        self._ended = Ended(directory)
        self._networks = Networks(node_id)
        self._users = ImageUsers(naming.users_name(node_id))
        self._watches: WeakSet[ProcessWatch] = WeakSet()
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By the names of containers that are being made and started: one at a time tries."""
        self._removing = Removing(node_id, self._notes, self._ended, self._networks, self._making, self._run)
        told = Told(changed=self._tell, lost=self._lost, tidy=self._tidy)
        put_away = None if only_to_end else self._removing.put_away
        self._access = Access(node_id, self._notes, find, self._making, told, put_away)
        self._groups: Groups | None = None

    @property
    def name(self) -> str:
        return "docker"

    # -- the engine ------------------------------------------------------------------------------------------------

    def _tell(self, run: Run) -> None:
        for watch in list(self._watches):
            watch.put(run)

    def _lost(self, error: DriverError) -> None:
        for watch in list(self._watches):
            watch.fail(error)

    def places(self) -> Sequence[str]:
        """Of the engine, if it is this machine's: its socket, and where it has its files once it has ever said so."""
        return self._access.places()

    # -- the protocol ------------------------------------------------------------------------------------------------

    async def probe(self) -> DriverInfo:
        absent = self._access.absent()
        try:
            engine = await self._access.engine()
            await engine.do("GET", "_ping")
        except DriverError as error:
            detail = str(error)
            return DriverInfo(
                name=self.name, version="", healthy=False, detail=detail, absent=absent, silent=not absent
            )
        info = engine.info
        can = {"cpu": info.cpu_cfs_quota, "memory": info.memory_limit, "pids": info.pids_limit}
        lacking = [name for name, so in can.items() if not so]
        return DriverInfo(
            name=self.name,
            version=f"engine {engine.version.version}, API {engine.version.api_version}",
            healthy=True,
            detail=f"the engine's kernel cannot limit {', '.join(lacking)}" if lacking else "",
            enforces=tuple(name for name, so in can.items() if so),
        )

    async def prepare(self, launch: Launch, progress: Progress) -> None:
        connection = await self._access.connected()
        part = creating.container_part(launch)
        try:
            await connection.images.prepare(connection.engine, part, launch.credentials, progress, _now_ms())
        except DriverError as error:
            if error.cause == "no-disk":
                connection.collect_soon()
            raise

    async def fetches(self, launch: Launch) -> str:
        """The image that `prepare` would pull now; empty for none. Raises DriverError."""
        connection = await self._access.connected()
        part = creating.container_part(launch)
        return part.image if await connection.images.to_pull(connection.engine, part) else ""

    async def owner(self, launch: Launch) -> tuple[int, int]:
        """User and group of its program, by number: whose the files are to be that it is given. Its image has to be
        there. Raises DriverError."""
        connection = await self._access.connected()
        part = creating.container_part(launch)
        image = await connection.images.find(connection.engine, part.image)
        if image is None:
            raise DriverError(f"the image {part.image} is not here any more", cause="image-missing", permanent=False)
        return await self._users.owner(connection.engine, image, launch.user)

    async def fill(self, launch: Launch, target: str, directory: str) -> None:
        """Put what the image has at a path into an empty directory of the node, as the engine does for its own volumes.
        Raises DriverError."""
        connection = await self._access.connected()
        image = await connection.images.find(connection.engine, creating.container_part(launch).image)
        if image is None:
            message = f"the image {creating.container_part(launch).image} is not here any more"
            raise DriverError(message, cause="image-missing", permanent=False)
        from omnitide.drivers.docker.contents import fill

        await fill(connection.engine, image.id, target, directory, naming.contents_name(self._node_id))

    async def start(self, launch: Launch) -> Run:
        if launch.fence_ms:
            message = "containers cannot be fenced: nobody would kill them while the node proxy is away"
            raise DriverError(message, cause="unsupported", permanent=True)
        connection = await self._access.connected()
        name = naming.container_name(self._node_id, launch.key)
        lock = self._making.setdefault(name, asyncio.Lock())
        async with lock:
            self._access.used(connection.engine.address)
            return await self._start(connection, launch, name)

    async def _start(self, connection: "Connection", launch: Launch, name: str) -> Run:
        record = self._ended.get(launch.key)
        if record is not None:
            return record.run
        engine, part = connection.engine, creating.container_part(launch)
        named = part.network not in creating.NETWORK_MODES
        async with self._networks.lock if named else contextlib.nullcontext():
            network = await self._networks.ensure(engine, launch.namespace, part.network)
            image, home = await connection.images.resolved(engine, launch)
            body = creating.body(launch, self._node_id, engine.info, network, image, home)
            try:
                made = await engine.call("POST", "containers/create", Created, params={"name": name}, body=body)
                container = made.id
            except EngineRefused as error:
                if not error.name_taken:
                    raise creating.start_error(error) from None
                found = await containers.inspect(engine, name)
                run = await self._run(engine, found)
                if run is not None:
                    return run
                container = name  # made, but never started
            await asyncio.to_thread(log_files.begin, engine.info.docker_root_dir, container)
            try:
                await engine.do("POST", f"containers/{container}/start")
            except EngineRefused as error:
                # Without force: should it run all the same, it stays.
                with contextlib.suppress(DriverError):
                    await engine.do("DELETE", f"containers/{container}", params={"v": "1"})
                raise creating.start_error(error) from None
        found = await containers.inspect(engine, container)
        if found is not None:
            await asyncio.to_thread(log_files.mark, found.log_path)
        run = await self._run(engine, found)
        if run is None:
            raise unavailable(f"the engine has started {name}, but does not know it")
        return run

    async def _run(self, engine: "Engine", found: Container | None) -> Run | None:
        """As a run, with all that is known of its end."""
        from omnitide.drivers.docker.endings import run_with_end

        if found is None:
            return None
        return await run_with_end(engine, found, self._notes.stop(found.name.lstrip("/")))

    async def _of(self, engine: "Engine", key: RunKey) -> Container | None:
        return await containers.inspect(engine, naming.container_name(self._node_id, key))

    async def _running(self, engine: "Engine", key: RunKey) -> Container:
        """Raises DriverError for one that does not run."""
        found = await self._of(engine, key)
        if found is None or found.state.status not in LIVE:
            message = f"attempt {key.attempt} of {key.instance} does not run"
            raise DriverError(message, cause="not-running", permanent=True)
        return found

    async def stop(self, key: RunKey, *, grace_ms: int | None = None) -> None:
        connection = await self._access.connected()
        found = await self._of(connection.engine, key)
        if found is None or found.state.status in ENDED:
            return
        if found.state.status == "created":
            # Its start was asked for and never came: there is nothing to stop, and nothing shall start.
            await connection.engine.do("DELETE", f"containers/{found.id}", params={"force": "1", "v": "1"})
            return
        connection.stops.begin(connection.engine, found, grace_ms)
        run = run_of(found, self._notes.stop(found.name.lstrip("/")))
        if run is not None:
            self._tell(run)

    async def signal(self, key: RunKey, signal: int) -> None:
        engine = await self._access.engine()
        found = await self._running(engine, key)
        await engine.do("POST", f"containers/{found.id}/kill", params={"signal": str(signal)})

    async def status(self, key: RunKey) -> Run | None:
        name = naming.container_name(self._node_id, key)
        if self._notes.is_forgotten(name):
            return None
        record = self._ended.get(key)
        if record is not None:
            return None if record.forgotten else record.run
        engine = await self._access.engine()
        return await self._run(engine, await containers.inspect(engine, name))

    async def exec(self, key: RunKey, request: ExecRequest) -> Exec:
        from omnitide.drivers.docker.execs import open_exec

        engine = await self._access.engine()
        found = await self._running(engine, key)
        return await open_exec(engine, found.id, request)

    async def archive(self, instance: str, path: str) -> AsyncIterator[bytes]:
        from omnitide.drivers.docker.archives import archive

        engine = await self._access.engine()
        async for piece in archive(engine, await self._latest(engine, instance), path):
            yield piece

    async def extract(self, instance: str, path: str, data: AsyncIterator[bytes]) -> None:
        from omnitide.drivers.docker.archives import extract

        engine = await self._access.engine()
        await extract(engine, await self._latest(engine, instance), path, data)

    async def _latest(self, engine: "Engine", instance: str) -> Container:
        """The container of an instance's last attempt. Raises DriverError."""
        attempts = await containers.attempts(engine, self._node_id, instance)
        found = await containers.inspect(engine, attempts[-1][1].id) if attempts else None
        if found is None:
            message = f"no container of instance {instance} is kept on this node"
            raise DriverError(message, cause="not-found", permanent=True)
        return found

    async def address(self, key: RunKey) -> str:
        found = await self._running(await self._access.engine(), key)
        if found.host_config.network_mode == "host":
            return "127.0.0.1"
        for endpoint in (found.network_settings.networks or {}).values():
            if endpoint is not None and (endpoint.ip_address or endpoint.global_i_pv6_address):
                return endpoint.ip_address or endpoint.global_i_pv6_address
        raise DriverError("the container has no network", cause="no-address", permanent=True)

    async def recover(self) -> list[Run]:
        if self._access.absent():
            return sorted(self._ended.runs(), key=lambda run: run.key)
        engine = await self._access.engine()
        listed = await containers.listed(engine, f"{naming.NODE}={self._node_id}")
        keys = [(naming.key_of(one.labels or {}), one) for one in listed]
        names = {naming.container_name(self._node_id, key) for key, _ in keys if key is not None}
        self._notes.keep_only(names)
        found = await containers.gathered([self._recovered(engine, key, one) for key, one in keys if key is not None])
        runs = {run.key: run for run in (*found, *self._ended.runs()) if run is not None}
        return sorted(runs.values(), key=lambda run: run.key)

    async def _recovered(self, engine: "Engine", key: RunKey, one: Listed) -> Run | None:
        name = naming.container_name(self._node_id, key)
        if self._notes.is_forgotten(name) or one.state == "created" or self._ended.get(key) is not None:
            return None
        return await self._run(engine, await containers.inspect(engine, one.id))

    async def remove(self, key: RunKey) -> None:
        """Its container stays for the sake of its output, until the instance is removed or there are many."""
        self._ended.forget(key)
        if self._access.absent():
            return
        engine = await self._access.engine()
        found = await self._of(engine, key)
        name = naming.container_name(self._node_id, key)
        if found is None:
            self._notes.gone(name)
            return
        if run_of(found, None) is not None and found.state.status not in ENDED:
            raise still_runs(key.instance)
        self._notes.forget(name)
        await self._removing.superseded(engine, key.instance)

    async def remove_instance(self, instance: str) -> None:
        if not self._access.absent():
            await self._removing.all_of(await self._access.engine(), instance)
        await self._ended.remove(instance)

    async def put_away(self, instance: str) -> None:
        """It is over: keep what it said, and remove its containers. What fails is tried again by itself, also by the
        driver of a later node proxy. Idempotent. Raises DriverError."""
        if not self._access.absent():
            self._notes.is_over(instance)
            try:
                await self._removing.put_away(await self._access.engine(), instance, forgotten=True)
            except asyncio.CancelledError:
                # It takes longer than whoever asks waits, many at once perhaps: `_tidy` has all the time.
                self._access.collect_soon()
                raise

    async def kept_bytes(self, instance: str) -> int:
        """What the copy of its output takes of the disk."""
        return await asyncio.to_thread(self._ended.bytes, instance)

    async def fence(self, keys: Sequence[RunKey], within_ms: int) -> None:
        """None is ever fenced: `start` refuses it."""

    def watch(self) -> AsyncIterator[Run]:
        watch = ProcessWatch(self._access.watchable)
        self._watches.add(watch)
        return watch

    async def stats(self, keys: Sequence[RunKey]) -> dict[RunKey, Usage]:
        engine = await self._access.engine()
        if self._groups is None:
            from omnitide.drivers.docker.usage import Groups

            self._groups = Groups()
        groups, names = self._groups, [naming.container_name(self._node_id, key) for key in keys]
        groups.keep(set(names))
        found = await containers.gathered([groups.measure(engine, name) for name in names])
        return {key: usage for key, usage in zip(keys, found, strict=True) if usage is not None}

    async def logs(
        self,
        instance: str,
        *,
        tail_lines: int | None = None,
        since_ms: int = 0,
        after: str = "",
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        from omnitide.drivers.docker.logs import read_logs

        engine = await self._access.engine()

        async def listed() -> "list[Kept]":
            return await containers.kept_output(engine, self._node_id, instance, self._ended)

        if not await listed():
            message = f"no instance {instance} is kept on this node"
            raise DriverError(message, cause="not-found", permanent=True)

        async def running(one: "Kept") -> bool:
            found = await containers.inspect(engine, one.container)
            return found is not None and found.state.status in LIVE

        chunks = read_logs(
            engine,
            listed,
            tail_lines=tail_lines,
            since_ms=since_ms,
            after=after,
            follow=follow,
            running=running,
        )
        async for chunk in chunks:
            yield chunk

    async def _tidy(self) -> None:
        """What of instances that are over could not be put away when they were."""
        for instance in self._notes.over:
            with contextlib.suppress(DriverError):
                await self._removing.put_away(await self._access.engine(), instance, forgotten=True)

    async def _leave_nothing(self) -> None:
        """The node is being taken down, perhaps for good: its folder, and not the engine, has what it may need."""
        with contextlib.suppress(DriverError, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._removing.of_node(await self._access.engine())

    async def close(self) -> None:
        connection = self._access.connection
        if self._only_to_end and connection is not None and not connection.lost:
            await self._leave_nothing()
        await self._access.close()


def make(context: DriverContext) -> Driver:
    """The entry point. Raises ImportError where the extra is not installed."""
    if importlib.util.find_spec("aiodocker") is None:
        raise ImportError("containers need the extra `docker`: pip install 'omnitide[docker]'")
    if context.only_to_end:
        # Who ends a node's containers may have another DOCKER_HOST than the proxy that started them.
        known = Notes(context.directory).engine()
        find = lambda: known or address.find()  # noqa: E731
        return DockerDriver(context.directory, context.node_id, find=find, only_to_end=True)
    return DockerDriver(context.directory, context.node_id)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
