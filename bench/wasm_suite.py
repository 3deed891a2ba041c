"""Runs a folder of the public WASI test suite (github.com/WebAssembly/wasi-testsuite) through the driver `wasm`.

    python -m bench.wasm_suite FOLDER...

A case is NAME.wasm, or NAME.c, which is compiled by clang for wasm32-wasi; NAME.json beside it says what it is given
and what it must do, as the suite's doc/specification.md has it: `args`, `env`, `dirs`, `root`, `exit_code`, `stdout`,
`stderr`. A root is copied into the run's own directory, which a module finds as `.`; `dirs` are copied too, and
mounted. Prints a table of what passed; ends with 1 if anything failed.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from omnitide.drivers.protocol import Driver, DriverContext, DriverError, Launch, Mount, Run, RunKey, RunState
from omnitide.drivers.wasm.driver import WasmDriver
from omnitide.model.container import Wasm
from omnitide.node.keeper.launch import stop_keeper

DEADLINE_S = 60.0


class Spec(msgspec.Struct, frozen=True):
    """What stands in NAME.json; the defaults are the suite's."""

    args: Sequence[str] = ()
    env: Mapping[str, str] = {}
    dirs: Sequence[str] = ()
    root: str = ""
    exit_code: int = 0
    stdout: str | None = None
    stderr: str | None = None


class Case(msgspec.Struct, frozen=True):
    path: Path
    spec: Spec


class Outcome(msgspec.Struct, frozen=True):
    name: str
    why: str = ""
    """Why it failed; empty: it passed."""


def cases(folder: Path) -> Iterator[Case]:
    """Raises msgspec.DecodeError for a specification that cannot be read."""
    for path in sorted(folder.iterdir()):
        if path.suffix in (".wasm", ".c"):
            told = path.with_suffix(".json")
            yield Case(path, msgspec.json.decode(told.read_bytes(), type=Spec) if told.exists() else Spec())


async def run_all(found: Sequence[Case], work: Path) -> list[Outcome]:
    """One after the other, by a driver and a keeper of their own below `work`."""
    driver = WasmDriver(DriverContext(directory=str(work / "driver"), node_id="suite"))
    try:
        return [await _outcome(driver, case, work, number) for number, case in enumerate(found)]
    finally:
        await driver.close()
        await asyncio.to_thread(stop_keeper, str(work / "driver" / "keeper"), stop_runs=True, grace_ms=0)


async def _outcome(driver: WasmDriver, case: Case, work: Path, number: int) -> Outcome:
    name, spec = case.path.stem, case.spec
    instance = f"case-{number}"
    try:
        module = await asyncio.to_thread(_module, case.path, work)
        mounts = await asyncio.to_thread(_lay, driver, case, work, instance)
        launch = Launch(
            key=RunKey(instance, 1),
            name=name,
            command=spec.args,
            environment=spec.env,
            wasm=Wasm(module=str(module)),
            mounts=mounts,
        )
        await driver.prepare(launch, lambda _: None)
        await driver.start(launch)
        run = await _end_of(driver, launch.key)
        output: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        async for chunk in driver.logs(instance):
            output[chunk.stream] += chunk.data
    except DriverError as error:
        return Outcome(name, f"{error.cause}: {error}")
    except subprocess.CalledProcessError as error:
        return Outcome(name, f"it does not compile: {error.stderr.decode(errors='replace')[:200]}")
    return Outcome(name, _difference(run, output, spec))


def _module(path: Path, work: Path) -> Path:
    if path.suffix == ".wasm":
        return path
    module = work / f"{path.stem}.wasm"
    subprocess.run(["clang", "--target=wasm32-wasi", "-O1", "-o", module, path], check=True, capture_output=True)
    return module


def _lay(driver: WasmDriver, case: Case, work: Path, instance: str) -> list[Mount]:
    """Copies of what the case may change."""
    if case.spec.root:
        shutil.copytree(case.path.parent / case.spec.root, driver.directory(instance))
    mounts: list[Mount] = []
    for number, name in enumerate(case.spec.dirs):
        copy = work / f"{instance}-{number}"
        shutil.copytree(case.path.parent / name, copy)
        mounts.append(Mount(str(copy), name))
    return mounts


async def _end_of(driver: Driver, key: RunKey) -> Run:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            run = await driver.status(key)
            if run is not None and run.state in (RunState.EXITED, RunState.UNKNOWN):
                return run
            await asyncio.sleep(0.01)


def _difference(run: Run, output: Mapping[str, bytes], spec: Spec) -> str:
    code = run.exit.code if run.exit is not None else None
    if code != spec.exit_code:
        said = output["stderr"].decode(errors="replace").strip().partition("\n")[0]
        return f"exit code {code}, not {spec.exit_code}: {said}"
    for stream, expected in (("stdout", spec.stdout), ("stderr", spec.stderr)):
        if expected is not None and output[stream] != expected.encode():
            return f"{stream} is {output[stream]!r}, not {expected!r}"
    return ""


NEEDS = "FOLDER"
"""Without a name scripts/bench leaves out what cannot be run so."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    folders: list[Path] = parser.parse_args().folders
    found = [case for folder in folders for case in cases(folder)]
    with tempfile.TemporaryDirectory() as work:
        outcomes = asyncio.run(run_all(found, Path(work)))
    print("| case | |\n| --- | --- |")
    for outcome in outcomes:
        print(f"| `{outcome.name}` | {f'fails: {outcome.why}' if outcome.why else 'passes'} |")
    passed = sum(not outcome.why for outcome in outcomes)
    print(f"\n{passed} of {len(outcomes)} pass.")
    sys.exit(passed != len(outcomes))


if __name__ == "__main__":
    main()
