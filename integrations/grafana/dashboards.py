"""The dashboards that Omnitide comes with, made with Grafana's own SDK.

`make dashboards` writes them to where the command line takes them from (`omnitide metrics grafana DIR`).
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder

sys.path.insert(0, str(Path(__file__).parent))

from parts import RATE, chart, choice, dashboard, listing, number

WRITTEN: Final = Path(__file__).parents[2] / "src" / "omnitide" / "cli" / "metrics" / "grafana"

NODE: Final = 'node=~"$node"'
OF_AGENT: Final = 'namespace=~"$namespace",agent=~"$agent"'
LEGEND_AGENT: Final = "{{namespace}}/{{agent}}"


def fabric() -> Dashboard:
    made = dashboard("omnitide-fabric", "Omnitide / Fabric", "Whether all is well, what there is, and what it uses.")
    made.with_panel(number("Nexus answers", 'min(up{role="nexus"})', good=True))
    made.with_panel(number("Parts of Nexus ready", "min(omnitide_ready)", good=True))
    made.with_panel(number("Nodes live", 'sum(omnitide_nodes{status="live"})'))
    made.with_panel(number("Nodes not live", 'sum(omnitide_nodes{status!~"live|joined"})', warn=1))
    made.with_panel(number("Instances running", 'sum(omnitide_instances{status="running"})'))
    made.with_panel(
        number(
            "Replicas missing", "sum(omnitide_agent_replicas - omnitide_agent_replicas_available) or vector(0)", warn=1
        )
    )
    made.with_panel(
        chart(
            "Processors",
            "short",
            ("sum(omnitide_cpu_capacity_cores)", "there are"),
            ("sum(omnitide_cpu_reserved_cores)", "set aside"),
            (f"sum(rate(omnitide_node_cpu_used_seconds_total[{RATE}]))", "used"),
        )
    )
    made.with_panel(
        chart(
            "Memory",
            "bytes",
            ("sum(omnitide_memory_capacity_bytes)", "there is"),
            ("sum(omnitide_memory_reserved_bytes)", "set aside"),
            ("sum(omnitide_node_memory_used_bytes)", "used"),
        )
    )
    made.with_panel(chart("Instances", "short", ("sum by (status) (omnitide_instances)", "{{status}}"), stacked=True))
    made.with_panel(chart("Nodes", "short", ("sum by (status) (omnitide_nodes)", "{{status}}"), stacked=True))
    made.with_panel(
        listing(
            "Agents",
            {
                "namespace": "Namespace",
                "agent": "Agent",
                "Value #A": "Wanted",
                "Value #B": "Available",
                "Value #C": "Pending",
                "Value #D": "Failed",
                "Value #E": "Version",
            },
            "sum by (namespace, agent) (omnitide_agent_replicas)",
            "sum by (namespace, agent) (omnitide_agent_replicas_available)",
            "sum by (namespace, agent) (omnitide_agent_replicas_pending)",
            "sum by (namespace, agent) (omnitide_agent_replicas_failed)",
            "max by (namespace, agent) (omnitide_agent_version)",
        )
    )
    made.with_row(Row("Nexus itself"))
    made.with_panel(
        chart("Processor time of Nexus", "short", (f"rate(omnitide_nexus_cpu_seconds_total[{RATE}])", "processors"))
    )
    made.with_panel(
        chart(
            "Memory of Nexus",
            "bytes",
            ("omnitide_nexus_resident_memory_bytes", "resident"),
            ("omnitide_series_memory_bytes", "samples"),
        )
    )
    made.with_panel(
        chart("Calls", "ops", (f"sum by (outcome) (rate(omnitide_api_calls_total[{RATE}]))", "{{outcome}}"))
    )
    took = f"sum by (le, kind) (rate(omnitide_api_call_duration_seconds_bucket[{RATE}]))"
    made.with_panel(
        chart(
            "Time of calls",
            "s",
            (f"histogram_quantile(0.5, {took})", "{{kind}} p50"),
            (f"histogram_quantile(0.99, {took})", "{{kind}} p99"),
        )
    )
    made.with_panel(
        chart(
            "Queues of Nexus",
            "percentunit",
            ("omnitide_queue_length / omnitide_queue_limit", "{{queue}}"),
            about="Shares of their bounds, at which one more is refused.",
        )
    )
    made.with_panel(
        chart("Changes", "ops", (f"deriv(omnitide_revision[{RATE}])", "a second"), about="Entries of the event log.")
    )
    return made.with_panel(
        chart(
            "Samples of nodes",
            "ops",
            (f"rate(omnitide_samples_total[{RATE}])", "taken"),
            (f"sum(rate(omnitide_samples_dropped_total[{RATE}]))", "dropped"),
        )
    )


def nodes() -> Dashboard:
    made = dashboard("omnitide-nodes", "Omnitide / Nodes", "What each node has, sets aside and uses.")
    made.with_variable(choice("node", "Node", "label_values(omnitide_node_status, node)"))
    legend = "{{node}}"
    made.with_panel(
        listing(
            "Nodes",
            {
                "node": "Node",
                "status": "Status",
                "Value #A": "Is so",
                "Value #B": "Instances",
                "Value #C": "Processors",
                "Value #D": "Set aside",
            },
            f"max by (node, status) (omnitide_node_status{{{NODE}}} == 1)",
            f"max by (node) (omnitide_node_instances{{{NODE}}})",
            f"max by (node) (omnitide_node_cpu_allocatable_cores{{{NODE}}})",
            f"max by (node) (omnitide_node_cpu_reserved_cores{{{NODE}}})",
        )
    )
    made.with_panel(
        chart("Processors in use", "percentunit", (f"node:omnitide_cpu_used:ratio{{{NODE}}}", legend), top=1)
    )
    made.with_panel(
        chart("Memory in use", "percentunit", (f"node:omnitide_memory_used:ratio{{{NODE}}}", legend), top=1)
    )
    made.with_panel(
        chart("Disk in use", "percentunit", (f"node:omnitide_filesystem_used:ratio{{{NODE}}}", legend), top=1)
    )
    made.with_panel(chart("Load (1 min)", "short", (f"omnitide_node_load1{{{NODE}}}", legend)))
    made.with_panel(
        chart(
            "Network",
            "Bps",
            (f"node:omnitide_network_receive_bytes:rate2m{{{NODE}}}", "{{node}} in"),
            (f"node:omnitide_network_transmit_bytes:rate2m{{{NODE}}}", "{{node}} out"),
        )
    )
    made.with_panel(
        chart(
            "Disks",
            "Bps",
            (f"sum by (node) (rate(omnitide_node_disk_read_bytes_total{{{NODE}}}[{RATE}]))", "{{node}} read"),
            (f"sum by (node) (rate(omnitide_node_disk_written_bytes_total{{{NODE}}}[{RATE}]))", "{{node}} written"),
        )
    )
    for resource, title in (("cpu", "processors"), ("memory", "memory"), ("io", "disks")):
        name = f"omnitide_node_pressure_{resource}_waiting_seconds_total"
        made.with_panel(
            chart(
                f"Waiting for {title}",
                "percentunit",
                (f"rate({name}{{{NODE}}}[{RATE}])", legend),
                about="Share of the time in which something waited for it (pressure stall information of the kernel).",
            )
        )
    return made.with_panel(
        chart(
            "Node proxies themselves",
            "short",
            (f"rate(omnitide_node_proxy_cpu_seconds_total{{{NODE}}}[{RATE}])", "{{node}} processors"),
        )
    )


def agents() -> Dashboard:
    made = dashboard("omnitide-agents", "Omnitide / Agents", "Replicas of agents, and what they use.")
    made.with_variable(choice("namespace", "Namespace", "label_values(omnitide_agent_replicas, namespace)"))
    made.with_variable(
        choice("agent", "Agent", 'label_values(omnitide_agent_replicas{namespace=~"$namespace"}, agent)')
    )
    of = f"{{{OF_AGENT}}}"
    made.with_panel(
        chart(
            "Replicas available", "percentunit", (f"agent:omnitide_replicas_available:ratio{of}", LEGEND_AGENT), top=1
        )
    )
    made.with_panel(
        chart(
            "Replicas",
            "short",
            (f"sum by (namespace, agent) (omnitide_agent_replicas{of})", f"{LEGEND_AGENT} wanted"),
            (f"sum by (namespace, agent) (omnitide_agent_replicas_available{of})", f"{LEGEND_AGENT} available"),
            (f"sum by (namespace, agent) (omnitide_agent_replicas_pending{of})", f"{LEGEND_AGENT} pending"),
        )
    )
    made.with_panel(
        chart("Processors", "short", (f"agent:omnitide_cpu_used_cores:sum{of}", LEGEND_AGENT), stacked=True)
    )
    made.with_panel(
        chart("Memory", "bytes", (f"agent:omnitide_memory_working_set_bytes:sum{of}", LEGEND_AGENT), stacked=True)
    )
    made.with_panel(chart("Ends within 10 min", "short", (f"agent:omnitide_ends:increase10m{of}", LEGEND_AGENT)))
    made.with_panel(
        chart(
            "Version",
            "short",
            (f"max by (namespace, agent) (omnitide_agent_version{of})", LEGEND_AGENT),
            about="A step is a rollout, or a rollback.",
        )
    )
    made.with_row(Row("Instances"))
    made.with_panel(
        chart(
            "Processors of instances",
            "short",
            (f"rate(omnitide_instance_cpu_seconds_total{of}[{RATE}])", "{{instance}}"),
        )
    )
    made.with_panel(
        chart("Memory of instances", "bytes", (f"omnitide_instance_memory_working_set_bytes{of}", "{{instance}}"))
    )
    return made.with_panel(chart("Processes and threads", "short", (f"omnitide_instance_tasks{of}", "{{instance}}")))


DASHBOARDS: Final[dict[str, Callable[[], Dashboard]]] = {"fabric": fabric, "nodes": nodes, "agents": agents}


def rendered(made: Dashboard) -> str:
    document = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    for variable in document["templating"]["list"]:
        # The SDK writes them for every kind of variable; Grafana knows them of intervals alone.
        for name in ("auto", "auto_count", "auto_min"):
            variable.pop(name, None)
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    WRITTEN.mkdir(parents=True, exist_ok=True)
    for name, make in DASHBOARDS.items():
        (WRITTEN / f"omnitide-{name}.json").write_text(rendered(make()), encoding="utf-8")


if __name__ == "__main__":
    main()
