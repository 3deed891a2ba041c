"""Who may do what; keys that make a request safe to repeat; namespaces, and what is forgotten in time."""

import msgspec
import pytest
from tests.support.spec import FAR_MS, Fabric, spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, authorize
from omnitide.fabric.decide import MAX_KEY, Decision, decide
from omnitide.fabric.evolve import TURN_MS
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.rules import access
from omnitide.fabric.state import TokenPurpose, empty_state

SYSTEM_ONLY = {
    cm.SuspectNode,
    cm.DeclareLost,
    cm.AdvanceRollouts,
    cm.PlaceInstances,
    cm.MoveInstances,
    cm.Forget,
}
NODE_ONLY = {cm.ConnectNode, cm.OfferKey, cm.ChangeNodeFacts, cm.ReportInstances, cm.DepartNode}


class TestAuthorize:
    @pytest.fixture
    def fabric(self) -> Fabric:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.given(
            cm.IssueToken(id="old", purpose=TokenPurpose.API, digest="d", expires_ms=fabric.time_ms + 10),
            cm.IssueToken(id="revoked", purpose=TokenPurpose.API, digest="d"),
            cm.RevokeToken(id="revoked"),
        )
        fabric.pass_ms(100)
        return fabric

    def allowed(self, fabric: Fabric, principal: str, subject: str = "") -> set[type]:
        return {
            command
            for command, permission in PERMISSIONS.items()
            if not authorize(fabric.state, principal, permission, fabric.time_ms, subject)
        }

    def test_the_fabrics_own_parts_may_do_everything(self, fabric: Fabric) -> None:
        assert self.allowed(fabric, "system:leases") == set(PERMISSIONS)

    def test_an_api_token_may_do_what_is_for_people(self, fabric: Fabric) -> None:
        assert self.allowed(fabric, "token:admin") == set(PERMISSIONS) - SYSTEM_ONLY - NODE_ONLY - {cm.JoinNode}

    def test_a_join_token_may_join(self, fabric: Fabric) -> None:
        assert self.allowed(fabric, "token:join") == {cm.JoinNode}

    def test_a_node_may_report_for_itself(self, fabric: Fabric) -> None:
        assert self.allowed(fabric, "node:n-alpha", "n-alpha") == NODE_ONLY
        assert self.allowed(fabric, "node:n-alpha", "n-beta") == set()

    @pytest.mark.parametrize(
        "principal",
        ["", "nobody", "system", "root:x", "token:", "token:none", "token:old", "token:revoked", "node:", "node:n-x"],
    )
    def test_anyone_else_may_do_nothing(self, fabric: Fabric, principal: str) -> None:
        if principal == "system":
            # The kind alone: the part that speaks goes unnamed, yet it can only come from inside.
            return
        assert self.allowed(fabric, principal, "n-x") == set()
        outcome = fabric.when(cm.CreateNamespace(name="blue"), by=principal)
        assert outcome.code == "forbidden"
        assert outcome.message

    def test_every_command_declares_what_it_needs(self) -> None:
        assert set(PERMISSIONS) == set(cm.COMMAND_TYPES)


class TestIdempotency:
    def key(self, fabric: Fabric, replicas: int, key: str = "k", fingerprint: str = "f") -> Decision | Rejection:
        command = cm.ScaleAgent(namespace="default", name="hello", replicas=replicas)
        outcome = fabric.when(command, idempotency_key=key, fingerprint=fingerprint)
        answer = outcome.decision or outcome.rejection
        assert answer is not None
        return answer

    def test_the_same_request_again_gets_the_same_answer_and_does_nothing(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        first = self.key(fabric, 3)
        fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=1))
        again = self.key(fabric, 3)
        assert isinstance(first, Decision)
        assert isinstance(again, Decision)
        assert again.replayed
        assert again.entry.events == ()
        assert (again.result, again.revision) == (first.result, first.revision)
        assert fabric.agent().replicas == 1

    def test_another_request_with_the_same_key_is_refused(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        self.key(fabric, 3)
        refused = self.key(fabric, 4, fingerprint="g")
        assert isinstance(refused, Rejection)
        assert refused.code == "idempotency-mismatch"

    def test_a_request_that_changes_nothing_is_remembered_too(self) -> None:
        """Its repetition may come when it would change something, and its key may be used for something else."""
        fabric = Fabric()
        fabric.deploy()
        fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=3))
        first = self.key(fabric, 3)
        assert isinstance(first, Decision)
        assert first.entry.events == ()
        assert first.revision == fabric.state.revision
        fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=5))
        again = self.key(fabric, 3)
        assert isinstance(again, Decision)
        assert (again.replayed, again.result, again.revision) == (True, first.result, first.revision)
        assert fabric.agent().replicas == 5
        other = self.key(fabric, 9, fingerprint="g")
        assert isinstance(other, Rejection)
        assert other.code == "idempotency-mismatch"

    def test_without_a_key_nothing_is_written_for_a_request_that_changes_nothing(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        command = cm.ScaleAgent(namespace="default", name="hello", replicas=3)
        fabric.given(command)
        before = fabric.state
        fabric.given(command)
        assert fabric.state is before

    def test_a_key_is_its_principals_own(self) -> None:
        fabric = Fabric()
        fabric.given(cm.IssueToken(id="other", purpose=TokenPurpose.API, digest="d"))
        fabric.deploy()
        self.key(fabric, 3)
        command = cm.ScaleAgent(namespace="default", name="hello", replicas=5)
        outcome = fabric.when(command, by="token:other", idempotency_key="k", fingerprint="g")
        assert outcome.accepted
        assert fabric.agent().replicas == 5

    def test_a_refused_request_is_not_remembered(self) -> None:
        fabric = Fabric()
        assert isinstance(self.key(fabric, 3), Rejection)
        fabric.deploy()
        assert isinstance(self.key(fabric, 3), Decision)

    def test_a_key_lives_one_to_two_turns_of_log_time(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        self.key(fabric, 3)
        for number, (passed, remembered) in enumerate(((TURN_MS - 10, True), (TURN_MS, True), (TURN_MS, False))):
            fabric.pass_ms(passed)
            # The turn comes with the next key that is remembered.
            self.key(fabric, 10 + number, key=f"other-{number}")
            again = self.key(fabric, 3)
            assert isinstance(again, Decision)
            assert again.replayed is remembered

    def test_a_key_of_any_length_is_not_kept(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        assert isinstance(self.key(fabric, 2, key="k" * MAX_KEY), Decision)
        refused = self.key(fabric, 2, key="k" * (MAX_KEY + 1))
        assert isinstance(refused, Rejection)
        assert refused.code == "invalid"

    def test_the_answer_is_in_the_log(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        self.key(fabric, 3)
        assert fabric.log[-1].result == {"agent": "hello", "from": 1, "to": 3}


class TestNamespaces:
    def test_the_default_one_is_there_from_the_start_and_stays(self) -> None:
        fabric = Fabric()
        assert list(fabric.state.namespaces) == ["default"]
        assert fabric.when(cm.DeleteNamespace(name="default")).code == "conflict"

    def test_made_once_and_deleted_when_empty(self) -> None:
        fabric = Fabric()
        assert fabric.when(cm.DeleteNamespace(name="blue")).code == "not-found"
        fabric.given(cm.CreateNamespace(name="blue"))
        assert fabric.when(cm.CreateNamespace(name="blue")).code == "already-exists"
        fabric.given(cm.DeployAgent(agent="a", namespace="blue", name="a", spec=spec()))
        fabric.given(cm.RunJob(job="j", namespace="blue", name="j", spec=task()))
        outcome = fabric.when(cm.DeleteNamespace(name="blue"))
        assert outcome.message == "namespace 'blue' still holds 1 agent and 1 job"
        fabric.given(cm.DeleteAgent(namespace="blue", name="a"), cm.DeleteJob(namespace="blue", name="j"))
        fabric.given(cm.DeleteNamespace(name="blue"))
        assert "blue" not in fabric.state.namespaces

    def test_bad_names_and_too_many_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fabric = Fabric()
        assert fabric.when(cm.CreateNamespace(name="Blue")).code == "invalid"
        monkeypatch.setattr(access, "MAX_NAMESPACES", 1)
        assert fabric.when(cm.CreateNamespace(name="blue")).code == "limit"

    def test_every_command_in_a_namespace_that_is_not_there_says_so(self) -> None:
        fabric = Fabric()
        where = {"namespace": "blue", "name": "x"}
        for command in (
            cm.ScaleAgent(replicas=1, **where),
            cm.RestartAgent(**where),
            cm.StopAgent(**where),
            cm.StartAgent(**where),
            cm.DeleteAgent(**where),
            cm.RunJob(job="j", spec=task(), **where),
            cm.CancelJob(**where),
            cm.DeleteJob(**where),
        ):
            outcome = fabric.when(command)
            assert (outcome.code, outcome.message) == ("not-found", "there is no namespace 'blue'")


class TestForget:
    def finished(self, *names: str) -> Fabric:
        fabric = Fabric()
        for name in names:
            fabric.run(name=name)
            fabric.given(cm.CancelJob(namespace="default", name=name))
            fabric.pass_ms(1_000)
        return fabric

    def forget(self, fabric: Fabric, before_ms: int, keep: int) -> list[str]:
        command = cm.Forget(finished_before_ms=before_ms, keep_jobs=keep)
        fabric.given(command, by="system:janitor")
        return sorted(job.name for job in fabric.state.jobs.values())

    def test_the_oldest_finished_jobs_go_first(self) -> None:
        fabric = self.finished("a", "b", "c")
        fabric.run(name="active")
        assert self.forget(fabric, 0, 2) == ["active", "b", "c"]
        assert self.forget(fabric, fabric.state.jobs["c"].finished_ms, 2) == ["active", "c"]
        assert self.forget(fabric, FAR_MS, 0) == ["active"]

    def test_a_job_whose_stray_is_still_somewhere_stays(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.run()
        fabric.place(work_1_1="alpha")
        fabric.settle()
        fabric.lose("alpha")
        fabric.settle()
        fabric.exit("work.1.2", code=0)
        assert self.forget(fabric, FAR_MS, 0) == ["work"]
        fabric.connect("alpha")
        assert self.forget(fabric, FAR_MS, 0) == []

    def test_dead_tokens_go(self) -> None:
        fabric = Fabric()
        fabric.given(
            cm.IssueToken(id="soon", purpose=TokenPurpose.JOIN, digest="d", expires_ms=fabric.time_ms + 100),
            cm.IssueToken(id="bad", purpose=TokenPurpose.API, digest="d"),
            cm.RevokeToken(id="bad"),
        )
        self.forget(fabric, fabric.time_ms - 50, 100)
        assert sorted(fabric.state.tokens) == ["admin", "bad", "join", "soon"]
        fabric.pass_ms(1_000)
        self.forget(fabric, fabric.time_ms, 100)
        assert sorted(fabric.state.tokens) == ["admin", "join"]

    def test_of_the_dead_that_can_have_done_something_the_newest_stay(self) -> None:
        fabric = Fabric()
        soon = fabric.time_ms + 100
        for number in (3, 1, 2):
            fabric.given(
                cm.IssueToken(id=f"api-{number}", purpose=TokenPurpose.API, digest="d", expires_ms=soon),
                cm.OpenSession(by="admin", id=f"open-{number}", digest="d", expires_ms=soon),
                cm.IssueToken(id=f"login-{number}", purpose=TokenPurpose.LOGIN, digest="d", expires_ms=soon),
                by="token:admin",
            )
        fabric.given(cm.IssueToken(id="bad", purpose=TokenPurpose.API, digest="d"), cm.RevokeToken(id="bad"))
        fabric.pass_ms(1_000)
        command = cm.Forget(finished_before_ms=fabric.time_ms, keep_jobs=0, keep_tokens=2)
        fabric.given(command, by="system:janitor")
        assert sorted(fabric.state.tokens) == ["admin", "api-2", "bad", "join", "open-1", "open-2"]
        assert fabric.when(command, by="system:janitor").events == ()

    def test_nothing_to_forget_writes_nothing(self) -> None:
        fabric = Fabric()
        assert fabric.when(cm.Forget(finished_before_ms=0, keep_jobs=0), by="system:janitor").events == ()


class TestBeginning:
    def test_a_log_belongs_to_one_fabric(self) -> None:
        fabric = Fabric()
        outcome = fabric.when(cm.CreateFabric(fabric_id="f2"), by="system:test")
        assert (outcome.code, outcome.message) == ("already-exists", "this log belongs to fabric f1 already")

    def test_a_fabric_has_an_id(self) -> None:
        refused = decide(empty_state(), cm.CreateFabric(fabric_id=""), cm.Header(principal="system:test"))
        assert isinstance(refused, Rejection)
        assert refused.code == "invalid"


def test_log_time_never_goes_back() -> None:
    fabric = Fabric()
    fabric.given(cm.CreateNamespace(name="blue"))
    before = fabric.state.time_ms
    outcome = fabric.when(cm.CreateNamespace(name="green"), time_ms=before - 5_000)
    assert outcome.decision is not None
    assert outcome.decision.entry.time_ms == before
    assert fabric.state.time_ms == before


def test_every_event_knows_who_and_why() -> None:
    fabric = Fabric()
    fabric.when(cm.CreateNamespace(name="blue"), correlation="r-17", namespace="blue")
    entry = fabric.log[-1]
    assert (entry.principal, entry.correlation, entry.namespace) == ("token:admin", "r-17", "blue")


def test_an_instance_keeps_the_request_that_led_to_it_over_its_generations() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.when(cm.DeployAgent(agent="hello", namespace="default", name="hello", spec=spec()), correlation="r-1")
    assert fabric.instance("hello.1.1").correlation == "r-1"
    fabric.settle()
    fabric.lose("alpha")
    assert fabric.instance("hello.1.2").correlation == "r-1"
    fabric.when(cm.RestartInstance(instance="hello.1.2"), correlation="r-2")
    assert fabric.instance("hello.1.3").correlation == "r-2"


def test_a_rejection_is_plain_data_for_programs() -> None:
    outcome = Fabric().when(cm.StopAgent(namespace="default", name="x"))
    assert msgspec.to_builtins(outcome.rejection) == {
        "code": "not-found",
        "message": "there is no agent default/x",
        "hint": "omnitide agents",
        "subject": "agent default/x",
        "used_by": (),
    }
