"""The restart policy of a spec: what follows an ending."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.model.spec import Restart
from omnitide.node.records import Ending, Outcome
from omnitide.node.restarts import Again, Finish, after_ending, backoff_ms

GOOD = Ending(code=0)
BAD = Ending(code=3)
KILLED = Ending(code=None, signal=9, reason="signal")
UNKNOWN = Ending(reason="unknown")


@pytest.mark.parametrize(
    ("policy", "ending", "expected"),
    [
        ("never", GOOD, Finish(Outcome.SUCCEEDED)),
        ("never", BAD, Finish(Outcome.FAILED)),
        ("never", UNKNOWN, Finish(Outcome.FAILED)),
        ("on-failure", GOOD, Finish(Outcome.SUCCEEDED)),
        ("on-failure", BAD, Again(0, 1)),
        ("on-failure", KILLED, Again(0, 1)),
        ("on-failure", UNKNOWN, Again(0, 1)),
        ("always", GOOD, Again(0, 1)),
        ("always", BAD, Again(0, 1)),
    ],
)
def test_policy(policy: str, ending: Ending, expected: Finish | Again) -> None:
    restart = Restart(policy=policy)  # pyright: ignore[reportArgumentType] one of the three
    assert after_ending(restart, ending, restarts=0, ran_ms=0) == expected


def test_waits_double_up_to_the_cap_after_a_first_restart_at_once() -> None:
    policy = Restart(backoff=500, backoff_max=3_000)
    assert [backoff_ms(policy, n) for n in range(7)] == [0, 500, 1_000, 2_000, 3_000, 3_000, 3_000]


def test_attempts_in_a_row_are_bounded() -> None:
    policy = Restart(attempts=2)
    first = after_ending(policy, BAD, restarts=0, ran_ms=10)
    second = after_ending(policy, BAD, restarts=1, ran_ms=10)
    assert (first, second) == (Again(0, 1), Again(500, 2))
    assert after_ending(policy, BAD, restarts=2, ran_ms=10) == Finish(Outcome.FAILED)


def test_no_restart_at_all_with_attempts_0() -> None:
    assert after_ending(Restart(attempts=0), BAD, restarts=0, ran_ms=0) == Finish(Outcome.FAILED)


def test_a_long_run_begins_to_count_anew() -> None:
    policy = Restart(attempts=2, reset_after=60_000)
    assert after_ending(policy, BAD, restarts=2, ran_ms=60_000) == Again(0, 1)
    assert after_ending(policy, BAD, restarts=2, ran_ms=59_999) == Finish(Outcome.FAILED)


def test_ends_of_generations_before_make_the_wait_longer_and_take_no_restarts() -> None:
    policy = Restart(attempts=2, backoff=500, backoff_max=30_000)
    assert after_ending(policy, BAD, restarts=0, ran_ms=10, ends_before=3) == Again(2_000, 1)
    assert after_ending(policy, BAD, restarts=1, ran_ms=10, ends_before=3) == Again(4_000, 2)
    assert after_ending(policy, BAD, restarts=2, ran_ms=10, ends_before=3) == Finish(Outcome.FAILED)
    assert after_ending(policy, BAD, restarts=0, ran_ms=10, ends_before=10**9) == Again(30_000, 1)
    assert after_ending(policy, BAD, restarts=2, ran_ms=60_000, ends_before=3) == Again(0, 1), "a long run excuses all"


@pytest.mark.parametrize("policy", ["always", "on-failure", "never"])
def test_what_cannot_help_is_not_tried_again(policy: str) -> None:
    restart = Restart(policy=policy)  # pyright: ignore[reportArgumentType]
    permanent = Ending(reason="start-failed", cause="command-not-found", permanent=True)
    busy = Ending(reason="start-failed", cause="port-busy")
    assert after_ending(restart, permanent, restarts=0, ran_ms=0) == Finish(Outcome.FAILED)
    assert after_ending(restart, busy, restarts=0, ran_ms=0) == Finish(Outcome.FAILED)


@given(st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**9))
def test_no_wait_is_longer_than_the_cap(restarts: int, backoff: int, cap: int) -> None:
    policy = Restart(backoff=backoff, backoff_max=cap)
    assert 0 <= backoff_ms(policy, restarts) <= cap
    assert backoff_ms(policy, restarts) <= backoff_ms(policy, restarts + 1)


@pytest.mark.parametrize("policy", ["always", "on-failure"])
@pytest.mark.parametrize("reason", ["stopped", "killed"])
@pytest.mark.parametrize("code", [0, 1, None])
def test_what_was_stopped_with_all_that_its_machine_ran_has_not_failed(
    policy: str, reason: str, code: int | None
) -> None:
    restart = Restart(policy=policy, attempts=2)  # pyright: ignore[reportArgumentType] one of the three
    ending = Ending(code=code, signal=None if code is not None else 15, reason=reason)
    assert after_ending(restart, ending, restarts=2, ran_ms=10) == Again(0, 2)
