"""Deploying an agent: made, given a new version, left alone, refused."""

import pytest
from msgspec.structs import replace
from tests.support.honest import GIB, facts
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rules import agents
from omnitide.model.spec import AgentManifest, AgentSpec, Limits, Port, Resources


def test_a_new_agent_gets_its_instances_in_the_same_entry() -> None:
    fabric = Fabric()
    outcome = fabric.deploy(replicas=3)
    assert outcome.kinds == ["agent.created", "instance.created"]
    assert outcome.result == {"agent": "hello", "version": 1, "replicas": 3, "change": "created"}
    assert fabric.statuses() == {"hello.1.1": "pending", "hello.2.1": "pending", "hello.3.1": "pending"}
    assert fabric.instance("hello.2.1").name == "hello-2.1"
    assert fabric.state.namespaces["default"].agents == 1


def test_without_a_number_a_new_agent_has_one_replica() -> None:
    fabric = Fabric()
    assert fabric.deploy().result["replicas"] == 1
    assert fabric.agent().replicas == 1


def test_an_agent_of_no_replicas_has_no_instances() -> None:
    fabric = Fabric()
    assert fabric.deploy(replicas=0).kinds == ["agent.created"]


def test_the_same_spec_again_changes_nothing_and_writes_nothing() -> None:
    fabric = Fabric()
    fabric.deploy(replicas=2)
    before = fabric.state
    outcome = fabric.deploy(replicas=2)
    assert outcome.result["change"] == "unchanged"
    assert outcome.kinds == []
    assert fabric.state is before


def test_another_spec_is_the_next_version() -> None:
    fabric = Fabric()
    fabric.deploy(spec("serve", "1"))
    outcome = fabric.deploy(spec("serve", "2"))
    assert outcome.result == {"agent": "hello", "version": 2, "replicas": 1, "change": "updated"}
    assert fabric.agent().spec.command == ("serve", "2")
    assert fabric.agent().versions[1].spec.command == ("serve", "1")


def test_what_waited_with_the_old_version_waits_with_the_new_one() -> None:
    fabric = Fabric()
    fabric.deploy(spec("serve", "1"))
    fabric.deploy(spec("serve", "2"))
    assert fabric.statuses() == {"hello.1.2": "pending"}
    assert fabric.instance("hello.1.2").version == 2


def test_deploying_a_stopped_agent_starts_it() -> None:
    fabric = Fabric()
    fabric.deploy()
    fabric.given(cm.StopAgent(namespace="default", name="hello"))
    outcome = fabric.deploy()
    assert outcome.result["change"] == "started"
    assert fabric.agent().active
    assert list(fabric.statuses().values()) == ["pending"]


def test_old_versions_are_forgotten_but_not_those_that_still_run() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("serve", "0"))
    fabric.settle()
    fabric.nodes["alpha"].cut()
    for number in range(1, 40):
        fabric.deploy(spec("serve", str(number)))
    versions = fabric.agent().versions
    assert sorted(versions)[-20:] == list(range(21, 41))
    assert 1 in versions, "the instance on the silent node runs it"
    assert len(versions) == 21


@pytest.mark.parametrize("name", ["", "Hello", "1st", "-a", "a-", "a" * 41, "a b", "a/b", "a\n", "ä"])
def test_a_name_outside_the_grammar_is_refused(name: str) -> None:
    fabric = Fabric()
    outcome = fabric.when(cm.DeployAgent(agent="x", namespace="default", name=name, spec=spec()))
    assert outcome.code == "invalid"
    assert "cannot name an agent" in outcome.message


def test_a_refused_name_comes_with_one_that_would_do() -> None:
    outcome = Fabric().when(cm.DeployAgent(agent="x", namespace="default", name="My Agent", spec=spec()))
    assert outcome.rejection is not None
    assert outcome.rejection.hint == "try 'my-agent'"


def test_a_namespace_that_is_not_there_is_named_with_the_command_that_makes_it() -> None:
    outcome = Fabric().when(cm.DeployAgent(agent="x", namespace="blue", name="hello", spec=spec()))
    assert outcome.code == "not-found"
    assert outcome.rejection is not None
    assert outcome.rejection.hint == "omnitide namespace create blue"


def test_the_same_name_in_two_namespaces_is_two_agents() -> None:
    fabric = Fabric()
    fabric.given(cm.CreateNamespace(name="blue"))
    fabric.deploy()
    fabric.given(cm.DeployAgent(agent="other", namespace="blue", name="hello", spec=spec()))
    assert fabric.agent().id == "hello"
    assert fabric.agent(namespace="blue").id == "other"


def test_an_agent_cannot_take_the_name_of_a_job_nor_a_job_that_of_an_agent() -> None:
    fabric = Fabric()
    fabric.run(name="both")
    assert fabric.deploy(name="both").code == "already-exists"
    fabric.deploy()
    assert fabric.run(name="hello").code == "already-exists"


def test_an_id_that_is_in_use_is_refused() -> None:
    fabric = Fabric()
    fabric.deploy()
    command = cm.DeployAgent(agent="hello", namespace="default", name="another", spec=spec())
    assert fabric.when(command).code == "already-exists"
    assert fabric.when(replace(command, agent="")).code == "already-exists"


class TestIfMatch:
    def test_the_revision_that_was_read_lets_the_change_through(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        revision = fabric.agent().revision
        assert fabric.deploy(spec("serve", "2"), if_match=revision).accepted

    def test_any_other_revision_is_a_conflict_that_names_both(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        revision = fabric.agent().revision
        outcome = fabric.deploy(spec("serve", "2"), if_match=revision - 1)
        assert outcome.code == "conflict"
        assert f"is at revision {revision}, not {revision - 1}" in outcome.message

    def test_placing_and_running_do_not_move_an_agents_own_revision(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(replicas=2)
        revision = fabric.agent().revision
        fabric.settle()
        assert fabric.agent().revision == revision

    def test_zero_means_only_if_it_does_not_exist(self) -> None:
        fabric = Fabric()
        assert fabric.deploy(if_match=0).accepted
        assert fabric.deploy(if_match=0).code == "already-exists"

    def test_a_revision_of_an_agent_that_does_not_exist_is_a_conflict(self) -> None:
        assert Fabric().deploy(if_match=7).code == "conflict"

    @pytest.mark.parametrize(
        "command",
        [
            cm.ScaleAgent(namespace="default", name="hello", replicas=2, if_match=1),
            cm.RestartAgent(namespace="default", name="hello", if_match=1),
            cm.StopAgent(namespace="default", name="hello", if_match=1),
            cm.StartAgent(namespace="default", name="hello", if_match=1),
            cm.DeleteAgent(namespace="default", name="hello", if_match=1),
        ],
    )
    def test_every_command_on_an_agent_honours_it(self, command: cm.Command) -> None:
        fabric = Fabric()
        fabric.deploy()
        assert fabric.when(command).code == "conflict"
        assert fabric.when(replace(command, if_match=fabric.agent().revision)).accepted


class TestFeasibility:
    def test_more_than_any_node_has_is_refused_with_the_numbers(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", node_facts=facts(cpu=4000, memory=8 * GIB))
        fabric.join("beta", node_facts=facts(cpu=2000, memory=32 * GIB))
        outcome = fabric.deploy(spec(resources=Resources(cpu=3000, memory=16 * GIB)))
        assert outcome.code == "impossible"
        assert "asks for 3 cpu and 16 GiB" in outcome.message
        assert "no node of 2 has both, even empty (most cpu 4, most memory 32 GiB)" in outcome.message

    def test_a_fabric_without_nodes_refuses_nothing_for_its_size(self) -> None:
        assert Fabric().deploy(spec(resources=Resources(cpu=10**6))).accepted

    def test_what_fits_an_empty_node_is_taken_although_it_is_full_now(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", node_facts=facts(cpu=1000))
        fabric.deploy(spec(resources=Resources(cpu=1000)))
        fabric.settle()
        assert fabric.deploy(spec(resources=Resources(cpu=1000)), name="second").accepted

    def test_an_update_to_the_impossible_leaves_the_agent_as_it_was(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", node_facts=facts(cpu=1000))
        fabric.deploy()
        before = fabric.state
        assert fabric.deploy(spec(resources=Resources(cpu=2000))).code == "impossible"
        assert fabric.state is before

    @pytest.mark.parametrize(
        ("what", "words"),
        [
            (spec(limits=Limits(cpu=50), resources=Resources(cpu=100)), "limits.cpu 0.05 is below resources.cpu 0.1"),
            (spec(limits=Limits(memory=1 << 20)), "limits.memory 1 MiB is below resources.memory 32 MiB"),
            (spec(ports={"a": Port(port=80), "b": Port(port=80)}), "two ports of the spec have the same number"),
        ],
    )
    def test_a_spec_that_contradicts_itself_is_refused(self, what: AgentSpec, words: str) -> None:
        outcome = Fabric().deploy(what)
        assert outcome.code == "impossible"
        assert words in outcome.message


class TestWhatTheLogMustBeAbleToGiveBack:
    """One record that cannot be read again would stop every start."""

    def test_a_spec_outside_its_own_schema_is_refused(self) -> None:
        outcome = Fabric().deploy(AgentSpec(command=()))
        assert outcome.code == "invalid"
        assert "command" in outcome.message

    def test_a_manifest_in_the_place_of_a_spec_is_refused(self) -> None:
        outcome = Fabric().deploy(AgentManifest(command=("serve",), name="hello"))
        assert outcome.code == "invalid"

    def test_half_a_surrogate_pair_is_refused(self) -> None:
        assert Fabric().deploy(spec("serve", "\ud800")).code == "invalid"
        fabric = Fabric()
        fabric.join("alpha")
        departing = cm.DepartNode(node="n-alpha", session=fabric.node("alpha").session, reason="\ud800")
        before = fabric.state
        assert fabric.when(departing, by="node:n-alpha").code == "invalid"
        assert fabric.state is before

    def test_a_number_beyond_64_bits_is_refused(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        departing = cm.DepartNode(
            node="n-alpha", session=fabric.node("alpha").session, reason="bye", back_within_ms=2**70
        )
        assert fabric.when(departing, by="node:n-alpha").code == "invalid"

    def test_an_oversized_spec_is_refused_with_its_size(self) -> None:
        outcome = Fabric().deploy(spec("serve", environment={f"V{n}": "x" * 30_000 for n in range(20)}))
        assert outcome.code == "limit"
        assert "the spec takes 586.1 KiB; 256 KiB is the most" in outcome.message


class TestLimits:
    @pytest.mark.parametrize("replicas", [-1, 100_001])
    def test_a_number_of_replicas_out_of_range_is_refused(self, replicas: int) -> None:
        outcome = Fabric().deploy(replicas=replicas)
        assert outcome.code == "invalid"
        assert "0 to 100000 replicas" in outcome.message

    def test_the_fabric_holds_so_many_instances(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agents, "MAX_INSTANCES", 5)
        fabric = Fabric()
        assert fabric.deploy(replicas=6).code == "limit"
        assert fabric.deploy(replicas=4).accepted
        assert fabric.when(cm.ScaleAgent(namespace="default", name="hello", replicas=6)).code == "limit"
        assert fabric.deploy(replicas=6).code == "limit"
        fabric.given(cm.StopAgent(namespace="default", name="hello"))
        fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=6))
        assert fabric.when(cm.StartAgent(namespace="default", name="hello")).code == "limit"
        assert fabric.deploy().code == "limit", "deploying a stopped agent starts it"

    def test_the_fabric_holds_so_many_agents(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agents, "MAX_AGENTS", 1)
        fabric = Fabric()
        fabric.deploy()
        assert fabric.deploy(name="second").code == "limit"
        assert fabric.deploy(spec("serve", "2")).accepted
