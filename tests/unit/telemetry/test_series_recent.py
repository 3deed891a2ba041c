"""Which series are in memory: how long a silent one stays, which is an instance's, and what room is given back."""

import numpy as np
import pytest

from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.partials import Window
from omnitide.telemetry.series.recent import INSTANCE_CPU, NODE_CPU, Entry, Recent
from omnitide.telemetry.series.selecting import Selection

NOW_S = 1_700_000_000
SPAN_S = 900


def entry(recent: Recent, name: str, node: str = "alpha", step_s: int = 1, **labels: str) -> Entry:
    made = recent.entry(node, SeriesInfo(name, tuple(sorted({"node": node, **labels}.items()))), step_s)
    assert made is not None
    return made


def sample(of: Entry, at_s: int) -> None:
    of.ring.write(np.array([of.row]), at_s // of.ring.step_s, np.ones((1, 1)), np.array([False]), None)


def test_a_series_that_was_only_declared_is_given_time_for_its_first_sample() -> None:
    recent = Recent(1 << 20)
    seldom = entry(recent, "seldom", step_s=300)
    assert recent.sweep(NOW_S) == 0
    assert seldom.row >= 0
    assert recent.sweep(NOW_S + 60) == 1
    assert (seldom.row, recent.series) == (-1, 0)


def test_one_stays_as_long_as_its_last_sample_can_be_shown() -> None:
    recent = Recent(1 << 20)
    second, minute = entry(recent, "second"), entry(recent, "minute", step_s=60)
    for one in (second, minute):
        sample(one, NOW_S // 60 * 60)
    last_s = NOW_S // 60 * 60
    assert recent.sweep(last_s + SPAN_S + 1) == 0
    assert recent.sweep(last_s + SPAN_S + 2) == 1, "of the minute that has the other's sample, not all is too old"
    assert (second.row, minute.row >= 0) == (-1, True)
    assert recent.sweep(last_s + SPAN_S + 61) == 1


def test_an_instances_series_is_the_one_that_was_declared_last() -> None:
    """Its node has sent it under other labels since: what goes is not it."""
    recent = Recent(1 << 20)
    before = entry(recent, INSTANCE_CPU, instance_id="i1", agent="old")
    sample(before, NOW_S)
    after = entry(recent, INSTANCE_CPU, instance_id="i1", agent="new")
    sample(after, NOW_S + SPAN_S)
    assert recent.sweep(NOW_S + SPAN_S + 5) == 1
    assert before.row == -1
    assert recent.of_instance(INSTANCE_CPU, "i1") is after
    recent.forget("alpha")
    assert recent.of_instance(INSTANCE_CPU, "i1") is None


@pytest.mark.parametrize("forget", [True, False])
def test_room_is_given_back_with_the_last_series_of_a_node(forget: bool) -> None:
    recent = Recent(1 << 20)
    for node in ("alpha", "beta"):
        for step_s in (1, 60):
            sample(entry(recent, f"m{step_s}", node, step_s), NOW_S)
    sample(entry(recent, NODE_CPU, "beta"), NOW_S + 2 * SPAN_S)
    held = recent.bytes
    assert held == sum(ring.bytes for _, known in recent.nodes() for ring in known.rings.values())
    if forget:
        recent.forget("alpha")
        recent.forget("nobody")
    else:
        assert recent.sweep(NOW_S + 2 * SPAN_S) == 4
    assert [node for node, _ in recent.nodes()] == ["beta"]
    assert recent.bytes == sum(ring.bytes for _, known in recent.nodes() for ring in known.rings.values()) < held
    assert recent.by_name("m").keys() == ({"m1", "m60"} if forget else set())
    assert recent.removals == (2 if forget else 4)


async def test_a_sample_that_lasts_longer_than_a_step_of_a_question_is_of_that_step_alone() -> None:
    recent = Recent(1 << 20)
    start = NOW_S // 30 * 30
    sample(entry(recent, "m", step_s=15), start)
    found = await recent.read(Selection("m"), start, start + 30, Window(start, 10, 3), 0.0)
    assert found.number.tolist() == [[1, 0, 0]]
    assert (found.begin[0, 0], found.end[0, 0]) == (start, start + 10)


def test_a_series_lies_in_the_ring_of_the_next_shorter_step() -> None:
    recent = Recent(1 << 20)
    steps = {step_s: entry(recent, f"m{step_s}", step_s=step_s).ring.step_s for step_s in (1, 4, 5, 14, 59, 60, 7200)}
    assert steps == {1: 1, 4: 1, 5: 5, 14: 10, 59: 30, 60: 60, 7200: 300}
