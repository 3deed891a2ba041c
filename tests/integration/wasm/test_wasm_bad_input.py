"""Bad modules: each a clear ending with a reason, or refused before it starts; and the node goes on."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

from integration.wasm.conftest import Modules
from omnitide.drivers.protocol import DriverError, Exit, Limit, Mount, RunKey
from omnitide.drivers.wasm.cache import Cache
from support import wasm_modules as text

MIB = 1 << 20


async def still_well(wasm: Modules, folder: Path) -> None:
    assert (await wasm.driver.probe()).healthy
    run = await wasm.run("afterwards", text.lay(folder, text.exits(5), "afterwards.wasm"))
    assert run.exit is not None
    assert run.exit.code == 5


async def ending_of(wasm: Modules, folder: Path, wat: str, **more: object) -> Exit:
    run = await wasm.run("bad", text.lay(folder, wat), **more)
    assert run.exit is not None
    await still_well(wasm, folder)
    return run.exit


async def refusal_of(folder: Path, path: str) -> DriverError:
    """Of the preparation, which comes before a keeper is asked for anything."""
    with pytest.raises(DriverError) as refused:
        await Cache(str(folder / "cache"), "1").compiled(path, lambda _: None)
    return refused.value


@pytest.mark.parametrize("keep", [4, 8, 40, 0.5, 0.99])
async def test_a_module_that_was_cut_off_is_refused(tmp_path: Path, keep: float) -> None:
    whole = wasmtime.wat2wasm(text.says("hello"))
    path = tmp_path / "cut.wasm"
    path.write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    refused = await refusal_of(tmp_path, str(path))
    assert (refused.cause, refused.permanent) == ("malformed-module", True)


@pytest.mark.parametrize(
    ("wat", "why"),
    [
        (text.NO_SUCH_FUNCTION, "no_such_thing"),
        (text.WRONG_TYPE, "fd_write"),
        (text.START_WITH_PARAMETERS, "_start"),
        (text.START_THAT_IS_NONE, "_start"),
        (text.wants("wasi:http/outgoing-handler@0.2.3"), "wasi:http"),
        (text.wants("wasi:cli/stdout@0.3.0"), "WASI 0.3"),
        (text.wants("their:own/thing"), "their:own/thing"),
        (text.exports("wasi:http/incoming-handler@0.2.0"), "incoming-handler"),
        (text.exports("wasi:cli/run@0.3.0"), "wasi:cli/run@0.3.0"),
    ],
    ids=lambda value: value if len(value) < 40 else "",
)
async def test_what_cannot_be_given_is_told_before_it_starts(tmp_path: Path, wat: str, why: str) -> None:
    refused = await refusal_of(tmp_path, text.lay(tmp_path, wat))
    assert (refused.cause, refused.permanent) == ("malformed-module", True)
    assert why in str(refused)


async def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        refused = await refusal_of(tmp_path, str(path))
        assert (refused.cause, refused.permanent) == ("malformed-module", True)
        assert "no file" in str(refused)


async def test_a_module_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.wasm"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    refused = await refusal_of(tmp_path, str(path))
    assert (refused.cause, refused.permanent) == ("malformed-module", True)


async def test_a_module_that_declares_more_memory_than_its_limit_is_out_of_memory(
    wasm: Modules, tmp_path: Path
) -> None:
    found = await ending_of(wasm, tmp_path, text.declares(1024), limits=Limit(memory_bytes=64 * MIB))
    assert (found.code, found.reason, found.out_of_memory) == (134, "out-of-memory", True)
    assert "16384 pages" in found.message


async def test_a_module_that_declares_a_gibibyte_takes_what_it_touches(wasm: Modules, tmp_path: Path) -> None:
    found = await ending_of(wasm, tmp_path, text.declares(1024))
    assert (found.code, found.reason) == (0, "exited")


async def test_several_memories_together_keep_within_the_limit(wasm: Modules, tmp_path: Path) -> None:
    allowed = await ending_of(wasm, tmp_path, text.grows_many(4, 8), limits=Limit(memory_bytes=64 * MIB))
    assert allowed.code == 7
    run = await wasm.run(
        "more", text.lay(tmp_path, text.grows_many(8, 48), "8.wasm"), limits=Limit(memory_bytes=64 * MIB)
    )
    assert run.exit is not None
    assert (run.exit.code, run.exit.reason, run.exit.out_of_memory) == (134, "out-of-memory", True)


async def test_a_table_that_grows_without_end_comes_to_the_limit(wasm: Modules, tmp_path: Path) -> None:
    found = await ending_of(wasm, tmp_path, text.TABLE_HOG, limits=Limit(memory_bytes=16 * MIB))
    assert (found.code, found.reason) == (134, "trap")


async def test_a_recursion_without_end_traps(wasm: Modules, tmp_path: Path) -> None:
    found = await ending_of(wasm, tmp_path, text.DEEP)
    assert (found.code, found.reason) == (134, "trap")
    assert "call stack exhausted" in found.message


async def test_a_start_function_that_traps_is_a_trap(wasm: Modules, tmp_path: Path) -> None:
    found = await ending_of(wasm, tmp_path, text.BAD_START)
    assert (found.code, found.reason) == (134, "trap")
    assert "unreachable" in found.message


async def test_a_start_function_without_end_is_stopped_as_any_loop(wasm: Modules, tmp_path: Path) -> None:
    await wasm.start("bad", text.lay(tmp_path, text.ENDLESS_START))
    await wasm.driver.stop(RunKey("bad", 1))
    found = (await wasm.end_of("bad")).exit
    assert found is not None
    assert (found.signal, found.reason) == (signal.SIGTERM, "stopped")
    await still_well(wasm, tmp_path)


async def test_exit_codes_are_whole_bytes(wasm: Modules, tmp_path: Path) -> None:
    for code in (126, 200, 255):
        found = (await wasm.run(f"exits-{code}", text.lay(tmp_path, text.exits(code)))).exit
        assert found is not None
        assert (found.code, found.reason) == (code, "exited")


async def test_no_path_leads_out_of_what_it_is_given(wasm: Modules, tmp_path: Path, conform: Path) -> None:
    outside, data = tmp_path / "outside", tmp_path / "data"
    for folder in (outside, data, data / "below"):
        folder.mkdir()
    (outside / "secret").write_text("the secret")
    (data / "plain").write_text("allowed")
    (data / "absolute").symlink_to(outside / "secret")
    (data / "relative").symlink_to("../outside/secret")
    (data / "up").symlink_to("..")
    (data / "root").symlink_to("/")
    (data / "chain").symlink_to("below/back")
    (data / "below" / "back").symlink_to("../../outside/secret")
    (data / "within").symlink_to("below/../plain")
    ways = [
        "/data/../outside/secret",
        "/data/absolute",
        "/data/relative",
        "/data/up/outside/secret",
        f"/data/root{outside}/secret",
        "/data/chain",
        "/data/below/../../outside/secret",
        str(outside / "secret"),
        "../../outside/secret",
        "/data//../outside/secret",
    ]
    run = await wasm.run(
        "one", str(conform), "read", "/data/plain", "/data/within", *ways, mounts=[Mount(str(data), "/data")]
    )
    said = (await wasm.output("one")).decode()
    assert run.exit is not None
    assert run.exit.code == 0
    assert said.count("allowed") == 2
    assert said.count("error") == len(ways)
    assert "secret\n" not in said.replace("/secret: error", "")
    written = await wasm.run("two", str(conform), "write", "/data/relative", "x", mounts=[Mount(str(data), "/data")])
    assert written.exit is not None
    assert written.exit.code != 0
    assert (outside / "secret").read_text() == "the secret"
    await still_well(wasm, tmp_path)


async def test_a_link_that_is_put_into_a_mounts_source_after_it_was_permitted_is_not_followed(
    wasm: Modules, conform: Path, tmp_path: Path
) -> None:
    shared, outside = tmp_path / "shared", tmp_path / "outside"
    (shared / "data").mkdir(parents=True)
    (shared / "data" / "plain").write_text("mine")
    outside.mkdir()
    (outside / "plain").write_text("the secret")
    mounts = [Mount(str(shared / "data"), "/data", firm=True)]
    await wasm.run("one", str(conform), "read", "/data/plain", mounts=mounts)
    assert "mine" in (await wasm.output("one")).decode()
    (shared / "data").rename(shared / "aside")
    (shared / "data").symlink_to(outside)
    with pytest.raises(DriverError, match="symbolic links"):
        await wasm.start("two", str(conform), "read", "/data/plain", mounts=mounts)
    await still_well(wasm, tmp_path)


@pytest.fixture
def full_cache(tmp_path: Path) -> Iterator[Path]:
    """The cache of `tmp_path`, on a file system without room."""
    disk = tmp_path / "cache"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", str(disk)], check=True)
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.root
async def test_a_full_disk_is_told_as_that_and_is_no_fault_of_the_module(tmp_path: Path, full_cache: Path) -> None:
    path = text.lay(tmp_path, text.says("hello"))
    refused = await refusal_of(tmp_path, path)
    assert (refused.cause, refused.permanent) == ("no-disk", False)
    assert str(refused) == f"{path}: the node's disk is full, and its compiled form has no room"
    assert os.listdir(full_cache) == ["filler"]
