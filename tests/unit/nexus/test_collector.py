"""The collector of the engine's process: rests while there is work, tidies up in a quiet moment, has bounds."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from omnitide.nexus.collector import Collector, CollectorLimits


class Ring:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def no_automatic_collections() -> Iterator[None]:
    """What was frozen before stays so: else each test here would look through all that the suite has loaded."""
    frozen = gc.get_freeze_count()
    gc.collect()
    gc.disable()
    yield
    gc.unfreeze()
    if frozen:
        gc.freeze()
    gc.enable()


def dropped() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


PILE = CollectorLimits(objects=0, growth_bytes=1 << 40, full_share=1e9)
GROWN = PILE._replace(growth_bytes=-(1 << 40))


def test_it_rests_while_work_is_done_and_collects_in_the_first_quiet_moment() -> None:
    done = 1
    collector = Collector(lambda: done, PILE)
    assert not collector.look()
    done = 2
    assert not collector.look()
    garbage = dropped()
    assert collector.look()
    assert garbage() is None


def test_a_little_garbage_is_left_alone() -> None:
    collector = Collector(lambda: 1, PILE._replace(objects=10**9))
    garbage = dropped()
    assert not collector.look()
    assert not collector.look()
    assert garbage() is not None


def test_what_was_made_while_it_was_busy_waits_for_a_look_at_everything() -> None:
    done = 1
    collector = Collector(lambda: done, PILE)
    garbage = dropped()
    assert not collector.look()
    assert gc.get_count()[0] < 1000, "frozen, so that the first quiet moment is short"
    assert collector.look()
    assert garbage() is not None
    collector = Collector(lambda: done, PILE._replace(full_every_s=-1.0))
    collector.look()
    assert collector.look()
    assert garbage() is None


def test_memory_that_has_grown_is_looked_at_while_work_is_done() -> None:
    work = iter(range(100))
    collector = Collector(lambda: next(work), GROWN)
    held = Ring()
    seen = weakref.ref(held)
    assert collector.look()
    del held
    assert collector.look()
    assert seen() is None


def test_collections_take_a_small_share_of_the_time_while_it_is_busy() -> None:
    work = iter(range(100))
    collector = Collector(lambda: next(work), GROWN._replace(full_share=1e-9))
    assert collector.look(), "the next would be after years"
    garbage = dropped()
    assert not collector.look()
    assert garbage() is not None


async def test_the_automatic_collector_is_back_when_it_ends() -> None:
    gc.enable()
    running = asyncio.ensure_future(Collector(lambda: 1).run())
    await asyncio.sleep(0)
    assert not gc.isenabled()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert gc.isenabled()
