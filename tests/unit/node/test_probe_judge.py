"""From answers to verdicts: when an instance is healthy, unhealthy, or to be restarted."""

from hypothesis import given
from hypothesis import strategies as st

from omnitide.model.probes import Probe, Probes
from omnitide.node.probes.judge import Answer, Judge, Kind, Verdict
from omnitide.node.records import Health

WELL = Answer(True)
ILL = Answer(False, "port 80: connection refused")
INTERVAL = 1_000


def probe(failures: int = 3, successes: int = 1) -> Probe:
    return Probe(type="tcp", interval=INTERVAL, failure_threshold=failures, success_threshold=successes)


def answers(judge: Judge, kind: Kind, *given_: Answer, every_ms: int = INTERVAL, at_ms: int = 0) -> Verdict:
    verdict = judge.verdict
    for index, answer in enumerate(given_):
        verdict = judge.take(kind, answer, at_ms + index * every_ms)
    return verdict


def test_nothing_is_known_before_the_first_answer() -> None:
    assert Judge(Probes(readiness=probe())).verdict == Verdict(Health.UNKNOWN)


def test_ready_after_so_many_successes_and_no_longer_after_so_many_failures() -> None:
    judge = Judge(Probes(readiness=probe(failures=2, successes=2)))
    assert answers(judge, "readiness", WELL).health is Health.UNKNOWN
    assert answers(judge, "readiness", WELL) == Verdict(Health.HEALTHY)
    assert answers(judge, "readiness", ILL).health is Health.HEALTHY
    verdict = answers(judge, "readiness", ILL)
    assert verdict.health is Health.UNHEALTHY
    assert verdict.message == "readiness probe failed 2 times in a row: port 80: connection refused"
    assert not verdict.restart
    assert answers(judge, "readiness", WELL).health is Health.UNHEALTHY
    assert answers(judge, "readiness", WELL).health is Health.HEALTHY


def test_a_success_begins_the_count_of_failures_anew() -> None:
    judge = Judge(Probes(liveness=probe(failures=2)))
    assert not answers(judge, "liveness", ILL, WELL, ILL, WELL, ILL).restart
    assert answers(judge, "liveness", ILL, at_ms=9_000).restart


def test_liveness_makes_it_healthy_where_nothing_asks_for_readiness() -> None:
    assert answers(Judge(Probes(liveness=probe())), "liveness", WELL).health is Health.HEALTHY
    both = Judge(Probes(liveness=probe(), readiness=probe()))
    assert answers(both, "liveness", WELL).health is Health.UNKNOWN


def test_liveness_that_fails_restarts_it_and_nothing_is_asked_after_that() -> None:
    judge = Judge(Probes(liveness=probe(failures=2), readiness=probe()))
    verdict = answers(judge, "liveness", ILL, ILL)
    assert (verdict.health, verdict.restart) == (Health.UNHEALTHY, True)
    assert not judge.due("liveness")
    assert not judge.due("readiness")
    assert judge.take("readiness", WELL, 9_000) == verdict


def test_the_others_wait_until_startup_has_succeeded_once() -> None:
    judge = Judge(Probes(startup=probe(failures=30), readiness=probe(), liveness=probe(failures=1)))
    assert (judge.due("startup"), judge.due("readiness"), judge.due("liveness")) == (True, False, False)
    assert not judge.take("liveness", ILL, 0).restart, "an answer that nobody should have asked for"
    answers(judge, "startup", ILL, ILL, WELL)
    assert (judge.due("startup"), judge.due("readiness"), judge.due("liveness")) == (False, True, True)
    assert judge.verdict.health is Health.UNKNOWN, "started is not ready"


def test_a_startup_that_fails_too_often_restarts_it() -> None:
    assert answers(Judge(Probes(startup=probe(failures=3))), "startup", ILL, ILL, ILL).restart


def test_early_questions_are_not_counted_more_than_once_an_interval() -> None:
    judge = Judge(Probes(startup=probe(failures=3)))
    assert not answers(judge, "startup", *[ILL] * 20, every_ms=100).restart, "1.9 s: two intervals"
    assert answers(judge, "startup", ILL, at_ms=2_000).restart


def test_a_proxy_that_comes_back_keeps_the_verdict_until_it_knows_better() -> None:
    judge = Judge(Probes(startup=probe(), readiness=probe(failures=2)), before=Health.HEALTHY)
    assert judge.verdict.health is Health.HEALTHY
    assert not judge.due("startup"), "it has started long ago"
    assert judge.due("readiness")
    assert answers(judge, "readiness", ILL, ILL).health is Health.UNHEALTHY


@given(
    st.lists(
        st.tuples(st.sampled_from(["startup", "readiness", "liveness"]), st.booleans(), st.integers(0, 3_000)),
        max_size=60,
    ),
    st.sets(st.sampled_from(["startup", "readiness", "liveness"]), min_size=1),
    st.integers(1, 4),
)
def test_a_restart_needs_as_many_failures_in_a_row_as_the_threshold_says(
    given_: list[tuple[Kind, bool, int]], kinds: set[str], threshold: int
) -> None:
    judge = Judge(Probes(**{kind: probe(failures=threshold) for kind in kinds}))
    in_a_row = dict.fromkeys(kinds, 0)
    now = 0
    for kind, well, later in given_:
        now += later
        was_due = judge.due(kind)
        before = judge.verdict
        verdict = judge.take(kind, Answer(well, "x"), now)
        if not was_due:
            assert verdict == before
            continue
        in_a_row[kind] = 0 if well else in_a_row[kind] + 1
        if verdict.restart:
            assert kind != "readiness"
            assert in_a_row[kind] >= threshold
            assert verdict.health is Health.UNHEALTHY
        if verdict.health is Health.HEALTHY and before.health is not Health.HEALTHY:
            assert well


def test_what_cannot_be_asked_for_as_long_as_it_takes_to_fail_is_known_no_longer() -> None:
    judge = Judge(Probes(readiness=probe(failures=3), liveness=probe(failures=3)))
    answers(judge, "readiness", WELL)
    known = judge.verdict
    assert judge.unasked("readiness", "no engine", 5_000) == known
    assert judge.unasked("readiness", "no engine", 5_000 + 2 * INTERVAL - 1) == known
    assert judge.unasked("liveness", "no engine", 9 * INTERVAL) == known
    verdict = judge.unasked("readiness", "no engine", 5_000 + 2 * INTERVAL)
    assert verdict == Verdict(Health.UNKNOWN, "the readiness probe cannot be asked: no engine")
    assert answers(judge, "readiness", WELL) == Verdict(Health.HEALTHY)


def test_one_answer_begins_the_time_without_any_anew() -> None:
    judge = Judge(Probes(readiness=probe(failures=2)))
    answers(judge, "readiness", WELL)
    judge.unasked("readiness", "no engine", 0)
    answers(judge, "readiness", WELL, at_ms=INTERVAL)
    assert judge.unasked("readiness", "no engine", INTERVAL + 1).health is Health.HEALTHY


def test_why_it_is_not_ready_is_told_before_it_has_failed_often_enough() -> None:
    """At once would be too early: most are not ready in their first moment, and each change is an event."""
    judge = Judge(Probes(readiness=probe(failures=30)))
    assert judge.take("readiness", ILL, 0) == Verdict()
    assert judge.take("readiness", ILL, 999) == Verdict()
    told = judge.take("readiness", ILL, 1_000)
    assert told == Verdict(Health.UNKNOWN, "readiness probe fails: port 80: connection refused")
    assert judge.take("readiness", Answer(False, "something else"), 2_000) == told, "once"
    assert judge.take("readiness", WELL, 3_000) == Verdict(Health.HEALTHY)


def test_what_was_ready_says_nothing_before_it_has_failed_often_enough() -> None:
    judge = Judge(Probes(readiness=probe(failures=3)))
    answers(judge, "readiness", WELL)
    assert answers(judge, "readiness", ILL, ILL, at_ms=INTERVAL) == Verdict(Health.HEALTHY)


def test_what_can_never_be_asked_says_so_at_once() -> None:
    judge = Judge(Probes(readiness=probe(failures=3)))
    verdict = judge.unasked("readiness", "the container has no network", 0, ever=True)
    assert verdict == Verdict(Health.UNKNOWN, "the readiness probe cannot be asked: the container has no network")
