"""How a machine becomes a node: by a token, under one name, with one identity."""

import pytest
from msgspec.structs import replace
from tests.support.honest import GIB, HonestNode, facts
from tests.support.spec import FAR_MS, Fabric

from omnitide.fabric import commands as cm
from omnitide.fabric.rules import nodes
from omnitide.fabric.rules.room import label_of
from omnitide.fabric.state import NodeFacts, NodeStatus, TokenPurpose


def machine(name: str = "alpha") -> HonestNode:
    return HonestNode(id=f"n-{name}", name=name, key=f"k-{name}")


def token(identifier: str = "once", uses: int = 1, expires_ms: int = FAR_MS, **more: object) -> cm.IssueToken:
    return cm.IssueToken(
        id=identifier,
        purpose=TokenPurpose.JOIN,
        digest="hmac:x",
        expires_ms=expires_ms,
        uses=uses,
        **more,  # type: ignore[arg-type]
    )


def join(fabric: Fabric, command: cm.JoinNode, by: str = "") -> str:
    """The code of the refusal; empty if it joined."""
    return fabric.when(command, by=by or f"token:{command.token}").code


def test_joining_uses_the_token_once_and_gives_an_identity_that_has_not_connected_yet() -> None:
    fabric = Fabric()
    fabric.given(token(uses=2))
    outcome = fabric.when(machine().join("once"), by="token:once")
    assert outcome.kinds == ["token.used", "node.joined"]
    assert outcome.result == {"node": "n-alpha", "name": "alpha"}
    assert fabric.state.tokens["once"].uses_left == 1
    node = fabric.node("alpha")
    assert (node.status, node.session, node.key_digest) == (NodeStatus.JOINED, 0, "k-alpha")
    assert not node.schedulable


class TestTokens:
    def test_an_expired_one_is_refused_as_expired(self) -> None:
        fabric = Fabric()
        fabric.given(token(expires_ms=fabric.time_ms + 1_000))
        fabric.pass_ms(1_000)
        outcome = fabric.when(machine().join("once"), by="token:once")
        assert (outcome.code, outcome.message) == ("expired", "the join token has expired")

    @pytest.mark.parametrize(("left_ms", "code"), [(1, ""), (0, "expired")])
    def test_one_serves_to_its_last_millisecond(self, left_ms: int, code: str) -> None:
        fabric = Fabric()
        expires_ms = fabric.time_ms + 1_000
        fabric.given(token(expires_ms=expires_ms))
        assert fabric.when(machine().join("once"), by="token:once", time_ms=expires_ms - left_ms).code == code

    def test_one_that_is_used_up_is_refused(self) -> None:
        fabric = Fabric()
        fabric.given(token())
        assert join(fabric, machine("alpha").join("once")) == ""
        outcome = fabric.when(machine("beta").join("once"), by="token:once")
        assert (outcome.code, outcome.message) == ("expired", "the join token has been used up")

    def test_a_revoked_one_is_refused(self) -> None:
        fabric = Fabric()
        fabric.given(token(), cm.RevokeToken(id="once"))
        assert join(fabric, machine().join("once")) == "forbidden"

    def test_an_unknown_one_is_refused(self) -> None:
        assert join(Fabric(), machine().join("never-made")) == "forbidden"

    def test_one_for_the_api_joins_nothing(self) -> None:
        fabric = Fabric()
        assert join(fabric, machine().join("admin")) == "forbidden"
        assert join(fabric, machine().join("admin"), by="system:test") == "forbidden"

    def test_a_node_joins_by_the_token_that_it_shows(self) -> None:
        fabric = Fabric()
        fabric.given(token("mine", uses=1), token("other", uses=1))
        assert join(fabric, machine().join("other"), by="token:mine") == "forbidden"
        assert fabric.state.tokens["other"].uses_left == 1

    def test_a_join_token_does_nothing_but_join(self) -> None:
        fabric = Fabric()
        outcome = fabric.when(cm.CreateNamespace(name="blue"), by="token:join")
        assert (outcome.code, outcome.message) == ("forbidden", "a join token can only join a node")

    def test_the_answer_to_a_join_may_be_lost_and_asked_for_again(self) -> None:
        fabric = Fabric()
        fabric.given(token())
        first = fabric.when(machine().join("once"), by="token:once")
        again = fabric.when(machine().join("once"), by="token:once")
        assert again.accepted
        assert again.events == ()
        assert again.result == first.result

    def test_labels_of_the_token_win_over_those_of_the_machine_and_stay(self) -> None:
        fabric = Fabric()
        fabric.given(token(labels={"zone": "z1"}))
        node = replace_facts(machine(), labels={"zone": "mine", "disk": "ssd"})
        assert join(fabric, node.join("once")) == ""
        assert label_of(fabric.node("alpha"), "zone") == "z1"
        assert fabric.node("alpha").facts.labels == {"zone": "mine", "disk": "ssd"}
        fabric.nodes["alpha"] = node
        fabric.connect("alpha")
        assert fabric.node("alpha").join_labels == {"zone": "z1"}


def replace_facts(node: HonestNode, **fields: object) -> HonestNode:
    node.facts = facts(**fields)  # type: ignore[arg-type]
    return node


class TestIdentity:
    def test_a_second_node_with_a_used_identity_is_refused(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        clone = replace(machine("beta").join("join"), key_digest="k-alpha")
        outcome = fabric.when(clone, by="token:join")
        assert outcome.code == "already-exists"
        assert outcome.message == "this identity belongs to node 'alpha' already"

    def test_a_used_id_with_another_key_is_refused(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        thief = replace(machine("beta").join("join"), node="n-alpha")
        assert join(fabric, thief) == "already-exists"

    def test_a_session_with_another_key_is_refused(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        before = fabric.state
        outcome = fabric.when(replace(fabric.nodes["alpha"].hello(), key_digest="k-other"), by="node:n-alpha")
        assert outcome.code == "forbidden"
        assert "another key" in outcome.message
        assert fabric.state is before

    def test_a_removed_node_may_join_again_with_its_key(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.given(cm.RemoveNode(node="alpha", force=True))
        assert join(fabric, machine().join("join")) == ""


class TestNames:
    def test_a_duplicate_name_is_refused_with_the_way_out(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        outcome = fabric.when(replace(machine("beta").join("join"), name="alpha"), by="token:join")
        assert outcome.code == "already-exists"
        assert outcome.message == "another node is called 'alpha'"
        assert outcome.rejection is not None
        assert "omnitide nodes rm alpha" in outcome.rejection.hint

    def test_no_name_is_another_nodes_id_and_no_id_another_nodes_name(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        assert join(fabric, replace(machine("beta").join("join"), name="n-alpha")) == "already-exists"
        assert join(fabric, replace(machine("beta").join("join"), node="alpha")) == "already-exists"

    @pytest.mark.parametrize("name", ["", "Alpha", "a" * 41, "a_b", "a\n"])
    def test_a_name_outside_the_grammar_is_refused(self, name: str) -> None:
        assert join(Fabric(), replace(machine().join("join"), name=name)) == "invalid"


class TestFacts:
    @pytest.mark.parametrize(
        "wrong",
        [
            facts(cpu=-1),
            facts(memory=-GIB),
            facts(cpu=2**64 - 1),
            facts(ports=(70_000, 80_000)),
            facts(ports=(3000, 2000)),
            facts(ports=(0, 2000)),
            facts(disk_bytes=-1),
        ],
    )
    def test_what_cannot_be_is_refused_at_every_door(self, wrong: NodeFacts) -> None:
        fabric = Fabric()
        assert join(fabric, replace(machine().join("join"), facts=wrong)) == "invalid"
        fabric.join("alpha")
        node = fabric.nodes["alpha"]
        assert fabric.when(replace(node.hello(), facts=wrong), by=node.principal).code == "invalid"
        change = cm.ChangeNodeFacts(node=node.id, session=node.session, facts=wrong)
        assert fabric.when(change, by=node.principal).code == "invalid"

    def test_what_is_too_much_to_keep_is_refused(self) -> None:
        labels = {f"label-{number}": "x" * 1000 for number in range(300)}
        outcome = Fabric().when(replace(machine().join("join"), facts=facts(labels=labels)), by="token:join")
        assert outcome.code == "limit"
        assert "256 KiB is the most" in outcome.message

    def test_a_node_may_declare_less_than_it_has_given_away(self) -> None:
        """Then it takes nothing more until enough has left; nothing is stopped for it."""
        fabric = Fabric()
        fabric.join("alpha", node_facts=facts(cpu=1000))
        fabric.deploy(replicas=10)
        fabric.settle()
        node = fabric.nodes["alpha"]
        fabric.given(cm.ChangeNodeFacts(node=node.id, session=node.session, facts=facts(cpu=500)), by=node.principal)
        assert fabric.running() == 10
        fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=11))
        plan = cm.PlaceInstances(seen_revision=0, choices=(cm.PlaceChoice("hello.11.1", "n-alpha", ()),))
        assert fabric.when(plan, by="system:placer").result["placed"] == 0


class TestChangingKeys:
    """A renewed certificate is for a new key; the old one serves until the new one was shown."""

    def offered(self) -> tuple[Fabric, HonestNode]:
        fabric = Fabric()
        fabric.join("alpha")
        node = fabric.nodes["alpha"]
        fabric.given(cm.OfferKey(node=node.id, key_digest="sha256:new"), by=node.principal)
        return fabric, node

    def test_both_keys_serve_until_the_new_one_is_used(self) -> None:
        fabric, node = self.offered()
        assert fabric.when(node.hello(), by=node.principal).accepted
        changed = fabric.when(replace(node.hello(), key_digest="sha256:new"), by=node.principal)
        assert changed.kinds[:2] == ["node.key-changed", "node.connected"]
        assert fabric.when(node.hello(), by=node.principal).code == "forbidden"

    def test_a_key_that_was_not_offered_is_refused(self) -> None:
        fabric, node = self.offered()
        assert fabric.when(replace(node.hello(), key_digest="sha256:else"), by=node.principal).code == "forbidden"

    def test_another_nodes_key_cannot_be_taken(self) -> None:
        fabric, _ = self.offered()
        fabric.join("beta")
        beta = fabric.nodes["beta"]
        take = cm.OfferKey(node=beta.id, key_digest="sha256:new")
        assert fabric.when(take, by=beta.principal).code == "already-exists"

    def test_a_key_that_was_offered_to_one_node_is_no_way_in_for_another(self) -> None:
        fabric, _ = self.offered()
        fabric.given(token())
        assert join(fabric, replace(machine("beta").join("once"), key_digest="sha256:new")) == "already-exists"

    def test_the_same_offer_again_changes_nothing(self) -> None:
        fabric, node = self.offered()
        again = cm.OfferKey(node=node.id, key_digest="sha256:new")
        assert fabric.when(again, by=node.principal).kinds == []


def test_the_fabric_holds_so_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_NODES", 1)
    fabric = Fabric()
    fabric.join("alpha")
    assert join(fabric, machine("beta").join("join")) == "limit"


class TestIssuing:
    @pytest.mark.parametrize(
        ("command", "code"),
        [
            (token(uses=0), "invalid"),
            (token(uses=10_001), "invalid"),
            (token(expires_ms=0), "invalid"),
            (token(expires_ms=1), "invalid"),
            (token(expires_ms=2**53 + 1), "invalid"),
            (token(note="x" * 501), "limit"),
            (token("join"), "already-exists"),
            (token(""), "already-exists"),
        ],
    )
    def test_a_token_that_makes_no_sense_is_refused(self, command: cm.IssueToken, code: str) -> None:
        assert Fabric().when(command).code == code

    def test_an_api_token_need_not_expire_and_is_used_without_count(self) -> None:
        fabric = Fabric()
        fabric.given(cm.IssueToken(id="ci", purpose=TokenPurpose.API, digest="hmac:y", uses=7))
        assert (fabric.state.tokens["ci"].expires_ms, fabric.state.tokens["ci"].uses_left) == (0, 0)

    def test_the_last_api_token_that_is_valid_is_revoked_by_force_alone(self) -> None:
        fabric = Fabric()
        api = cm.IssueToken(id="short", purpose=TokenPurpose.API, digest="hmac:x", expires_ms=fabric.time_ms + 60_000)
        fabric.given(token(), replace(api, id="dead"), cm.RevokeToken(id="dead"), api)

        def revoked(identifier: str, *, force: bool = False) -> str:
            outcome = fabric.when(cm.RevokeToken(id=identifier, force=force), by="system:test")
            return outcome.code or ",".join(outcome.kinds)

        assert revoked("admin") == "token.revoked"
        assert revoked("short") == "conflict"
        fabric.given(replace(api, id="second"), by="system:test")
        assert revoked("short") == "token.revoked"
        assert revoked("second") == "conflict"
        assert revoked("once") == "token.revoked", "a join token is no way in"
        assert revoked("second", force=True) == "token.revoked"

    def test_one_that_has_expired_is_no_way_in_any_more(self) -> None:
        fabric = Fabric()
        fabric.given(cm.IssueToken(id="short", purpose=TokenPurpose.API, digest="x", expires_ms=fabric.time_ms + 1000))
        fabric.time_ms += 2000
        assert fabric.when(cm.RevokeToken(id="admin")).code == "conflict"
        assert fabric.when(cm.RevokeToken(id="short")).kinds == ["token.revoked"]

    def test_revoking_twice_is_no_error_and_no_event(self) -> None:
        fabric = Fabric()
        fabric.given(token())
        assert fabric.when(cm.RevokeToken(id="once")).kinds == ["token.revoked"]
        assert fabric.when(cm.RevokeToken(id="once")).kinds == []
        assert fabric.when(cm.RevokeToken(id="none")).code == "not-found"
