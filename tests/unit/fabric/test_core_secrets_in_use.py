"""Removing a secret or config that something would miss: refused with who, unless it is forced."""

import pytest
from tests.support.spec import Fabric, task

from omnitide.fabric import commands as cm
from omnitide.model.container import Container
from omnitide.model.provisions import ConfigUse, SecretUse
from omnitide.model.spec import AgentSpec

SECRET = cm.SetSecret(id="s-1", namespace="default", name="db", digest="d", blob="sha256:d", size=5)
CONFIG = cm.SetConfig(id="c-1", namespace="default", name="db", digest="d", blob="sha256:d", size=5)
USES = AgentSpec(command=("x",), secrets={"db": SecretUse()})


def removal(*, force: bool = False, namespace: str = "default") -> cm.RemoveSecret:
    return cm.RemoveSecret(namespace=namespace, name="db", force=force)


def deployed(name: str, spec: AgentSpec, namespace: str = "default") -> cm.DeployAgent:
    return cm.DeployAgent(agent=f"a-{namespace}-{name}", namespace=namespace, name=name, spec=spec, replicas=1)


def test_who_would_miss_it_is_named_in_order_and_nothing_is_removed() -> None:
    fabric = Fabric()
    job = cm.RunJob(job="j-1", namespace="default", name="once", spec=task(secrets=USES.secrets))
    fabric.given(
        SECRET, deployed("web", USES), deployed("api", USES), job, deployed("other", AgentSpec(command=("x",)))
    )
    refused = fabric.when(removal())
    assert refused.code == "conflict"
    assert refused.rejection is not None
    assert refused.rejection.used_by == ("agent default/api", "agent default/web", "job default/once")
    assert "agent default/api, agent default/web, job default/once" in refused.rejection.message
    assert "--force" in refused.rejection.hint
    assert fabric.when(removal(force=True)).kinds == ["secret.removed"]


def test_a_config_is_as_a_secret() -> None:
    fabric = Fabric()
    fabric.given(CONFIG, deployed("web", AgentSpec(command=("x",), configs={"db": ConfigUse(file="conf")})))
    assert fabric.when(cm.RemoveConfig(namespace="default", name="db")).code == "conflict"
    assert fabric.when(cm.RemoveConfig(namespace="default", name="db", force=True)).kinds == ["config.removed"]


def test_what_pulls_its_image_with_it_has_it_too() -> None:
    fabric = Fabric()
    container = Container(image="registry.example/app", credentials="db")
    fabric.given(SECRET, deployed("web", AgentSpec(driver="docker", container=container)))
    assert fabric.when(removal()).code == "conflict"


@pytest.mark.parametrize("case", ["another name", "another namespace", "a config", "removed", "a version before"])
def test_who_would_not_miss_it_is_in_nobodys_way(case: str) -> None:
    fabric = Fabric()
    fabric.given(cm.CreateNamespace(name="blue"), SECRET, CONFIG)
    if case == "another name":
        fabric.given(deployed("web", AgentSpec(command=("x",), secrets={"else": SecretUse()})))
    elif case == "another namespace":
        fabric.given(deployed("web", USES, "blue"))
    elif case == "a config":
        fabric.given(deployed("web", AgentSpec(command=("x",), configs={"db": ConfigUse(file="conf")})))
    else:
        fabric.given(deployed("web", USES))
        fabric.given(
            cm.DeleteAgent(namespace="default", name="web")
            if case == "removed"
            else deployed("web", AgentSpec(command=("x",)))
        )
    assert fabric.when(removal()).kinds == ["secret.removed"]


def test_many_are_counted() -> None:
    fabric = Fabric()
    fabric.given(SECRET, *(deployed(f"web{number}", USES) for number in range(7)))
    refused = fabric.when(removal()).rejection
    assert refused is not None
    assert len(refused.used_by) == 7
    assert "and 4 more" in refused.message
    assert "web6" not in refused.message


def test_an_agent_that_is_stopped_would_miss_it_when_it_is_started() -> None:
    fabric = Fabric()
    fabric.given(SECRET, deployed("web", USES), cm.StopAgent(namespace="default", name="web"))
    assert fabric.when(removal()).code == "conflict"


def test_replicas_that_still_run_in_a_version_before_would_miss_it() -> None:
    fabric = Fabric()
    fabric.join("n-1")
    fabric.given(SECRET, deployed("web", USES))
    fabric.settle()
    fabric.given(deployed("web", AgentSpec(command=("x",))))
    assert fabric.when(removal()).code == "conflict"
    fabric.settle()
    assert fabric.when(removal()).accepted
