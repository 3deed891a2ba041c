"""The placer's own time: one timer, whatever wakes it meanwhile."""

import asyncio

import pytest

from omnitide.nexus.clock import SystemClock
from omnitide.nexus.engine import Engine
from omnitide.nexus.placer import Placer
from omnitide.store.memory import MemoryLog, MemoryStorage


async def test_looks_that_end_in_a_wait_leave_one_timer_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a thing that is due in an hour would cost a timer with each commit until then."""
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    call_later = loop.call_later

    def counted(delay: float, *arguments: object, **context: object) -> asyncio.TimerHandle:
        handle = call_later(delay, *arguments, **context)  # type: ignore[arg-type]
        if delay == 3600:
            timers.append(handle)
        return handle

    engine = await Engine.open(MemoryLog(MemoryStorage()), SystemClock())
    placer = Placer(engine, SystemClock())
    looks = 0

    async def look() -> float:
        nonlocal looks
        looks += 1
        return 3600

    monkeypatch.setattr(loop, "call_later", counted)
    monkeypatch.setattr(placer, "_plan_once", look)
    running = asyncio.ensure_future(placer.run())
    for wanted in range(1, 6):
        placer._wake.set()
        async with asyncio.timeout(20):
            while looks < wanted:
                await asyncio.sleep(0)
    assert len(timers) >= 4
    assert [timer.cancelled() for timer in timers].count(False) <= 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert all(timer.cancelled() for timer in timers)
    await engine.close()
