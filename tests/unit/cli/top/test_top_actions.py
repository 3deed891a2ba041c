"""What can be done from `top`, and what is said before it is done."""

import re
from pathlib import Path

import pytest
from tests.unit.cli.top.scenes import agent, instance, node, scene

from omnitide.cli.top.action import Input, hindered, read_input
from omnitide.cli.top.actions import ACTIONS, BY_ID
from omnitide.cli.top.figures import bar, cores, plot, resampled
from omnitide.cli.top.keys import key_lines, shown_key
from omnitide.cli.top.lines import printed
from omnitide.cli.top.outlook import outlook_lines, wanted_changes
from omnitide.cli.top.targets import shell_name
from omnitide.cli.top.words import RANK, tone_of
from omnitide.model.foreseen import ForeseenReplica, Outlook

PANEL = Path(__file__).parents[4] / "web" / "src"


def test_the_panel_has_the_same_actions_under_the_same_keys() -> None:
    text = "".join((PANEL / "actions" / name).read_text() for name in ("agents.ts", "instances.ts", "nodes.ts"))
    panel = dict(re.findall(r'id: "((?:agent|instance|node)\.\w+)",\s*title: "[^"]+",\s*key: "(\w)"', text))
    assert {one.id: one.key for one in ACTIONS} == panel


def test_states_mean_the_same_as_in_the_panel() -> None:
    text = (PANEL / "words" / "states.ts").read_text()
    tones = dict(re.findall(r'^  (\w+): "(\w+)",$', text, re.MULTILINE))
    assert {name: tone_of(name) for name in tones} == tones
    assert list(RANK) == ["bad", "unknown", "wait", "busy", "good", "off"]


def test_each_key_means_one_thing_on_a_page_and_is_listed() -> None:
    listed = printed(key_lines(), color=False)
    for kind in ("node", "agent", "instance"):
        keys = [one.key for one in ACTIONS if one.kind == kind]
        assert len(set(keys)) == len(keys)
        assert not set(keys) & set("qilejkgGT/?123456")
    for one in ACTIONS:
        assert re.search(rf"^  {re.escape(shown_key(one.key))} +{one.title.lower()}$", listed, re.MULTILINE), one.id


def test_what_is_grave_says_what_is_lost() -> None:
    around = scene(node("alpha"), node("beta"), agent("web"), instance("web-1.1"), instance("web-2.1"))
    targets = {
        "node": around.view.nodes["n-alpha"],
        "agent": around.view.agents["a-web"],
        "instance": around.view.instances["i-default-web-1.1"],
    }
    for one in ACTIONS:
        target = targets[one.kind]
        assert one.effect(target, Input(replicas=1, version=1), around)
        assert one.command(shell_name(target), Input(replicas=1))
        if one.grave:
            assert one.losses(target, Input(), around), one.id
    drain = BY_ID["node.drain"]
    assert "2 instances of agents move to 1 other node" in drain.effect(targets["node"], Input(), around)
    assert drain.losses(targets["node"], Input(), around) == ["What 2 instances have in memory does not move with it."]
    fewer = BY_ID["agent.scale"]
    assert fewer.losses(targets["agent"], Input(replicas=1), around) == ["What 1 replica has in memory is gone."]
    assert not fewer.losses(targets["agent"], Input(replicas=9), around)


def test_a_drain_counts_on_nodes_alone_that_take_something() -> None:
    alone = scene(node("alpha"), node("beta", scheduling="cordoned"), node("gamma", status="lost"), instance("web-1.1"))
    effect = BY_ID["node.drain"].effect(alone.view.nodes["n-alpha"], Input(), alone)
    assert effect == "No other node is live and open: 1 instance stays and runs until there is room."
    stopped = scene(node("alpha"), node("beta", stopped_ms=7), instance("web-1.1"))
    assert BY_ID["node.drain"].effect(stopped.view.nodes["n-alpha"], Input(), stopped) == effect
    for more in ({"status": "unreachable"}, {"stopped_ms": 7}):
        silent = scene(node("alpha", **more), node("beta"), instance("web-1.1"))
        there = silent.view.nodes["n-alpha"]
        told = "Nothing is heard from it: what runs there does not hear of this. Nothing new is placed there."
        assert BY_ID["node.drain"].effect(there, Input(), silent) == told
        assert BY_ID["node.drain"].losses(there, Input(), silent) == []
    task = scene(node("alpha"), node("beta"), instance("once-1.1", kind="job"))
    target = task.view.nodes["n-alpha"]
    assert BY_ID["node.drain"].effect(target, Input(), task) == "It runs no agents. Nothing new is placed there."
    assert BY_ID["node.drain"].losses(target, Input(), task) == ["1 task of jobs run to their end there."]


def test_what_cannot_be_done_says_why() -> None:
    assert hindered(BY_ID["agent.start"], [agent("a")]) == "it is not stopped"
    assert hindered(BY_ID["agent.rollback"], [agent("a")]) == "it has one version only"
    assert hindered(BY_ID["node.uncordon"], [node("a"), node("b", scheduling="cordoned")]) == "", "to some it can"
    assert "at a time" in hindered(BY_ID["node.remove"], [node("a"), node("b")])
    assert hindered(BY_ID["node.drain"], []) == "no node is chosen"
    task = instance("once-1.1", kind="job")
    assert hindered(BY_ID["instance.restart"], [task]) == "a task of a job is not restarted"
    assert hindered(BY_ID["instance.migrate"], [task]) == "a task of a job does not move"
    assert hindered(BY_ID["instance.migrate"], [instance("a-1.1", node="")]) == "it is on no node yet"
    assert hindered(BY_ID["instance.restart"], [instance("a-1.1", status="failed")]) == "it is failed"


@pytest.mark.parametrize("text", ["", "-1", "two", "1.5", "²", "9" * 40])
def test_replicas_are_a_whole_number(text: str) -> None:
    assert "whole number" in str(read_input(BY_ID["agent.scale"], text))


def test_what_is_typed_is_read() -> None:
    assert read_input(BY_ID["agent.scale"], " 5 ") == Input(replicas=5)
    assert read_input(BY_ID["agent.rollback"], "v3") == Input(version=3)
    assert read_input(BY_ID["agent.rollback"], "") == Input()
    assert read_input(BY_ID["instance.migrate"], "beta") == Input(node="beta")


def test_a_name_is_one_word_for_the_shell_whatever_is_in_it() -> None:
    wild = node("a; rm -rf /")
    assert BY_ID["node.drain"].command(shell_name(wild), Input()) == "drain 'a; rm -rf /'"


def test_nexus_is_asked_what_would_come_of_it_in_its_own_words() -> None:
    scale = BY_ID["agent.scale"]
    assert wanted_changes(scale, [agent("a", namespace="shop")], Input(replicas=4)) == [
        {"verb": "agent.scale", "name": "a", "namespace": "shop", "replicas": 4}
    ]
    assert wanted_changes(BY_ID["node.cordon"], [node("a")], Input()) == [], "nothing moves or ends by it"
    stuck = ForeseenReplica(agent="a", namespace="default", slot=1, fate="waits", why="no room")
    told = printed(
        outlook_lines(Outlook(replicas=(stuck,), counts={"waits": 1, "starts": 2}, finished=True, revision=1)),
        color=False,
    )
    assert "✖ 1 replica would fit nowhere and wait" in told
    assert "● 2 replicas would start" in told
    assert "no room" in told
    stays = Outlook(replicas=(), counts={}, finished=True, revision=1, held=2)
    assert printed(outlook_lines(stays), color=False).strip() == "◌ 2 replicas would stay at the version before"
    held = printed(
        outlook_lines(Outlook(replicas=(), counts={}, finished=False, revision=1, held=2, tasks=1)), color=False
    )
    assert "2 more replicas were not looked ahead to" in held
    assert "1 task of jobs runs to its end there" in held
    assert "it goes on for longer than was looked ahead" in held
    many = Outlook(replicas=(), counts={"starts": 10_000}, finished=True, revision=1, unseen=79_999)
    assert "? 79999 further replicas were not looked at: too many" in printed(outlook_lines(many), color=False)
    kept_there = Outlook(replicas=(), counts={"stays": 1, "blocked": 3}, finished=True, revision=1)
    told = printed(outlook_lines(kept_there), color=False)
    assert "1 replica would fit on no other node and stay" in told
    assert "3 replicas would stay: the update lets no more be away at once" in told
    back = Outlook(replicas=(), counts={}, kept=3, finished=True, revision=1)
    assert printed(outlook_lines(back), color=False).strip() == "● 3 replicas would be kept as they are"


def test_curves_keep_peaks_and_show_what_is_not_known_as_nothing() -> None:
    assert resampled([0, 9, 0, 0], 2) == [9, 0]
    assert plot([None, 1.0, 0.5], 3, 1, 1.0) == [" █▄"]
    assert [len(row) for row in plot([0.2] * 100, 30, 4, 1.0)] == [30] * 4
    assert plot([None, 0.0, 0.001, 1.0], 4, 1, 1.0) == [" ·▁█"], "nothing, and a little, are told apart"
    assert plot([0.0, 0.0], 2, 2, 0.0) == ["  ", "··"], "what is nothing has no bar"


@pytest.mark.parametrize(
    ("milli", "shown"),
    [
        (0, "0"),
        (0.2, "<0.001"),
        (0.6, "0.001"),
        (4.2, "0.004"),
        (44, "0.044"),
        (50, "0.05"),
        (250, "0.25"),
        (9_510, "9.5"),
    ],
)
def test_a_little_is_not_shown_as_nothing(milli: float, shown: str) -> None:
    assert cores(milli) == shown
    assert bar(1, 2, 4) == "██··"
    assert bar(0, 0, 3) == "···"
