"""What would come of changes, before anybody makes them: where each replica would go, and what would not fit."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import Permission
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import ON_NODE, FabricState, scoped
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
"""Looks ahead that are under way or wait for their turn; a further one is told to come again."""
MOST_ADDED: Final = 10_000
"""Replicas that one change adds, as far as they are looked at. What is made of more is also thrown away in one go."""
WITHIN_S: Final = 4.0
"""A look that takes longer says how far it came."""
TELLING_S: Final = 1.0
"""Of that, the part that is kept for telling what was seen."""
AGAIN_S: Final = 1
"""Whoever is told that there are too many looks may ask again after this. Most take a fraction of it."""

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
    """How many look ahead now, or wait for their turn to. Also those whose asker has gone, as long as they last."""

    _lock: Final = threading.Lock()
    now = 0

    @classmethod
    def begins(cls) -> bool:
        """False: there are as many as there may be."""
        with cls._lock:
            if cls.now >= AT_ONCE:
                return False
            cls.now += 1
            return True

    @classmethod
    def ends(cls, _: object = None) -> None:
        with cls._lock:
            cls.now -= 1


def under_way() -> int:
    """Looks that are, or wait for their turn."""
    return _Looking.now


_one_at_a_time: Final = ThreadPoolExecutor(1, "foresee")
"""Together they take what one alone does."""


def _seen_of(state: FabricState, wanted: WantedChange) -> tuple[WantedChange, int]:
    """The change as far as it is looked at, and how many replicas that leaves out."""
    if wanted.replicas is None:
        return wanted, 0
    agent = state.agents.get(state.agent_names.get(scoped(wanted.namespace, wanted.name), ""))
    most = (agent.replicas if agent is not None else 0) + MOST_ADDED
    return replace(wanted, replicas=min(wanted.replicas, most)), max(0, wanted.replicas - most)


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
    state, gone = runtime.committed(), threading.Event()
    wanted = [_seen_of(state, one) for one in asked.changes]
    commands = [_command(runtime, one) for one, _ in wanted]
    if not _Looking.begins():
        again = "again in a moment"
        raise failed("busy", f"{AT_ONCE} looks ahead are under way", hint=again, retry_after_s=AGAIN_S)
    look = _one_at_a_time.submit(_look, state, runtime.now_ms(), commands, context.principal, gone)
    look.add_done_callback(_Looking.ends)
    try:
        found = await asyncio.wrap_future(look)
        return Answer(replace(found, unseen=found.unseen + sum(left for _, left in wanted)), state.revision)
    finally:
        gone.set()


def _look(
    state: FabricState, now_ms: int, commands: Sequence[cm.Command], principal: str, gone: threading.Event
) -> Outlook:
    """In a thread of its own: one change alone may be about 100,000 replicas, which takes seconds, and the loop goes on
    meanwhile. States are never changed, so that nothing has to be locked. `gone`: nobody waits any more.

    Raises Failed.
    """
    foresight, ends = Foresight(state, now_ms), monotonic() + WITHIN_S
    for number, command in enumerate(commands):
        if gone.is_set() or monotonic() > ends:
            raise failed(
                "too-large",
                f"these changes are more than can be looked ahead in {WITHIN_S:g} s: {number} of {len(commands)} were "
                "looked at",
                hint="ask for fewer of them at a time",
            )
        outcome = foresight.change(command, principal)
        if isinstance(outcome, Rejection):
            raise refused(outcome)
    for _ in foresight.look():
        if gone.is_set() or monotonic() > ends - TELLING_S:
            break
    for _ in foresight.tell():
        if gone.is_set() or monotonic() > ends:
            break
    seen, after = foresight.outlook(), foresight.state
    draining = sorted(set(after.draining) - set(state.draining))
    there = [state.instances[one] for node in draining for one in state.nodes[node].instances]
    return Outlook(
        replicas=tuple(_shown(state, after, one) for one in seen.replicas),
        counts={str(fate): count for fate, count in seen.counts.items()},
        kept=seen.kept,
        held=seen.held,
        tasks=sum(one.kind == "job" and one.status in ON_NODE for one in there),
        lost=seen.lost,
        finished=seen.finished,
        unseen=seen.unseen,
        revision=state.revision,
    )


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
