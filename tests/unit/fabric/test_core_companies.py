"""Who has a word of `together` is known without looking through all agents and jobs."""

from tests.support.spec import Fabric, spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric.folds.workloads import KEPT_VERSIONS
from omnitide.fabric.invariants import violations
from omnitide.fabric.rules.conditions import company
from omnitide.fabric.snapshot import dump, load


def members(fabric: Fabric) -> dict[str, list[str]]:
    assert not violations(fabric.state)
    assert load(dump(fabric.state)) == fabric.state
    return {key: sorted(known) for key, known in fabric.state.companies.items()}


def test_agents_and_active_jobs_with_a_word_are_known_by_it() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec(together="pod"), name="a")
    fabric.deploy(spec(), name="b")
    fabric.given(cm.RunJob(job="j", namespace="default", name="load", spec=task("work", together="pod")))
    agent = fabric.state.agent_names["default/a"]
    assert members(fabric) == {"default/pod": sorted([agent, "j"])}
    fabric.settle()
    assert company(fabric.state, "default", "pod") == {"n-alpha"}
    assert company(fabric.state, "default", "other") == frozenset()
    fabric.given(cm.CancelJob(namespace="default", name="load"))
    fabric.settle()
    assert members(fabric) == {"default/pod": [agent]}
    fabric.given(cm.DeleteAgent(namespace="default", name="a"))
    fabric.settle()
    assert members(fabric) == {}


def test_a_word_is_kept_for_as_long_as_a_version_with_it_is() -> None:
    fabric = Fabric()
    fabric.deploy(spec(together="pod"), name="a", replicas=0)
    agent = fabric.state.agent_names["default/a"]
    fabric.deploy(spec(together="other"), name="a")
    assert members(fabric) == {"default/pod": [agent], "default/other": [agent]}
    for number in range(KEPT_VERSIONS):
        assert "default/other" in members(fabric)
        fabric.deploy(spec("serve", str(number)), name="a")
    assert members(fabric) == {}
