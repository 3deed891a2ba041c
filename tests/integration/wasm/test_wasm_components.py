"""Components of WASI 0.2 that import its interfaces: the same as modules, but for their exit codes."""

import signal
import time
from pathlib import Path

from wasmtime.component import Component

from integration.wasm.conftest import Modules
from omnitide.drivers.protocol import Limit, Mount, Run, RunKey
from omnitide.drivers.wasm import engine
from support import wasm_modules as text
from support.container_engine import PROGRAMS

MODULE = str(PROGRAMS / "component.wasm")
"""How it was made stands in component.c."""
MIB = 1 << 20


def content_of(*parts: str) -> str:
    return Path(*parts).read_text()


async def said(wasm: Modules, *words: str, instance: str = "one", code: int = 0, **more: object) -> str:
    assert ended(await wasm.run(instance, MODULE, *words, **more)) == (code, "exited")
    return (await wasm.output(instance)).decode()


def ended(run: Run) -> tuple[int | None, str]:
    assert run.exit is not None
    return run.exit.code, run.exit.reason


def test_it_imports_what_the_test_is_about() -> None:
    made = engine.make()
    imported = " ".join(Component.from_file(made, MODULE).type.imports(made))
    for interface in ("wasi:cli/environment", "wasi:io/streams", "wasi:filesystem/types", "wasi:random/random"):
        assert f"{interface}@0.2." in imported
    assert "wasi:clocks/monotonic-clock@0.2." in imported


async def test_it_is_given_arguments_environment_streams_clocks_and_chance(wasm: Modules) -> None:
    assert await said(wasm, "say", "first", "two words", instance="say") == "first\ntwo words\n"
    await said(wasm, "complain", "wrong", instance="complain")
    assert await wasm.output("complain", "stderr") == b"wrong\n"
    assert "GREETING=hello" in (await said(wasm, "environment", environment={"GREETING": "hello"})).splitlines()
    waited, wall = (await said(wasm, "clocks", instance="clocks")).split()
    assert waited == "1"
    assert abs(int(wall) - time.time()) < 60
    first, second = [await said(wasm, "chance", instance=name) for name in ("chance-1", "chance-2")]
    assert len(first.strip()) == 32
    assert first != second


async def test_its_files_are_its_own_and_those_that_are_mounted(wasm: Modules, tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    data.mkdir()
    outside.mkdir()
    (data / "in").write_text("content")
    (outside / "secret").write_text("the secret")
    (data / "out").symlink_to("../outside/secret")
    mounts = [Mount(str(data), "/data")]
    assert await said(wasm, "copy", "/data/in", "/data/copied", instance="copy", mounts=mounts) == ""
    assert (data / "copied").read_text() == "content"
    assert sorted((await said(wasm, "list", "/data", instance="list", mounts=mounts)).split()) == [
        "copied",
        "in",
        "out",
    ]
    assert await said(wasm, "copy", "/data/in", "own", instance="own", mounts=mounts) == ""
    assert content_of(wasm.keeper, "work/own/own") == "content"
    for number, way in enumerate(("/data/out", "/data/../outside/secret", str(outside / "secret"))):
        assert await said(wasm, "copy", way, instance=f"escape-{number}", code=1, mounts=mounts) == ""
    only = [Mount(str(data), "/data", read_only=True)]
    await said(wasm, "copy", "/data/in", "/data/more", instance="read-only", code=1, mounts=only)
    assert not (data / "more").exists()


async def test_it_tells_success_or_failure_and_no_other_code(wasm: Modules) -> None:
    await said(wasm, "exit", "0", instance="success")
    await said(wasm, "exit", "7", instance="failure", code=1)


async def test_its_traps_and_its_memory_are_told_as_a_module_s(wasm: Modules) -> None:
    trapped = await wasm.run("trap", MODULE, "trap")
    assert ended(trapped) == (134, "trap")
    full = await wasm.run("eat", MODULE, "eat", limits=Limit(memory_bytes=16 * MIB))
    assert ended(full) == (134, "out-of-memory")
    assert full.exit is not None
    assert full.exit.out_of_memory
    deep = await wasm.run("recurse", MODULE, "recurse")
    assert ended(deep)[1] == "trap"


async def test_it_is_stopped(wasm: Modules) -> None:
    await wasm.start("one", MODULE, "wait")
    await wasm.says("one", b"ready")
    await wasm.driver.stop(RunKey("one", 1))
    found = (await wasm.end_of("one")).exit
    assert found is not None
    assert (found.signal, found.reason) == (signal.SIGTERM, "stopped")


async def test_every_version_of_wasi_0_2_is_a_command(wasm: Modules, tmp_path: Path) -> None:
    for number, version in enumerate(("0.2.0", "0.2.9", "0.2.12", "0.2.100")):
        path = text.lay(tmp_path, text.exports(f"wasi:cli/run@{version}"), f"{number}.wasm")
        assert ended(await wasm.run(f"version-{number}", path)) == (0, "exited")
