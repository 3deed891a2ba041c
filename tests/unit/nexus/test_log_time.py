"""The log's time: never back, never standing still, and a jump of the wall clock that passes leaves nothing behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.nexus.log_time import LARGE_LASTS_S, LogTime

DAY_MS = 86_400_000
START_MS = 1_800_000_000_000


class Machine:
    """A wall clock with an error, and a monotonic clock."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.error_ms = 0

    def now_ms(self) -> int:
        return START_MS + self.error_ms + int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


def passes(machine: Machine, time: LogTime, seconds: float, step: float = 1.0) -> None:
    """That much time, in which somebody looks at the log's time now and then."""
    until = machine.seconds + seconds
    while machine.seconds < until:
        machine.seconds += step
        time.now_ms()


@pytest.mark.parametrize("jump_ms", [DAY_MS, -DAY_MS, 2_000, -2_000])
def test_a_jump_that_passes_leaves_nothing_behind(jump_ms: int) -> None:
    machine = Machine()
    time = LogTime(machine)
    passes(machine, time, 10)
    machine.error_ms = jump_ms
    passes(machine, time, 4)
    assert time.now_ms() == START_MS + 14_000
    machine.error_ms = 0
    passes(machine, time, 700)
    assert time.now_ms() == START_MS + 714_000


@pytest.mark.parametrize(("jump_ms", "lasts_s"), [(30_000, 60), (DAY_MS, 600)])
def test_a_difference_forward_that_lasts_is_followed_in_one_step(jump_ms: int, lasts_s: int) -> None:
    machine = Machine()
    time = LogTime(machine)
    machine.error_ms = jump_ms
    passes(machine, time, lasts_s - 2)
    assert time.now_ms() == START_MS + (lasts_s - 2) * 1000
    passes(machine, time, 5)
    assert time.now_ms() == machine.now_ms()


def test_a_wall_clock_set_back_for_good_is_met_without_standing_still() -> None:
    machine = Machine()
    time = LogTime(machine)
    machine.error_ms = -10_000
    passes(machine, time, 62)
    for _ in range(100):
        before = time.now_ms()
        machine.seconds += 1
        assert time.now_ms() >= before + 899
    passes(machine, time, 60)
    assert abs(time.ahead_ms()) <= 100


def test_a_start_with_the_wall_clock_behind_the_log_goes_on_from_where_the_log_ended() -> None:
    machine = Machine()
    time = LogTime(machine, last_ms=START_MS + DAY_MS)
    assert time.now_ms() == START_MS + DAY_MS
    machine.seconds = 100.0
    assert START_MS + DAY_MS + 90_000 <= time.now_ms() <= START_MS + DAY_MS + 100_000
    assert time.ahead_ms() > DAY_MS - 20_000


def test_a_start_with_the_wall_clock_ahead_of_the_log_follows_it_at_once() -> None:
    machine = Machine()
    assert LogTime(machine, last_ms=START_MS - DAY_MS).now_ms() == START_MS


def test_a_wall_clock_that_cannot_make_up_its_mind_is_not_followed() -> None:
    machine = Machine()
    time = LogTime(machine)
    for turn in range(100):
        machine.error_ms = (turn % 3) * 3_600_000
        passes(machine, time, 30)
    assert time.now_ms() == START_MS + 3_000_000


@given(
    st.lists(
        st.tuples(st.floats(0.001, 2 * LARGE_LASTS_S), st.one_of(st.just(0), st.integers(-2 * DAY_MS, 2 * DAY_MS))),
        max_size=60,
    ),
    st.integers(-DAY_MS, DAY_MS),
)
def test_it_never_goes_back_nor_stands_still(moves: list[tuple[float, int]], last_ms: int) -> None:
    machine = Machine()
    time = LogTime(machine, last_ms=START_MS + last_ms)
    for seconds, error_ms in moves:
        before = time.now_ms()
        machine.seconds += seconds
        machine.error_ms = error_ms
        assert time.now_ms() >= before + int(seconds * 900) - 1
