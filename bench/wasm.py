"""How fast a cached module starts, beside a bare posix_spawn in the same run.

    python -m bench.wasm [--starts 200]

A start is from the driver's `start` until the module has begun (its answer); to the end is until its end is told.
"""

import argparse
import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import wasmtime

from omnitide.drivers.protocol import Driver, DriverContext, Launch, RunKey, RunState
from omnitide.drivers.wasm import make
from omnitide.model.container import Wasm
from omnitide.node.keeper.launch import stop_keeper

TRUE = "/bin/true"
HELLO = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "hello\\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 8))
    (i32.store (i32.const 4) (i32.const 6))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))"""


def bare(count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each posix_spawn, and of each with the wait for its end."""
    started: list[float] = []
    ended: list[float] = []
    for _ in range(count):
        begin = time.perf_counter()
        pid = os.posix_spawn(TRUE, [TRUE], {})
        started.append((time.perf_counter() - begin) * 1e3)
        os.waitpid(pid, 0)
        ended.append((time.perf_counter() - begin) * 1e3)
    return started, ended


async def modules(directory: str, count: int) -> tuple[list[float], list[float]]:
    module = Path(directory, "hello.wasm")
    await asyncio.to_thread(module.write_bytes, wasmtime.wat2wasm(HELLO))
    driver = make(DriverContext(directory=directory, node_id="bench"))
    started: list[float] = []
    ended: list[float] = []
    try:
        watch = driver.watch()

        async def end_of(key: RunKey) -> None:
            async for run in watch:
                if run.key == key and run.state is RunState.EXITED:
                    return

        for number in range(count):
            await _one(driver, module, number, end_of, started, ended)
    finally:
        await driver.close()
    return started, ended


async def _one(
    driver: Driver,
    module: Path,
    number: int,
    end_of: Callable[[RunKey], Awaitable[None]],
    started: list[float],
    ended: list[float],
) -> None:
    name = f"module-{number}"
    launch = Launch(key=RunKey(name, 1), name=name, command=[], environment={}, wasm=Wasm(module=str(module)))
    await driver.prepare(launch, lambda _: None)
    begin = time.perf_counter()
    await driver.start(launch)
    if number:  # the first has had the module compiled, and the zygote started
        started.append((time.perf_counter() - begin) * 1e3)
    await end_of(launch.key)
    if number:
        ended.append((time.perf_counter() - begin) * 1e3)
    await driver.remove_instance(name)


def show(what: str, values: list[float]) -> None:
    values = sorted(values)
    middle, late = values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)]
    print(f"  {what:<52}p50 {middle:6.2f} ms   p99 {late:6.2f} ms   best {values[0]:6.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=200)
    count: int = parser.parse_args().starts
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as directory:
        try:
            started, ended = asyncio.run(modules(directory, count + 1))
        finally:
            stop_keeper(f"{directory}/keeper", stop_runs=True, grace_ms=0)
    bare_started, bare_ended = bare(count)
    show("posix_spawn of /bin/true", bare_started)
    show("posix_spawn of /bin/true, to its end", bare_ended)
    show("driver wasm, cached module: start", started)
    show("driver wasm, cached module: start to its end told", ended)


if __name__ == "__main__":
    main()
