"""Operations over the real core: what they change, what they answer, and what a try changes (nothing)."""

from typing import Any

import msgspec
import pytest
from tests.support.memory_runtime import START_MS, MemoryRuntime

from omnitide.fabric import feature_levels
from omnitide.fabric.state import TokenPurpose
from omnitide.model.objects import Agent, AgentChanged
from omnitide.model.spec import AgentSpec, JobSpec, Limits, Port, Resources
from omnitide.operations.failures import Failed
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY
from omnitide.operations.runtime import Check, NodeLive, NotServing
from omnitide.operations.runtime import Limits as Bounds
from omnitide.security.tokens import parse_api_token

SPEC = AgentSpec(command=("serve",), ports={"http": Port()})


class Caller:
    """Somebody with an API token."""

    def __init__(self, runtime: MemoryRuntime) -> None:
        self.runtime = runtime
        self.principal = f"token:{parse_api_token(runtime.api_token()).id}"

    async def __call__(self, operation: str, /, *, context: dict[str, Any] | None = None, **fields: Any) -> Any:
        declaration = REGISTRY[operation]
        asked = declaration.input(**fields)
        made = Context(principal=self.principal, correlation="c-1", **(context or {}))
        return (await perform(declaration, self.runtime, made, asked)).value  # type: ignore[arg-type]

    async def refused(self, operation: str, /, **fields: Any) -> Failed:
        with pytest.raises(Failed) as caught:
            await self(operation, **fields)
        return caught.value


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha")
    made.add_node("beta")
    return made


@pytest.fixture
def call(runtime: MemoryRuntime) -> Caller:
    return Caller(runtime)


async def deploy(call: Caller, name: str = "hello", **fields: Any) -> AgentChanged:
    changed = await call("agents.deploy", namespace="default", name=name, **{"spec": SPEC, **fields})
    call.runtime.settle()
    return changed


async def get(call: Caller, name: str = "hello") -> Agent:
    return await call("agents.get", namespace="default", name=name)


# -- agents ----------------------------------------------------------------------------------------------------------


async def test_a_new_agent_is_answered_as_it_is_at_the_revision_of_its_making(call: Caller) -> None:
    changed = await call("agents.deploy", namespace="default", name="hello", spec=SPEC, replicas=3)
    assert (changed.change, changed.agent.replicas, changed.agent.counts.pending) == ("created", 3, 3)
    assert changed.revision == changed.agent.revision == call.runtime.state.revision
    assert changed.plan.instances_created == 3
    assert {one.path: one.after for one in changed.plan.differences} == {"command": '["serve"]', "ports.http": "{}"}


async def test_the_same_spec_again_changes_nothing(call: Caller) -> None:
    await deploy(call)
    before = call.runtime.state.revision
    changed = await call("agents.deploy", namespace="default", name="hello", spec=SPEC)
    assert (changed.change, changed.plan.change, call.runtime.state.revision) == ("unchanged", "unchanged", before)


async def test_a_plan_names_what_changes_in_peoples_units(call: Caller) -> None:
    await deploy(call)
    larger = msgspec.structs.replace(SPEC, resources=Resources(cpu=1500, memory=1 << 30), environment={"A": "b"})
    changed = await call("agents.deploy", namespace="default", name="hello", spec=larger, context={"dry_run": True})
    assert {(one.path, one.before, one.after) for one in changed.plan.differences} == {
        ("environment.A", "", "b"),
        ("resources.cpu", "0.1", "1.5"),
        ("resources.memory", "32 MiB", "1 GiB"),
    }
    assert (changed.plan.version_before, changed.plan.version_after) == (1, 2)


async def test_a_dry_run_writes_nothing(call: Caller) -> None:
    before = call.runtime.state
    changed = await call("agents.deploy", namespace="default", name="hello", spec=SPEC, context={"dry_run": True})
    assert (changed.dry_run, changed.change, changed.revision) == (True, "created", before.revision)
    assert call.runtime.state is before


async def test_a_manifest_does_not_take_over_what_scale_set_and_says_so(call: Caller) -> None:
    await deploy(call, replicas=1)
    await call("agents.scale", namespace="default", name="hello", replicas=4)
    changed = await call("agents.deploy", namespace="default", name="hello", spec=SPEC, replicas=2)
    assert changed.agent.replicas == 4
    assert "`scale` set them last" in changed.plan.note
    taken = await call(
        "agents.deploy", namespace="default", name="hello", spec=SPEC, replicas=2, take_over_replicas=True
    )
    assert (taken.agent.replicas, taken.plan.note) == (2, "")


async def test_an_agent_goes_through_its_life(call: Caller) -> None:
    await deploy(call, replicas=2)
    assert (await get(call)).status == "running"
    for operation, change, status in (
        ("agents.restart", "restarted", "progressing"),
        ("agents.stop", "stopped", "stopped"),
        ("agents.start", "started", "progressing"),
        ("agents.delete", "deleted", "removing"),
    ):
        changed = await call(operation, namespace="default", name="hello")
        assert (changed.change, changed.agent.status) == (change, status)
        if operation != "agents.delete":
            call.runtime.settle()
    call.runtime.settle()
    assert (await call.refused("agents.get", namespace="default", name="hello")).problem.code == "not-found"


async def test_a_version_says_whether_it_is_known_to_work(call: Caller) -> None:
    async def known() -> list[tuple[int, bool]]:
        versions = await call("agents.versions", namespace="default", name="hello")
        return [(one.number, one.proven) for one in versions.items]

    await call("agents.deploy", namespace="default", name="hello", spec=SPEC)
    assert await known() == [(1, False)], "it does not run yet"
    call.runtime.settle()
    assert await known() == [(1, True)]
    await deploy(call, spec=msgspec.structs.replace(SPEC, command=("gone",)))
    call.runtime.tick(5_000)
    assert await known() == [(2, False), (1, True)]
    await deploy(call)
    assert await known() == [(3, True), (2, False), (1, True)]


async def test_versions_are_listed_newest_first(call: Caller) -> None:
    await deploy(call)
    await deploy(call, spec=msgspec.structs.replace(SPEC, command=("serve", "2")))
    versions = await call("agents.versions", namespace="default", name="hello")
    assert [(one.number, one.current, one.reason) for one in versions.items] == [
        (2, True, "updated"),
        (1, False, "deployed"),
    ]


async def test_a_spec_that_no_node_could_ever_run_is_refused_with_the_numbers(call: Caller) -> None:
    failure = await call.refused(
        "agents.deploy",
        namespace="default",
        name="big",
        spec=AgentSpec(command=("x",), resources=Resources(cpu=64_000)),
    )
    assert failure.problem.code == "impossible"
    assert "most cpu 4" in failure.problem.detail


async def test_a_spec_larger_than_the_bound_is_refused(call: Caller) -> None:
    call.runtime.bounds = Bounds(spec_bytes=1000)
    failure = await call.refused(
        "agents.deploy", namespace="default", name="fat", spec=AgentSpec(command=("x" * 2000,))
    )
    assert failure.problem.code == "too-large"


async def test_a_spec_with_a_fault_beyond_types_names_the_field(call: Caller) -> None:
    failure = await call.refused("agents.deploy", namespace="default", name="nul", spec=AgentSpec(command=("a\0",)))
    assert failure.problem.errors[0].field == "spec.command[0]"


# -- instances -------------------------------------------------------------------------------------------------------


async def test_an_instance_shows_where_it_can_be_reached(call: Caller) -> None:
    await deploy(call)
    (instance,) = (await call("instances.list")).items
    assert (instance.name, instance.status, instance.address) == ("hello-1.1", "running", "127.0.0.1")
    assert instance.urls == {"http": f"http://127.0.0.1:{instance.ports['http']}"}
    assert instance.correlation == "c-1"


async def test_an_instance_is_told_with_what_its_own_version_runs_in(call: Caller) -> None:
    await deploy(call)
    assert [(one.driver, one.isolation) for one in (await call("instances.list")).items] == [("process", "none")]
    within = msgspec.structs.replace(SPEC, isolation="sandbox")
    await call("agents.deploy", namespace="default", name="hello", spec=within)
    assert [(one.version, one.isolation) for one in (await call("instances.list")).items] == [(1, "none")]
    call.runtime.settle()
    assert (2, "sandbox") in [(one.version, one.isolation) for one in (await call("instances.list")).items]


async def test_what_a_silent_node_runs_is_unknown_everywhere(call: Caller) -> None:
    """Law 13. In instances, in the agent's counts and status, in the node, in the fabric's status."""
    await deploy(call, replicas=2)
    call.runtime.tick(5_000)
    call.runtime.silence("alpha")
    silent_since = call.runtime.clock_ms
    call.runtime.tick(12_000)
    for instance in (await call("instances.list")).items:
        assert (instance.status, instance.last_status) == ("unknown", "running")
        assert instance.unknown_since_ms == instance.since_ms == silent_since
        assert instance.health == "unknown"
    agent = await get(call)
    assert (agent.status, agent.running, agent.counts.running, agent.counts.unknown) == ("unknown", 0, 0, 2)
    node = await call("nodes.get", node="alpha")
    assert (node.status, node.unknown_since_ms) == ("unreachable", silent_since)
    status = await call("fabric.status")
    assert (status.instances.unknown, status.instances.running) == (2, 0)
    assert status.concerns[0].subject == "node alpha"
    assert status.concerns[0].text == "not heard from for 12 s"


async def test_a_stalled_node_is_shown_so(call: Caller) -> None:
    call.runtime.live["n-alpha"] = NodeLive(last_beat_ms=1, stalled_since_ms=START_MS)
    assert (await call("nodes.get", node="alpha")).status == "stalled"
    assert [node.name for node in (await call("nodes.list", status="stalled")).items] == ["alpha"]
    assert (await call("fabric.status")).nodes.stalled == 1


async def test_a_death_has_a_card(call: Caller) -> None:
    await deploy(call)
    identifier = next(iter(call.runtime.state.instances))
    call.runtime.exit(identifier, code=3, message="")
    instance = await call("instances.get", instance=identifier)
    assert (instance.status, instance.exit.code, instance.exit.text) == ("starting", 3, "exit code 3")
    assert (await get(call)).status == "degraded"


async def test_filters_of_instances(call: Caller) -> None:
    await deploy(call, "hello", replicas=2)
    await deploy(call, "other")
    await call("jobs.run", namespace="default", name="once", spec=JobSpec(command=("true",)))
    call.runtime.settle()

    async def names(**filters: Any) -> list[str]:
        return [one.name for one in (await call("instances.list", **filters)).items]

    assert await names() == ["hello-1.1", "hello-2.1", "once-1.1", "other-1.1"]
    assert await names(agent="hello") == ["hello-1.1", "hello-2.1"]
    assert await names(job="once") == ["once-1.1"]
    assert await names(name="hello-2.1") == ["hello-2.1"]
    assert await names(node="beta") == []
    assert await names(node="alpha", agent="other") == ["other-1.1"]
    assert await names(namespace="elsewhere") == []
    assert await names(status="pending") == []
    assert await names(agent="once") == []


async def test_finished_ones_are_listed_when_asked_for(call: Caller) -> None:
    await call("jobs.run", namespace="default", name="once", spec=JobSpec(command=("true",)))
    call.runtime.settle()
    (identifier,) = call.runtime.state.instances
    call.runtime.exit(identifier, code=0)
    assert (await call("instances.list")).items == ()
    assert [one.status for one in (await call("instances.list", all=True)).items] == ["succeeded"]
    assert [one.status for one in (await call("instances.list", status="succeeded")).items] == ["succeeded"]


async def test_one_instance_is_restarted(call: Caller) -> None:
    await deploy(call, replicas=2)
    identifier = min(call.runtime.state.instances)
    changed = await call("instances.restart", instance=identifier)
    assert (changed.change, changed.instance.status, changed.instance.stop_reason) == (
        "restarted",
        "stopping",
        "restart",
    )
    call.runtime.settle()
    assert [one.name for one in (await call("instances.list")).items] == ["hello-1.2", "hello-2.1"]


# -- explanations ----------------------------------------------------------------------------------------------------


async def test_pending_is_explained_in_numbers_and_node_by_node(call: Caller) -> None:
    await deploy(call, spec=AgentSpec(command=("x",), resources=Resources(cpu=3000)), replicas=3)
    call.runtime.tick(12_000)
    waiting = next(one for one in (await call("instances.list")).items if one.status == "pending")
    explained = await call("instances.explain", instance=waiting.id, nodes=10)
    assert explained.text.startswith("pending for 12 s: ")
    assert explained.placement.verdict == "fits-when"
    assert {row.name: row.fits for row in explained.placement.table} == {"alpha": False, "beta": False}
    agent = await call("agents.explain", namespace="default", name="hello")
    assert agent.text.startswith("2 of 3 replicas are known to run; 1 pending, such as hello-3.1: ")


async def test_a_crash_is_explained_with_its_last_words(call: Caller) -> None:
    await deploy(call)
    identifier = next(iter(call.runtime.state.instances))
    call.runtime.writes(identifier).write("".join(f"line {number}\n" for number in range(80)))
    call.runtime.exit(identifier, code=1)
    explained = await call("instances.explain", instance=identifier)
    assert "ended with exit code 1" in explained.text
    assert explained.last_output == tuple(f"line {number}" for number in range(30, 80))


async def test_an_explanation_says_why_there_is_no_output(call: Caller) -> None:
    await deploy(call)
    identifier = next(iter(call.runtime.state.instances))
    call.runtime.exit(identifier, code=1)
    call.runtime.silence("alpha")
    explained = await call("instances.explain", instance=identifier)
    assert explained.instance.status == "unknown"
    assert explained.last_output_missing == "node alpha is away"


async def test_an_agent_of_many_replicas_is_explained_by_kinds_of_trouble(call: Caller) -> None:
    await deploy(call, spec=AgentSpec(command=("x",), resources=Resources(cpu=1000)), replicas=40)
    explained = await call("agents.explain", namespace="default", name="hello")
    assert len(explained.troubles) == 1
    assert "32 pending" in explained.text


# -- jobs, nodes, namespaces, tokens ---------------------------------------------------------------------------------


async def test_a_job_runs_and_is_forgotten(call: Caller) -> None:
    changed = await call("jobs.run", namespace="default", spec=JobSpec(command=("true",)))
    name = changed.job.name
    assert changed.change == "created"
    call.runtime.settle()
    (identifier,) = call.runtime.state.instances
    call.runtime.exit(identifier, code=4)
    job = await call("jobs.get", namespace="default", name=name)
    assert (job.status, job.exit.code, job.instance_status) == ("failed", 4, "failed")
    assert [one.name for one in (await call("jobs.list", status="failed")).items] == [name]
    assert (await call("jobs.delete", namespace="default", name=name)).change == "deleted"
    assert (await call("jobs.list")).items == ()


async def test_a_job_is_cancelled_once(call: Caller) -> None:
    await call("jobs.run", namespace="default", name="long", spec=JobSpec(command=("sleep",)))
    call.runtime.settle()
    assert (await call("jobs.cancel", namespace="default", name="long")).job.cancelling
    call.runtime.settle()
    assert (await call("jobs.get", namespace="default", name="long")).status == "cancelled"
    assert (await call.refused("jobs.cancel", namespace="default", name="long")).problem.code == "conflict"


async def test_nodes_are_closed_and_opened(call: Caller) -> None:
    assert (await call("nodes.cordon", node="alpha")).change == "cordoned"
    assert (await call("nodes.cordon", node="n-alpha")).change == "unchanged"
    assert [one.name for one in (await call("nodes.list", scheduling="cordoned")).items] == ["alpha"]
    assert (await call("nodes.uncordon", node="alpha")).node.scheduling == "open"
    failure = await call.refused("nodes.remove", node="alpha")
    assert failure.problem.code == "conflict"
    assert "omnitide drain alpha" in failure.problem.hint
    assert (await call("nodes.drain", node="alpha")).node.scheduling == "drained"
    assert (await call("nodes.remove", node="alpha")).change == "removed"
    assert [one.name for one in (await call("nodes.list")).items] == ["beta"]


async def test_a_node_is_labelled_while_it_runs(call: Caller) -> None:
    changed = await call("nodes.label", node="alpha", labels={"zone": "attic", "gpu": "a10"})
    assert (changed.change, changed.node.labels) == ("labelled", {"zone": "attic", "gpu": "a10"})
    assert (await call("nodes.label", node="alpha", labels={"zone": "attic"})).change == "unchanged"
    assert (await call("nodes.label", node="alpha", remove=("gpu",))).node.labels == {"zone": "attic"}
    assert (await call.refused("nodes.label", node="alpha")).problem.code == "invalid"


async def test_labels_of_the_join_token_are_the_nodes(call: Caller) -> None:
    token = call.runtime.join_token(labels={"zone": "attic"})
    await REGISTRY["join.node"].handler(  # type: ignore[union-attr]
        call.runtime,
        Context(principal="nobody:open", correlation="c"),
        REGISTRY["join.node"].input(token=token, csr_pem="key", facts={}),
    )
    node = next(one for one in (await call("nodes.list")).items if one.status == "joined")
    assert node.labels["zone"] == "attic"


async def test_namespaces(call: Caller) -> None:
    assert (await call("namespaces.create", name="team")).namespace.name == "team"
    assert (await call.refused("namespaces.create", name="team")).problem.code == "already-exists"
    assert [one.name for one in (await call("namespaces.list")).items] == ["default", "team"]
    assert (await call("namespaces.delete", name="team")).change == "deleted"
    assert (await call.refused("namespaces.delete", name="default")).problem.code == "conflict"


async def test_a_tokens_text_is_shown_once_and_kept_nowhere(call: Caller) -> None:
    made = await call("tokens.create", purpose="api", note="ci")
    assert made.text.startswith("oma_")
    assert made.text not in repr(made)
    secret = made.text.split("_")[2]
    assert secret not in repr(call.runtime.state)
    assert secret not in repr(call.runtime.log)
    listed = (await call("tokens.list", purpose="api")).items
    assert [one.note for one in listed] == ["", "ci"]
    assert secret not in repr(listed)


@pytest.mark.parametrize(("purpose", "days", "words"), [("join", 31, "30 days"), ("api", 3651, "10 years")])
async def test_a_token_does_not_outlive_its_use(call: Caller, purpose: str, days: int, words: str) -> None:
    failure = await call.refused("tokens.create", purpose=purpose, ttl=days * 86_400_000)
    assert failure.problem.code == "invalid"
    assert words in failure.problem.detail


async def test_a_join_token_ends(call: Caller) -> None:
    made = await call("tokens.create", purpose="join", uses=2)
    assert made.token.expires_ms == START_MS + 3_600_000
    assert made.token.uses_left == 2
    call.runtime.tick(3_600_000)
    states = {one.id: one.state for one in (await call("tokens.list", purpose="join")).items}
    assert states[made.token.id] == "expired"
    assert (await call("tokens.revoke", id=made.token.id)).token.state == "revoked"


async def test_a_revoked_token_may_nothing(call: Caller, runtime: MemoryRuntime) -> None:
    other = Caller(runtime)
    await call("tokens.revoke", id=other.principal.removeprefix("token:"))
    assert (await other.refused("fabric.status")).problem.code == "forbidden"
    assert (await other.refused("agents.deploy", namespace="default", name="x", spec=SPEC)).problem.code == "forbidden"


async def test_a_join_token_is_no_api_token(runtime: MemoryRuntime) -> None:
    drawn = runtime.new_token(TokenPurpose.JOIN)
    joiner = Caller(runtime)
    joiner.principal = f"token:{drawn.id}"
    assert (await joiner.refused("fabric.status")).problem.code == "forbidden"


# -- conditions ------------------------------------------------------------------------------------------------------


async def test_a_change_on_an_older_revision_is_refused_as_such(call: Caller) -> None:
    made = await deploy(call)
    revision = made.agent.revision  # type: ignore[union-attr]
    await call("agents.scale", namespace="default", name="hello", replicas=2)
    failure = await call.refused(
        "agents.scale", namespace="default", name="hello", replicas=3, context={"if_match": revision}
    )
    assert failure.problem.code == "precondition-failed"
    assert failure.problem.status == 412


async def test_a_refusal_that_has_nothing_to_do_with_the_precondition_keeps_its_code(call: Caller) -> None:
    await deploy(call)
    await call("agents.stop", namespace="default", name="hello")
    call.runtime.settle()
    revision = (await get(call)).revision
    failure = await call.refused("agents.restart", namespace="default", name="hello", context={"if_match": revision})
    assert failure.problem.code == "conflict"


async def test_creating_only_what_is_not_there(call: Caller) -> None:
    await call("agents.deploy", namespace="default", name="hello", spec=SPEC, context={"if_match": 0})
    failure = await call.refused("agents.deploy", namespace="default", name="hello", spec=SPEC, context={"if_match": 0})
    assert failure.problem.code == "precondition-failed"


async def test_a_repetition_gets_the_first_answer(call: Caller) -> None:
    key = {"idempotency_key": "k", "fingerprint": "f"}
    first = await call("jobs.run", namespace="default", spec=JobSpec(command=("true",)), context=key)
    again = await call("jobs.run", namespace="default", spec=JobSpec(command=("true",)), context=key)
    assert again.job.id == first.job.id
    assert (again.replayed, again.revision) == (True, first.revision)
    assert len(call.runtime.state.jobs) == 1


async def test_the_repetition_of_what_changed_nothing_says_so_and_changes_nothing_later(call: Caller) -> None:
    await call("agents.deploy", namespace="default", name="x", spec=AgentSpec(command=("x",)), replicas=1)
    scale = {"namespace": "default", "name": "x"}
    await call("agents.scale", **scale, replicas=3)
    key = {"idempotency_key": "k", "fingerprint": "f"}
    first = await call("agents.scale", **scale, replicas=3, context=key)
    assert (first.change, first.replayed) == ("unchanged", False)
    await call("agents.scale", **scale, replicas=5)
    again = await call("agents.scale", **scale, replicas=3, context=key)
    assert (again.change, again.replayed, again.revision) == ("unchanged", True, first.revision)
    assert again.agent.replicas == 5


async def test_another_request_under_the_same_key_is_refused(call: Caller) -> None:
    spec = JobSpec(command=("true",))
    key = {"idempotency_key": "k", "fingerprint": "f"}
    await call("jobs.run", namespace="default", spec=spec, context=key)
    failure = await call.refused("jobs.run", namespace="default", spec=spec, context={**key, "fingerprint": "g"})
    assert failure.problem.code == "idempotency-mismatch"


async def test_a_repeated_making_of_a_token_says_that_its_text_is_gone(call: Caller) -> None:
    key = {"idempotency_key": "k", "fingerprint": "f"}
    await call("tokens.create", purpose="api", context=key)
    failure = await call.refused("tokens.create", purpose="api", context=key)
    assert failure.problem.code == "conflict"
    assert "its text was in that answer only" in failure.problem.detail


async def test_a_try_is_never_remembered_as_done(call: Caller) -> None:
    key = {"idempotency_key": "k", "fingerprint": "f"}
    spec = JobSpec(command=("true",))
    await call("jobs.run", namespace="default", spec=spec, context={**key, "dry_run": True})
    real = await call("jobs.run", namespace="default", spec=spec, context=key)
    assert (real.replayed, len(call.runtime.state.jobs)) == (False, 1)


async def test_a_try_says_what_would_be_done_now_also_under_a_key_that_was_used(call: Caller) -> None:
    key = {"idempotency_key": "k", "fingerprint": "f"}
    spec = JobSpec(command=("true",))
    real = await call("jobs.run", namespace="default", spec=spec, context=key)
    tried = await call("jobs.run", namespace="default", spec=spec, context={**key, "dry_run": True})
    assert (tried.replayed, tried.change) == (False, "created")
    assert tried.job.id != real.job.id


async def test_a_precondition_where_none_is_taken_is_refused(call: Caller) -> None:
    failure = await call.refused("namespaces.create", name="x", context={"if_match": 3})
    assert failure.problem.code == "invalid"


async def test_writes_are_refused_while_reads_go_on(call: Caller) -> None:
    """A full disk."""
    call.runtime.refusing = NotServing("the disk of the event log is full")
    failure = await call.refused("namespaces.create", name="x")
    assert (failure.problem.code, failure.problem.status, failure.problem.retryable) == ("not-serving", 503, True)
    assert (await call("fabric.status")).fabric_id == "home"


async def test_a_refusal_for_good_is_not_called_retryable(call: Caller) -> None:
    call.runtime.refusing = NotServing("this log belongs to another", retryable=False)
    assert not (await call.refused("namespaces.create", name="x")).problem.retryable


async def test_readiness_names_what_does_not_work(call: Caller) -> None:
    call.runtime.checks = [Check("engine", True), Check("event-log", False, "disk full")]
    health = await call("health.ready")
    assert (health.ok, [(one.name, one.ok, one.detail) for one in health.checks]) == (
        False,
        [("engine", True, ""), ("event-log", False, "disk full")],
    )


async def test_limits_of_a_spec_are_compared_with_what_it_sets_aside(call: Caller) -> None:
    spec = AgentSpec(command=("x",), limits=Limits(cpu=50))
    problem = (await call.refused("agents.deploy", namespace="default", name="x", spec=spec)).problem
    assert (problem.code, [fault.field for fault in problem.errors]) == ("invalid", ["spec.limits.cpu"])


async def test_the_feature_level_is_raised_once_and_never_lowered(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = (await call.refused("fabric.raise", level=2)).problem
    assert (problem.code, "feature levels up to 1" in problem.detail) == ("impossible", True)
    monkeypatch.setattr(feature_levels, "NEWEST", 3)
    same = await call("fabric.raise", level=1)
    assert (same.feature_level, same.change) == (1, "unchanged")
    raised = await call("fabric.raise", level=3)
    assert (raised.feature_level, raised.change, raised.revision) == (3, "raised", call.runtime.state.revision)
    assert (await call("fabric.version")).feature_level == 3
    assert (await call.refused("fabric.raise", level=2)).problem.code == "conflict"
