"""A small fabric to schedule on, made of real events, so that its numbers are those that the folds make."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from omnitide.fabric import events as ev
from omnitide.fabric.evolve import Moment, evolve
from omnitide.fabric.state import DriverFact, FabricState, NodeFacts, empty_state
from omnitide.model.spec import AgentSpec, Constraint, Limits, Port, Resources
from omnitide.scheduler.waiting import Asks, derive_asks

GIB = 1 << 30
ALL_LIMITS = ("cpu", "memory", "pids")
PROCESS = DriverFact(name="process", enforces=ALL_LIMITS)


def spec(
    *,
    cpu: int = 1000,
    memory: int = GIB,
    ports: Mapping[str, int] | None = None,
    where: Iterable[Constraint] = (),
    placement: str = "spread",
    driver: str = "process",
    limits: Limits | None = None,
    isolation: Literal["none", "sandbox"] = "none",
) -> AgentSpec:
    return AgentSpec(
        driver=driver,
        isolation=isolation,
        command=("true",),
        resources=Resources(cpu=cpu, memory=memory),
        ports={
            name: Port(port=number, protocol="udp" if name.startswith("udp") else "tcp")
            for name, number in (ports or {}).items()
        },
        constraints=tuple(where),
        placement="pack" if placement == "pack" else "spread",
        limits=limits or Limits(),
    )


def where(label: str, operator: str, *values: str) -> Constraint:
    return Constraint(label=label, operator=operator, values=values)  # type: ignore[arg-type]


class World:
    """Grows by events. A node's id is `n-<name>`, an instance's `<agent>.<slot>.<generation>`."""

    def __init__(self) -> None:
        self.state: FabricState = empty_state()
        self.emit(ev.FabricCreated(fabric_id="test"), ev.NamespaceCreated(name="default"))

    def emit(self, *events: ev.Event, time_ms: int = 0) -> None:
        at = Moment(self.state.revision + 1, time_ms or self.state.time_ms, "system:test")
        for event in events:
            self.state = evolve(self.state, event, at)
        self.state = replace(self.state, revision=at.revision, time_ms=at.time_ms)

    def facts(
        self,
        *,
        cpu: int = 8000,
        memory: int = 8 * GIB,
        labels: Mapping[str, str] | None = None,
        drivers: Sequence[DriverFact] = (PROCESS,),
        ports: tuple[int, int] = (20000, 20099),
        platform: Mapping[str, str] | None = None,
    ) -> NodeFacts:
        return NodeFacts(
            labels=dict(labels or {}),
            cpu_milli=cpu,
            memory_bytes=memory,
            drivers=tuple(drivers),
            port_first=ports[0],
            port_last=ports[1],
            platform={"os": "linux", "arch": "x86_64", **(platform or {})},
        )

    def node(self, name: str, facts: NodeFacts | None = None, *, connect: bool = True) -> None:
        facts = facts or self.facts()
        self.emit(ev.NodeJoined(node=f"n-{name}", name=name, key_digest="k", token="t", facts=facts))
        if connect:
            self.connect(name, facts)

    def connect(self, name: str, facts: NodeFacts | None = None) -> None:
        known = self.state.nodes[f"n-{name}"]
        self.emit(
            ev.NodeConnected(node=known.id, session=known.session + 1, outbox="o", facts=facts or known.facts),
        )

    def silent(self, name: str) -> None:
        self.emit(ev.NodeUnreachable(node=f"n-{name}", session=self.state.nodes[f"n-{name}"].session))

    def cordon(self, name: str) -> None:
        self.emit(ev.NodeCordoned(node=f"n-{name}"))

    def uncordon(self, name: str) -> None:
        self.emit(ev.NodeUncordoned(node=f"n-{name}"))

    def remove(self, name: str) -> None:
        self.emit(ev.NodeRemoved(node=f"n-{name}"))

    def refuse_port(self, name: str, port: int) -> None:
        self.emit(ev.NodePortRefused(node=f"n-{name}", port=port))

    def agent(self, name: str, what: AgentSpec, slots: int = 1, *, time_ms: int = 0) -> None:
        created = ev.AgentCreated(agent=name, namespace="default", name=name, spec=what, replicas=slots)
        self.emit(created, time_ms=time_ms)
        self.want(name, *range(1, slots + 1), time_ms=time_ms)

    def want(
        self,
        name: str,
        *slots: int,
        generation: int = 1,
        avoid: str = "",
        not_before_ms: int = 0,
        time_ms: int = 0,
    ) -> None:
        self.emit(
            ev.InstancesCreated(
                workload_kind="agent",
                workload=name,
                version=1,
                slots=tuple(ev.SlotGeneration(slot, generation) for slot in slots),
                avoid=f"n-{avoid}" if avoid else "",
                not_before_ms=not_before_ms,
            ),
            time_ms=time_ms,
        )

    def put(self, instance: str, node: str, ports: tuple[tuple[str, int], ...] = ()) -> None:
        """Place a pending instance by hand."""
        waiting = self.state.instances[instance]
        resources = self.state.agents[waiting.workload].spec.resources
        placement = ev.Placement(instance, resources.cpu, resources.memory, ports)
        self.emit(ev.InstancesPlaced(node=f"n-{node}", placements=(placement,)))

    def end(self, instance: str) -> None:
        self.emit(ev.InstanceEnded(instance=instance, status="stopped"))

    def asks(self, now_ms: int = 0) -> Asks:
        return derive_asks(self.state, now_ms)
