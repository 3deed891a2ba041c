"""What a newcomer sees who calls `omnitide demo` and says nothing more: a fabric with something going on everywhere."""

import inspect
from collections import Counter

import pytest
from tests.support.still_fabric import StillRuntime

from omnitide.cli.fabric.demo import MAX_INSTANCES, MAX_NODES, demo
from omnitide.demo.workloads import namespaces, usual_instances
from omnitide.fabric import commands as cm
from omnitide.fabric.state import InstanceStatus

USUAL = {name: one.default for name, one in inspect.signature(demo).parameters.items()}
"""Options that were not given."""


@pytest.mark.parametrize(
    ("nodes", "instances"), [(1, 6), (20, 120), (100, 600), (200, 1200), (201, 1201), (1000, 2000)]
)
def test_there_are_some_instances_for_each_machine_and_fewer_of_a_great_many(nodes: int, instances: int) -> None:
    assert usual_instances(nodes) == instances
    assert usual_instances(MAX_NODES) <= MAX_INSTANCES


def test_hardly_a_machine_is_idle_and_every_place_and_driver_has_its_share() -> None:
    nodes, agents = USUAL["nodes"], USUAL["agents"]
    fabric = StillRuntime(nodes, agents, usual_instances(nodes))
    for machine in fabric.machines.values():
        fabric.add_machine(machine)
    for name in namespaces(list(fabric.workloads.values())):
        fabric.apply(cm.CreateNamespace(name=name))
    for workload in fabric.workloads.values():
        fabric.deploy(workload)
    fabric.settle()
    running = [one for one in fabric.state.instances.values() if one.status is InstanceStatus.RUNNING]
    on = Counter(fabric.state.nodes[one.node].name for one in running)
    assert abs(len(running) - usual_instances(nodes)) < 0.05 * usual_instances(nodes)
    assert len(on) >= 0.9 * nodes, sorted(set(fabric.machines) - set(on))
    assert {fabric.machines[name].zone for name in on} == {one.zone for one in fabric.machines.values()}
    assert max(on.values()) < 0.05 * len(running), "nor is one of them the fabric"
    used = sum(node.used_cpu_milli for node in fabric.state.nodes.values())
    assert 0.05 < used / sum(one.cpu_milli for one in fabric.machines.values()) < 0.5
    waits = [one for one in fabric.state.instances.values() if one.status is InstanceStatus.PENDING]
    assert [one.name for one in waits] == ["llm-finetune-1.1"], "what waits is what is to wait"
