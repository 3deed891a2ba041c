"""A container that asks for a device is placed where the node says that it gives it, and waits with the reason."""

from pathlib import Path

import pytest
from tests.support.honest import facts
from tests.support.spec import Fabric

from omnitide.fabric.rules.room import asked_devices
from omnitide.fabric.state import DriverFact, FabricState, InstanceStatus
from omnitide.model.container import Container
from omnitide.model.spec import AgentSpec
from omnitide.nexus.translate import facts_from
from omnitide.node.facts import Facts
from omnitide.node.provisions.devices import HARMLESS, NONE, given
from omnitide.node.translate import facts_message
from omnitide.scheduler.ask import requirements_of
from omnitide.scheduler.explain import explain
from omnitide.scheduler.place import place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import derive_asks

DOCKER = (DriverFact(name="docker"),)


def wants(*devices: str) -> AgentSpec:
    return AgentSpec(driver="docker", container=Container(image="x", devices=devices))


def fabric(**nodes: tuple[str, ...]) -> Fabric:
    made = Fabric()
    for name, devices in nodes.items():
        made.join(name, node_facts=facts(drivers=DOCKER, devices=devices))
    return made


def chosen(state: FabricState) -> list[str]:
    plan = place(NodeTable(state), derive_asks(state, state.time_ms).ready)
    return [choice.node for choice in plan.choices]


@pytest.mark.parametrize(
    ("devices", "node"),
    [
        (("/dev/kvm",), ["n-b"]),
        (("/dev/kvm:/dev/other:rw",), ["n-b"]),
        (("/dev/dri/renderD128", "/dev/kvm"), ["n-b"]),
        (("/dev/sda",), []),
        (("/dev/dri/../sda",), []),
        (("/dev/drives",), []),
    ],
)
def test_it_goes_where_all_of_them_are_given(devices: tuple[str, ...], node: list[str]) -> None:
    made = fabric(a=HARMLESS, b=("/dev/dri", "/dev/kvm"), c=NONE)
    made.deploy(wants(*devices))
    assert chosen(made.state) == node


def test_a_node_that_does_not_tell_may_give_any() -> None:
    made = fabric(a=NONE, b=())
    made.deploy(wants("/dev/kvm"))
    assert chosen(made.state) == ["n-b"]


def test_the_reason_names_the_device_and_the_setting() -> None:
    made = fabric(a=HARMLESS)
    made.deploy(wants("/dev/kvm"))
    found = explain(NodeTable(made.state), requirements_of(wants("/dev/kvm")))
    assert found.verdict == "never"
    assert "needs the device /dev/kvm; 0 of 1 node gives it to containers" in found.text
    assert "node.devices" in found.text


def test_what_was_planned_before_the_node_told_is_not_placed_there() -> None:
    made = fabric(a=HARMLESS)
    made.deploy(wants("/dev/kvm"))
    made.settle()
    assert {one.status for one in made.state.instances.values()} == {InstanceStatus.PENDING}


def test_a_node_tells_what_is_there_by_both_its_names(tmp_path: Path) -> None:
    device, link = tmp_path / "device", tmp_path / "link"
    device.touch()
    link.symlink_to(device)
    assert given(()) == HARMLESS
    assert given((str(link), str(tmp_path / "gone"))) == tuple(sorted((str(link), str(device.resolve()))))
    assert given(("none",)) == given((str(tmp_path / "gone"),)) == NONE
    message = facts_message(Facts(name="a", devices=("/dev/kvm",)))
    assert facts_from(message, software="", boot_id="").devices == ("/dev/kvm",)
    assert asked_devices(wants("/dev/b:/dev/c", "/dev/a")) == ("/dev/a", "/dev/b")
