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
    gc.collect()
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


def dropped() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


PILE = CollectorLimits(quiet_objects=0, most_objects=10**9, most_growth_bytes=1 << 40, full_share=1e9)


def test_it_rests_while_work_is_done_and_collects_in_the_first_quiet_moment() -> None:
    done = 1
    collector = Collector(lambda: done, PILE)
    garbage = dropped()
    assert not collector.look()
    done = 2
    assert not collector.look()
    assert garbage() is not None
    assert collector.look()
    assert garbage() is None


def test_a_little_garbage_is_left_alone() -> None:
    collector = Collector(lambda: 1, PILE._replace(quiet_objects=10**9))
    garbage = dropped()
    assert not collector.look()
    assert not collector.look()
    assert garbage() is not None


@pytest.mark.parametrize("bound", [{"most_objects": 0}, {"most_growth_bytes": -(1 << 40)}])
def test_much_is_collected_even_while_work_is_done(bound: dict[str, int]) -> None:
    work = iter(range(100))
    collector = Collector(lambda: next(work), PILE._replace(**bound))
    garbage = dropped()
    assert collector.look()
    assert garbage() is None


def test_what_was_in_use_at_one_collection_is_found_at_a_later_full_one() -> None:
    held = Ring()
    seen = weakref.ref(held)
    seldom = Collector(lambda: 1, PILE)
    seldom.look()
    assert seldom.look()
    del held
    assert seldom.look()
    assert seen() is not None, "frozen: a collection does not walk over everything each time"
    often = Collector(lambda: 1, PILE._replace(full_every_s=-1.0))
    often.look()
    assert often.look()
    assert seen() is None


def test_what_was_in_use_at_a_forced_collection_is_freed_while_it_stays_busy() -> None:
    work = iter(range(1000))
    collector = Collector(lambda: next(work), PILE._replace(most_objects=0, busy_in_a_row=3))
    held = Ring()
    seen = weakref.ref(held)
    assert collector.look()
    del held
    assert collector.look()
    assert collector.look()
    assert seen() is not None, "most forced collections are short: what was in use before is not walked over"
    assert collector.look()
    assert seen() is None


def test_full_collections_stay_rare_while_it_is_busy() -> None:
    work = iter(range(1000))
    collector = Collector(lambda: next(work), PILE._replace(most_objects=0, busy_in_a_row=3))
    freed: list[int] = []
    for look in range(1, 13):
        held = Ring()
        weakref.finalize(held, freed.append, look)
        before = len(freed)
        collector.look()
        assert (len(freed) > before) == (look in (4, 8, 12))
        del held


def test_full_collections_take_a_small_share_of_the_time_however_much_is_made() -> None:
    work = iter(range(1000))
    collector = Collector(lambda: next(work), PILE._replace(most_objects=0, busy_in_a_row=0, full_share=1e-9))
    assert collector.look(), "the first is full, and the next would be after years"
    held = Ring()
    seen = weakref.ref(held)
    assert collector.look()
    del held
    assert collector.look()
    assert seen() is not None


def test_memory_that_has_grown_since_all_was_looked_at_makes_the_next_one_full() -> None:
    work = iter(range(1000))
    limits = PILE._replace(most_objects=0, busy_in_a_row=10**9, most_growth_since_full_bytes=-(1 << 40))
    collector = Collector(lambda: next(work), limits)
    held = Ring()
    seen = weakref.ref(held)
    assert collector.look()
    del held
    assert collector.look()
    assert seen() is None


async def test_the_automatic_collector_is_back_when_it_ends() -> None:
    gc.enable()
    running = asyncio.ensure_future(Collector(lambda: 1).run())
    await asyncio.sleep(0)
    assert not gc.isenabled()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert gc.isenabled()
