"""How fast a container's output is read through the docker driver, against the Engine API read directly, in one run.

    python -m bench.container_logs --image IMAGE [--rounds 5] -- COMMAND...

Uses the engine that DOCKER_HOST names or whose socket is here. The command has to print much (100 MB, say) and end: as
`sh -c 'yes aline | head -c 100000000'`. Prints one table with the machine it was read on.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from typing import Final

from bench._targets import Targets, add_report_only

from omnitide.drivers.docker import address
from omnitide.drivers.docker.driver import DockerDriver
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.protocol import Launch, LogPolicy, RunKey
from omnitide.model.container import Container

KEPT: Final = LogPolicy(max_file_bytes=4 << 30, max_files=2)
LEAST: Final = 50.0
NEEDS = "--image IMAGE -- COMMAND"
"""Without a name scripts/bench leaves out what cannot be run so."""


async def ended(driver: DockerDriver, key: RunKey) -> None:
    watch = driver.watch()
    first = asyncio.ensure_future(anext(watch))
    while (run := await driver.status(key)) is None or run.exit is None:
        await asyncio.wait((first,), timeout=1.0)
        if first.done():
            first = asyncio.ensure_future(anext(watch))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def through_driver(driver: DockerDriver, instance: str) -> tuple[int, float]:
    """Bytes and seconds."""
    begin, size = time.perf_counter(), 0
    async for chunk in driver.logs(instance):
        size += len(chunk.data)
    return size, time.perf_counter() - begin


async def directly(engine: Engine, container: str) -> float:
    """Seconds to receive what the driver asks for, and to do nothing with it."""
    begin = time.perf_counter()
    params = {"stdout": "1", "stderr": "1", "timestamps": "1"}
    async with engine.stream("GET", f"containers/{container}/logs", params=params) as answer:
        async for _ in answer.iter_any():
            pass
    return time.perf_counter() - begin


async def measure(image: str, command: list[str], rounds: int) -> Targets:
    found = address.find()
    if found is None:
        raise SystemExit(address.absent())
    engine = Engine(found)
    await engine.open()
    with tempfile.TemporaryDirectory() as directory:
        node = f"bench-{os.getpid()}"
        driver = DockerDriver(directory, node)
        info = await driver.probe()
        key = RunKey("output", 1)
        launch = Launch(
            key=key,
            name="output",
            command=command,
            environment={},
            container=Container(image=image),
            log_policy=KEPT,
        )
        await driver.prepare(launch, lambda text: None)
        begin = time.perf_counter()
        run = await driver.start(launch)
        await ended(driver, key)
        written = time.perf_counter() - begin
        taken: list[float] = []
        direct: list[float] = []
        size = 0
        for _ in range(rounds):
            size, took = await through_driver(driver, "output")
            taken.append(took)
            direct.append(await directly(engine, run.handle))
        await driver.remove_instance("output")
        await driver.close()
    await engine.close()
    mb = size / 1e6
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, {info.version}")
    print(f"{mb:.0f} MB of output, {rounds} rounds; written by the container in {written:.1f} s")
    print(f"  {'Engine API alone':<44}{mb / statistics.median(direct):.0f} MB/s")
    rate = mb / statistics.median(taken)
    print(f"  {'through the driver':<44}{rate:.0f} MB/s")
    targets = Targets()
    targets.least("output read through the driver", rate, LEAST, "MB/s")
    return targets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("command", nargs="+")
    add_report_only(parser)
    options = parser.parse_args()
    return asyncio.run(measure(options.image, options.command, options.rounds)).end(options.report_only)


if __name__ == "__main__":
    sys.exit(main())
