"""The driver `wasm` with real modules: what they are given, what they say, how they end, and what is bad."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest

from integration.wasm.conftest import Modules
from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.protocol import DriverError, Exit, Launch, Limit, LogPolicy, Mount, RunKey, RunState
from omnitide.drivers.streams import ExecRequest
from omnitide.node.keeper.launch import Talk, upgrade_keeper
from support import wasm_modules as text


def ending(end: Exit | None) -> tuple[int | None, str]:
    assert end is not None
    return end.code, end.reason


def there(*parts: str) -> bool:
    return Path(*parts).exists()


def content_of(*parts: str) -> str:
    return Path(*parts).read_text()


def owner_of(*parts: str) -> int:
    return Path(*parts).stat().st_uid


async def test_it_works_here_and_bounds_memory_by_itself(wasm: Modules) -> None:
    info = await wasm.driver.probe()
    assert info.healthy
    assert info.version.startswith("wasmtime ")
    assert {"memory", "pids"} <= set(info.enforces)


async def test_what_a_module_prints_is_in_its_log_to_the_last_byte(wasm: Modules, tmp_path: Path) -> None:
    assert ending((await wasm.run("one", text_module(tmp_path, text.says("no end of line")))).exit) == (0, "exited")
    assert await wasm.output("one") == b"no end of line"
    await wasm.run("two", text_module(tmp_path, text.says("wrong", 2)))
    assert await wasm.output("two", "stderr") == b"wrong"


@pytest.mark.parametrize("code", [0, 1, 42, 120])
async def test_its_exit_code_is_the_run_s(wasm: Modules, tmp_path: Path, code: int) -> None:
    assert ending((await wasm.run("one", text_module(tmp_path, text.exits(code)))).exit) == (code, "exited")


async def test_it_gets_its_arguments_and_its_environment_and_nothing_else(wasm: Modules, tmp_path: Path) -> None:
    await wasm.run("args", text_module(tmp_path, text.shows("args"), "shown.wasm"), "first", "two words")
    assert await wasm.output("args") == b"shown.wasm\0first\0two words\0"
    await wasm.run("environ", text_module(tmp_path, text.shows("environ")), environment={"GREETING": "hello"})
    given = set((await wasm.output("environ")).split(b"\0")) - {b""}
    assert given == {b"GREETING=hello"}


async def test_its_directory_is_its_own_and_there_is_no_way_out(wasm: Modules, tmp_path: Path) -> None:
    assert ending((await wasm.run("one", text_module(tmp_path, text.writes("made", "content")))).exit)[0] == 0
    assert content_of(wasm.keeper, "work/one/made") == "content"
    (out,) = [await wasm.run("two", text_module(tmp_path, text.writes("../../escaped", "x")))]
    assert ending(out.exit)[0] != 0
    assert not there(wasm.keeper, "work/../escaped")
    assert ending((await wasm.run("three", text_module(tmp_path, text.writes("/etc/escaped", "x")))).exit)[0] != 0


async def test_mounts_are_preopened_and_read_only_ones_stay_so(wasm: Modules, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    module = text_module(tmp_path, text.writes("file", "new", directory=4))
    assert ending((await wasm.run("rw", module, mounts=[Mount(str(data), "/data")])).exit)[0] == 0
    assert (data / "file").read_text() == "new"
    (data / "file").unlink()
    read_only = await wasm.run("ro", module, mounts=[Mount(str(data), "/data", read_only=True)])
    assert ending(read_only.exit)[0] != 0
    assert not (data / "file").exists()


async def test_a_file_cannot_be_mounted(wasm: Modules, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DriverError, match="directories") as refused:
        await wasm.start("one", text_module(tmp_path, text.exits(0)), mounts=[Mount(str(tmp_path / "file"), "/file")])
    assert (refused.value.cause, refused.value.permanent) == ("mount", True)


async def test_clock_and_chance_are_there(wasm: Modules, tmp_path: Path) -> None:
    clock = text.asks("clock_time_get", "i32 i64 i32", "(i32.const 0) (i64.const 1) (i32.const 64)")
    random = text.asks("random_get", "i32 i32", "(i32.const 64) (i32.const 16)")
    assert ending((await wasm.run("clock", text_module(tmp_path, clock))).exit) == (0, "exited")
    assert ending((await wasm.run("random", text_module(tmp_path, random))).exit) == (0, "exited")


@pytest.mark.parametrize(("answer", "code"), [(0, 0), (1, 1)])
async def test_components_that_are_commands_run(wasm: Modules, tmp_path: Path, answer: int, code: int) -> None:
    assert ending((await wasm.run("one", text_module(tmp_path, text.component(answer)))).exit) == (code, "exited")


async def test_a_trap_is_told_as_what_it_is(wasm: Modules, tmp_path: Path) -> None:
    run = await wasm.run("one", text_module(tmp_path, text.TRAP))
    assert ending(run.exit) == (134, "trap")
    assert run.exit is not None
    assert "unreachable" in run.exit.message
    assert b"unreachable" in await wasm.output("one", "stderr")


async def test_what_grows_past_its_memory_limit_is_out_of_memory(wasm: Modules, tmp_path: Path) -> None:
    run = await wasm.run("one", text_module(tmp_path, text.HOG), limits=Limit(memory_bytes=8 << 20))
    assert ending(run.exit) == (134, "out-of-memory")
    assert run.exit is not None
    assert run.exit.out_of_memory
    needs = await wasm.run("two", text_module(tmp_path, text.TOO_BIG), limits=Limit(memory_bytes=8 << 20))
    assert ending(needs.exit)[1] == "out-of-memory"


async def test_an_endless_loop_is_stopped_and_killed(wasm: Modules, tmp_path: Path) -> None:
    module = text_module(tmp_path, text.says("up", forever=True))
    await wasm.start("one", module)
    await wasm.says("one", b"up")
    await wasm.driver.stop(RunKey("one", 1))
    assert ending((await wasm.end_of("one")).exit) == (None, "stopped")
    await wasm.start("two", module)
    await wasm.says("two", b"up")
    await wasm.driver.stop(RunKey("two", 1), grace_ms=0)
    assert ending((await wasm.end_of("two")).exit) == (None, "killed")


async def test_a_flood_keeps_the_newest_within_its_bound(wasm: Modules, tmp_path: Path) -> None:
    policy = LogPolicy(max_file_bytes=1 << 20, max_files=2)
    await wasm.run("one", text_module(tmp_path, text.floods(160)), log_policy=policy)
    assert 1 << 19 < len(await wasm.output("one")) <= 2 << 20


@pytest.mark.parametrize(
    ("content", "cause", "why"),
    [
        (b"#!/bin/sh\n", "malformed-module", "no WebAssembly module"),
        (b"\0asm\1\0\0\0garbage", "malformed-module", "bad.wasm"),
        (b"", "malformed-module", "no WebAssembly module"),
        (text.NO_COMMAND, "malformed-module", "_start"),
        (text.STRANGE_IMPORT, "malformed-module", "env.magic"),
    ],
)
async def test_what_is_no_command_is_refused_before_it_starts(
    wasm: Modules, tmp_path: Path, content: bytes | str, cause: str, why: str
) -> None:
    path = tmp_path / "bad.wasm"
    if isinstance(content, str):
        text.lay(tmp_path, content, "bad.wasm")
    else:
        path.write_bytes(content)
    with pytest.raises(DriverError, match=why) as refused:
        await wasm.start("one", str(path))
    assert (refused.value.cause, refused.value.permanent) == (cause, True)
    assert await wasm.driver.recover() == []


async def test_a_module_that_is_not_there_is_refused(wasm: Modules) -> None:
    with pytest.raises(DriverError) as refused:
        await wasm.start("one", "/no/such/module.wasm")
    assert (refused.value.cause, refused.value.permanent) == ("module-not-found", True)


async def test_a_content_is_compiled_once_and_anew_when_it_changes(wasm: Modules, tmp_path: Path) -> None:
    module = text_module(tmp_path, text.exits(1))
    await wasm.run("one", module)
    assert wasm.told == ["compiling module.wasm"]
    await wasm.run("two", module)
    assert len(wasm.told) == 1
    text_module(tmp_path, text.exits(2))
    later = time.time_ns() + 10**9
    os.utime(module, ns=(later, later))
    assert ending((await wasm.run("three", module)).exit)[0] == 2
    assert len(wasm.told) == 2


async def test_nothing_is_executed_beside_a_module(wasm: Modules, tmp_path: Path) -> None:
    module = text_module(tmp_path, text.says("up", forever=True))
    await wasm.start("one", module)
    with pytest.raises(DriverError) as refused:
        await wasm.driver.exec(RunKey("one", 1), ExecRequest(["/bin/true"]))
    assert refused.value.cause == "unsupported"
    with pytest.raises(DriverError, match="pre_stop"):
        await wasm.driver.start(wasm.launch("two", module, pre_stop=["/bin/true"]))


async def test_runs_go_on_over_the_keeper_s_upgrade_and_new_ones_begin(wasm: Modules, tmp_path: Path) -> None:
    module = text_module(tmp_path, text.says("up", forever=True))
    await wasm.start("one", module)
    await wasm.says("one", b"up")
    upgrade_keeper(wasm.keeper)
    run = await wasm.driver.status(RunKey("one", 1))
    assert run is not None
    assert run.state is RunState.RUNNING
    await wasm.start("two", module)
    await wasm.driver.stop(RunKey("one", 1))
    assert ending((await wasm.end_of("one")).exit) == (None, "stopped")


async def test_a_zygote_that_was_killed_is_followed_by_another(wasm: Modules, tmp_path: Path) -> None:
    module = text_module(tmp_path, text.says("up", forever=True))
    await wasm.start("one", module)
    with Talk(wasm.keeper) as talk:
        (pid,) = cast("list[int]", talk.ask("info")["zygotes"])
    os.kill(pid, 9)
    await wasm.start("two", module)
    one = await wasm.driver.status(RunKey("one", 1))
    assert one is not None
    assert one.state is RunState.RUNNING


async def test_removal_leaves_nothing_behind(wasm: Modules, tmp_path: Path) -> None:
    await wasm.run("one", text_module(tmp_path, text.writes("made", "content")))
    await wasm.driver.remove(RunKey("one", 1))
    await wasm.driver.remove_instance("one")
    assert await wasm.driver.recover() == []
    assert not there(wasm.keeper, "work/one")
    assert not there(wasm.keeper, "logs/one")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start as another user")
async def test_another_user_s_module_writes_as_that_user(wasm: Modules, tmp_path: Path) -> None:
    run = await wasm.run("one", text_module(tmp_path, text.writes("made", "x")), user="nobody:nogroup")
    assert ending(run.exit)[0] == 0
    assert owner_of(wasm.keeper, "work/one/made") == 65534
    hog = text_module(tmp_path, text.HOG, "hog.wasm")
    full = await wasm.run("two", hog, user="nobody:nogroup", limits=Limit(memory_bytes=8 << 20))
    assert ending(full.exit) == (134, "out-of-memory")


async def test_the_processes_of_a_shared_keeper_are_told_apart(wasm: Modules, tmp_path: Path) -> None:
    processes = ProcessDriver(wasm.keeper)
    try:
        await wasm.start("module", text_module(tmp_path, text.says("up", forever=True)))
        await processes.start(
            Launch(key=RunKey("process", 1), name="process", command=["/bin/sleep", "1000"], environment={})
        )
        assert [run.key.instance for run in await processes.recover()] == ["process"]
        assert [run.key.instance for run in await wasm.driver.recover()] == ["module"]
    finally:
        await processes.close()


def text_module(directory: Path, wat: str, name: str = "module.wasm") -> str:
    return text.lay(directory, wat, name)


def test_the_node_proxy_never_loads_wasmtime() -> None:
    command = "import sys, omnitide.node.assembly, omnitide.drivers.wasm; sys.exit('wasmtime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
