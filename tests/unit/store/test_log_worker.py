"""Blocking work for the event loop: in order, bounded, and never lost half-way."""

import asyncio
import threading

import pytest

from omnitide.store.protocol import LogUnavailable
from omnitide.store.worker import MAX_WAITING, Worker


async def test_work_is_done_in_order_in_a_thread_of_its_own() -> None:
    worker = Worker("test-worker")
    done: list[int] = []
    await asyncio.gather(*(worker.call(lambda i=i: done.append(i)) for i in range(50)))
    assert done == list(range(50))
    assert await worker.call(lambda: threading.current_thread().name) == "test-worker"
    await worker.stop()


async def test_what_the_work_raises_reaches_the_caller() -> None:
    worker = Worker("test-worker")
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda: 1 // 0)
    assert await worker.call(lambda: "still there") == "still there"
    await worker.stop()


async def test_a_call_too_many_is_refused() -> None:
    worker = Worker("test-worker")
    gate = threading.Event()
    waiting = [asyncio.ensure_future(worker.call(gate.wait)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(LogUnavailable):
        await worker.call(lambda: None)
    gate.set()
    await asyncio.gather(*waiting)
    assert await worker.call(lambda: "room again") == "room again"
    await worker.stop()


async def test_a_cancelled_call_runs_to_its_end() -> None:
    worker = Worker("test-worker")
    gate, done = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait()
        done.set()

    call = asyncio.ensure_future(worker.call(work))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    await worker.stop()
    assert done.is_set()


async def test_a_stopped_worker_finished_what_waited_and_takes_no_more() -> None:
    worker = Worker("test-worker")
    calls = [asyncio.ensure_future(worker.call(lambda i=i: i)) for i in range(10)]
    await asyncio.sleep(0)
    await worker.stop()
    await worker.stop()
    assert [await call for call in calls] == list(range(10))
    with pytest.raises(LogUnavailable):
        await worker.call(lambda: None)
