"""Who did what, in words: the same in events and in an agent's versions."""

from typing import Any

import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.fabric.state import TokenPurpose
from omnitide.model.happenings import CloudEvent
from omnitide.model.spec import AgentSpec
from omnitide.nexus.nexus import KEEP_ENDED_TOKENS, KEEP_FINISHED_MS
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY
from omnitide.operations.views.callers import caller_words

HOUR = 3_600_000


def api_token(runtime: MemoryRuntime, name: str, note: str) -> None:
    runtime.apply(cm.IssueToken(id=name, purpose=TokenPurpose.API, digest="d", note=note))


@pytest.fixture
def runtime() -> MemoryRuntime:
    """A fabric with an administrator, who is logged in with a browser, and a program."""
    made = MemoryRuntime()
    made.add_node("alpha")
    api_token(made, "a1", "administrator")
    api_token(made, "p1", "")
    for session, by, note in (("s1", "a1", "Firefox on Linux"), ("s2", "p1", "")):
        ends_ms = made.clock_ms + HOUR
        opened = cm.OpenSession(by=by, id=session, digest="d", expires_ms=ends_ms, note=note)
        made.apply(opened, principal=f"token:{by}")
    return made


def deploy(runtime: MemoryRuntime, principal: str, command: str, replicas: int = 3) -> None:
    spec = AgentSpec(command=(command,))
    asked = cm.DeployAgent(agent="web", namespace="default", name="web", spec=spec, replicas=replicas)
    runtime.apply(asked, principal=principal)
    runtime.settle()


async def asked(runtime: MemoryRuntime, operation: str, **fields: Any) -> Any:
    declaration = REGISTRY[operation]
    context = Context(principal="system:test", correlation="c")
    return (await perform(declaration, runtime, context, declaration.input(**fields))).value  # type: ignore[arg-type]


async def events(runtime: MemoryRuntime) -> tuple[CloudEvent, ...]:
    return (await asked(runtime, "events.list", last=500)).items


def test_a_caller_is_named_by_whose_it_is_and_the_id_that_ends_it(runtime: MemoryRuntime) -> None:
    told = {who: caller_words(runtime.state, f"token:{who}") for who in ("a1", "p1", "s1", "s2", "gone")}
    assert told == {
        "a1": "administrator (token a1)",
        "p1": "token p1",
        "s1": "administrator in Firefox on Linux (session s1)",
        "s2": "token p1 in a browser (session s2)",
        "gone": "a token that is gone (gone)",
    }
    assert caller_words(runtime.state, "system:placer") == caller_words(runtime.state, "node:n-alpha") == ""


def test_a_note_cannot_stand_for_another_caller(runtime: MemoryRuntime) -> None:
    """However long it is, and whatever line breaks it has, the id of its own token is said behind it."""
    api_token(runtime, "e1", "administrator (token a1)\n\n" + "x" * 150)
    told = caller_words(runtime.state, "token:e1")
    assert told.endswith("… (token e1)")
    assert len(told) < 80
    assert "\n" not in told


async def test_an_act_says_who_asked_for_it_and_what_comes_of_it_does_not_say_it_again(runtime: MemoryRuntime) -> None:
    deploy(runtime, "token:s1", "serve")
    found = {one.type.removeprefix("omnitide."): one for one in await events(runtime) if one.principal == "token:s1"}
    assert found["agent.created.v1"].by == "administrator in Firefox on Linux (session s1)"
    assert found["instance.created.v1"].by == "", "which came of it"
    of_nodes = {one.type: one.by for one in await events(runtime) if one.subject.startswith("node/")}
    assert of_nodes["omnitide.node.joined.v1"].startswith("join token ")
    assert of_nodes["omnitide.node.connected.v1"] == ""
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=7), principal="token:p1")
    scaled = [one for one in await events(runtime) if one.principal == "token:p1"]
    assert {one.by for one in scaled if one.subject.startswith("instance/")} == {""}
    assert [one.by for one in scaled if one.type == "omnitide.agent.scaled.v1"] == ["token p1"]


async def test_what_is_done_to_an_instance_alone_says_it(runtime: MemoryRuntime) -> None:
    deploy(runtime, "token:a1", "serve")
    runtime.apply(cm.RestartInstance(instance="web.1.1"), principal="token:s1")
    (told,) = [one for one in await events(runtime) if one.principal == "token:s1" and one.by]
    assert told.subject.startswith("instance/default/web-1.")


async def test_a_version_says_who_asked_for_it(runtime: MemoryRuntime) -> None:
    deploy(runtime, "token:s1", "serve")
    deploy(runtime, "token:p1", "better")
    found = await asked(runtime, "agents.versions", namespace="default", name="web")
    assert [one.by for one in found.items] == ["token p1", "administrator in Firefox on Linux (session s1)"]
    assert found.items[0].principal == "token:p1"


async def test_who_did_it_is_known_long_after_the_session_and_is_no_longer_listed(runtime: MemoryRuntime) -> None:
    deploy(runtime, "token:s1", "serve")

    async def told() -> tuple[str, ...]:
        versions = (await asked(runtime, "agents.versions", namespace="default", name="web")).items
        created = [one.by for one in await events(runtime) if one.type == "omnitide.agent.created.v1"]
        return *created, *(one.by for one in versions)

    async def listed() -> set[str]:
        return {one.id for one in (await asked(runtime, "tokens.list", purpose="session")).items}

    before = await told()
    assert before == ("administrator in Firefox on Linux (session s1)",) * 2
    runtime.clock_ms += 24 * HOUR
    assert await listed() == {"s1", "s2"}
    runtime.clock_ms += 2 * HOUR
    ended_ms = runtime.clock_ms - KEEP_FINISHED_MS
    runtime.apply(cm.Forget(finished_before_ms=ended_ms, keep_jobs=100, keep_tokens=KEEP_ENDED_TOKENS))
    assert await told() == before
    assert await listed() == set()
