"""The process of all simulated machines (`python -m omnitide.demo.crowd`): told what to be by one line of JSON on its
standard input, it says on its standard output how far it has come, and ends when its input does.

A line `end` before that says that whoever started it cleans up; without it that one was killed, and this removes the
folder, if it was made for this demo alone.
"""

import asyncio
import contextlib
import gc
import logging
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Final, cast

import msgspec

from omnitide.config.descriptors import raise_open_files
from omnitide.demo.director import Director
from omnitide.demo.joining import JoinRefused, identities
from omnitide.demo.machine_node import MachineNode
from omnitide.demo.machines import machines
from omnitide.demo.orders import Orders, Progress
from omnitide.demo.workloads import workloads
from omnitide.demo.world import World
from omnitide.sdk import AsyncClient
from omnitide.sdk.errors import FabricError
from omnitide.sdk.target import Target
from omnitide.telemetry import logs

WAKING: Final = 32
"""Nodes that connect at once, while they come up."""
TELL_S: Final = 0.2
LIVE_S: Final = 300.0
"""For all of them to be live."""
GOODBYE_S: Final = 2.0
NEXUS_ENDS_S: Final = 30.0
LOOK_S: Final = 5.0
LATE_S: Final = 1.0
NICE: Final = 5
"""They stand for other machines: Nexus, and the browser that looks at it, come first on this one."""
COLLECTED: Final = 50_000, 20, 100
"""When garbage is looked for. The samples of a thousand nodes are as many new objects a second as would have it looked
for among all that lives again and again, and hardly any garbage is in circles."""

log = logs.get(__name__)


class Crowd:
    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._target = Target(orders.url, orders.token, orders.ca_pem)
        now_ms = time.time_ns() // 1_000_000
        self._world = World(orders.seed, orders.speed, now_ms)
        self._machines = machines(orders.nodes, orders.seed)
        self._workloads = workloads(orders.agents, orders.instances)
        self._nodes: dict[str, MachineNode] = {}
        self._welcomed: set[str] = set()
        self._joined = self._deployed = 0
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled. Raises JoinRefused, FabricError, TimeoutError."""
        telling = asyncio.create_task(self._tell_forever())
        # All that is made now stays: to look for garbage in it again and again would take a tenth of the time.
        gc.disable()
        try:
            await self._come_up()
            async with AsyncClient(self._target) as client:
                director = Director(client, self._world, self._nodes, self._workloads)
                await director.deploy(self._deploy)
                gc.collect()
                gc.freeze()
                gc.set_threshold(*COLLECTED)
                gc.enable()
                telling.cancel()
                self._tell(ready=True)
                async with asyncio.TaskGroup() as group:
                    group.create_task(director.run(), name="director")
                    group.create_task(self._look_forever(), name="look")
        finally:
            gc.enable()
            telling.cancel()
            async with asyncio.TaskGroup() as group:
                for node in self._nodes.values():
                    group.create_task(node.stop(GOODBYE_S))

    async def _come_up(self) -> None:
        waking = asyncio.Semaphore(WAKING)
        data, now_ms = Path(self._orders.data), self._world.began_ms

        def joined() -> None:
            self._joined += 1

        async for machine, identity in identities(self._machines, self._target, data, now_ms, joined):
            await waking.acquire()

            def welcomed(name: str = machine.name) -> None:
                if name not in self._welcomed:
                    self._welcomed.add(name)
                    waking.release()
                    self._moved.set()

            node = self._nodes[machine.name] = MachineNode(
                machine, identity, self._world, data / "volumes" / machine.name, welcomed
            )
            node.power_on()
        async with asyncio.timeout(LIVE_S):
            while len(self._welcomed) < len(self._machines):
                self._moved.clear()
                await self._moved.wait()

    def _deploy(self) -> None:
        self._deployed += 1

    async def _tell_forever(self) -> None:
        while True:
            self._tell()
            await asyncio.sleep(TELL_S)

    def _tell(self, *, ready: bool = False) -> None:
        _say(Progress(self._joined, len(self._welcomed), self._deployed, ready=ready))

    async def _look_forever(self) -> None:
        """A node whose proxy has ended by a defect is told of; the others go on. So is a machine that is too busy for
        this many: then nodes are late to answer, and Nexus shows them as stalled."""
        told: set[str] = set()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if loop.time() - due > LATE_S:
                log.warning("this machine is too busy for its simulated nodes", late_s=round(loop.time() - due, 1))
            for name, node in self._nodes.items():
                failure = node.failure
                if failure is not None and name not in told:
                    told.add(name)
                    log.error("a simulated node has ended", node=name, error=repr(failure))
            due = loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)


def _say(progress: Progress) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(msgspec.json.encode(progress) + b"\n")
        sys.stdout.buffer.flush()


async def _main(orders: Orders, reader: asyncio.StreamReader) -> bool:
    """True if the one who started it has said that this is the end."""
    crowd = asyncio.create_task(Crowd(orders).run())
    line = asyncio.create_task(reader.readline())
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    stop = asyncio.create_task(stopped.wait())
    await asyncio.wait((crowd, line, stop), return_when=asyncio.FIRST_COMPLETED)
    if crowd.done() and not crowd.cancelled():
        failure = _first(crowd.exception())
        if isinstance(failure, FabricError | JoinRefused | TimeoutError):
            _say(Progress(error=str(failure) or "the nodes did not come up in time"))
        elif failure is not None:
            _say(Progress(error=repr(failure)))
            raise failure
    crowd.cancel()
    await asyncio.wait((crowd,), timeout=2 * GOODBYE_S)
    told = bool(line.result()) if line.done() else True
    line.cancel()
    stop.cancel()
    return told


def _first(failure: BaseException | None) -> BaseException | None:
    """Of several at once."""
    while isinstance(failure, BaseExceptionGroup):
        failure = cast("BaseExceptionGroup[BaseException]", failure).exceptions[0]
    return failure


async def _read_and_run() -> None:
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    orders = msgspec.json.decode(await reader.readline(), type=Orders)
    if not await _main(orders, reader) and orders.remove:
        _remove(orders)


def _remove(orders: Orders) -> None:
    """Whoever started this is dead: once Nexus is too, nothing is left behind."""
    deadline = time.monotonic() + NEXUS_ENDS_S
    while time.monotonic() < deadline and _alive(orders.nexus_pid):
        time.sleep(0.1)
    shutil.rmtree(orders.data, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    raise_open_files()
    os.nice(NICE)
    logs.configure("info", "console")
    # A thousand proxies tell what a person reads of one; here it is their faults that count.
    logging.getLogger("omnitide.node").setLevel(logging.ERROR)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_read_and_run())


if __name__ == "__main__":
    main()
