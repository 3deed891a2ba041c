"""What containers use, from their control groups: no question to the engine for each of them each second."""

import asyncio

import pytest

from omnitide.drivers.docker import usage
from omnitide.drivers.docker.usage import Groups, asked
from omnitide.drivers.protocol import Limit, RunKey
from support.driver_kit import Kit


async def test_a_container_is_found_once_and_then_only_files_are_read(
    docker: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await docker.start("a", "spin", limits=Limit(cpu_milli=200))
    await docker.until_output("a", "ready")
    key = RunKey("a", 1)
    first = (await docker.driver.stats([key]))[key]

    async def never(*_: object) -> None:
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(usage, "asked", never)
    async with asyncio.timeout(30):
        while (now := (await docker.driver.stats([key]))[key]).cpu_ms < first.cpu_ms + 20:
            await asyncio.sleep(0.02)
    assert now.pids >= 1
    monkeypatch.undo()
    engine = await docker.driver._access.engine()  # type: ignore[attr-defined]
    (name,) = [name for name in docker.left() if "-a-" in name]
    said = await asked(engine, name)
    assert said is not None
    assert abs(said.memory_bytes - now.memory_bytes) < 4 << 20, "both count alike"
    assert said.cpu_ms >= now.cpu_ms - 50


async def test_where_the_groups_cannot_be_seen_the_engine_is_asked_now_and_then(
    docker: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await docker.start("a", "spin", limits=Limit(cpu_milli=200))
    engine = await docker.driver._access.engine()  # type: ignore[attr-defined]
    (name,) = [name for name in docker.left() if "-a-" in name]
    questions = 0

    async def counted(*given: object) -> object:
        nonlocal questions
        questions += 1
        return await asked(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(usage, "asked", counted)
    groups = Groups(read=lambda _: None)
    assert await groups.measure(engine, name) is not None
    assert await groups.measure(engine, name) is None, "not again so soon"
    assert questions == 1
    assert await groups.measure(engine, "nobody") is None
