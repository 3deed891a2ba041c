"""Operations on the service registry, which is a view of agents and their instances."""

from typing import Final

from omnitide.fabric.authorize import Permission
from omnitide.fabric.folds.availability import is_ready
from omnitide.fabric.state import Agent, FabricState, Health
from omnitide.model.probes import Probes
from omnitide.model.services import Service, ServiceEndpoint, ServiceList
from omnitide.model.spec import Port
from omnitide.operations.agents import AgentName, require_agent
from omnitide.operations.inputs import NamespaceName, PageRequest, Request
from omnitide.operations.named import page_by_name
from omnitide.operations.operation import Answer, AnyDeclaration, Context, Operation
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.instances import show_instance
from omnitide.operations.views.silence import silent_driver


class ListServicesRequest(PageRequest, frozen=True, kw_only=True):
    namespace: NamespaceName


class GetServiceRequest(Request, frozen=True, kw_only=True):
    namespace: NamespaceName
    name: AgentName


def show_service(state: FabricState, agent: Agent) -> Service:
    """Endpoints in order of slot and port."""
    endpoints: list[ServiceEndpoint] = []
    current = (state.instances.get(agent.slots[number].current) for number in sorted(agent.slots))
    for instance in current:
        if instance is None:
            continue
        shown = show_instance(state, instance)
        spec = agent.versions[instance.version].spec
        known = shown.status == "running" or (
            silent_driver(state, instance) and instance.health is Health.HEALTHY and _asked_by_network(spec.health)
        )
        ready = bool(known) and is_ready(agent, instance) and instance.health is not Health.UNHEALTHY
        for port_name, number in sorted(shown.ports.items()):
            endpoints.append(
                ServiceEndpoint(
                    port_name=port_name,
                    protocol=(spec.ports.get(port_name) or Port()).protocol,
                    instance=instance.id,
                    name=instance.name,
                    node=shown.node,
                    address=shown.address,
                    port=number,
                    ready=ready,
                    unknown_since_ms=shown.unknown_since_ms,
                )
            )
    return Service(namespace=agent.namespace, name=agent.name, endpoints=tuple(endpoints), revision=state.revision)


def _asked_by_network(probes: Probes) -> bool:
    """Whether its health is found out without its runtime."""
    if probes.readiness is not None:
        return probes.readiness.type != "exec"
    return any(probe is not None and probe.type != "exec" for probe in (probes.startup, probes.liveness))


async def _list(runtime: Runtime, _: Context, asked: ListServicesRequest) -> Answer[ServiceList]:
    page = await page_by_name(
        runtime,
        asked,
        "services",
        lambda state: (state.agent_names, state.agents),
        lambda agent: bool(agent.spec.ports),
    )
    items = tuple(show_service(page.state, agent) for agent in page.items)
    revision = page.state.revision
    return Answer(ServiceList(items=items, revision=revision, next_cursor=page.next_cursor), revision)


async def _get(runtime: Runtime, _: Context, asked: GetServiceRequest) -> Answer[Service]:
    state = runtime.committed()
    return Answer(show_service(state, require_agent(state, asked.namespace, asked.name)), state.revision)


_READ: Final = Permission("read", "agent", namespaced=True)

OPERATIONS: Final[tuple[AnyDeclaration, ...]] = (
    Operation(
        name="services.list",
        rpc="ListServices",
        summary="List the agents that have ports, with where they can be reached.",
        method="GET",
        path="/v1/namespaces/{namespace}/services",
        input=ListServicesRequest,
        output=ServiceList,
        permission=_READ,
        handler=_list,
    ),
    Operation(
        name="services.get",
        rpc="GetService",
        summary="Show where the ports of an agent can be reached.",
        method="GET",
        path="/v1/namespaces/{namespace}/services/{name}",
        input=GetServiceRequest,
        output=Service,
        permission=_READ,
        failures=("not-found",),
        handler=_get,
    ),
)
