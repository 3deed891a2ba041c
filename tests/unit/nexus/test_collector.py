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


PILE = CollectorLimits(quiet_objects=0, most_objects=10**9, most_growth_bytes=1 << 40)


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


async def test_the_automatic_collector_is_back_when_it_ends() -> None:
    gc.enable()
    running = asyncio.ensure_future(Collector(lambda: 1).run())
    await asyncio.sleep(0)
    assert not gc.isenabled()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert gc.isenabled()
