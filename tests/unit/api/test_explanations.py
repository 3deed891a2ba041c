"""Why something is as it is: a sentence for each way that an instance can be, and what wants a person's eye."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.fabric.status import _room
from omnitide.cli.globals import Globals
from omnitide.cli.instances.explain import _tell_agent
from omnitide.cli.session import Session
from omnitide.fabric import commands as cm
from omnitide.fabric.state import DriverFact, ExitRecord, Health, InstanceStatus, Phase
from omnitide.model.explanations import InstanceExplanation, PlacementVerdict, known_to_run
from omnitide.model.probes import Probe, Probes
from omnitide.model.provisions import SecretUse, Volume
from omnitide.model.spec import AgentSpec, JobSpec, Limits, Port, Resources, Restart, Update
from omnitide.operations import explaining, last_output
from omnitide.operations.concerns import concerns
from omnitide.operations.explaining import explain_agent, explain_instance
from omnitide.operations.failures import from_exception
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY
from omnitide.operations.runtime import LogsUnavailable, NodeAway, NodeLive
from omnitide.operations.views.instances import show_instance
from omnitide.scheduler import blocked
from omnitide.scheduler.explanation import Explanation

WEB = "web.1.1"


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha")
    return made


def deploy(runtime: MemoryRuntime, spec: AgentSpec | None = None, *, settle: bool = True, replicas: int = 1) -> None:
    command = cm.DeployAgent(
        agent="web", namespace="default", name="web", spec=spec or AgentSpec(command=("x",)), replicas=replicas
    )
    runtime.apply(command)
    if settle:
        runtime.settle()


async def explained(runtime: MemoryRuntime, instance: str = WEB) -> InstanceExplanation:
    return await explain_instance(runtime, runtime.state, runtime.state.instances[instance], 0)


def place(runtime: MemoryRuntime) -> None:
    choice = cm.PlaceChoice(WEB, "n-alpha", ())
    runtime.apply(cm.PlaceInstances(seen_revision=runtime.state.revision, choices=(choice,)))


def start(runtime: MemoryRuntime) -> None:
    place(runtime)
    node = runtime.nodes["alpha"]
    node.desire(runtime.state)
    reports = node.reports()
    assert reports is not None
    runtime.apply(reports, principal=node.principal)
    node.acknowledged(node.sent + len(node.unsent))


def crash(runtime: MemoryRuntime) -> None:
    start(runtime)
    runtime.settle()
    runtime.exit(WEB, code=2)


def crash_and_start(runtime: MemoryRuntime) -> None:
    crash(runtime)
    node = runtime.nodes["alpha"]
    node.step()
    reports = node.reports()
    assert reports is not None
    runtime.apply(reports, principal=node.principal)
    node.acknowledged(node.sent + len(node.unsent))


def crash_and_run(runtime: MemoryRuntime) -> None:
    crash(runtime)
    runtime.settle()


def stop(runtime: MemoryRuntime) -> None:
    start(runtime)
    runtime.settle()
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=0))


def sicken(runtime: MemoryRuntime) -> None:
    start(runtime)
    runtime.settle()
    node = runtime.nodes["alpha"]
    node.set_health(WEB, Health.UNHEALTHY)
    reports = node.reports()
    assert reports is not None
    runtime.apply(reports, principal=node.principal)
    node.acknowledged(node.sent + len(node.unsent))


def lose(runtime: MemoryRuntime) -> None:
    start(runtime)
    runtime.settle()
    session = runtime.nodes["alpha"].session
    runtime.silence("alpha")
    runtime.apply(cm.DeclareLost(node="n-alpha", session=session, silent_ms=9000, default_lost_after_ms=1))


def silence(runtime: MemoryRuntime) -> None:
    start(runtime)
    runtime.settle()
    runtime.silence("alpha")


@pytest.mark.parametrize(
    ("happen", "text"),
    [
        (place, "placed on alpha 12 s ago; the node has not started it yet"),
        (start, "starting on alpha for 12 s, attempt 1"),
        (
            crash,
            "waits to be restarted on alpha: attempt 1 ended with exit code 2; the next comes at any moment",
        ),
        (crash_and_start, "starting on alpha for 12 s, attempt 2; attempt 1 ended with exit code 2"),
        (crash_and_run, "runs on alpha for 12 s, attempt 2; attempt 1 ended with exit code 2"),
        (sicken, "runs on alpha for 12 s, attempt 1, unhealthy"),
        (stop, "being stopped on alpha for 12 s (scaled-down)"),
        (lose, "lost 12 s ago: its node alpha was silent for too long"),
        (silence, "its node alpha has not been heard from for 12 s; it was running then"),
    ],
)
async def test_each_state_has_its_sentence(
    runtime: MemoryRuntime, happen: Callable[[MemoryRuntime], None], text: str
) -> None:
    deploy(runtime, settle=False)
    happen(runtime)
    runtime.tick(12_000)
    assert (await explained(runtime)).text == text


async def test_a_replacement_tells_of_what_it_replaces_and_how_often_that_failed(runtime: MemoryRuntime) -> None:
    deploy(runtime, AgentSpec(command=("x",), restart=Restart(attempts=0, backoff=1)))
    for generation in range(1, 4):
        runtime.exit(f"web.1.{generation}", code=7)
        runtime.tick(60_000)
        runtime.settle()
    shown = await explained(runtime, "web.1.4")
    assert shown.text.endswith("; the generation before ended with exit code 7; it has ended 3 times in a row")


async def test_an_end_that_was_asked_for_is_told_as_such_of_the_generation_before_too(runtime: MemoryRuntime) -> None:
    runtime.add_node("beta")
    deploy(runtime)
    node = runtime.state.nodes[runtime.state.instances[WEB].node].name
    runtime.apply(cm.DrainNode(node=node))
    runtime.settle()
    agent = runtime.state.agents["web"]
    # As drivers call it.
    asked = replace(agent.slots[1], last_exit=ExitRecord(attempt=1, signal=15, reason="stopped"))
    moved = replace(agent, slots={**agent.slots, 1: asked})
    runtime.state = replace(runtime.state, agents=runtime.state.agents.set("web", moved))
    shown = await explained(runtime, "web.1.2")
    assert shown.text.endswith("attempt 1; the generation before was stopped by request")


async def test_a_crash_loop_waits_for_its_back_off_and_says_how_often_how_and_until_when(
    runtime: MemoryRuntime,
) -> None:
    deploy(runtime, AgentSpec(command=("x",), restart=Restart(attempts=0, backoff=8_000)))
    for generation in range(1, 4):
        runtime.exit(f"web.1.{generation}", code=7)
        if generation < 3:
            runtime.tick(60_000)
            runtime.settle()
    runtime.tick(2_000)
    told = "waits for its back-off after it ended 3 times in a row, the last with exit code 7; tried again in 28 s"
    shown = await explained(runtime, "web.1.4")
    assert shown.text == f"pending for 2 s: {told}. Then it fits on 1 of 1 node"
    agent = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert told in agent.text
    runtime.silence("alpha")
    shown = await explained(runtime, "web.1.4")
    assert f"{told}. 1 of 1 node is offline" in shown.text


async def test_one_that_runs_between_two_crashes_is_in_trouble_all_the_same(runtime: MemoryRuntime) -> None:
    deploy(runtime, AgentSpec(command=("x",), restart=Restart(reset_after=60_000)))

    async def troubles() -> int:
        return len((await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)).troubles)

    for _ in range(2):
        assert await troubles() == 0
        runtime.exit(WEB, code=7)
        runtime.settle()
    assert runtime.state.instances[WEB].status.value == "running"
    assert await troubles() == 1
    runtime.tick(60_000)
    assert await troubles() == 0


async def test_a_text_that_goes_on_after_a_sentence_has_no_full_stop_in_the_middle(runtime: MemoryRuntime) -> None:
    deploy(runtime, AgentSpec(command=("x",), restart=Restart(attempts=0)))
    runtime.exit(WEB, code=7)
    runtime.tick(60_000)
    shown = await explained(runtime, "web.1.2")
    assert shown.text == (
        "pending for 1 m: fits now on 1 of 1 node, first on alpha; the generation before ended with exit code 7"
    )


async def test_why_it_is_not_ready_yet_is_told_before_its_probe_has_failed_often_enough(runtime: MemoryRuntime) -> None:
    probed = AgentSpec(command=("x",), health=Probes(readiness=Probe(type="exec", command=("true",))))
    deploy(runtime, probed)
    assert "not ready yet: its readiness probe (exec) has not succeeded since" in (await explained(runtime)).text
    node = runtime.state.nodes["n-alpha"]
    said = cm.InstanceReport(
        instance=WEB, attempt=1, phase=Phase.RUNNING, health_message="readiness probe fails: true ended with 1: no"
    )
    runtime.apply(
        cm.ReportInstances(
            node=node.id, session=node.session, outbox=node.outbox, first_sequence=node.sequence + 1, reports=(said,)
        ),
        principal="node:n-alpha",
    )
    assert (await explained(runtime)).text.endswith("; not ready yet: readiness probe fails: true ended with 1: no")


async def test_what_was_given_up_and_what_waits_for_it_say_so(runtime: MemoryRuntime) -> None:
    deploy(runtime, AgentSpec(command=("x",), restart=Restart(policy="on-failure", attempts=0, reschedules=0)))
    runtime.exit(WEB, code=2)
    assert "not tried again by itself, restart.reschedules is 0, and one failed" in (await explained(runtime)).text
    waits = AgentSpec(command=("x",), needs={"web": "completed"})
    runtime.apply(cm.DeployAgent(agent="shop", namespace="default", name="shop", spec=waits))
    shown = await explained(runtime, "shop.1.1")
    assert shown.placement is not None
    assert shown.placement.reasons[0].rule == "need-failed"
    assert "waits for agent web to have succeeded: web-1.1 has failed for good" in shown.text


GONE = AgentSpec(command=("gone",))


async def test_what_has_failed_for_good_says_so_and_what_would_help(runtime: MemoryRuntime) -> None:
    deploy(runtime, GONE)
    runtime.tick(12_000)
    assert (await explained(runtime, "web.1.3")).text == (
        "failed 12 s ago on alpha with command-not-found: there is no gone here; not tried again by itself, no other "
        "try can help: 3 in a row failed with a permanent cause. Deploy a changed spec, or: omnitide restart web"
    )


async def test_a_halted_rollout_says_why_and_what_to_do(runtime: MemoryRuntime) -> None:
    deploy(runtime, replicas=3)
    deploy(runtime, GONE, replicas=3)
    shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert shown.agent.rollout is not None
    assert shown.agent.status == "degraded"
    assert shown.agent.running == 2
    assert shown.agent.rollout.halted == (
        "web-1.4 has failed for good (command-not-found: there is no gone here); what still runs of the version before "
        "stays. Deploy a version that can run, or mend the nodes and try again: omnitide restart web"
    )
    assert f"the rollout of version 2 is halted: {shown.agent.rollout.halted}" in shown.text
    deploy(runtime, replicas=3)
    shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert (shown.agent.rollout, shown.agent.status, shown.troubles) == (None, "running", ())


async def test_a_finished_task_tells_how_it_ended(runtime: MemoryRuntime) -> None:
    runtime.apply(cm.RunJob(job="once", namespace="default", name="once", spec=JobSpec(command=("x",))))
    runtime.settle()
    runtime.exit("once.1.1", code=3)
    runtime.tick(12_000)
    assert (await explained(runtime, "once.1.1")).text == "failed 12 s ago on alpha with exit code 3"


@pytest.mark.parametrize(
    ("reason", "message", "text"),
    [
        ("exited", "exited with code 3", "exit code 3"),
        ("exited", "exited with code 3; it was refused a further process once, at its limit of them",
         "exit code 3; it was refused a further process once, at its limit of them"),
        ("trap", "wasm trap: out of fuel", "exit code 3: wasm trap: out of fuel"),
        ("stopped", "stopped as asked; whatever", "exit code 3"),
    ],
)  # fmt: skip
async def test_what_else_is_known_of_an_end_is_told_with_its_code(
    runtime: MemoryRuntime, reason: str, message: str, text: str
) -> None:
    runtime.apply(cm.RunJob(job="once", namespace="default", name="once", spec=JobSpec(command=("x",))))
    runtime.settle()
    runtime.exit("once.1.1", code=3)
    ended = runtime.state.instances["once.1.1"]
    assert ended.exit is not None
    ended = replace(ended, exit=replace(ended.exit, reason=reason, message=message))
    found = show_instance(runtime.state, ended).exit
    assert found is not None
    assert found.text == text


async def test_what_a_node_cannot_enforce_is_said(runtime: MemoryRuntime) -> None:
    runtime.add_node("beta", drivers=(DriverFact(name="process"),))
    deploy(runtime, AgentSpec(command=("x",), limits=Limits(memory=64 << 20)))
    instance = runtime.state.instances[WEB]
    from msgspec.structs import replace

    runtime.state = replace(
        runtime.state, instances=runtime.state.instances.set(WEB, replace(instance, unenforced=("memory",)))
    )
    assert (await explained(runtime)).text.endswith("; the node cannot enforce its limits of memory")


async def test_a_node_that_does_not_answer_in_time_is_not_waited_for(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_output, "OUTPUT_WAIT_S", 0.02)
    deploy(runtime)
    runtime.exit(WEB, code=1)

    async def silent(*_: object, **__: object):
        import asyncio

        await asyncio.sleep(60)
        yield

    monkeypatch.setattr(runtime, "logs", silent)
    shown = await explained(runtime)
    assert shown.last_output_missing == "the node did not answer within 0.02 s"


async def test_output_that_is_gone_and_output_that_never_was(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(runtime)
    runtime.exit(WEB, code=1)
    assert (await explained(runtime)).last_output_missing == "it wrote nothing"

    async def gone(*_: object, **__: object):
        raise LogsUnavailable("its files were removed")
        yield

    def refusing(*_: object, **__: object) -> None:
        raise LogsUnavailable("its files were removed")

    for broken in (gone, refusing):
        monkeypatch.setattr(runtime, "logs", broken)
        assert (await explained(runtime)).last_output_missing == "its files were removed"


async def test_the_last_output_is_bounded(runtime: MemoryRuntime) -> None:
    deploy(runtime)
    output = runtime.writes(WEB)
    for number in range(40):
        output.write(f"{number} " + "x" * 10_000 + "\n")
    runtime.exit(WEB, code=1)
    lines = (await explained(runtime)).last_output
    assert sum(map(len, lines)) <= last_output.MAX_OUTPUT_BYTES
    assert lines[-1].startswith("39 ")


async def test_the_last_words_are_of_the_attempt_that_died(runtime: MemoryRuntime) -> None:
    """And not of the one before, nor of the one that runs by now, however much it has written."""
    deploy(runtime)
    output = runtime.writes(WEB)
    output.write("the first one\n", attempt=1)
    for number in range(80):
        output.write(f"dies {number}\n", attempt=2)
    _ended(runtime, attempt=2)
    died = tuple(f"dies {number}" for number in range(30, 80))
    assert (await explained(runtime)).last_output == died
    for number in range(10):
        output.write(f"lives {number}\n", attempt=3)
    assert (await explained(runtime)).last_output == died
    for number in range(2 * last_output.LOOKED_BACK):
        output.write(f"goes on {number}\n", attempt=3)
    assert (await explained(runtime)).last_output == died


async def test_that_there_are_no_last_words_or_none_are_kept_is_said(runtime: MemoryRuntime) -> None:
    deploy(runtime)
    output = runtime.writes(WEB)
    _ended(runtime, attempt=2)
    output.write("the first one\n", attempt=1)
    assert (await explained(runtime)).last_output_missing == "it wrote nothing"
    output.pieces.clear()
    output.write("lives\n", attempt=3)
    found = await explained(runtime)
    assert (found.last_output, found.last_output_missing) == ((), "it wrote nothing, or that is not kept any more")


def _ended(runtime: MemoryRuntime, *, attempt: int) -> None:
    """It has died in this attempt, and runs in the next."""
    runtime.exit(WEB, code=1)
    instance = runtime.state.instances[WEB]
    assert instance.exit is not None
    dead = replace(instance, exit=replace(instance.exit, attempt=attempt), attempt=attempt + 1)
    runtime.state = replace(runtime.state, instances=runtime.state.instances.set(WEB, dead))


async def test_a_stopped_agent_is_explained_as_such(runtime: MemoryRuntime) -> None:
    deploy(runtime)
    runtime.apply(cm.StopAgent(namespace="default", name="web"))
    runtime.settle()
    shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert shown.text == "stopped by request; to start it again: omnitide start web"


async def test_an_agent_of_no_replicas_is_explained_as_such(runtime: MemoryRuntime) -> None:
    deploy(runtime, replicas=0)
    shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert shown.text == "no replicas are wanted; to have one: omnitide scale web 1"


async def test_an_agent_that_is_well_again_tells_of_its_last_crash(runtime: MemoryRuntime) -> None:
    deploy(runtime, settle=False)
    crash_and_run(runtime)
    runtime.tick(180_000)
    shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert shown.troubles == ()
    assert shown.text == (
        "1 of 1 replicas are known to run; web-1.1 ended with exit code 2, 3 m ago, and was started again"
    )


async def test_an_end_that_was_asked_for_and_clean_is_told_as_one_and_without_its_output(
    runtime: MemoryRuntime,
) -> None:
    """As of a `down` and `up`: nothing died, and fifty lines of it would look like it."""
    deploy(runtime)
    runtime.writes(WEB).write("serves as it should\n", attempt=1)
    _ended(runtime, attempt=1)
    instance = runtime.state.instances[WEB]
    assert instance.exit is not None

    def ended(**how: object) -> None:
        assert instance.exit is not None
        again = replace(instance, exit=replace(instance.exit, **how), phase=Phase.RUNNING)
        again = replace(again, status=InstanceStatus.RUNNING)
        runtime.state = replace(runtime.state, instances=runtime.state.instances.set(WEB, again))

    for how in ({"code": 0}, {"code": None, "signal": 15}):
        ended(reason="stopped", **how)
        shown = await explained(runtime)
        assert (shown.last_output, shown.last_output_missing) == ((), "")
        assert "; attempt 1 was stopped by request" in shown.text
        whole = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
        assert "web-1.1 was stopped by request" in whole.text
    for how in ({"code": 3, "reason": "stopped"}, {"code": 0, "reason": "exited"}):
        ended(**how)
        assert (await explained(runtime)).last_output == ("serves as it should",)


async def test_what_was_stopped_with_its_node_is_not_told_to_have_been_stopped_by_request(
    runtime: MemoryRuntime,
) -> None:
    deploy(runtime)
    node = next(iter(runtime.nodes.values()))
    ending = ExitRecord(attempt=1, signal=15, reason="stopped", message="stopped as asked (killed by SIGTERM)")
    for phase, attempt in ((Phase.WAITING, 1), (Phase.RUNNING, 2)):
        known = runtime.state.nodes[node.id]
        report = cm.InstanceReport(
            instance=WEB, attempt=attempt, phase=phase, exit=ending if attempt == 1 else None, handle="pid"
        )
        command = cm.ReportInstances(
            node=node.id,
            session=known.session,
            outbox=known.outbox,
            first_sequence=known.sequence + 1,
            reports=(report,),
        )
        runtime.apply(command, principal=node.principal)
    shown = await explained(runtime)
    assert shown.text.endswith("; attempt 1 was stopped with its node, which was taken down")
    assert (shown.last_output, shown.last_output_missing) == ((), "")
    whole = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert "web-1.1 was stopped with its node, which was taken down, " in whole.text
    first, last = whole.points
    assert (first, whole.text) == ("1 of 1 replicas are known to run", f"{first}; {last}")


class TestDraining:
    """What is still on a node that is to be emptied, and why."""

    async def test_of_several_it_is_told_how_many(
        self, runtime: MemoryRuntime, capsys: pytest.CaptureFixture[str]
    ) -> None:
        deploy(runtime, replicas=5)
        runtime.apply(cm.DrainNode(node="alpha"))
        shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
        (trouble,) = shown.troubles
        assert trouble.alike == 4
        _tell_agent(Session(Globals()), shown)
        told = capsys.readouterr().out
        assert "  web-1.1 and 4 more  runs on alpha for" in told

    async def test_it_fits_nowhere_else(self, runtime: MemoryRuntime) -> None:
        deploy(runtime)
        runtime.apply(cm.DrainNode(node="alpha"))
        shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
        (trouble,) = shown.troubles
        assert trouble.text.endswith(
            "; alpha is being drained, and it stays as it fits nowhere else: there is no other node. It leaves when "
            "one joins that can take it"
        )
        assert trouble.placement is not None
        assert trouble.placement.verdict == "fits-when"

    @pytest.mark.parametrize(("before", "after"), [(500, 3000), (1900, 500)])
    async def test_where_it_could_go_is_judged_by_the_version_that_would_start_there(
        self, runtime: MemoryRuntime, before: int, after: int
    ) -> None:
        """A rollout has not come to it yet: what takes its place has the spec of the newest version."""
        spec = AgentSpec(command=("x",), resources=Resources(cpu=before), update=Update(max_unavailable=1))
        deploy(runtime, spec, replicas=2)
        runtime.add_node("beta", cpu=1000)
        runtime.apply(cm.DrainNode(node="alpha"))
        deploy(runtime, replace(spec, resources=Resources(cpu=after)), replicas=2, settle=False)
        instance = runtime.state.instances["web.2.1"]
        assert (instance.version, instance.status) == (1, "running")
        shown = await explained(runtime, instance.id)
        assert shown.placement is not None
        assert shown.placement.verdict == ("fits-now" if after < before else "never")
        if after > before:
            assert (
                "it stays as it fits nowhere else in the version that would start there (2): needs 3 cpu" in shown.text
            )
            (concern,) = [
                one for one in await concerns(runtime, runtime.state, runtime.now_ms()) if one.subject == "node alpha"
            ]
            assert ", which fits nowhere else in the version that would start there (2): needs 3 cpu" in concern.text

    async def test_its_agents_update_allows_no_more_to_be_away(self, runtime: MemoryRuntime) -> None:
        deploy(runtime, replicas=2)
        runtime.apply(cm.DrainNode(node="alpha"))
        runtime.add_node("beta")
        move = cm.MoveInstances(seen_revision=0, choices=(cm.MoveChoice(WEB, "n-beta"),))
        assert runtime.apply(move)["moved"] == 1
        assert (await explained(runtime, "web.2.1")).text.endswith(
            "; alpha is being drained, and it stays until another runs in place of web-1.1, which stops; 1 of 2 "
            "replicas may be away at once"
        )

    async def test_of_more_replicas_than_are_looked_at_it_is_told_that_more_may_be_away(
        self, runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deploy(runtime, AgentSpec(command=("x",), update=Update(max_unavailable=1)), replicas=5)
        runtime.apply(cm.DrainNode(node="alpha"))
        runtime.add_node("beta")
        for slot in (1, 2, 3):
            runtime.exit(f"web.{slot}.1", code=1)
        waits = "it stays until web-1.1, and 2 more are available"
        assert waits in (await explained(runtime, "web.5.1")).text
        monkeypatch.setattr(blocked, "EXAMINED_SLOTS", 2)
        waits = "it stays until web-1.1, and at least 1 more are available"
        assert waits in (await explained(runtime, "web.5.1")).text

    async def test_what_it_waits_for_is_named_also_where_all_of_them_run(self, runtime: MemoryRuntime) -> None:
        """As many run as are wanted, and one of them is not well."""
        asks = Probes(readiness=Probe(type="tcp", port="http"))
        update = Update(max_unavailable=1)
        spec = AgentSpec(command=("x",), ports={"http": Port()}, health=asks, update=update)
        deploy(runtime, spec, replicas=4)
        for one in list(runtime.state.instances):
            runtime.nodes["alpha"].set_health(one, Health.HEALTHY)
        runtime.settle()
        runtime.nodes["alpha"].set_health("web.2.1", Health.UNHEALTHY)
        runtime.settle()
        runtime.add_node("beta")
        runtime.apply(cm.DrainNode(node="alpha"))
        assert runtime.state.agents["web"].counts.running == 4
        assert (await explained(runtime, "web.3.1")).text.endswith(
            "; alpha is being drained, and it stays until web-2.1 is available: it is not ready; 1 of 4 replicas may "
            "be away at once"
        )

    async def test_it_is_about_to_leave(self, runtime: MemoryRuntime) -> None:
        deploy(runtime)
        runtime.apply(cm.DrainNode(node="alpha"))
        runtime.add_node("beta")
        assert (await explained(runtime)).text.endswith("; alpha is being drained, and it is about to leave")


class TestShown:
    """What a view says of an instance."""

    def test_what_has_failed_has_no_endpoints(self, runtime: MemoryRuntime) -> None:
        deploy(runtime, AgentSpec(command=("x",), ports={"http": Port()}, restart=Restart(policy="never")))
        assert show_instance(runtime.state, runtime.state.instances[WEB]).urls
        runtime.exit(WEB, code=1)
        shown = show_instance(runtime.state, runtime.state.instances[WEB])
        assert (shown.status, shown.urls, shown.ports) == ("failed", {}, {})

    def test_a_taken_port_is_told_in_words(self, runtime: MemoryRuntime) -> None:
        port = {"http": Port(port=7400)}
        deploy(runtime, AgentSpec(command=("x",), ports=port, restart=Restart(policy="never")))
        runtime.exit(WEB, code=None, cause="port-busy", message="7400")
        shown = show_instance(runtime.state, runtime.state.instances[WEB])
        assert shown.exit is not None
        assert shown.exit.text == "port-busy: host port 7400 is taken by something else"
        assert 7400 not in runtime.state.nodes["n-alpha"].ports, "it is tried again: whoever has it may end"

    def test_what_returns_with_its_node_has_run_all_the_while(self, runtime: MemoryRuntime) -> None:
        deploy(runtime)
        started = show_instance(runtime.state, runtime.state.instances[WEB]).since_ms
        runtime.tick(60_000)
        node = runtime.nodes["alpha"]
        session = node.session
        runtime.silence("alpha")
        runtime.apply(cm.DeclareLost(node="n-alpha", session=session, silent_ms=9000, default_lost_after_ms=1))
        runtime.tick(60_000)
        runtime.connect("alpha")
        shown = show_instance(runtime.state, runtime.state.instances[WEB])
        assert (shown.status, shown.since_ms) == ("running", started)


def test_when_a_node_was_heard_last_is_told_as_a_time() -> None:
    failed = from_exception(NodeAway("alpha", 1_700_000_000_000))
    assert failed is not None
    assert failed.problem.detail.endswith("nothing has been heard of it since 2023-11-14 22:13:20 UTC")


async def test_an_agents_kinds_of_trouble_are_bounded(runtime: MemoryRuntime) -> None:
    deploy(runtime, AgentSpec(command=("x",), resources=Resources(cpu=1)), replicas=30)
    for slot in range(1, 21):
        runtime.exit(f"web.{slot}.1", code=slot)
    shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert len(shown.troubles) == explaining.MAX_TROUBLES


def waits_on_two_nodes(runtime: MemoryRuntime, replicas: int = 2) -> None:
    """A replica a node, each with a volume that stays there; none may start again where it is."""
    kept = AgentSpec(command=("x",), resources=Resources(cpu=3000), volumes={"data": Volume(target="data")})
    names = ["alpha", *(f"node-{number}" for number in range(1, replicas))]
    for name in names[1:]:
        runtime.add_node(name)
    deploy(runtime, kept, replicas=replicas)
    for name in names:
        runtime.apply(cm.CordonNode(node=f"n-{name}"))
    for slot in range(1, replicas + 1):
        runtime.apply(cm.RestartInstance(instance=f"web.{slot}.1"))
    runtime.settle()


async def test_replicas_that_wait_for_different_things_are_told_of_apart(runtime: MemoryRuntime) -> None:
    waits_on_two_nodes(runtime)
    runtime.tick(15_000)
    shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert [one.instance.name for one in shown.troubles] == ["web-1.2", "web-2.2"]
    for one, node in zip(shown.troubles, ("alpha", "node-1"), strict=True):
        assert f"Fits when {node} is uncordoned;" in one.text
        assert f"1 pending, such as {one.instance.name}: {one.text}" in shown.text


async def test_replicas_that_wait_for_the_same_are_told_of_once(runtime: MemoryRuntime) -> None:
    deploy(runtime, AgentSpec(command=("x",), resources=Resources(cpu=3000)), replicas=4)
    shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert [one.instance.name for one in shown.troubles] == ["web-2.1"]
    assert "3 pending, such as web-2.1: pending for" in shown.text


async def test_kinds_of_trouble_that_are_not_told_of_are_counted(runtime: MemoryRuntime) -> None:
    waits_on_two_nodes(runtime, explaining.MAX_TROUBLES + 2)
    shown = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert len(shown.troubles) == explaining.MAX_TROUBLES
    assert shown.text.endswith("; 2 more, for reasons of another kind: omnitide ps web")


async def test_a_concern_of_what_waits_for_different_things_names_of_which_its_reason_is(
    runtime: MemoryRuntime,
) -> None:
    waits_on_two_nodes(runtime)
    runtime.tick(15_000)
    (found,) = await concerns(runtime, runtime.state, runtime.clock_ms)
    assert found.text.startswith("2 pending for 15 s, such as web-1.2: ")
    assert "alpha" in found.text


@pytest.mark.parametrize(
    ("running", "told"),
    [
        (2, "2 of 3 replicas are known to run"),
        (4, "3 of 3 replicas are known to run, 1 more until it is stopped"),
        (5, "3 of 3 replicas are known to run, 2 more until they are stopped"),
    ],
)
def test_no_more_replicas_run_than_there_are(running: int, told: str) -> None:
    assert known_to_run(running, 3) == told


def test_the_schedulers_explanation_and_ours_have_the_same_fields() -> None:
    assert set(PlacementVerdict.__struct_fields__) == set(Explanation.__struct_fields__)


async def test_concerns(runtime: MemoryRuntime) -> None:
    """Silent and stalled nodes, drivers that do not work, what waits. An engine that nobody installed is no concern."""
    broken = (DriverFact(name="docker", healthy=False, detail="no socket"), DriverFact(name="process"))
    plain = (DriverFact(name="docker", healthy=False, absent=True, detail="not installed"), DriverFact(name="process"))
    runtime.add_node("delta", cpu=0, drivers=plain)
    runtime.add_node("beta", drivers=broken)
    runtime.add_node("gamma")
    runtime.live["n-beta"] = NodeLive(last_beat_ms=1, stalled_since_ms=runtime.clock_ms)
    runtime.silence("gamma")
    deploy(runtime, AgentSpec(command=("x",), resources=Resources(cpu=3000)), replicas=4)
    runtime.apply(cm.RunJob(job="job", namespace="default", name="job", spec=JobSpec(command=("x",), driver="wasm")))
    runtime.tick(15_000)
    declaration = REGISTRY["fabric.status"]
    context = Context(principal="system:test", correlation="c")
    status = (await perform(declaration, runtime, context, declaration.input())).value  # type: ignore[arg-type]
    assert [(one.subject, one.text) for one in status.concerns] == [
        ("node beta", "connected, but its beats are not answered"),
        ("node beta", "the driver docker does not work: no socket"),
        ("node gamma", "not heard from for 15 s"),
        ("job default/job", "1 pending for 15 s: needs the driver wasm; 0 of 4 nodes have it"),
        (
            "agent default/web",
            (
                "2 pending for 15 s: needs 3 cpu; 0 of the 3 nodes that could otherwise run it have it "
                "(largest free: alpha 1)"
            ),
        ),
    ]


async def test_what_nodes_have_that_take_nothing_new_is_told_apart(runtime: MemoryRuntime) -> None:
    runtime.add_node("beta", cpu=2500)
    runtime.apply(cm.CordonNode(node="n-beta"))
    declaration = REGISTRY["fabric.status"]
    context = Context(principal="system:test", correlation="c")
    status = (await perform(declaration, runtime, context, declaration.input())).value  # type: ignore[arg-type]
    assert (status.cpu_milli, status.closed_cpu_milli) == (6500, 2500)
    assert (status.memory_bytes, status.closed_memory_bytes) == (16 << 30, 8 << 30)
    told = "cpu 0/6.5   memory 0 B/16 GiB"
    assert _room(status) == f"{told}   2.5 cpu and 8 GiB of the whole are on nodes that take nothing new"
    runtime.apply(cm.CordonNode(node="n-alpha"))
    status = (await perform(declaration, runtime, context, declaration.input())).value  # type: ignore[arg-type]
    assert _room(status) == f"{told}   the whole is on nodes that take nothing new"
    runtime.apply(cm.UncordonNode(node="n-alpha"))
    runtime.apply(cm.UncordonNode(node="n-beta"))
    status = (await perform(declaration, runtime, context, declaration.input())).value  # type: ignore[arg-type]
    assert _room(status) == "cpu 0/6.5   memory 0 B/16 GiB"


async def test_what_waits_for_a_secret_says_so_and_how_to_make_it_not_when_it_is_tried_next(
    runtime: MemoryRuntime,
) -> None:
    deploy(runtime, AgentSpec(command=("x",), secrets={"db": SecretUse(environment="TOKEN")}))
    runtime.exit(WEB, code=None, cause="secret-missing", message="secret default/db does not exist")
    runtime.clock_ms += 12_000
    found = await explained(runtime)
    (concern,) = await concerns(runtime, runtime.state, runtime.now_ms())
    assert (concern.subject, concern.text) == (
        "agent default/web",
        "1 of 1 cannot start without secret default/db, which does not exist (to make it: omnitide secret set db)",
    )
    assert found.text == (
        "waits on alpha for 12 s for secret default/db, which does not exist (to make it: omnitide secret set db); "
        "it starts when that is set"
    )
    runtime.apply(cm.SetSecret(id="s1", namespace="default", name="db", digest="d", blob="sha256:d", size=1))
    assert "does not exist (to make" not in (await explained(runtime)).text
