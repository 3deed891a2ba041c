"""Sessions and what nodes say in them: each report once, nothing from the past, nothing on another's behalf."""

import pytest
from msgspec.structs import replace
from tests.support.spec import Fabric

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.bounds import MAX_TEXT, MAX_UNENFORCED, MAX_WORD
from omnitide.fabric.state import TAKEN_DOWN, ExitRecord, Health, Phase
from omnitide.model.provisions import VALUES_CHANGED


def placed() -> Fabric:
    """`hello-1.1` is placed on alpha, which has said nothing of it."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy()
    fabric.place(hello_1_1="alpha")
    return fabric


def of(phase: Phase, attempt: int = 1, **fields: object) -> cm.InstanceReport:
    return cm.InstanceReport(instance="hello.1.1", attempt=attempt, phase=phase, **fields)  # type: ignore[arg-type]


def reports(fabric: Fabric, *said: cm.InstanceReport, first: int = 1) -> cm.ReportInstances:
    node = fabric.node("alpha")
    return cm.ReportInstances(
        node=node.id, session=node.session, outbox=node.outbox, first_sequence=first, reports=said
    )


class TestOnceEach:
    def test_a_report_moves_the_instance_and_the_sequence(self) -> None:
        fabric = placed()
        outcome = fabric.when(reports(fabric, of(Phase.STARTING), of(Phase.RUNNING)), by="node:n-alpha")
        assert outcome.kinds == ["instance.starting", "instance.running", "node.reported"]
        assert outcome.result == {"sequence": 2}
        assert fabric.node("alpha").sequence == 2

    def test_the_same_batch_again_is_acknowledged_and_changes_nothing(self) -> None:
        fabric = placed()
        batch = reports(fabric, of(Phase.STARTING), of(Phase.RUNNING))
        fabric.given(batch, by="node:n-alpha")
        again = fabric.when(batch, by="node:n-alpha")
        assert (again.events, again.result) == ((), {"sequence": 2})

    def test_of_a_batch_that_overlaps_only_the_new_part_is_taken(self) -> None:
        fabric = placed()
        fabric.given(reports(fabric, of(Phase.STARTING)), by="node:n-alpha")
        batch = reports(fabric, of(Phase.ENDED, outcome="failed"), of(Phase.RUNNING))
        outcome = fabric.when(batch, by="node:n-alpha")
        assert outcome.kinds == ["instance.running", "node.reported"]
        assert fabric.node("alpha").sequence == 2

    def test_an_empty_batch_changes_nothing_wherever_it_claims_to_stand(self) -> None:
        fabric = placed()
        assert fabric.when(reports(fabric, first=500), by="node:n-alpha").events == ()
        assert fabric.node("alpha").sequence == 0

    def test_a_new_outbox_counts_from_one(self) -> None:
        fabric = placed()
        fabric.given(reports(fabric, of(Phase.STARTING)), by="node:n-alpha")
        fabric.nodes["alpha"].forget("another")
        assert fabric.connect("alpha").result["sequence"] == 0
        fabric.given(reports(fabric, of(Phase.RUNNING)), by="node:n-alpha")
        assert fabric.running() == 1

    def test_the_same_outbox_goes_on_where_it_was(self) -> None:
        fabric = placed()
        fabric.given(reports(fabric, of(Phase.STARTING)), by="node:n-alpha")
        assert fabric.connect("alpha").result["sequence"] == 1


class TestSessions:
    def test_each_connection_is_a_newer_session(self) -> None:
        fabric = placed()
        first = fabric.node("alpha").session
        assert fabric.connect("alpha").result["session"] == first + 1

    @pytest.mark.parametrize("session", [0, -1, 10**6])
    def test_another_session_is_stale(self, session: int) -> None:
        fabric = placed()
        for command in (
            replace(reports(fabric, of(Phase.RUNNING)), session=session),
            cm.ChangeNodeFacts(node="n-alpha", session=session, facts=fabric.node("alpha").facts),
            cm.DepartNode(node="n-alpha", session=session, reason="bye"),
        ):
            assert fabric.when(command, by="node:n-alpha").code == "stale"

    def test_an_outbox_that_was_not_announced_is_stale(self) -> None:
        fabric = placed()
        command = replace(reports(fabric, of(Phase.RUNNING)), outbox="another")
        assert fabric.when(command, by="node:n-alpha").code == "stale"

    def test_a_node_that_never_connected_has_nothing_to_say(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.given(
            replace(fabric.nodes["alpha"].join("join"), node="n-new", name="new", key_digest="k-new"), by="token:join"
        )
        command = cm.ReportInstances(node="n-new", session=0, outbox="", first_sequence=1, reports=(of(Phase.RUNNING),))
        assert fabric.when(command, by="node:n-new").code == "stale"
        suspect = cm.SuspectNode(node="n-new", session=0)
        assert fabric.when(suspect, by="system:leases").code == "stale"

    def test_a_node_speaks_for_itself_alone(self) -> None:
        fabric = placed()
        assert fabric.when(reports(fabric, of(Phase.RUNNING)), by="node:n-beta").code == "forbidden"
        assert fabric.when(fabric.nodes["alpha"].hello(), by="node:n-beta").code == "forbidden"

    def test_of_instances_on_other_nodes_it_knows_nothing(self) -> None:
        fabric = placed()
        outcome = fabric.report("beta", of(Phase.RUNNING), of(Phase.ENDED, outcome="succeeded"))
        assert outcome.kinds == ["node.reported"]
        assert fabric.statuses() == {"hello.1.1": "placed"}

    def test_hello_brings_everything_up_to_date(self) -> None:
        fabric = placed()
        node = fabric.nodes["alpha"]
        node.desire(fabric.state)
        node.step()
        node.cut()
        assert fabric.connect("alpha").kinds == ["node.connected", "instance.running"]


class TestOnlyForward:
    """Level-triggered: a report that is behind what is known says nothing."""

    @pytest.mark.parametrize(
        ("known", "late"),
        [
            (of(Phase.RUNNING, 1), of(Phase.STARTING, 1)),
            (of(Phase.RUNNING, 2), of(Phase.WAITING, 1)),
            (of(Phase.STARTING, 3), of(Phase.RUNNING, 2)),
            (of(Phase.WAITING, 1), of(Phase.RUNNING, 1)),
        ],
    )
    def test_what_is_behind_is_passed_over(self, known: cm.InstanceReport, late: cm.InstanceReport) -> None:
        fabric = placed()
        fabric.report("alpha", known)
        before = fabric.instance("hello.1.1")
        assert fabric.report("alpha", late).kinds == ["node.reported"]
        assert fabric.instance("hello.1.1") == before

    def test_why_it_is_not_ready_yet_is_taken_once(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.RUNNING))
        said = of(Phase.RUNNING, health_message="readiness probe fails: port 80: connection refused")
        assert fabric.report("alpha", said).kinds[0] == "instance.health-changed"
        assert fabric.report("alpha", replace(said, health_message="another")).kinds == ["node.reported"]
        assert fabric.instance("hello.1.1").health_message == said.health_message

    def test_one_that_stops_by_request_is_not_told_to_be_of_unknown_health(self) -> None:
        """Its node probes it no more: that is of the stop, which the log has, and no change of its health."""
        fabric = placed()
        fabric.given(reports(fabric, of(Phase.STARTING), of(Phase.RUNNING, health=Health.HEALTHY)), by="node:n-alpha")
        fabric.given(cm.StopAgent(namespace="default", name="hello"))
        assert fabric.report("alpha", of(Phase.RUNNING)).kinds == ["node.reported"]
        said = of(Phase.RUNNING, health=Health.UNHEALTHY, health_message="refused")
        assert fabric.report("alpha", said).kinds[0] == "instance.health-changed"

    def test_health_is_taken_while_it_runs(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.RUNNING))
        assert fabric.report("alpha", of(Phase.RUNNING, health=Health.UNHEALTHY)).kinds[0] == "instance.health-changed"
        assert fabric.report("alpha", of(Phase.RUNNING, health=Health.UNHEALTHY)).kinds == ["node.reported"]
        assert fabric.instance("hello.1.1").health is Health.UNHEALTHY

    def test_ended_is_final(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.ENDED, outcome="failed"))
        assert fabric.report("alpha", of(Phase.RUNNING, 9)).kinds == ["node.reported"]
        assert fabric.statuses() == {"hello.1.2": "pending"}

    def test_a_stopping_instance_stays_so_whatever_its_attempts_do(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.RUNNING))
        fabric.given(cm.StopAgent(namespace="default", name="hello"))
        for said in (of(Phase.WAITING), of(Phase.STARTING, 2), of(Phase.RUNNING, 2)):
            fabric.report("alpha", said)
            assert fabric.statuses() == {"hello.1.1": "stopping"}
        fabric.report("alpha", of(Phase.ENDED, 2, outcome="failed"))
        assert fabric.statuses() == {}


class TestWhoAskedForAnEnd:
    STOPPED = ExitRecord(attempt=1, signal=15, reason="stopped", message="stopped as asked (killed by SIGTERM)")

    def test_where_it_was_not_the_fabric_its_node_was_taken_down(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.RUNNING))
        fabric.report("alpha", of(Phase.WAITING, exit=self.STOPPED))
        kept = fabric.instance("hello.1.1").exit
        assert kept == replace(self.STOPPED, message=TAKEN_DOWN)

    def test_what_the_fabric_asked_for_is_told_as_the_node_tells_it(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.RUNNING))
        fabric.given(cm.RestartAgent(namespace="default", name="hello"))
        fabric.report("alpha", of(Phase.ENDED, outcome="stopped", exit=self.STOPPED))
        assert fabric.agent().slots[1].last_exit == self.STOPPED

    def test_what_has_a_cause_of_its_own_keeps_its_words(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.RUNNING))
        ending = replace(self.STOPPED, cause=VALUES_CHANGED, message="for a new version of secret db")
        fabric.report("alpha", of(Phase.WAITING, exit=ending))
        assert fabric.instance("hello.1.1").exit == ending


class TestBounds:
    def test_texts_of_a_node_are_kept_to_what_anyone_reads(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.RUNNING, handle="h" * 10_000, unenforced=("pids",) * 100))
        instance = fabric.instance("hello.1.1")
        assert len(instance.handle) == MAX_TEXT + 3
        assert len(instance.unenforced) == MAX_UNENFORCED
        loud = ExitRecord(reason="r" * 10_000, cause="c" * 10_000, message="m" * 10_000)
        fabric.report("alpha", of(Phase.WAITING, exit=loud))
        kept = fabric.instance("hello.1.1").exit
        assert kept is not None
        assert (len(kept.reason), len(kept.cause), len(kept.message)) == (MAX_WORD + 3, MAX_WORD + 3, MAX_TEXT + 3)

    def test_an_exit_that_is_not_told_is_unknown(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.WAITING))
        assert fabric.instance("hello.1.1").exit == ExitRecord(attempt=1, reason="unknown")

    def test_an_outcome_of_a_newer_node_counts_as_a_failure(self) -> None:
        fabric = placed()
        fabric.report("alpha", of(Phase.ENDED, outcome="evaporated"))
        assert fabric.agent().slots[1].failures == 1
