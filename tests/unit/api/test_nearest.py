"""What is said to have been meant by a name that is not there."""

import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.model.spec import AgentSpec, JobSpec
from omnitide.operations import nearest
from omnitide.operations.failures import Failed, failed
from omnitide.operations.nearest import ELSEWHERE, with_nearest
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY

OTHERS = ("blue", "green", "red", "white")
HINT = "omnitide agents"


@pytest.fixture
def runtime() -> MemoryRuntime:
    """`hello`, and `batch`, a job; `shop` in the other namespaces; secrets and configs."""
    made = MemoryRuntime()
    made.add_node("alpha")
    for namespace in OTHERS:
        made.apply(cm.CreateNamespace(name=namespace))
    deploy(made, "default", "hello", replicas=2)
    made.apply(cm.RunJob(job="j-batch", namespace="default", name="batch", spec=JobSpec(command=("x",))))
    for namespace in OTHERS:
        deploy(made, namespace, "shop")
    for namespace, name in (("default", "database"), ("blue", "token"), ("blue", "databases")):
        digest = "sha256:" + "0" * 64
        made.apply(
            cm.SetSecret(id=f"s-{namespace}-{name}", namespace=namespace, name=name, digest=digest, blob=digest, size=1)
        )
    made.settle()
    return made


def deploy(runtime: MemoryRuntime, namespace: str, name: str, replicas: int = 1) -> None:
    spec = AgentSpec(command=("x",))
    runtime.apply(
        cm.DeployAgent(agent=f"a-{namespace}-{name}", namespace=namespace, name=name, spec=spec, replicas=replicas)
    )


def hint(runtime: MemoryRuntime, subject: str, *, code: str = "not-found", hint: str = HINT) -> str:
    told = with_nearest(failed(code, f"there is no {subject}", subject=subject, hint=hint), runtime.state)
    assert told.problem.subject == subject
    return told.problem.hint


@pytest.mark.parametrize(
    ("subject", "near"),
    [
        ("agent default/helo", "'hello'"),
        ("agent default/bach", "the job 'batch'"),
        ("job default/bach", "'batch'"),
        ("job default/helo", "the agent 'hello'"),
        ("agent defalt/hello", "the namespace 'default'"),
        ("secret defalt/x", "the namespace 'default'"),
        ("secret default/databse", "'database'"),
        ("node alhpa", "'alpha'"),
        ("namespace bleu", "'blue'"),
    ],
)
def test_the_nearest_is_named_before_what_else_there_is_to_do(runtime: MemoryRuntime, subject: str, near: str) -> None:
    assert hint(runtime, subject) == f"did you mean {near}? else: {HINT}"
    assert hint(runtime, subject, hint="") == f"did you mean {near}?"


@pytest.mark.parametrize(
    "subject",
    [
        "agent default/zzz",
        "job default/zzz",
        "agent zzz/hello",
        "config default/databse",
        "secret default/tokn",
        "node zzz",
        "namespace zzz",
        "token alpa",
        "instance default/helo-1",
    ],
)
def test_nothing_is_guessed_of_what_is_near_to_nothing_or_of_another_kind(runtime: MemoryRuntime, subject: str) -> None:
    assert hint(runtime, subject) == HINT


def test_another_failure_is_left_as_it_is(runtime: MemoryRuntime) -> None:
    assert hint(runtime, "agent default/helo", code="conflict") == HINT
    assert hint(runtime, "agent default/shop", code="conflict") == HINT


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (
            "agent default/shop",
            "it is in other namespaces: say blue/shop, green/shop, red/shop; 1 more namespace has it",
        ),
        ("agent blue/shop-1", "it is in other namespaces: say green/shop-1, red/shop-1, white/shop-1"),
        ("agent red/hello", "it is in another namespace: say default/hello"),
        ("job red/hello", "it is in another namespace: say default/hello"),
        ("agent blue/batch", "it is in another namespace: say default/batch"),
        ("agent blue/batch-1.1", "it is in another namespace: say default/batch-1.1"),
        ("secret default/token", "it is in another namespace: say blue/token"),
        ("instance hello-2", "it is in another namespace: say default/hello-2"),
        ("instance hello-2.1", "it is in another namespace: say default/hello-2.1"),
        ("instance batch-1.1", "it is in another namespace: say default/batch-1.1"),
    ],
)
def test_what_has_the_name_elsewhere_is_named_as_commands_take_it(
    runtime: MemoryRuntime, subject: str, said: str
) -> None:
    assert hint(runtime, subject) == said


def test_further_namespaces_are_counted(runtime: MemoryRuntime) -> None:
    for number in range(2):
        runtime.apply(cm.CreateNamespace(name=f"z{number}"))
        deploy(runtime, f"z{number}", "shop")
    more = len(OTHERS) + 2 - ELSEWHERE
    assert hint(runtime, "agent default/shop").endswith(f"red/shop; {more} more namespaces have it")


@pytest.mark.parametrize(
    "subject",
    [
        "instance hello",
        "instance batch",
        "instance hello-3",
        "instance hello-2.9",
        "instance hello-9.1",
        "instance batch-1",
        "node hello",
    ],
)
def test_what_is_no_instance_there_is_not_said_to_be_one(runtime: MemoryRuntime, subject: str) -> None:
    assert hint(runtime, subject) == HINT


@pytest.mark.parametrize("subject", ["agent ", "agent default/", "agent zzz/shop", "config default/token"])
def test_what_is_elsewhere_is_looked_for_in_namespaces_that_are_there(runtime: MemoryRuntime, subject: str) -> None:
    assert "namespace:" not in hint(runtime, subject)


def test_of_too_many_names_none_is_compared(runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "MOST", len(runtime.state.namespaces))
    assert hint(runtime, "agent default/helo").startswith("did you mean 'hello'?")
    assert hint(runtime, "agent red/hello").startswith("it is in another namespace")
    monkeypatch.setattr(nearest, "MOST", len(runtime.state.namespaces) - 1)
    for subject in ("agent default/helo", "namespace bleu", "agent red/hello", "agent defalt/hello"):
        assert hint(runtime, subject) == HINT
    # One job is not too many, though the agents are.
    assert hint(runtime, "agent default/bach").startswith("did you mean the job 'batch'?")
    monkeypatch.setattr(nearest, "MOST", len(runtime.state.provision_names))
    assert hint(runtime, "secret default/databse").startswith("did you mean 'database'?")
    monkeypatch.setattr(nearest, "MOST", len(runtime.state.node_names))
    assert hint(runtime, "node alhpa").startswith("did you mean 'alpha'?")
    monkeypatch.setattr(nearest, "MOST", 2)
    assert hint(runtime, "secret default/databse") == HINT
    assert hint(runtime, "node alhpa").startswith("did you mean 'alpha'?")


async def test_a_node_that_is_not_there_to_migrate_to_is_what_the_hint_is_about(runtime: MemoryRuntime) -> None:
    declaration = REGISTRY["instances.migrate"]
    context = Context(principal="system:test", correlation="c")
    for node, said in (("mars", "omnitide nodes"), ("alhpa", "did you mean 'alpha'? else: omnitide nodes")):
        with pytest.raises(Failed) as refused:
            await perform(declaration, runtime, context, declaration.input(instance="a-default-hello.1.1", node=node))  # type: ignore[arg-type]
        assert refused.value.problem.detail == f"there is no node {node!r}"
        assert refused.value.problem.hint == said


async def test_a_version_that_is_not_kept_has_no_hint_at_an_agent_of_the_same_name_elsewhere(
    runtime: MemoryRuntime,
) -> None:
    declaration = REGISTRY["agents.rollback"]
    context = Context(principal="system:test", correlation="c")
    with pytest.raises(Failed) as refused:
        await perform(declaration, runtime, context, declaration.input(name="shop", namespace="blue", version=9))  # type: ignore[arg-type]
    assert refused.value.problem.detail == "there is no version 9 of agent blue/shop; there are 1"
    assert refused.value.problem.hint == "omnitide history blue/shop shows what each changed"
