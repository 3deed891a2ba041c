"""What would come of changes, before anybody makes them: where each replica would go, and what would not fit."""

import asyncio
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import Permission
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState
from omnitide.model.foreseen import ForeseenReplica, Outlook
from omnitide.model.spec import AgentSpec, Replicas
from omnitide.operations.agents import check_spec
from omnitide.operations.failures import failed, refused
from omnitide.operations.inputs import Request
from omnitide.operations.operation import Answer, Context, Operation
from omnitide.operations.runtime import Runtime
from omnitide.scheduler.foresee import Foreseen, Foresight

MAX_CHANGES: Final = 500
AT_ONCE: Final = 4
"""Looks ahead at a time; a further one is told to come again."""
WITHIN_S: Final = 4.0
"""A look that takes longer says how far it came."""

Verb = Literal[
    "agent.deploy",
    "agent.scale",
    "agent.restart",
    "agent.rollback",
    "agent.stop",
    "agent.start",
    "agent.remove",
    "instance.restart",
    "instance.migrate",
    "node.drain",
    "node.cordon",
    "node.uncordon",
    "node.remove",
]


class WantedChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change that somebody thinks of."""

    verb: Verb
    name: Annotated[str, Meta(min_length=1, max_length=200, description="Of the agent or node; id of the instance.")]
    namespace: Annotated[str, Meta(max_length=40, description="Of the agent.")] = "default"
    spec: Annotated[AgentSpec | None, Meta(description="agent.deploy.")] = None
    replicas: Annotated[Replicas | None, Meta(description="agent.deploy, agent.scale.")] = None
    max_unavailable: Annotated[Replicas, Meta(description="agent.restart.")] = 0
    version: Annotated[Annotated[int, Meta(ge=0)], Meta(description="agent.rollback.")] = 0
    node: Annotated[str, Meta(max_length=80, description="instance.migrate: where to; empty: any.")] = ""
    force: Annotated[bool, Meta(description="node.remove.")] = False


class ForeseeRequest(Request, frozen=True, kw_only=True):
    changes: Annotated[tuple[WantedChange, ...], Meta(min_length=1, max_length=MAX_CHANGES)]


class _Looking:
    """How many look ahead now."""

    now = 0


def _command(runtime: Runtime, wanted: WantedChange) -> cm.Command:
    """Raises Failed."""
    namespace, name = wanted.namespace, wanted.name
    match wanted.verb:
        case "agent.deploy":
            if wanted.spec is None:
                raise failed("invalid", "agent.deploy needs a spec")
            check_spec(runtime, wanted.spec)
            return cm.DeployAgent(
                agent=runtime.new_id("agent"),
                namespace=namespace,
                name=name,
                spec=wanted.spec,
                replicas=wanted.replicas,
            )
        case "agent.scale":
            return cm.ScaleAgent(namespace=namespace, name=name, replicas=wanted.replicas or 0)
        case "agent.restart":
            return cm.RestartAgent(namespace=namespace, name=name, max_unavailable=wanted.max_unavailable)
        case "agent.rollback":
            return cm.RollBackAgent(namespace=namespace, name=name, version=wanted.version)
        case "agent.stop":
            return cm.StopAgent(namespace=namespace, name=name)
        case "agent.start":
            return cm.StartAgent(namespace=namespace, name=name)
        case "agent.remove":
            return cm.DeleteAgent(namespace=namespace, name=name)
        case "instance.restart":
            return cm.RestartInstance(instance=name)
        case "instance.migrate":
            return cm.MigrateInstance(instance=name, node=wanted.node)
        case "node.drain":
            return cm.DrainNode(node=name)
        case "node.cordon":
            return cm.CordonNode(node=name)
        case "node.uncordon":
            return cm.UncordonNode(node=name)
        case "node.remove":
            return cm.RemoveNode(node=name, force=wanted.force)


async def _foresee(runtime: Runtime, context: Context, asked: ForeseeRequest) -> Answer[Outlook]:
    if _Looking.now >= AT_ONCE:
        raise failed("busy", f"{AT_ONCE} looks ahead are under way", hint="again in a moment")
    _Looking.now += 1
    try:
        return await _look(runtime, context, asked)
    finally:
        _Looking.now -= 1


async def _look(runtime: Runtime, context: Context, asked: ForeseeRequest) -> Answer[Outlook]:
    state = runtime.committed()
    foresight = Foresight(state, runtime.now_ms())
    for wanted in asked.changes:
        outcome = foresight.change(_command(runtime, wanted), context.principal)
        if isinstance(outcome, Rejection):
            raise refused(outcome)
    loop = asyncio.get_running_loop()
    ends = loop.time() + WITHIN_S
    for _ in foresight.look():
        if loop.time() > ends:
            break
        # Everybody else has a turn after each step.
        await asyncio.sleep(0)
    seen = foresight.outlook()
    after = foresight.state
    draining = sorted(set(after.draining) - set(state.draining))
    value = Outlook(
        replicas=tuple(_shown(state, after, one) for one in seen.replicas),
        counts={str(fate): count for fate, count in seen.counts.items()},
        held=seen.held,
        tasks=sum(state.instances[one].kind == "job" for node in draining for one in state.nodes[node].instances),
        finished=seen.finished,
        revision=state.revision,
    )
    return Answer(value, state.revision)


def _shown(before: FabricState, after: FabricState, one: Foreseen) -> ForeseenReplica:
    agent = after.agents.get(one.agent) or before.agents[one.agent]

    def name(node: str) -> str:
        found = after.nodes.get(node) or before.nodes.get(node)
        return found.name if found is not None else node

    return ForeseenReplica(
        agent=agent.name,
        namespace=agent.namespace,
        slot=one.slot,
        fate=one.fate,
        before=name(one.before) if one.before else "",
        after=name(one.after) if one.after else "",
        why=one.why,
    )


OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="changes.foresee",
        summary="Say what would come of changes: where each replica would go, and what would not fit.",
        description="Nothing is changed. It is assumed that nodes do as they are told, and that nothing else changes.",
        method="POST",
        path="/v1/foreseen",
        input=ForeseeRequest,
        output=Outlook,
        permission=Permission("read", "agent"),
        failures=("not-found", "conflict", "impossible", "limit", "too-large", "busy"),
        handler=_foresee,
    ),
)
