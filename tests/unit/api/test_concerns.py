"""What wants a person's eye: one concern for one cause, and also a drain that cannot end by itself."""

import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.fabric.state import Health
from omnitide.model import inventory as inv
from omnitide.model.probes import Probe, Probes
from omnitide.model.provisions import SecretUse
from omnitide.model.spec import AgentSpec, Constraint, JobSpec, Port, Resources, Restart, Update
from omnitide.operations import staying
from omnitide.operations.concerns import concerns
from omnitide.operations.missing import MISSING
from omnitide.operations.staying import EXPLAINED
from omnitide.operations.views.failing import LONG_PENDING_MS

LARGE = AgentSpec(command=("x",), resources=Resources(cpu=1500))


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha")
    return made


def deploy(runtime: MemoryRuntime, name: str = "web", spec: AgentSpec = LARGE, *, replicas: int = 1) -> None:
    runtime.apply(cm.DeployAgent(agent=name, namespace="default", name=name, spec=spec, replicas=replicas))
    runtime.settle()


async def found(runtime: MemoryRuntime) -> list[inv.Concern]:
    return list(await concerns(runtime, runtime.state, runtime.now_ms()))


class TestADrainThatCannotEnd:
    async def test_it_says_what_stays_why_and_what_would_help(self, runtime: MemoryRuntime) -> None:
        runtime.add_node("beta", cpu=1000)
        deploy(runtime, replicas=2)
        runtime.apply(cm.DrainNode(node="alpha"))
        began_ms = runtime.now_ms()
        runtime.settle()
        runtime.tick(60_000)
        (concern,) = await found(runtime)
        assert concern.since_ms == began_ms
        assert (concern.subject, concern.text) == (
            "node alpha",
            (
                "is being drained, and 2 of web stay, such as web-1.1, which fits nowhere else: needs 1.5 cpu; 0 of 1 "
                "other node has it (largest free: beta 1)"
            ),
        )
        assert concern.hint == (
            "add a node that can take it (omnitide token create), end it (omnitide stop web), or let alpha go on: "
            "omnitide nodes uncordon alpha"
        )

    async def test_the_node_that_is_drained_is_none_of_the_reasons(self, runtime: MemoryRuntime) -> None:
        # It has the cpu, and is closed itself: neither is why nothing else takes the replica.
        deploy(runtime)
        runtime.add_node("beta", cpu=1000)
        runtime.add_node("gamma", cpu=1000)
        runtime.apply(cm.CordonNode(node="gamma"))
        runtime.apply(cm.DrainNode(node="alpha"))
        runtime.settle()
        (concern,) = await found(runtime)
        assert concern.text == (
            "is being drained, and web-1.1 stays, which fits nowhere else: needs 1.5 cpu; the only other "
            "node that could otherwise run it has less free (beta 1)"
        )

    async def test_each_agent_is_told_of_as_far_as_it_is_looked(self, runtime: MemoryRuntime) -> None:
        for number in range(EXPLAINED + 2):
            deploy(runtime, f"web{number}", AgentSpec(command=("x",)))
        runtime.apply(cm.DrainNode(node="alpha"))
        (concern,) = await found(runtime)
        assert concern.text == (
            "is being drained, and web0-1.1 stays, which fits nowhere else: there is no other node; "
            f"replicas of {EXPLAINED - 1} more agents stay too; perhaps 2 more, which were not looked at"
        )

    async def test_a_second_node_is_told_however_much_stays_on_the_first(self, runtime: MemoryRuntime) -> None:
        for number in range(EXPLAINED + 2):
            deploy(runtime, f"web{number}", AgentSpec(command=("x",)))
        runtime.add_node("beta")
        runtime.apply(cm.CordonNode(node="alpha"))
        deploy(runtime, "other", AgentSpec(command=("x",)))
        runtime.apply(cm.DrainNode(node="alpha"))
        runtime.apply(cm.DrainNode(node="beta"))
        assert [concern.subject for concern in await found(runtime)] == ["node alpha", "node beta"]

    async def test_it_names_the_first_by_id_and_counts_none_that_goes_already(self, runtime: MemoryRuntime) -> None:
        deploy(runtime, spec=AgentSpec(command=("x",)), replicas=3)
        runtime.apply(cm.DrainNode(node="alpha"))
        runtime.apply(cm.RestartInstance(instance="web.1.1"))
        (concern,) = [one for one in await found(runtime) if one.subject == "node alpha"]
        assert concern.text.startswith("is being drained, and 2 of web stay, such as web-2.1, which fits nowhere else")

    async def test_no_more_replicas_are_looked_at_than_said(
        self, runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(staying, "EXAMINED", 2)
        deploy(runtime, spec=AgentSpec(command=("x",)), replicas=3)
        runtime.apply(cm.DrainNode(node="alpha"))
        (concern,) = await found(runtime)
        assert concern.text.startswith("is being drained, and 2 of web stay, such as web-1.1, ")

    async def test_one_that_goes_on_is_none(self, runtime: MemoryRuntime) -> None:
        deploy(runtime)
        runtime.apply(cm.DrainNode(node="alpha"))
        runtime.add_node("beta")
        assert await found(runtime) == []

    async def test_one_that_a_mate_which_is_down_holds_up_says_what_it_waits_for(self, runtime: MemoryRuntime) -> None:
        runtime.add_node("beta")
        asks = Probes(readiness=Probe(type="tcp", port="http"))
        deploy(runtime, spec=AgentSpec(command=("x",), ports={"http": Port()}, health=asks), replicas=2)
        for one in ("web.1.1", "web.2.1"):
            runtime.nodes["alpha"].set_health(one, Health.HEALTHY)
        runtime.settle()
        runtime.nodes["alpha"].set_health("web.2.1", Health.UNHEALTHY)
        runtime.settle()
        runtime.apply(cm.DrainNode(node="alpha"))
        told = [one for one in await found(runtime) if one.subject == "node alpha"]
        assert told == []  # it may well come up yet
        runtime.tick(LONG_PENDING_MS + 1)
        told = [one for one in await found(runtime) if one.subject == "node alpha"]
        assert [one.text for one in told] == [
            (
                "is being drained, and 2 of web stay, such as web-1.1, until web-2.1 is available: it is not ready; "
                "1 of 2 replicas may be away at once"
            )
        ]
        assert told[0].hint.startswith("omnitide explain web-2.1; or let alpha go on: ")

    async def test_a_mate_that_was_well_for_long_is_given_time_from_when_it_ceased_to_be(
        self, runtime: MemoryRuntime
    ) -> None:
        runtime.add_node("beta")
        asks = Probes(readiness=Probe(type="tcp", port="http"))
        deploy(runtime, spec=AgentSpec(command=("x",), ports={"http": Port()}, health=asks), replicas=2)
        for one in ("web.1.1", "web.2.1"):
            runtime.nodes["alpha"].set_health(one, Health.HEALTHY)
        runtime.settle()
        runtime.tick(3_600_000)
        runtime.nodes["alpha"].set_health("web.2.1", Health.UNHEALTHY)
        runtime.settle()
        runtime.apply(cm.DrainNode(node="alpha"))
        assert await found(runtime) == []
        runtime.tick(LONG_PENDING_MS)
        runtime.nodes["alpha"].set_health("web.2.1", Health.UNKNOWN)  # no better: the wait goes on
        runtime.settle(in_no_time=True)
        runtime.tick(1)
        subjects = {one.subject: one.since_ms for one in await found(runtime)}
        assert sorted(subjects) == ["agent default/web", "node alpha"]
        assert subjects["agent default/web"] == runtime.now_ms() - LONG_PENDING_MS - 1

    async def test_a_task_that_runs_to_its_end_there_is_none(self, runtime: MemoryRuntime) -> None:
        runtime.apply(cm.RunJob(job="job", namespace="default", name="job", spec=JobSpec(command=("x",))))
        runtime.settle()
        runtime.apply(cm.DrainNode(node="alpha"))
        assert await found(runtime) == []

    async def test_of_a_node_that_is_silent_that_is_what_is_said(self, runtime: MemoryRuntime) -> None:
        deploy(runtime)
        runtime.apply(cm.DrainNode(node="alpha"))
        runtime.silence("alpha")
        whole, concern = await found(runtime)
        assert (whole.subject, concern.subject) == ("fabric", "node alpha")
        assert concern.text.startswith("not heard from")

    async def test_a_silent_one_takes_no_other_ones_place(
        self, runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(staying, "NODES", 1)
        deploy(runtime)
        runtime.apply(cm.CordonNode(node="alpha"))
        runtime.add_node("beta")
        deploy(runtime, "other")
        for name in ("alpha", "beta"):
            runtime.apply(cm.DrainNode(node=name))
        runtime.silence("alpha")
        assert "node beta" in [concern.subject for concern in await found(runtime)]


def without_secret(*names: str) -> AgentSpec:
    return AgentSpec(command=("x",), secrets={name: SecretUse(environment=name.upper()) for name in names})


async def test_only_what_has_no_secret_now_is_without_it(runtime: MemoryRuntime) -> None:
    deploy(runtime, spec=without_secret("api"), replicas=3)
    new = without_secret("api", "db")
    runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=new))
    runtime.settle(in_no_time=True)
    for one in ("web.1.2", "web.2.1", "web.3.1"):
        runtime.exit(one, code=None, cause=MISSING, message="secret default/api does not exist")
    texts = [one.text for one in await found(runtime)]
    assert texts == [
        (
            "1 of 3 cannot start without secret default/api, which does not exist (to make it: omnitide secret set "
            "api) and without secret default/db, which does not exist (to make it: omnitide secret set db)"
        ),
        ("2 of 3 cannot start without secret default/api, which does not exist (to make it: omnitide secret set api)"),
    ]
    made = cm.SetSecret(id="s-1", namespace="default", name="api", digest="hmac-sha256:k:1", blob="sha256:1", size=3)
    runtime.apply(made)
    texts = [one.text for one in await found(runtime)]
    assert texts == [
        "1 of 3 cannot start without secret default/db, which does not exist (to make it: omnitide secret set db)"
    ]


async def test_what_has_waited_longest_comes_first(runtime: MemoryRuntime) -> None:
    large = AgentSpec(command=("x",), resources=Resources(cpu=3000))
    deploy(runtime, "holds", large)
    for name in ("b", "c", "a"):
        deploy(runtime, name, large)
        runtime.tick(20_000)
    assert [one.subject for one in await found(runtime)] == [f"agent default/{name}" for name in ("b", "c", "a")]


@pytest.mark.parametrize("others", [0, 1])
async def test_that_no_node_takes_anything_new_is_told_once_and_not_by_each_agent_that_waits(
    runtime: MemoryRuntime, others: int
) -> None:
    for number in range(others):
        runtime.add_node(f"beta{number}")
        runtime.apply(cm.CordonNode(node=f"beta{number}"))
    runtime.apply(cm.CordonNode(node="alpha"))
    assert await found(runtime) == [], "nothing waits for it"
    for name in ("one", "two", "three"):
        deploy(runtime, name, replicas=2)
    began_ms = runtime.now_ms()
    # A node that is open is no help to it.
    moon = AgentSpec(command=("x",), constraints=(Constraint(label="zone", values=("moon",)),))
    deploy(runtime, "picky", moon)
    runtime.tick(LONG_PENDING_MS + 1)
    first, *more = await found(runtime)
    waits = "7 pending wait for one that takes new instances"
    if others:
        text = f"none of 2 that are live takes anything new (such as alpha: cordoned); {waits}"
        assert (first.subject, first.text, first.hint) == ("nodes", text, "omnitide nodes")
    else:
        text = f"is cordoned, and no other node is live; {waits}"
        assert (first.subject, first.text, first.hint) == ("node alpha", text, "omnitide uncordon alpha")
    assert first.since_ms <= began_ms
    assert [one.subject for one in more] == ["agent default/picky"]
    runtime.apply(cm.UncordonNode(node="alpha"))
    assert not any(one.text.endswith(waits) for one in await found(runtime))


SOON = Update(progress_deadline=20_000)


def late_update(runtime: MemoryRuntime, new: AgentSpec, *, replicas: int) -> None:
    """`new` follows what runs, and is not available in its time."""
    deploy(runtime, spec=LARGE if replicas < 3 else AgentSpec(command=("x",)), replicas=replicas)
    runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=new))
    runtime.settle(in_no_time=True)
    runtime.tick(30_000)
    runtime.apply(cm.AdvanceRollouts(agents=("web",), late=("web",)))


def crash_the_new(runtime: MemoryRuntime, times: int) -> None:
    """Whatever runs of version 2, one at a time."""
    for _ in range(times):
        runtime.tick(40_000)
        runtime.settle(in_no_time=True)
        for one in list(runtime.state.instances.values()):
            if one.version == 2 and one.status.value == "running":
                runtime.exit(one.id, code=3)


class TestAHaltedRollout:
    async def test_a_new_version_that_ends_again_and_again_is_one_concern_that_says_both(
        self, runtime: MemoryRuntime
    ) -> None:
        spec = AgentSpec(command=("x",), update=Update(min_healthy=60_000), restart=Restart(attempts=3))
        deploy(runtime, spec=spec, replicas=3)
        runtime.apply(
            cm.DeployAgent(
                agent="web",
                namespace="default",
                name="web",
                spec=AgentSpec(command=("y",), update=Update(min_healthy=60_000), restart=Restart(attempts=3)),
            )
        )
        crash_the_new(runtime, 4)
        (concern,) = await found(runtime)
        assert concern.text == (
            "the rollout of version 2 is halted: web-1.3 ended 4 times in a row before it was available, the last with "
            "exit code 3"
        )

    async def test_replicas_of_it_besides_the_one_that_halts_it_are_counted(self, runtime: MemoryRuntime) -> None:
        more = Update(max_unavailable=2, min_healthy=60_000)
        deploy(runtime, spec=AgentSpec(command=("x",), update=more, restart=Restart(attempts=3)), replicas=3)
        new = AgentSpec(command=("y",), update=more, restart=Restart(attempts=3))
        runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=new))
        crash_the_new(runtime, 4)
        (concern,) = await found(runtime)
        assert concern.text.endswith("the last with exit code 3; 2 of 3 end again and again")

    async def test_what_is_late_and_not_ready_is_one_concern(self, runtime: MemoryRuntime) -> None:
        deploy(runtime, spec=AgentSpec(command=("x",)), replicas=2)
        asks = Probes(readiness=Probe(type="tcp", port="http"))
        new = AgentSpec(command=("y",), ports={"http": Port()}, health=asks, update=Update(progress_deadline=20_000))
        runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=new))
        runtime.settle(in_no_time=True)
        runtime.tick(30_000)
        runtime.apply(cm.AdvanceRollouts(agents=("web",), late=("web",)))
        (concern,) = await found(runtime)
        assert concern.text.startswith("the rollout of version 2 is halted: web-1.2 was not available within 20 s: ")
        assert "run and are not ready" not in concern.text

    async def test_what_is_late_and_fits_nowhere_is_one_concern(self, runtime: MemoryRuntime) -> None:
        late_update(runtime, AgentSpec(command=("y",), resources=Resources(cpu=3000), update=SOON), replicas=2)
        runtime.tick(LONG_PENDING_MS)
        (concern,) = await found(runtime)
        assert (concern.subject, concern.text) == (
            "agent default/web",
            (
                "the rollout of version 2 is halted: web-1.2 was not available within 20 s: it is pending: needs "
                "3 cpu; 0 of 1 node has it (largest free: alpha 2.5)"
            ),
        )

    async def test_that_more_than_the_one_that_is_late_fit_nowhere_is_told(self, runtime: MemoryRuntime) -> None:
        both = Update(max_unavailable=2, progress_deadline=20_000)
        late_update(runtime, AgentSpec(command=("y",), resources=Resources(cpu=4000), update=both), replicas=3)
        runtime.tick(LONG_PENDING_MS)
        (concern,) = await found(runtime)
        assert "it is pending: needs 4 cpu; " in concern.text
        assert concern.text.endswith("; 2 of 3 are pending")

    async def test_what_waits_in_another_version_is_a_concern_of_its_own(self, runtime: MemoryRuntime) -> None:
        late_update(runtime, AgentSpec(command=("y",), resources=Resources(cpu=3000), update=SOON), replicas=2)
        runtime.apply(cm.CordonNode(node="alpha"))
        runtime.apply(cm.RestartInstance(instance="web.2.1"))
        runtime.settle(in_no_time=True)
        runtime.tick(LONG_PENDING_MS + 1)
        texts = [one.text for one in await found(runtime)]
        assert len(texts) == 2
        assert texts[1].startswith("1 pending for ")

    async def test_what_is_late_without_a_secret_is_one_concern(self, runtime: MemoryRuntime) -> None:
        new = AgentSpec(command=("y",), secrets={"db": SecretUse(environment="DB")}, update=SOON)
        deploy(runtime, spec=LARGE, replicas=2)
        runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=new))
        runtime.settle(in_no_time=True)
        runtime.exit("web.1.2", code=None, cause=MISSING, message="secret default/db does not exist")
        runtime.tick(30_000)
        runtime.apply(cm.AdvanceRollouts(agents=("web",), late=("web",)))
        (concern,) = await found(runtime)
        assert concern.text == (
            "the rollout of version 2 is halted: web-1.2 was not available within 20 s: it cannot start without secret "
            "default/db, which does not exist (to make it: omnitide secret set db)"
        )

    async def test_what_has_its_secret_by_now_is_not_counted_as_without_it(self, runtime: MemoryRuntime) -> None:
        both = Update(max_unavailable=2, progress_deadline=20_000)
        new = AgentSpec(command=("y",), secrets={"db": SecretUse(environment="DB")}, update=both)
        deploy(runtime, spec=AgentSpec(command=("x",)), replicas=3)
        runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=new))
        runtime.settle(in_no_time=True)
        for one in ("web.1.2", "web.2.2"):
            runtime.exit(one, code=None, cause=MISSING, message="secret default/db does not exist")
        runtime.tick(30_000)
        runtime.apply(cm.AdvanceRollouts(agents=("web",), late=("web",)))
        (concern,) = await found(runtime)
        assert concern.text.endswith(
            "it cannot start without secret default/db, which does not exist (to make it: omnitide secret set db); "
            "2 of 3 cannot start without it"
        )
        made = cm.SetSecret(id="s-1", namespace="default", name="db", digest="hmac-sha256:k:1", blob="sha256:1", size=3)
        runtime.apply(made)
        (concern,) = await found(runtime)
        assert (
            concern.text == "the rollout of version 2 is halted: web-1.2 was not available within 20 s: it is starting"
        )

    async def test_what_ends_of_another_version_is_a_concern_of_its_own(self, runtime: MemoryRuntime) -> None:
        deploy(runtime, spec=AgentSpec(command=("x",)), replicas=3)
        gone = AgentSpec(command=("gone",))
        runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=gone))
        runtime.settle(in_no_time=True)
        for _ in range(3):
            runtime.tick(1_000)
            runtime.settle(in_no_time=True)
            runtime.exit("web.3.1", code=4)
        texts = [one.text for one in await found(runtime)]
        assert len(texts) == 2
        assert texts[0].startswith("the rollout of version 2 is halted: web-1")
        assert texts[1].startswith("1 of 3 end again and again, such as web-3.1 (3 times so far)")
