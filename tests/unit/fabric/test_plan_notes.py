"""What a deployment's plan says beside its differences: what is done as asked, and better known before."""

import pytest

from omnitide.fabric import commands as cm
from omnitide.model.container import Container
from omnitide.model.provisions import SecretUse
from omnitide.model.spec import AgentSpec
from omnitide.operations.planning import plan_of
from support.spec import Fabric


def note(*versions: AgentSpec) -> str:
    """Of the deployment of the last of these."""
    fabric = Fabric()
    before = None
    for spec in versions[:-1]:
        fabric.deploy(spec)
        before = fabric.agent()
    fabric.deploy(versions[-1])
    return plan_of(before, fabric.agent(), "updated" if before else "created", None).note


def container(image: str = "a:1", **secrets: SecretUse) -> AgentSpec:
    return AgentSpec(driver="docker", container=Container(image=image), secrets=secrets)


def test_a_secret_that_a_container_is_given_as_a_variable_is_warned_of_by_name() -> None:
    said = note(container(db=SecretUse(environment="DB"), tls=SecretUse(file="key"), api=SecretUse(environment="A")))
    assert "in the clear" in said
    assert "api, db" in said
    assert "tls" not in said


def test_it_is_said_of_each_version_and_not_of_what_is_unchanged() -> None:
    given = container(db=SecretUse(environment="DB"))
    assert "in the clear" in note(container(), given)
    assert note(given, given) == ""


def test_files_and_processes_are_not_warned_of() -> None:
    assert note(container(db=SecretUse(file="db"))) == ""
    assert note(AgentSpec(command=("run",), secrets={"db": SecretUse(environment="DB")})) == ""


@pytest.mark.parametrize("settled", [True, False])
def test_what_is_made_is_counted_where_slots_begin_anew(*, settled: bool) -> None:
    """After `stop`, or fewer replicas, the slots go on with the numbers of the generations before them."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(replicas=3)
    fabric.settle()
    fabric.given(cm.StopAgent(namespace="default", name="hello"))
    if settled:
        fabric.settle()
        assert not fabric.agent().slots
    before = fabric.agent()
    fabric.deploy(replicas=4)
    plan = plan_of(before, fabric.agent(), "started", 4)
    assert plan.instances_created == (4 if settled else 1)
    fabric.settle()
    fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=1))
    fabric.settle()
    before = fabric.agent()
    fabric.deploy(replicas=2, take_over_replicas=True)
    assert plan_of(before, fabric.agent(), "scaled", 2).instances_created == 1
