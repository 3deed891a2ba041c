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

from omnitide.config.emptying import MARGIN_S, Emptied, used
from omnitide.drivers.loading import load
from omnitide.drivers.protocol import Driver, DriverError, Run, RunState
from omnitide.model.spec import MAX_GRACE_MS
from omnitide.node.asked_stops import AskedStops
from omnitide.node.driver_places import context_of, of_keeper

POLL_S: Final = (0.1, 1.0)
"""From one look at what still runs to the next, at first and after a while."""
CALL_DEADLINE: Final = 30.0
"""For one answer of a driver."""


async def empty(
    drivers: Sequence[Driver], grace_ms: int | None, asked: AskedStops, most_s: float | None = None
) -> Emptied:
    """Stop all that the drivers run and wait for it to end. `most_s`: instead of what the longest grace allows."""
    if most_s is None:
        most_s = (MAX_GRACE_MS if grace_ms is None else grace_ms) / 1000 + MARGIN_S
    asked.clear()
    emptied = await asyncio.gather(*(_empty_one(driver, grace_ms, asked, most_s) for driver in drivers))
    return Emptied(
        sum(one.stopped for one in emptied),
        tuple(name for one in emptied for name in one.left),
        tuple(text for one in emptied for text in one.problems),
    )


async def _empty_one(driver: Driver, grace_ms: int | None, asked: AskedStops, most_s: float) -> Emptied:
    """One driver. Whatever it fails with costs nothing but itself."""
    try:
        async with asyncio.timeout(CALL_DEADLINE):
            live = _live(await driver.recover())
    except Exception as error:
        return Emptied(problems=(_words(driver, error),))
    problems: list[str] = []
    try:
        asked.note(driver.name, (run.key for run in live))
    except OSError as error:
        problems.append(f"{driver.name}: its ends may be taken for failures: {error}")
    left: list[str] = []
    try:
        for run in live:
            async with asyncio.timeout(CALL_DEADLINE):
                await driver.stop(run.key, grace_ms=grace_ms)
        left = await _until_ended(driver, most_s)
    except Exception as error:
        problems.append(_words(driver, error))
    return Emptied(len(live), tuple(left), tuple(problems))


def _words(driver: Driver, error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"{driver.name}: no answer within {CALL_DEADLINE:g} s"
    kind = "" if isinstance(error, DriverError) else f"{type(error).__name__}: "
    return f"{driver.name}: {kind}{error}"


async def _until_ended(driver: Driver, most_s: float) -> list[str]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        async with asyncio.timeout(CALL_DEADLINE):
            live = _live(await driver.recover())
        waited = loop.time() - began
        if not live or waited > most_s:
            return [run.key.instance for run in live]
        await asyncio.sleep(min(max(POLL_S[0], waited / 20), POLL_S[1]))


def _live(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.state in (RunState.STARTING, RunState.RUNNING, RunState.STOPPING)]


async def _main(data: Path, node_id: str, grace_ms: int | None) -> Emptied:
    drivers = [
        driver
        for driver in load(lambda name: context_of(data, name, node_id, only_to_end=True), declared=used(data))
        if not of_keeper(driver)
    ]
    try:
        return await empty(drivers, grace_ms, AskedStops(data))
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
