"""A driver whose runtime does not answer its node: since when is kept, and what it runs is not given up for that."""

from tests.support.honest import facts
from tests.support.spec import Fabric, Outcome, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.snapshot import dump, load
from omnitide.fabric.state import DriverFact, NodeFacts

WELL = facts()
AWAY = facts(drivers=(DriverFact(name="process", healthy=False, silent=True, detail="it has hung up"),))


def fabric_that_runs() -> Fabric:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("serve"), replicas=2)
    fabric.settle()
    return fabric


def say(fabric: Fabric, told: NodeFacts) -> Outcome:
    fabric.nodes["alpha"].facts = told
    node = fabric.node("alpha")
    return fabric.when(cm.ChangeNodeFacts(node=node.id, session=node.session, facts=told), by="node:n-alpha")


def test_a_driver_falls_silent_and_answers_again_and_what_it_runs_stays_what_it_was() -> None:
    fabric = fabric_that_runs()
    before = fabric.statuses()
    outcome = say(fabric, AWAY)
    assert outcome.kinds == ["node.facts-changed", "node.driver-silent"]
    assert fabric.node("alpha").silent_drivers == {"process": fabric.time_ms}
    assert fabric.statuses() == before
    assert say(fabric, WELL).kinds == ["node.facts-changed", "node.driver-answers"]
    assert fabric.node("alpha").silent_drivers == {}
    assert fabric.statuses() == before


def test_since_when_outlives_new_facts_sessions_and_snapshots() -> None:
    fabric = fabric_that_runs()
    say(fabric, AWAY)
    since = fabric.time_ms
    fabric.pass_ms(5_000)
    other = facts(drivers=(DriverFact(name="process", healthy=False, silent=True, detail="no answer"),))
    assert say(fabric, other).kinds == ["node.facts-changed"]
    fabric.silence("alpha")
    assert "node.driver-silent" not in fabric.connect("alpha").kinds
    assert fabric.node("alpha").silent_drivers == {"process": since}
    assert load(dump(fabric.state)) == fabric.state


def test_a_node_that_comes_back_says_what_became_of_its_drivers_meanwhile() -> None:
    fabric = fabric_that_runs()
    fabric.silence("alpha")
    fabric.nodes["alpha"].facts = AWAY
    assert "node.driver-silent" in fabric.connect("alpha").kinds
    fabric.silence("alpha")
    fabric.nodes["alpha"].facts = facts(drivers=(DriverFact(name="docker"),))
    assert "node.driver-answers" in fabric.connect("alpha").kinds
    assert fabric.node("alpha").silent_drivers == {}


def test_a_driver_that_only_lacks_what_it_needs_is_not_silent() -> None:
    fabric = fabric_that_runs()
    lacks = facts(drivers=(DriverFact(name="docker", healthy=False, absent=True), DriverFact(name="process")))
    assert say(fabric, lacks).kinds == ["node.facts-changed"]
    assert fabric.node("alpha").silent_drivers == {}
