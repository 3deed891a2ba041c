"""Spans of a call in Nexus: its command, and the way of its instances, made of a real engine's commits."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from omnitide.fabric import commands as cm
from omnitide.fabric.decide import Decision
from omnitide.fabric.state import TokenPurpose
from omnitide.model.spec import AgentSpec
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.engine import Engine
from omnitide.nexus.traces import Traces
from omnitide.scheduler.place import place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import Waiting
from omnitide.store.memory import MemoryLog, MemoryStorage
from omnitide.telemetry.tracing import spans
from omnitide.telemetry.tracing.context import Place, correlation_of, session_span
from omnitide.telemetry.tracing.spans import Span
from support.honest import HonestNode

CALL = Place("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
TRACED = cm.Header(principal="system:test", correlation=correlation_of(CALL, "mine"))
PLAIN = cm.Header(principal="system:test", correlation="c-1")


class Fabric:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.traces = Traces(engine, SystemClock())
        self.node = HonestNode(id="n-alpha", name="alpha", key="sha256:alpha")
        self.spans: list[Span] = []

    async def decided(self, command: cm.Command, header: cm.Header = PLAIN) -> Decision:
        outcome = await self.traces.submit(command, header)
        assert isinstance(outcome, Decision), outcome
        return outcome

    async def join(self) -> None:
        token = cm.IssueToken(id="t", purpose=TokenPurpose.JOIN, digest="d", expires_ms=1 << 50)
        await self.decided(token)
        await self.decided(self.node.join("t"), cm.Header(principal="token:t"))
        own = cm.Header(principal=self.node.principal)
        answer = (await self.decided(self.node.hello(), own)).result
        self.node.welcomed(int(answer["session"]), int(answer["sequence"]))

    async def settle(self) -> None:
        state = self.engine.committed()
        waiting = Waiting(state)
        plan = place(NodeTable(state), waiting.asks(state.time_ms, 100).ready)
        await self.decided(cm.PlaceInstances(seen_revision=plan.seen_revision, choices=plan.choices))
        self.node.desire(self.engine.committed())
        self.node.step()
        reports = self.node.reports()
        assert reports is not None
        await self.decided(reports, cm.Header(principal=self.node.principal))

    def named(self, word: str) -> Span:
        (found,) = [span for span in self.spans if span.name.startswith(word)]
        return found


@pytest.fixture
async def fabric() -> AsyncIterator[Fabric]:
    engine = await Engine.open(MemoryLog(MemoryStorage()), SystemClock())
    made = Fabric(engine)
    spans.send_to(made.spans.append)
    await made.decided(cm.CreateFabric(fabric_id="f"))
    await made.join()
    yield made
    spans.send_to(None)
    await engine.close()


def deploy(*command: str) -> cm.DeployAgent:
    return cm.DeployAgent(agent="a", namespace="default", name="web", spec=AgentSpec(command=command))


async def test_each_part_stands_under_the_one_that_caused_it(fabric: Fabric) -> None:
    await fabric.decided(deploy("serve"), TRACED)
    await fabric.settle()
    assert {span.place.trace_id for span in fabric.spans} == {CALL.trace_id}
    command = fabric.named("command DeployAgent")
    assert command.parent_id == CALL.span_id
    decided, commit = fabric.named("decide"), fabric.named("commit")
    assert {decided.parent_id, commit.parent_id} == {command.place.span_id}
    assert command.start_ns <= decided.start_ns <= decided.end_ns <= commit.end_ns <= command.end_ns
    assert commit.attributes["omnitide.batch_entries"] == 1
    placed, session = fabric.named("place web-1.1"), fabric.named("node session alpha")
    assert (placed.parent_id, session.parent_id) == (CALL.span_id, placed.place.span_id)
    assert session.place.span_id == session_span(TRACED.correlation, "a.1.1"), "as the node will call it"
    assert (session.error, session.attributes["omnitide.node"]) == ("", "alpha")
    assert len({span.place.span_id for span in fabric.spans}) == len(fabric.spans) == 5


async def test_an_instance_that_cannot_start_is_an_error_of_its_session(fabric: Fabric) -> None:
    await fabric.decided(deploy("gone"), TRACED)
    await fabric.settle()
    assert fabric.named("node session alpha").error


async def test_a_refusal_is_told_by_its_code_and_commits_nothing(fabric: Fabric) -> None:
    await fabric.traces.submit(cm.ScaleAgent(namespace="default", name="nobody", replicas=2), TRACED)
    (command,) = fabric.spans
    assert (command.name, command.error) == ("command ScaleAgent", "not-found")


async def test_what_is_not_traced_leaves_nothing(fabric: Fabric) -> None:
    await fabric.decided(deploy("serve"), PLAIN)
    await fabric.settle()
    assert fabric.spans == []


async def test_the_same_command_again_is_another_span(fabric: Fabric) -> None:
    await fabric.decided(deploy("serve"), TRACED)
    for replicas in (2, 3):
        await fabric.decided(cm.ScaleAgent(namespace="default", name="web", replicas=replicas), TRACED)
    commands = [span for span in fabric.spans if span.name == "command ScaleAgent"]
    assert all(one.place != other.place for one, other in pairwise(commands))
