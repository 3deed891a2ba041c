"""Compiled modules on disk: what was changed there is made again, and there is a bound."""

import asyncio
import hashlib
import importlib.metadata
from pathlib import Path

import pytest

from integration.wasm.conftest import Modules
from omnitide.drivers.protocol import DriverError
from omnitide.drivers.wasm import compiler
from omnitide.drivers.wasm.cache import Cache
from omnitide.drivers.wasm.driver import CACHE
from support import wasm_modules as text


def compiled(wasm: Modules) -> Path:
    (path,) = (wasm.directory / CACHE).iterdir()
    return path


def cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def named_as_it_should(path: Path, content: bytes) -> None:
    """Poison whose name fits: only wasmtime itself can refuse it."""
    prefix = path.name.rpartition("-")[0]
    path.unlink()
    (path.parent / f"{prefix}-{hashlib.sha256(content).hexdigest()}.cwasm").write_bytes(content)


def of_another_version(path: Path) -> None:
    content = path.read_bytes()
    version = importlib.metadata.version("wasmtime").partition(".")[0].encode()
    noted = bytes([len(version)]) + version  # before the name of the target
    assert noted in content[:400]
    named_as_it_should(path, content.replace(noted, noted.replace(version, b"49"), 1))


def of_something_else(path: Path) -> None:
    named_as_it_should(path, b"no machine code at all")


@pytest.mark.parametrize("next_proxy", [False, True], ids=["same-proxy", "next-proxy"])
async def test_what_was_changed_in_the_cache_is_compiled_again(wasm: Modules, tmp_path: Path, next_proxy: bool) -> None:
    module = text.lay(tmp_path, text.exits(3))
    await wasm.run("first", module)
    sound = compiled(wasm).read_bytes()
    for spoil in (cut_off, one_bit, emptied, removed, of_another_version, of_something_else):
        spoil(compiled(wasm))
        if next_proxy:
            await wasm.another()
        run = await wasm.run(spoil.__name__.replace("_", "-"), module)
        assert run.exit is not None
        assert (run.exit.code, run.exit.reason) == (3, "exited")
        assert compiled(wasm).read_bytes() == sound
        assert await wasm.output(spoil.__name__.replace("_", "-"), "stderr") == b""


async def test_the_next_proxy_uses_what_is_there(wasm: Modules, tmp_path: Path) -> None:
    module = text.lay(tmp_path, text.exits(3))
    await wasm.run("one", module)
    before = compiled(wasm).stat()
    await wasm.another()
    wasm.told.clear()
    await wasm.run("two", module)
    assert wasm.told == []
    assert compiled(wasm).stat().st_ino == before.st_ino


async def test_the_cache_keeps_within_its_size_and_what_was_used_last(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    sources = [text.lay(tmp_path, text.exits(code), f"{code}.wasm") for code in range(4)]

    def there() -> int:
        return sum(path.stat().st_size for path in folder.iterdir())

    cache = Cache(str(folder), "1")
    made = [(await cache.compiled(path, lambda _: None)).path for path in sources[:3]]
    bound = there() + 100
    small = Cache(str(folder), "1", max_bytes=bound)
    await small.compiled(sources[0], lambda _: None)
    last = (await small.compiled(sources[3], lambda _: None)).path
    assert there() <= bound
    assert {path.name for path in folder.iterdir()} == {Path(path).name for path in (made[0], made[2], last)}


async def test_what_compiles_to_too_much_is_refused(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), "1", max_bytes=1000)
    with pytest.raises(DriverError, match="are the most") as refused:
        await cache.compiled(text.lay(tmp_path, text.exits(0)), lambda _: None)
    assert (refused.value.cause, refused.value.permanent) == ("malformed-module", True)
    assert list((tmp_path / "cache").iterdir()) == []


async def test_a_compiler_without_memory_is_no_crash_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "MAX_MEMORY", 24 << 20)
    cache = Cache(str(tmp_path / "cache"), "1")
    function = f"(func (result i32) {'(i32.add (i32.const 1) ' * 200}(i32.const 1){')' * 200})"
    path = text.lay(tmp_path, f'(module (memory (export "memory") 1) {function * 4000} (func (export "_start")))')
    with pytest.raises(DriverError, match="memory") as refused:
        await cache.compiled(path, lambda _: None)
    assert (refused.value.cause, refused.value.permanent) == ("malformed-module", True)
    assert list((tmp_path / "cache").iterdir()) == []


async def test_many_starts_of_one_content_compile_it_once(tmp_path: Path) -> None:
    told: list[str] = []
    cache = Cache(str(tmp_path / "cache"), "1")
    path = text.lay(tmp_path, text.exits(0))
    found = await asyncio.gather(*(cache.compiled(path, told.append) for _ in range(8)))
    assert len({one.path for one in found}) == 1
    assert told == ["compiling module.wasm"]
