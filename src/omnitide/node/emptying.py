"""Ends what a node runs that no keeper does: containers, and the runs of drivers that others ship.

`python -m omnitide.node.emptying --data DIR --node-id ID [--grace-ms N]`, for whoever shuts a machine's node down after
its proxy or before it. Prints one line of JSON. What it stops has been stopped, as if the proxy had asked for it: the
next one does not take it for a failure.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from omnitide.drivers.loading import load
from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.protocol import Driver, DriverError, Run, RunState
from omnitide.drivers.unavailable import UnavailableDriver
from omnitide.drivers.wasm.driver import WasmDriver
from omnitide.node.driver_places import context_of

POLL_S: Final = 0.1
MOST_S: Final = 660.0
"""No grace is longer than ten minutes."""


class Emptied(msgspec.Struct, frozen=True):
    stopped: int
    """Instances that ran."""
    left: tuple[str, ...] = ()
    """Those that did not end in time."""
    problems: tuple[str, ...] = ()


async def empty(drivers: Sequence[Driver], grace_ms: int | None, most_s: float = MOST_S) -> Emptied:
    """Stop all that the drivers run and wait for it to end."""
    stopped, left, problems = 0, list[str](), list[str]()
    for driver in drivers:
        try:
            live = _live(await driver.recover())
        except DriverError as error:
            if not (await driver.probe()).absent:
                problems.append(f"{driver.name}: {error}")
            continue
        stopped += len(live)
        try:
            for run in live:
                await driver.stop(run.key, grace_ms=grace_ms)
            left += await _until_ended(driver, most_s)
        except DriverError as error:
            problems.append(f"{driver.name}: {error}")
    return Emptied(stopped, tuple(left), tuple(problems))


async def _until_ended(driver: Driver, most_s: float) -> list[str]:
    end = asyncio.get_running_loop().time() + most_s
    while live := _live(await driver.recover()):
        if asyncio.get_running_loop().time() > end:
            return [run.key.instance for run in live]
        await asyncio.sleep(POLL_S)
    return []


def _live(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.state in (RunState.STARTING, RunState.RUNNING, RunState.STOPPING)]


async def _main(data: Path, node_id: str, grace_ms: int | None) -> Emptied:
    drivers = [
        driver
        for driver in load(lambda name: context_of(data, name, node_id))
        if not isinstance(driver, ProcessDriver | WasmDriver | UnavailableDriver)
    ]
    try:
        return await empty(drivers, grace_ms)
    finally:
        for driver in drivers:
            await driver.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m omnitide.node.emptying", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the node's data directory")
    parser.add_argument("--node-id", required=True)
    parser.add_argument("--grace-ms", type=int, help="instead of what each instance was given")
    given = parser.parse_args(arguments)
    emptied = asyncio.run(_main(given.data, given.node_id, given.grace_ms))
    print(msgspec.json.encode(emptied).decode())
    return 1 if emptied.left or emptied.problems else 0


if __name__ == "__main__":
    sys.exit(main())
