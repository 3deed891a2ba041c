"""What the docker driver costs: starts through it against the Engine API called directly, in one run.

    python -m bench.containers --image IMAGE [--starts 20] [-- COMMAND...]

Uses the engine that DOCKER_HOST names or whose socket is here; the image has to be there, and its command has to run
until it is killed. Prints one table with the machine it was read on.
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

import aiodocker
from bench._targets import Targets, add_report_only

from omnitide.drivers.docker import address
from omnitide.drivers.docker.driver import DockerDriver
from omnitide.drivers.protocol import Launch, RunKey
from omnitide.model.container import Container

ROUNDS: Final = 5
MOST: Final = 1.15
NEEDS = "--image IMAGE"
"""Without a name scripts/bench leaves out what cannot be run so."""


async def direct(client: aiodocker.Docker, image: str, command: list[str], name: str) -> float:
    """Seconds to create and start one, with the restrictions that the driver asks for, and to see that it runs."""
    config: dict[str, object] = {
        "Image": image,
        "Cmd": command,
        "HostConfig": {
            "Init": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10485760", "max-file": "3"}},
        },
    }
    begin = time.perf_counter()
    container = await client.containers.create(config, name=name)
    await container.start()
    shown = await container.show()
    took = time.perf_counter() - begin
    assert shown["State"]["Running"]
    await container.delete(force=True, v=True)
    return took


async def driven(driver: DockerDriver, image: str, command: list[str], instance: str) -> float:
    """The same through the driver."""
    key = RunKey(instance, 1)
    launch = Launch(key=key, name=instance, command=command, environment={}, container=Container(image=image))
    begin = time.perf_counter()
    await driver.prepare(launch, lambda text: None)
    run = await driver.start(launch)
    took = time.perf_counter() - begin
    assert run.exit is None
    watch = driver.watch()
    ended = asyncio.ensure_future(anext(watch))
    await driver.stop(key, grace_ms=0)
    while (run := await ended).exit is None or run.key != key:
        ended = asyncio.ensure_future(anext(watch))
    await driver.remove_instance(instance)
    return took


async def measure(image: str, command: list[str], starts: int) -> Targets:
    found = address.find()
    if found is None:
        raise SystemExit(address.absent())
    client = aiodocker.Docker(found)
    with tempfile.TemporaryDirectory() as directory:
        driver = DockerDriver(directory, f"bench-{os.getpid()}")
        info = await driver.probe()
        print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, {info.version}")
        print(f"{starts} starts of {image}, {ROUNDS} rounds, in turn")
        times: dict[str, list[float]] = {"direct": [], "driver": []}
        await driven(driver, image, command, "warm")
        await direct(client, image, command, f"bench-{os.getpid()}-warm")
        for number in range(starts * ROUNDS):
            # In turn, and each first every other time: what the machine does meanwhile falls on both alike.
            for which in ("direct", "driver") if number % 2 else ("driver", "direct"):
                if which == "direct":
                    took = await direct(client, image, command, f"bench-{os.getpid()}-{number}")
                else:
                    took = await driven(driver, image, command, f"bench-{number}")
                times[which].append(took)
        await driver.close()
    await client.close()
    middle = {which: statistics.median(values) for which, values in times.items()}
    for which, what in (("direct", "Engine API: create, start, inspect"), ("driver", "driver: prepare, start")):
        print(f"  {what:<44}{middle[which] * 1e3:.1f} ms (best {min(times[which]) * 1e3:.1f})")
    ratio = middle["driver"] / middle["direct"]
    print(f"  {'ratio':<44}{ratio:.3f}")
    targets = Targets()
    targets.most("start through the driver, to the Engine API's", ratio, MOST, "times")
    return targets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("command", nargs="*")
    add_report_only(parser)
    options = parser.parse_args()
    return asyncio.run(measure(options.image, options.command, options.starts)).end(options.report_only)


if __name__ == "__main__":
    sys.exit(main())
