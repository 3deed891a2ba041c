"""Limits: where a driver says that it enforces one, a program feels it, and its end says so."""

import asyncio

import pytest

from omnitide.drivers.protocol import DriverError, Limit, RunKey
from support.driver_kit import Kit

MIB = 1 << 20


async def enforced(kit: Kit, what: str) -> None:
    found = (await kit.driver.probe()).enforces
    if what not in found:
        limit = {"memory": Limit(memory_bytes=64 * MIB), "pids": Limit(pids=8), "cpu": Limit(cpu_milli=100)}[what]
        with pytest.raises(DriverError) as refused:
            await kit.start("refused", "run", limits=limit, limits_required=True)
        assert refused.value.cause == "limits"
        pytest.skip(f"this machine enforces {sorted(found)}: no {what} for {kit.name}")


async def test_too_much_memory_is_the_end_with_its_reason(kit: Kit) -> None:
    await enforced(kit, "memory")
    await kit.start("a", "eat", str(256 * MIB), limits=Limit(memory_bytes=32 * MIB), limits_required=True)
    run = await kit.end_of("a")
    assert run.exit is not None
    if "oom-reason" in kit.lacks:
        assert run.exit.signal == 9
    else:
        assert run.exit.out_of_memory
        assert run.exit.reason == "out-of-memory"
    assert "ate" not in await kit.text("a")


async def test_what_keeps_within_its_memory_is_let_be(kit: Kit) -> None:
    await enforced(kit, "memory")
    await kit.start("a", "eat", str(8 * MIB), limits=Limit(memory_bytes=64 * MIB), limits_required=True)
    await kit.until_output("a", "ate")


async def test_a_fork_bomb_comes_to_its_limit(kit: Kit) -> None:
    kit.needs("forks")
    await enforced(kit, "pids")
    await kit.start("a", "fork", "200", limits=Limit(pids=20), limits_required=True)
    await kit.until_output("a", "made ")
    text = await kit.text("a")
    assert 10 <= int(text.split("made ")[1].split()[0]) < 20
    assert (await kit.driver.probe()).healthy


async def test_more_cpu_than_the_limit_is_not_given(kit: Kit) -> None:
    await enforced(kit, "cpu")
    await kit.start("a", "spin", limits=Limit(cpu_milli=200), limits_required=True)
    await kit.until_output("a", "ready")
    key = RunKey("a", 1)
    loop = asyncio.get_running_loop()
    began, before = loop.time(), (await kit.driver.stats([key]))[key].cpu_ms
    await asyncio.sleep(1.5)
    used = (await kit.driver.stats([key]))[key].cpu_ms - before
    # A tenth of a second is the period in which the kernel counts.
    assert used <= 200 * (loop.time() - began + 0.2) * 1.25
