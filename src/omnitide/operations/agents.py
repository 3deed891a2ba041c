"""Operations on agents."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission
from omnitide.fabric.state import Agent, FabricState, Version, find_agent, scoped
from omnitide.model import objects as ob
from omnitide.model.checks import spec_faults
from omnitide.model.explanations import AgentExplanation
from omnitide.model.names import NAME_PATTERN
from omnitide.model.spec import AgentSpec, Replicas, WorkloadSpec
from omnitide.operations.changing import Made, change
from omnitide.operations.explaining import explain_agent
from omnitide.operations.failures import failed, invalid
from omnitide.operations.inputs import NamespaceFilter, NamespaceName, NodeRows, PageRequest, Request
from omnitide.operations.named import answer_of, page_by_name
from omnitide.operations.operation import Answer, Context, Operation
from omnitide.operations.planning import differences, plan_of
from omnitide.operations.replaced_versions import faults_of
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.silence import Hidden
from omnitide.operations.views.workloads import show_agent, show_agent_summary, show_rollout, show_version

AgentName = Annotated[str, Meta(pattern=NAME_PATTERN, description="Name of the agent.")]


class AgentRequest(Request, frozen=True, kw_only=True):
    """One agent."""

    namespace: NamespaceName
    name: AgentName


class ListAgentsRequest(PageRequest, frozen=True, kw_only=True):
    namespace: NamespaceFilter = ""


class GetAgentRequest(AgentRequest, frozen=True, kw_only=True):
    pass


class DeployAgentRequest(AgentRequest, frozen=True, kw_only=True):
    spec: AgentSpec
    replicas: Annotated[
        Replicas | None, Meta(description="Left out: an existing agent keeps its number, a new one gets 1.")
    ] = None
    take_over_replicas: Annotated[
        bool, Meta(description="Set `replicas` even where `scale` set them last, and own them from now on.")
    ] = False


class ScaleAgentRequest(AgentRequest, frozen=True, kw_only=True):
    replicas: Replicas


class RestartAgentRequest(AgentRequest, frozen=True, kw_only=True):
    max_unavailable: Annotated[
        Replicas, Meta(description="Replicas that may be away at once by it; 0: as many as its update allows.")
    ] = 0


class RollBackAgentRequest(AgentRequest, frozen=True, kw_only=True):
    version: Annotated[
        Annotated[int, Meta(ge=0)],
        Meta(description="0: the newest earlier one that is known to work, with another spec."),
    ] = 0


class PauseRolloutRequest(AgentRequest, frozen=True, kw_only=True):
    pass


class ResumeRolloutRequest(AgentRequest, frozen=True, kw_only=True):
    pass


class GetRolloutRequest(AgentRequest, frozen=True, kw_only=True):
    pass


class StopAgentRequest(AgentRequest, frozen=True, kw_only=True):
    pass


class StartAgentRequest(AgentRequest, frozen=True, kw_only=True):
    pass


class DeleteAgentRequest(AgentRequest, frozen=True, kw_only=True):
    pass


class ListAgentVersionsRequest(AgentRequest, frozen=True, kw_only=True):
    pass


class ExplainAgentRequest(AgentRequest, frozen=True, kw_only=True):
    nodes: NodeRows = 0


def require_agent(state: FabricState, namespace: str, name: str) -> Agent:
    agent = find_agent(state, namespace, name)
    if agent is None:
        subject = f"agent {scoped(namespace, name)}"
        raise failed("not-found", f"there is no {subject}", hint="omnitide agents", subject=subject)
    return agent


def check_spec(runtime: Runtime, spec: WorkloadSpec) -> None:
    """Raises Failed for a spec that cannot work anywhere, or is too large to keep."""
    faults = spec_faults(spec)
    if faults:
        raise invalid(faults, under=("spec",))
    size, most = len(msgspec.msgpack.encode(spec)), runtime.limits().spec_bytes
    if size > most:
        raise failed(
            "too-large", f"the spec takes {size} bytes as stored, {most} are allowed", hint="limits.max_spec_bytes"
        )


async def _list(runtime: Runtime, _: Context, asked: ListAgentsRequest) -> Answer[ob.AgentList]:
    page = await page_by_name(runtime, asked, "agents", lambda state: (state.agent_names, state.agents))
    state, now_ms = page.state, runtime.now_ms()
    hidden = Hidden(state)
    items = tuple(show_agent_summary(state, agent, hidden, now_ms) for agent in page.items)
    return Answer(ob.AgentList(items=items, revision=state.revision, next_cursor=page.next_cursor), state.revision)


async def _get(runtime: Runtime, _: Context, asked: GetAgentRequest) -> Answer[ob.Agent]:
    state = runtime.committed()
    agent = require_agent(state, asked.namespace, asked.name)
    return Answer(show_agent(state, agent, runtime.now_ms()), state.revision, etag=agent.revision)


def _answer(runtime: Runtime, made: Made, change_name: str, plan: ob.Plan | None = None) -> Answer[ob.AgentChanged]:
    agent = made.state.agents.get(str(made.result.get("agent", "")))
    value = ob.AgentChanged(
        agent=show_agent(made.state, agent, runtime.now_ms()) if agent is not None else None,
        change=change_name if made.changed else "unchanged",
        plan=plan,
        revision=made.revision,
        dry_run=made.dry_run,
        replayed=made.replayed,
    )
    return answer_of(made, value, agent, created=change_name == "created")


async def _deploy(runtime: Runtime, context: Context, asked: DeployAgentRequest) -> Answer[ob.AgentChanged]:
    check_spec(runtime, asked.spec)
    known, now_ms = runtime.committed(), runtime.now_ms()
    before = find_agent(known, asked.namespace, asked.name)
    command = cm.DeployAgent(
        agent=runtime.new_id("agent"),
        namespace=asked.namespace,
        name=asked.name,
        spec=asked.spec,
        replicas=asked.replicas,
        take_over_replicas=asked.take_over_replicas,
        if_match=context.if_match,
    )
    made = await change(runtime, context, command, namespace=asked.namespace)
    change_name = str(made.result.get("change", "unchanged"))
    agent = made.state.agents.get(str(made.result.get("agent", "")))
    plan = None
    if agent is not None and not made.replayed:
        plan = plan_of(known, max(now_ms, known.time_ms), before, agent, change_name, asked.replicas)
    return _answer(runtime, made, change_name, plan)


async def _scale(runtime: Runtime, context: Context, asked: ScaleAgentRequest) -> Answer[ob.AgentChanged]:
    command = cm.ScaleAgent(
        namespace=asked.namespace, name=asked.name, replicas=asked.replicas, if_match=context.if_match
    )
    made = await change(runtime, context, command, namespace=asked.namespace)
    return _answer(runtime, made, "scaled")


async def _roll_back(runtime: Runtime, context: Context, asked: RollBackAgentRequest) -> Answer[ob.AgentChanged]:
    known, now_ms = runtime.committed(), runtime.now_ms()
    before = find_agent(known, asked.namespace, asked.name)
    command = cm.RollBackAgent(
        namespace=asked.namespace, name=asked.name, version=asked.version, if_match=context.if_match
    )
    made = await change(runtime, context, command, namespace=asked.namespace)
    agent = made.state.agents.get(str(made.result.get("agent", "")))
    plan = None
    if agent is not None and not made.replayed:
        plan = plan_of(known, max(now_ms, known.time_ms), before, agent, "rolled-back", None)
    return _answer(runtime, made, "rolled-back", plan)


async def _restart(runtime: Runtime, context: Context, asked: RestartAgentRequest) -> Answer[ob.AgentChanged]:
    command = cm.RestartAgent(
        namespace=asked.namespace,
        name=asked.name,
        max_unavailable=asked.max_unavailable,
        if_match=context.if_match,
    )
    return _answer(runtime, await change(runtime, context, command, namespace=asked.namespace), "restarted")


async def _rollout(runtime: Runtime, _: Context, asked: GetRolloutRequest) -> Answer[ob.RolloutStatus]:
    state = runtime.committed()
    agent = require_agent(state, asked.namespace, asked.name)
    return Answer(show_rollout(state, agent, max(runtime.now_ms(), state.time_ms)), state.revision)


async def _versions(runtime: Runtime, _: Context, asked: ListAgentVersionsRequest) -> Answer[ob.AgentVersionList]:
    state = runtime.committed()
    agent = require_agent(state, asked.namespace, asked.name)
    items: list[ob.AgentVersion] = []
    before: Version | None = None
    for number in sorted(agent.versions):
        version = agent.versions[number]
        changes = tuple(differences(before.spec, version.spec)) if before is not None else ()
        items.insert(0, show_version(state, agent, version, runtime.now_ms(), changes))
        before = version
    unknown = [one.number for one in items if not (one.current or one.proven or one.fault)]
    faults = await faults_of(runtime, agent, unknown)
    items = [replace(one, fault=faults[one.number]) if one.number in faults else one for one in items]
    return Answer(ob.AgentVersionList(items=tuple(items), revision=state.revision), state.revision, etag=agent.revision)


async def _explain(runtime: Runtime, _: Context, asked: ExplainAgentRequest) -> Answer[AgentExplanation]:
    state = runtime.committed()
    agent = require_agent(state, asked.namespace, asked.name)
    return Answer(await explain_agent(runtime, state, agent, asked.nodes), state.revision)


_AGENT: Final = "/v1/namespaces/{namespace}/agents/{name}"
_FAILURES: Final = ("not-found", "conflict", "precondition-failed")
_Plain = cm.PauseRollout | cm.ResumeRollout | cm.StopAgent | cm.StartAgent | cm.DeleteAgent


def _change(
    verb: str,
    summary: str,
    path: str,
    asked: type[AgentRequest],
    command: type[_Plain],
    done: str,
    *,
    method: Literal["POST", "DELETE"] = "POST",
    idempotent: bool = True,
    destructive: bool = True,
    failures: tuple[str, ...] = (),
) -> Operation[Any, Any]:
    """A change that needs to know no more than which agent. `done`: what is said of it afterwards."""

    async def handle(runtime: Runtime, context: Context, asked: AgentRequest) -> Answer[ob.AgentChanged]:
        wanted = command(namespace=asked.namespace, name=asked.name, if_match=context.if_match)
        return _answer(runtime, await change(runtime, context, wanted, namespace=asked.namespace), done)

    return Operation[Any, Any](
        name=f"agents.{verb}",
        rpc=asked.__name__.removesuffix("Request"),
        summary=summary,
        method=method,
        path=_AGENT + path,
        input=asked,
        output=ob.AgentChanged,
        permission=PERMISSIONS[command],
        failures=(*_FAILURES, *failures),
        handler=handle,
        writes=True,
        idempotent=idempotent,
        destructive=destructive,
        dry_run=True,
        conditional=True,
    )


OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="agents.list",
        rpc="ListAgents",
        summary="List the agents, in order of namespace and name.",
        method="GET",
        path="/v1/agents",
        input=ListAgentsRequest,
        output=ob.AgentList,
        permission=Permission("read", "agent", namespaced=True),
        handler=_list,
    ),
    Operation(
        name="agents.get",
        rpc="GetAgent",
        summary="Show an agent.",
        method="GET",
        path=_AGENT,
        input=GetAgentRequest,
        output=ob.Agent,
        permission=Permission("read", "agent", namespaced=True),
        failures=("not-found",),
        handler=_get,
    ),
    Operation(
        name="agents.deploy",
        rpc="DeployAgent",
        summary="Create an agent, or give an existing one a new version.",
        description="The same spec again changes nothing. A dry run answers with the plan.",
        method="PUT",
        path=_AGENT,
        input=DeployAgentRequest,
        output=ob.AgentChanged,
        permission=PERMISSIONS[cm.DeployAgent],
        failures=(*_FAILURES, "already-exists", "impossible", "limit", "too-large"),
        handler=_deploy,
        writes=True,
        dry_run=True,
        conditional=True,
    ),
    Operation(
        name="agents.scale",
        rpc="ScaleAgent",
        summary="Set the number of an agent's replicas.",
        method="POST",
        path=_AGENT + "/scale",
        input=ScaleAgentRequest,
        output=ob.AgentChanged,
        permission=PERMISSIONS[cm.ScaleAgent],
        failures=(*_FAILURES, "limit"),
        handler=_scale,
        writes=True,
        destructive=True,
        dry_run=True,
        conditional=True,
    ),
    Operation(
        name="agents.restart",
        rpc="RestartAgent",
        summary="Replace every replica, a few at a time, by a new one of the same spec.",
        method="POST",
        path=_AGENT + "/restart",
        input=RestartAgentRequest,
        output=ob.AgentChanged,
        permission=PERMISSIONS[cm.RestartAgent],
        failures=_FAILURES,
        handler=_restart,
        writes=True,
        idempotent=False,
        destructive=True,
        dry_run=True,
        conditional=True,
    ),
    Operation(
        name="agents.rollback",
        rpc="RollBackAgent",
        summary="Give an agent the spec of an earlier version again, as a new version.",
        description="What still runs that spec is kept; the rest rolls out as any other. A dry run gives the plan.",
        method="POST",
        path=_AGENT + "/rollback",
        input=RollBackAgentRequest,
        output=ob.AgentChanged,
        permission=PERMISSIONS[cm.RollBackAgent],
        failures=(*_FAILURES, "impossible"),
        handler=_roll_back,
        writes=True,
        idempotent=False,
        destructive=True,
        dry_run=True,
        conditional=True,
    ),
    Operation(
        name="agents.rollout",
        rpc="GetRollout",
        summary="Show how far an agent's newest version has come, with one verdict.",
        method="GET",
        path=_AGENT + "/rollout",
        input=GetRolloutRequest,
        output=ob.RolloutStatus,
        permission=Permission("read", "agent", namespaced=True),
        failures=("not-found",),
        handler=_rollout,
    ),
    _change(
        "pause",
        "Keep a rollout from going on.",
        "/rollout/pause",
        PauseRolloutRequest,
        cm.PauseRollout,
        "paused",
        destructive=False,
    ),
    _change(
        "resume",
        "Let a paused rollout go on.",
        "/rollout/resume",
        ResumeRolloutRequest,
        cm.ResumeRollout,
        "resumed",
    ),
    _change(
        "stop",
        "Stop every replica; the agent, its versions and its number of replicas stay.",
        "/stop",
        StopAgentRequest,
        cm.StopAgent,
        "stopped",
    ),
    _change(
        "start",
        "Start a stopped agent.",
        "/start",
        StartAgentRequest,
        cm.StartAgent,
        "started",
        destructive=False,
        failures=("limit",),
    ),
    _change(
        "delete",
        "Stop an agent's replicas and forget it.",
        "",
        DeleteAgentRequest,
        cm.DeleteAgent,
        "deleted",
        method="DELETE",
    ),
    Operation(
        name="agents.versions",
        rpc="ListAgentVersions",
        summary="List an agent's versions, newest first.",
        method="GET",
        path=_AGENT + "/versions",
        input=ListAgentVersionsRequest,
        output=ob.AgentVersionList,
        permission=Permission("read", "agent", namespaced=True),
        failures=("not-found",),
        handler=_versions,
    ),
    Operation(
        name="agents.explain",
        rpc="ExplainAgent",
        summary="Say why an agent is as it is.",
        method="GET",
        path=_AGENT + "/explain",
        input=ExplainAgentRequest,
        output=AgentExplanation,
        permission=Permission("read", "agent", namespaced=True),
        failures=("not-found",),
        handler=_explain,
    ),
)
