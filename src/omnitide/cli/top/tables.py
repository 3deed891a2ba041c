"""The pages of rows of nodes, agents and instances."""

from collections.abc import Mapping
from typing import Final

from omnitide.cli.happenings.wording import ASKED_FOR
from omnitide.cli.show.charts import sparkline
from omnitide.cli.show.words import replicas
from omnitide.cli.top.figures import bar, cores, percent, size
from omnitide.cli.top.lines import Cell, cut, cut_name, told
from omnitide.cli.top.listing import Column, Table
from omnitide.cli.top.scene import TELLING, Scene
from omnitide.cli.top.words import (
    RANK,
    Tone,
    agent_state,
    has_ended,
    instance_state,
    node_since_ms,
    node_state,
    span,
    visible,
)
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentSummary, Instance

CURVE: Final = 16
NAME: Final = 30
STATE: Final = 22
NODE_NAME: Final = 20
"""So long a text is shown whole, be it that something behind it has no room then."""


def full_name(one: AgentSummary | Instance) -> str:
    """As a person names it, and as the command line takes it."""
    return one.name if one.namespace == "default" else f"{one.namespace}/{one.name}"


def _used(node: Node, scene: Scene) -> tuple[int, int]:
    return scene.view.use.get(node.id, (-1, -1)) if node.status in TELLING else (-1, -1)


def _share(node: Node, scene: Scene, used: int, whole: int, text: str) -> Cell:
    if used < 0:
        if node.status not in TELLING:
            return Cell("? unknown", "unknown")
        return Cell("asking", "soft") if scene.asking(node) else Cell("? not told", "unknown")
    style: Tone | None = "bad" if used > 0.95 * whole else "wait" if used > 0.85 * whole else None
    return Cell(f"{bar(used, whole, 5)} {percent(used, whole):>4} {text}", style or "")


def _cpu(node: Node, scene: Scene) -> Cell:
    used = _used(node, scene)[0]
    return _share(node, scene, used, node.cpu_milli, f"{cores(used)}/{cores(node.cpu_milli)}")


def _memory(node: Node, scene: Scene) -> Cell:
    used = _used(node, scene)[1]
    return _share(node, scene, used, node.memory_bytes, size(node.memory_bytes))


def _curve(node: Node, scene: Scene) -> Cell:
    known = list(scene.busy.get(node.id, ()))[-CURVE:]
    return Cell(sparkline(known, CURVE, 0.0, float(node.cpu_milli)).rjust(CURVE), "soft")


def _since(at_ms: int, scene: Scene) -> Cell:
    return Cell(span(scene.now_ms - at_ms) if at_ms else "-", "soft")


def _pairs(labels: Mapping[str, str]) -> str:
    return visible(" ".join(f"{key}={value}" for key, value in sorted(labels.items())))


NODES: Final = Table[Node](
    kind="node",
    noun="node",
    columns=(
        Column[Node](
            "name",
            "NODE",
            12,
            lambda one, _: Cell(visible(one.name), "strong"),
            lambda _one, _: 0,
            cutting=cut_name,
            whole=NAME,
        ),
        Column[Node](
            "state",
            "STATE",
            15,
            lambda one, _: told(node_state(one)),
            lambda one, _: RANK[node_state(one).tone],
            cutting=cut,
            whole=STATE,
            sooner=True,
        ),
        Column[Node](
            "for",
            "FOR",
            6,
            lambda one, scene: _since(node_since_ms(one), scene),
            lambda one, _: -node_since_ms(one),
            right=True,
            rank=4,
        ),
        Column[Node](
            "instances",
            "INST",
            5,
            lambda one, _: Cell(str(one.instances)),
            lambda one, _: one.instances,
            right=True,
            rank=2,
            falls=True,
        ),
        Column[Node]("cpu", "CPU", 18, _cpu, lambda one, scene: _used(one, scene)[0], falls=True, moves=True, rank=1),
        Column[Node](
            "memory", "MEMORY", 19, _memory, lambda one, scene: _used(one, scene)[1], falls=True, moves=True, rank=3
        ),
        Column[Node](
            "curve",
            "CPU, LAST MIN",
            CURVE,
            _curve,
            lambda one, scene: _used(one, scene)[0],
            falls=True,
            moves=True,
            rank=5,
        ),
        Column[Node](
            "reserved",
            "CPU SET ASIDE",
            13,
            lambda one, _: Cell(f"{cores(one.reserved_cpu_milli)}/{cores(one.cpu_milli)}"),
            lambda one, _: one.reserved_cpu_milli,
            right=True,
            rank=6,
            falls=True,
        ),
        Column[Node](
            "labels",
            "LABELS",
            16,
            lambda one, _: Cell(_pairs(one.labels), "soft"),
            lambda one, _: _pairs(one.labels),
            rank=7,
            cutting=cut,
        ),
    ),
    first="state",
    objects=lambda scene: scene.view.nodes,
    ids=lambda scene: scene.view.nodes,
    name=lambda one: one.name,
    text=lambda one: f"{one.name} {node_state(one).told} {_pairs(one.labels)} {one.address}",
    fields={
        "state": lambda one: f"{node_state(one).text} {one.status} {one.scheduling}",
        "driver": lambda one: " ".join(driver.name for driver in one.drivers if driver.healthy),
        "label": lambda one: _pairs(one.labels),
    },
)


def _replicas(agent: AgentSummary) -> Cell:
    short = agent.running < agent.replicas and agent.status != "stopped"
    return Cell(replicas(agent), "wait" if short else "")


AGENTS: Final = Table[AgentSummary](
    kind="agent",
    noun="agent",
    columns=(
        Column[AgentSummary](
            "name",
            "AGENT",
            18,
            lambda one, _: Cell(visible(full_name(one)), "strong"),
            lambda _one, _: 0,
            cutting=cut_name,
            whole=NAME,
        ),
        Column[AgentSummary](
            "state",
            "STATE",
            16,
            lambda one, _: told(agent_state(one)),
            lambda one, _: RANK[agent_state(one).tone],
            cutting=cut,
            whole=STATE,
            sooner=True,
        ),
        Column[AgentSummary](
            "replicas",
            "RUN",
            7,
            lambda one, _: _replicas(one),
            lambda one, _: one.replicas,
            right=True,
            rank=1,
            falls=True,
        ),
        Column[AgentSummary](
            "version",
            "VER",
            5,
            lambda one, _: Cell(f"v{one.version}"),
            lambda one, _: one.version,
            right=True,
            rank=2,
            falls=True,
        ),
        Column[AgentSummary](
            "cpu",
            "CPU EACH",
            8,
            lambda one, _: Cell(cores(one.cpu_milli)),
            lambda one, _: one.cpu_milli,
            right=True,
            rank=3,
            falls=True,
        ),
        Column[AgentSummary](
            "memory",
            "MEM EACH",
            9,
            lambda one, _: Cell(size(one.memory_bytes)),
            lambda one, _: one.memory_bytes,
            right=True,
            rank=2,
            falls=True,
        ),
        Column[AgentSummary](
            "driver", "DRIVER", 8, lambda one, _: Cell(visible(one.driver)), lambda one, _: one.driver, rank=4
        ),
        Column[AgentSummary](
            "age",
            "AGE",
            6,
            lambda one, scene: _since(one.created_ms, scene),
            lambda one, _: -one.created_ms,
            right=True,
            rank=5,
        ),
        Column[AgentSummary](
            "labels",
            "LABELS",
            16,
            lambda one, _: Cell(_pairs(one.labels), "soft"),
            lambda one, _: _pairs(one.labels),
            rank=7,
            cutting=cut,
        ),
    ),
    first="state",
    objects=lambda scene: scene.view.agents,
    ids=lambda scene: scene.agents(),
    name=full_name,
    text=lambda one: f"{one.namespace}/{one.name} {agent_state(one).told} {_pairs(one.labels)}",
    fields={
        "state": lambda one: f"{agent_state(one).text} {one.status}",
        "driver": lambda one: one.driver,
        "namespace": lambda one: one.namespace,
        "label": lambda one: _pairs(one.labels),
    },
)


def _last_end(one: Instance) -> Cell:
    """Green can hide errors: a running instance shows how its attempt before ended, unless somebody asked for that."""
    end = one.exit or one.previous_exit
    if end is not None and end.reason in ASKED_FOR and not (one.exit and has_ended(one)):
        end = None
    return Cell(visible(end.text) if end else "", "soft")


INSTANCES: Final = Table[Instance](
    kind="instance",
    noun="instance",
    columns=(
        Column[Instance](
            "name",
            "INSTANCE",
            18,
            lambda one, _: Cell(visible(full_name(one)), "strong"),
            lambda _one, _: 0,
            cutting=cut_name,
            whole=NAME,
        ),
        Column[Instance](
            "state",
            "STATE",
            14,
            lambda one, _: told(instance_state(one)),
            lambda one, _: RANK[instance_state(one).tone],
            cutting=cut,
            whole=STATE,
            sooner=True,
        ),
        Column[Instance](
            "node",
            "NODE",
            12,
            lambda one, _: Cell(visible(one.node) or "-"),
            lambda one, _: one.node,
            cutting=cut_name,
            whole=NODE_NAME,
        ),
        Column[Instance](
            "for", "FOR", 6, lambda one, scene: _since(one.since_ms, scene), lambda one, _: -one.since_ms, right=True
        ),
        Column[Instance](
            "version",
            "VER",
            4,
            lambda one, _: Cell(f"v{one.version}"),
            lambda one, _: one.version,
            right=True,
            rank=3,
            falls=True,
        ),
        Column[Instance](
            "attempt",
            "TRY",
            3,
            lambda one, _: Cell(str(one.attempt), "wait" if one.attempt > 1 else ""),
            lambda one, _: one.attempt,
            right=True,
            falls=True,
            rank=2,
        ),
        Column[Instance](
            "end",
            "LAST END",
            14,
            lambda one, _: _last_end(one),
            lambda one, _: _last_end(one).text,
            rank=4,
            cutting=cut,
            falls=True,
        ),
        Column[Instance](
            "cpu",
            "CPU ASIDE",
            9,
            lambda one, _: Cell(cores(one.cpu_milli)),
            lambda one, _: one.cpu_milli,
            right=True,
            rank=6,
            falls=True,
        ),
        Column[Instance](
            "memory",
            "MEM ASIDE",
            9,
            lambda one, _: Cell(size(one.memory_bytes)),
            lambda one, _: one.memory_bytes,
            right=True,
            rank=5,
            falls=True,
        ),
    ),
    first="state",
    objects=lambda scene: scene.view.instances,
    ids=lambda scene: scene.instances(),
    name=full_name,
    text=lambda one: f"{one.namespace}/{one.name} {instance_state(one).told} {one.node}",
    fields={
        "state": lambda one: f"{instance_state(one).text} {one.condition} {one.status} {one.health}",
        "node": lambda one: one.node,
        "agent": lambda one: one.workload,
        "namespace": lambda one: one.namespace,
        "version": lambda one: f"v{one.version} {one.version}",
    },
)
