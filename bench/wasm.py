"""How fast a cached module starts, beside bare wasmtime-py and a bare posix_spawn in the same run.

    [chrt -r 1] python -m bench.wasm [--starts 100] [--rounds 5]

A start is from the driver's `start` until the module has begun (its answer); to the end is until its end is told. Bare
wasmtime-py: a process that has it loaded forks, and the child loads the compiled module and links it: what a start
cannot do without. Other work on the machine makes every figure worse and none better, so each is given for the quietest
round, the one with the least p99, and over all rounds. As root, `chrt -r 1` has all that belongs to it run before the
machine's other work.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import wasmtime
from bench._fabric import percentile
from bench._targets import Targets, add_report_only

from omnitide.drivers.protocol import Driver, DriverContext, Launch, RunKey, RunState
from omnitide.drivers.wasm import make
from omnitide.drivers.wasm.engine import make as make_engine
from omnitide.model.container import Wasm
from omnitide.node.keeper.launch import stop_keeper

TRUE = "/bin/true"
TARGET_MS = 10.0
HELLO = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "hello\\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 8))
    (i32.store (i32.const 4) (i32.const 6))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))"""

Rounds = list[list[float]]
"""Milliseconds, by round."""


def spawned(count: int) -> list[float]:
    found: list[float] = []
    for _ in range(count):
        begin = time.perf_counter()
        pid = os.posix_spawn(TRUE, [TRUE], {})
        os.waitpid(pid, 0)
        found.append((time.perf_counter() - begin) * 1e3)
    return found


def forked(engine: wasmtime.Engine, compiled: str, count: int) -> list[float]:
    """Until the child could call the module."""
    found: list[float] = []
    for _ in range(count):
        said, say = os.pipe()
        begin = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            _load(engine, compiled)
            os.write(say, b".")
            os._exit(0)
        os.read(said, 1)
        found.append((time.perf_counter() - begin) * 1e3)
        os.waitpid(pid, 0)
        os.close(said)
        os.close(say)
    return found


def _load(engine: wasmtime.Engine, compiled: str) -> object:
    store = wasmtime.Store(engine)
    wasi = wasmtime.WasiConfig()
    wasi.inherit_stdout()
    wasi.preopen_dir(".", ".")
    store.set_wasi(wasi)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    module = wasmtime.Module.deserialize_file(engine, compiled)
    return linker.instantiate(store, module).exports(store)["_start"]


class Starts:
    """Modules started by the driver, one after the other."""

    def __init__(self, driver: Driver, module: Path) -> None:
        self._driver = driver
        self._module = module
        self._watch = driver.watch()
        self._number = 0

    async def round(self, count: int) -> tuple[list[float], list[float]]:
        """Until they have begun, and until their ends are told."""
        pairs = [await self._one() for _ in range(count)]
        return [begun for begun, _ in pairs], [ended for _, ended in pairs]

    async def _one(self) -> tuple[float, float]:
        self._number += 1
        key = RunKey(f"module-{self._number}", 1)
        wasm = Wasm(module=str(self._module))
        launch = Launch(key=key, name=key.instance, command=[], environment={}, wasm=wasm)
        await self._driver.prepare(launch, lambda _: None)
        begin = time.perf_counter()
        await self._driver.start(launch)
        begun = time.perf_counter()
        async for run in self._watch:
            if run.key == key and run.state is RunState.EXITED:
                break
        ended = time.perf_counter()
        await self._driver.remove_instance(key.instance)
        return (begun - begin) * 1e3, (ended - begin) * 1e3


async def measure(
    directory: str, rounds: int, count: int, aside: Callable[[], Awaitable[None]]
) -> tuple[Rounds, Rounds]:
    """The driver's rounds, with `aside` after each."""
    module = Path(directory, "hello.wasm")
    await asyncio.to_thread(module.write_bytes, bytes(wasmtime.wat2wasm(HELLO)))
    driver = make(DriverContext(directory=directory, node_id="bench"))
    begun: Rounds = []
    ended: Rounds = []
    try:
        starts = Starts(driver, module)
        await starts.round(3)  # the first has had the module compiled, and the zygote started
        for _ in range(rounds):
            one = await starts.round(count)
            begun.append(one[0])
            ended.append(one[1])
            await aside()
    finally:
        await driver.close()
    return begun, ended


def show(what: str, rounds: Rounds) -> None:
    best = min(rounds, key=lambda values: percentile(values, 0.99))
    everything = [value for values in rounds for value in values]
    print(
        f"  {what:<50}quietest round: p50 {percentile(best, 0.5):6.2f}  p99 {percentile(best, 0.99):6.2f} ms"
        f"   all: p50 {percentile(everything, 0.5):6.2f}  p99 {percentile(everything, 0.99):6.2f}"
        f"  least {min(everything):5.2f} ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    add_report_only(parser)
    given = parser.parse_args()
    rounds: int = given.rounds
    count: int = given.starts
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f};"
        f" {rounds} rounds of {count} starts"
    )
    bare: Rounds = []
    forks: Rounds = []
    with tempfile.TemporaryDirectory() as directory:
        engine = make_engine()
        compiled = Path(directory, "bare.cwasm")
        compiled.write_bytes(bytes(wasmtime.Module(engine, bytes(wasmtime.wat2wasm(HELLO))).serialize()))

        async def aside() -> None:
            bare.append(spawned(count))
            forks.append(forked(engine, str(compiled), count))

        try:
            begun, ended = asyncio.run(measure(directory, rounds, count, aside))
        finally:
            stop_keeper(f"{directory}/keeper", stop_runs=True, grace_ms=0)
    show("posix_spawn of /bin/true, to its end", bare)
    show("bare wasmtime-py in a fork: to its beginning", forks)
    show("driver wasm, cached module: to its beginning", begun)
    show("driver wasm, cached module: to its end told", ended)
    targets = Targets()
    quietest = min(percentile(values, 0.99) for values in begun)
    targets.below("cached module to its beginning, quietest round, p99", quietest, TARGET_MS, "ms")
    return targets.end(given.report_only)


if __name__ == "__main__":
    sys.exit(main())
