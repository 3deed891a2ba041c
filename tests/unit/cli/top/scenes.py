"""Objects and scenes for tests of `top`, without a fabric."""

from typing import Any

from omnitide.cli.top.scene import Scene
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import FabricStatus, Node, NodeCounts
from omnitide.model.objects import AgentSummary, Instance, InstanceCounts
from omnitide.sdk.view import View

NOW_MS = 1_700_000_000_000
HOSTILE = "\x1b[31m[red]\x07evil\u202e[/]\n"
"""What a terminal would obey, what markup would, and what turns the direction of writing."""


def node(name: str, **fields: Any) -> Node:
    given = {"status": "live", "scheduling": "open", "cpu_milli": 4000, "memory_bytes": 8 << 30, **fields}
    given.setdefault("since_ms", NOW_MS - 5000)
    return Node(id=f"n-{name}", name=name, joined_ms=NOW_MS, revision=1, **given)


def agent(name: str, **fields: Any) -> AgentSummary:
    given = {"namespace": "default", "status": "running", "version": 1, "replicas": 2, "running": 2, **fields}
    given.setdefault("counts", InstanceCounts())
    return AgentSummary(
        id=f"a-{name}",
        name=name,
        replicas_owner="manifest",
        driver="process",
        cpu_milli=100,
        memory_bytes=1 << 20,
        created_ms=NOW_MS,
        revision=1,
        **given,
    )


def instance(name: str, **fields: Any) -> Instance:
    given = {
        "namespace": "default",
        "kind": "agent",
        "workload": name.rpartition("-")[0],
        "status": "running",
        "node": "alpha",
        **fields,
    }
    given.setdefault("condition", "unhealthy" if given.get("health") == "unhealthy" else given["status"])
    return Instance(
        id=f"i-{given['namespace']}-{name}",
        name=name,
        workload_id=f"a-{given['workload']}",
        node_id=f"n-{given['node']}",
        version=1,
        slot=1,
        generation=1,
        last_status=given["status"],
        since_ms=NOW_MS - 60_000,
        created_ms=NOW_MS,
        revision=1,
        **given,
    )


def event(kind: str, subject: str, revision: int, **data: Any) -> CloudEvent:
    return CloudEvent(
        specversion="1.0",
        id=f"log/{revision}.1",
        source="/fabrics/f",
        type=f"omnitide.{kind}.v1",
        subject=subject,
        time="2026-01-01T00:00:00Z",
        data=data,
        revision=revision,
    )


def scene(*objects: Node | AgentSummary | Instance, namespace: str = "") -> Scene:
    view = View()
    view.filled = True
    for one in objects:
        tables: dict[type, dict[str, Any]] = {Node: view.nodes, AgentSummary: view.agents, Instance: view.instances}
        tables[type(one)][one.id] = one
    made = Scene(view, namespace)
    made.now_ms = NOW_MS
    live = sum(one.status == "live" for one in view.nodes.values())
    made.status = FabricStatus(
        fabric_id="home",
        log_id="log",
        revision=1,
        time_ms=NOW_MS,
        version="0",
        started_ms=NOW_MS,
        endpoints=(),
        nodes=NodeCounts(live=live),
        namespaces=1,
        agents=len(view.agents),
        jobs=0,
        jobs_active=0,
        instances=InstanceCounts(),
        cpu_milli=0,
        memory_bytes=0,
        reserved_cpu_milli=0,
        reserved_memory_bytes=0,
    )
    return made
