"""`update.progress_deadline`: a rollout that comes no further for so long halts, or is rolled back, with its reason."""

from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.failing import halted_by, why_halted
from omnitide.fabric.rules.lateness import late_from
from omnitide.fabric.snapshot import dump, load
from omnitide.fabric.state import Health
from omnitide.model.probes import Probe, Probes
from omnitide.model.spec import AgentSpec, Port, Update
from omnitide.operations.views.workloads import show_rollout

READY = Probes(readiness=Probe(type="tcp", port="http"))
DEADLINE_MS = 20_000


def probed(version: str, **update: object) -> AgentSpec:
    wanted = Update(progress_deadline=DEADLINE_MS, **update)  # type: ignore[arg-type]
    return spec("serve", version, ports={"http": Port()}, health=READY, update=wanted)


def well(fabric: Fabric, version: int) -> None:
    """Every replica of this version that runs says that it is ready."""
    for node in fabric.nodes.values():
        for name in node.running():
            one = fabric.state.instances.get(name)
            if one is not None and one.version == version and one.health is not Health.HEALTHY:
                node.set_health(name, Health.HEALTHY)
        if node.unsent:
            fabric.send(node.name)


def settle(fabric: Fabric, *versions: int) -> None:
    """Until nothing changes; of these versions, all become ready."""
    for _ in range(60):
        before = fabric.state.revision
        fabric.round()
        for version in versions:
            well(fabric, version)
        if fabric.state.revision == before:
            return
    raise AssertionError("no rest")


def updated(replicas: int = 2, **update: object) -> Fabric:
    """Version 1 is ready, version 2 rolls out and is not."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(probed("1", **update), replicas=replicas)
    settle(fabric, 1)
    fabric.deploy(probed("2", **update))
    settle(fabric, 1)
    return fabric


def look(fabric: Fabric) -> None:
    fabric.given(cm.AdvanceRollouts(late=("hello",)), by="system:rollouts")


def wait_out(fabric: Fabric) -> None:
    due = late_from(fabric.state, fabric.agent())
    assert due is not None
    fabric.time_ms = due
    look(fabric)


def versions(fabric: Fabric) -> list[int]:
    return sorted(one.version for one in fabric.state.instances.values() if one.status.value == "running")


class TestHalt:
    def test_a_replica_that_is_never_ready_halts_the_rollout_with_its_reason(self) -> None:
        fabric = updated()
        due = late_from(fabric.state, fabric.agent())
        assert due is not None
        fabric.time_ms = due - 2
        look(fabric)
        assert halted_by(fabric.state, fabric.agent()) is None, "not before its time"
        wait_out(fabric)
        late = halted_by(fabric.state, fabric.agent())
        assert late is not None
        assert (late.version, why_halted(fabric.agent(), late)) == (2, "was not available within 20 s: it is not ready")
        assert versions(fabric) == [1, 2], "what runs of the version before stays"
        assert late_from(fabric.state, fabric.agent()) is None, "once is enough"

    def test_one_that_waits_for_a_node_does_too(self) -> None:
        fabric = updated()
        fabric.given(cm.CordonNode(node="alpha"), cm.CordonNode(node="beta"))
        fabric.deploy(probed("3"))
        settle(fabric, 1)
        wait_out(fabric)
        late = halted_by(fabric.state, fabric.agent())
        assert late is not None
        assert why_halted(fabric.agent(), late) == "was not available within 20 s: it is pending"

    def test_of_several_the_first_of_the_new_version_is_late(self) -> None:
        fabric = updated(4, max_unavailable=2)
        assert versions(fabric) == [1, 1, 2, 2]
        wait_out(fabric)
        assert fabric.agent().late == 1

    def test_where_none_is_in_the_new_version_the_first_that_is_away_is(self) -> None:
        """What was asked to stop does not end."""
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.deploy(probed("1"), replicas=4)
        settle(fabric, 1)
        fabric.deploy(probed("2", max_unavailable=2))
        assert sorted(one.slot for one in fabric.state.instances.values() if one.status.value == "stopping") == [1, 2]
        wait_out(fabric)
        assert fabric.agent().late == 1

    def test_the_rollout_goes_on_once_it_is_available_after_all(self) -> None:
        fabric = updated()
        wait_out(fabric)
        settle(fabric, 1, 2)
        assert halted_by(fabric.state, fabric.agent()) is None
        assert (versions(fabric), fabric.agent().rollout_cursor) == ([2, 2], 0)

    def test_what_comes_further_has_its_time_anew(self) -> None:
        fabric = updated(3)
        first = late_from(fabric.state, fabric.agent())
        assert first is not None
        fabric.time_ms = first - 5_000
        well(fabric, 2)
        settle(fabric, 1)
        then = late_from(fabric.state, fabric.agent())
        assert then is not None
        assert then > first
        assert halted_by(fabric.state, fabric.agent()) is None

    def test_a_pause_stops_the_clock_and_a_resume_begins_it_anew(self) -> None:
        fabric = updated()
        first = late_from(fabric.state, fabric.agent())
        fabric.given(cm.PauseRollout(namespace="default", name="hello"))
        assert late_from(fabric.state, fabric.agent()) is None
        fabric.pass_ms(3_600_000)
        fabric.given(cm.ResumeRollout(namespace="default", name="hello"))
        then = late_from(fabric.state, fabric.agent())
        assert first is not None
        assert then is not None
        assert then >= first + 3_600_000

    def test_zero_is_for_ever(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(spec("serve", "1", update=Update(progress_deadline=0)))
        fabric.settle()
        fabric.deploy(spec("serve", "2", update=Update(progress_deadline=0)))
        assert fabric.agent().rollout_cursor
        assert late_from(fabric.state, fabric.agent()) is None

    def test_another_version_and_a_stop_end_it(self) -> None:
        for end in (cm.StopAgent, cm.RestartAgent):
            fabric = updated()
            wait_out(fabric)
            fabric.given(end(namespace="default", name="hello"))
            assert not fabric.agent().late
            assert halted_by(fabric.state, fabric.agent()) is None

    def test_it_is_known_after_a_snapshot(self) -> None:
        fabric = updated()
        wait_out(fabric)
        assert load(list(dump(fabric.state))) == fabric.state


class TestRollback:
    def test_the_version_that_works_is_rolled_out_again_with_the_cause(self) -> None:
        fabric = updated(on_failure="rollback")
        wait_out(fabric)
        now = fabric.agent().versions[3]
        assert (now.reason, now.source) == ("rolled-back", 1)
        assert now.cause.endswith("of version 2 was not available within 20 s: it is not ready")
        settle(fabric, 1, 3)
        assert versions(fabric) == [3, 3]

    def test_a_way_back_that_is_late_too_is_halted(self) -> None:
        fabric = updated(on_failure="rollback", max_unavailable=0, max_surge=1)
        wait_out(fabric)
        settle(fabric, 1)
        if fabric.agent().rollout_cursor:
            wait_out(fabric)
        assert fabric.agent().version == 3


class TestFirstVersion:
    """There is nothing to halt; it is told all the same, as `omnitide deploy` does."""

    def first(self, **update: object) -> Fabric:
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.deploy(probed("1", **update), replicas=2)
        settle(fabric)
        return fabric

    def told(self, fabric: Fabric, after_ms: int) -> tuple[str, str]:
        status = show_rollout(fabric.state, fabric.agent(), fabric.time_ms + after_ms)
        return status.verdict, status.cause

    def test_it_is_not_available_in_time(self) -> None:
        fabric = self.first()
        assert self.told(fabric, DEADLINE_MS - 1_000) == ("progressing", "")
        late = "hello-1.1 is not available after 20 s: it is not ready; it goes on being tried"
        assert self.told(fabric, DEADLINE_MS) == ("halted", late)
        well(fabric, 1)
        assert self.told(fabric, DEADLINE_MS) == ("done", "")

    def test_one_that_waits_for_a_node_is_not_either(self) -> None:
        fabric = Fabric()
        fabric.deploy(probed("1"))
        assert self.told(fabric, DEADLINE_MS)[1].startswith("hello-1.1 is not available after 20 s: it is pending")

    def test_another_that_became_available_gives_it_its_time_anew(self) -> None:
        fabric = self.first()
        fabric.pass_ms(DEADLINE_MS)
        alpha = next(node for node in fabric.nodes.values() if "hello.2.1" in node.running())
        alpha.set_health("hello.2.1", Health.HEALTHY)
        fabric.send(alpha.name)
        assert self.told(fabric, DEADLINE_MS - 1_000)[0] == "progressing"
        assert self.told(fabric, DEADLINE_MS)[0] == "halted"

    def test_what_was_added_or_made_anew_since_has_its_own_time(self) -> None:
        fabric = self.first()
        well(fabric, 1)
        fabric.pass_ms(3_600_000)
        fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=3))
        settle(fabric)
        assert self.told(fabric, 0)[0] == "progressing"
        fabric.exit("hello.1.1")
        assert self.told(fabric, 0)[0] == "progressing"

    def test_without_a_deadline_it_goes_on(self) -> None:
        fabric = Fabric()
        fabric.deploy(spec("serve", update=Update(progress_deadline=0)))
        assert self.told(fabric, 10**9)[0] == "progressing"
