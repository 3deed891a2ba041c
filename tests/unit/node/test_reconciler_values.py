"""Secrets and configs in the reconciler: what waits for one, and what a newer one does to what runs."""

import pytest
from msgspec.structs import replace

from omnitide.drivers.protocol import Exit, Run, RunKey, RunState
from omnitide.model.provisions import ConfigUse, SecretUse
from omnitide.model.spec import AgentSpec, Stop
from omnitide.node.course import AWAY_RETRY_MS, RESTART
from omnitide.node.instructions import Instruction, RefreshValues, SendReport, StartRun, StopRun
from omnitide.node.launching import LABEL_VALUES
from omnitide.node.provisions.errors import SECRET_MISSING, VALUES_AWAY
from omnitide.node.records import Assignment, Phase
from omnitide.node.stimuli import RunChanged, Started, StartFailed
from unit.node.test_reconciler import Node

KEY = RunKey("a", 1)


def uses(on_change: str = "keep", *, file: str = "db", **fields: object) -> AgentSpec:
    use = SecretUse(environment="DB", file=file, on_change=on_change)  # type: ignore[arg-type]
    return AgentSpec(command=("run",), secrets={"db": use}, stop=Stop(grace=3_000), **fields)  # type: ignore[arg-type]


def starts(instructions: list[Instruction]) -> list[StartRun]:
    return [one for one in instructions if isinstance(one, StartRun)]


def told(instructions: list[Instruction]) -> list[SendReport]:
    return [one for one in instructions if isinstance(one, SendReport)]


def running(node: Node, spec: AgentSpec, **versions: int) -> Assignment:
    assignment = replace(node.assign("a", spec), secrets=versions)
    (start,) = starts(node.desire(assignment))
    run = Run(key=KEY, state=RunState.RUNNING, handle="7", started_at_ms=node.now, labels=start.launch.labels)
    node.handle(Started(at_ms=node.now, driver="process", run=run))
    return assignment


def test_a_start_says_what_it_needs_and_which_versions_it_has() -> None:
    node = Node()
    spec = AgentSpec(command=("run",), secrets={"db": SecretUse()}, configs={"c": ConfigUse()})
    (start,) = starts(node.desire(replace(node.assign("a", spec), secrets={"db": 3}, configs={"c": 1})))
    assert start.needs is not None
    assert (start.needs.instance, set(start.needs.secrets)) == ("a", {"db"})
    assert start.launch.labels[LABEL_VALUES] == "s.db=3 c.c=1"
    assert start.launch.environment["OMNITIDE_SECRETS"].endswith("/a/secrets")


def test_what_needs_nothing_says_so() -> None:
    node = Node()
    (start,) = starts(node.desire(node.assign()))
    assert start.needs is None
    assert LABEL_VALUES not in start.launch.labels


def test_a_secret_that_there_is_not_is_waited_for_and_counted_as_no_failure() -> None:
    node = Node()
    done = node.desire(node.assign("a", uses()))
    for _ in range(10):
        assert starts(done) == []
        report = told(done)[-1].report
        done = node.fires(RESTART)
    assert (report.phase, report.ending.cause if report.ending else "") == (Phase.WAITING, SECRET_MISSING)
    assert not (report.ending and report.ending.permanent)
    (start,) = starts(node.desire(replace(node.assign("a", uses()), secrets={"db": 1})))
    assert start.launch.labels[LABEL_VALUES] == "s.db=1"


@pytest.mark.parametrize("on_change", ["keep", "restart"])
def test_a_value_that_is_mended_is_tried_at_once_however_long_a_crash_loop_would_wait(on_change: str) -> None:
    """A wrong password may have been why."""
    node = Node()
    assignment = running(node, uses(on_change), db=1)
    done: list[Instruction] = []
    for attempt in range(1, 4):
        done = node.exits(1, attempt=attempt)
        if attempt < 3:
            (launch,) = [one.launch for one in starts(done) or starts(node.fires(RESTART))]
            run = Run(key=launch.key, state=RunState.RUNNING, handle="7", started_at_ms=node.now, labels=launch.labels)
            node.handle(Started(at_ms=node.now, driver="process", run=run))
    assert starts(done) == [], "it waits"
    assert starts(node.desire(replace(assignment, secrets={"db": 1}))) == [], "nothing has changed"
    (start,) = starts(node.desire(replace(assignment, secrets={"db": 2})))
    assert start.launch.labels[LABEL_VALUES] == "s.db=2"


def test_nexus_away_is_waited_for_however_often_it_is() -> None:
    node = Node()
    node.desire(replace(node.assign("a", uses()), secrets={"db": 1}))
    for attempt in range(1, 21):
        failed = StartFailed(
            at_ms=node.now, key=RunKey("a", attempt), message="away", cause=VALUES_AWAY, permanent=False
        )
        report = told(node.handle(failed))[-1].report
        assert (report.phase, report.next_attempt_at_ms) == (Phase.WAITING, node.now + AWAY_RETRY_MS)
        assert len(starts(node.fires(RESTART))) == 1


@pytest.mark.parametrize(
    ("on_change", "signals"), [("replace", ()), ("SIGHUP", ("SIGHUP",)), ("SIGUSR1", ("SIGUSR1",))]
)
def test_a_newer_one_is_put_in_place(on_change: str, signals: tuple[str, ...]) -> None:
    node = Node()
    assignment = running(node, uses(on_change), db=1)
    newer = replace(assignment, secrets={"db": 2})
    (refresh,) = [one for one in node.desire(newer) if isinstance(one, RefreshValues)]
    assert (refresh.key, refresh.signals) == (KEY, signals)
    assert node.desire(newer) == [] or not [one for one in node.desire(newer) if isinstance(one, RefreshValues)]


def test_keep_leaves_what_runs_as_it_is() -> None:
    node = Node()
    assignment = running(node, uses("keep"), db=1)
    done = node.desire(replace(assignment, secrets={"db": 2}))
    assert not [one for one in done if isinstance(one, RefreshValues | StopRun)]


@pytest.mark.parametrize("on_change", ["replace", "SIGHUP"])
def test_a_variable_alone_stays_as_it_is_and_no_signal_says_otherwise(on_change: str) -> None:
    node = Node()
    assignment = running(node, uses(on_change, file=""), db=1)
    done = node.desire(replace(assignment, secrets={"db": 2}))
    assert not [one for one in done if isinstance(one, RefreshValues | StopRun)]


def test_one_that_was_removed_leaves_what_runs_as_it_is() -> None:
    node = Node()
    assignment = running(node, uses("restart"), db=1)
    done = node.desire(replace(assignment, secrets={}))
    assert not [one for one in done if isinstance(one, RefreshValues | StopRun)]


def test_restart_ends_it_and_begins_the_next_attempt_with_the_newer_one() -> None:
    node = Node()
    assignment = running(node, uses("restart"), db=1)
    done = node.desire(replace(assignment, secrets={"db": 2}))
    assert [one.key for one in done if isinstance(one, StopRun)] == [KEY]
    stopped = Run(key=KEY, state=RunState.EXITED, handle="7", exit=Exit(code=None, signal=15, reason="stopped"))
    done = node.handle(RunChanged(at_ms=node.now, driver="process", run=stopped))
    (start,) = starts(done)
    assert (start.launch.key.attempt, start.launch.labels[LABEL_VALUES]) == (2, "s.db=2")


def test_a_proxy_that_was_away_sees_by_the_runs_label_that_it_has_an_older_one() -> None:
    node = Node(recovered=False, connected=False)
    run = Run(key=KEY, state=RunState.RUNNING, handle="7", started_at_ms=1, labels={LABEL_VALUES: "s.db=1"})
    node.recover(run)
    done = node.connect("log", replace(node.assign("a", uses("replace")), secrets={"db": 2}))
    assert len([one for one in done if isinstance(one, RefreshValues)]) == 1


def test_a_long_life_that_a_newer_value_ends_forgives_the_generations_before_too() -> None:
    node = Node()
    assignment = replace(node.assign("a", uses("restart")), secrets={"db": 1}, ends_before=9)
    (start,) = starts(node.desire(assignment))
    run = Run(key=KEY, state=RunState.RUNNING, handle="7", started_at_ms=node.now, labels=start.launch.labels)
    node.handle(Started(at_ms=node.now, driver="process", run=run))
    node.desire(replace(assignment, secrets={"db": 2}))
    ended = replace(run, state=RunState.EXITED, exit=Exit(code=None, signal=15, reason="stopped", ended_at_ms=61_000))
    (again,) = starts(node.handle(RunChanged(at_ms=61_000, driver="process", run=ended)))
    node.now = 61_000
    second = replace(run, key=RunKey("a", 2), started_at_ms=node.now, labels=again.launch.labels)
    node.handle(Started(at_ms=node.now, driver="process", run=second))
    assert starts(node.exits(1, attempt=2)), "the first restart in a row comes at once"
