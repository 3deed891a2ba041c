"""What a question of `top` says can all be read, in 80 columns and 24 lines too."""

import asyncio
import re

import msgspec
import pytest
from tests.unit.cli.top.scenes import HOSTILE, agent, event, instance, node, scene
from tests.unit.cli.top.seeing import Seen
from textual.widgets import Button

from omnitide.cli.top.actions import ACTIONS, BY_ID
from omnitide.cli.top.dialogs import Confirm, Reach
from omnitide.cli.top.drawing import Text
from omnitide.cli.top.lines import Line, printed, width_of
from omnitide.cli.top.screens import Detail
from omnitide.model.foreseen import ForeseenReplica, Outlook

WIDTH = 66
"""Of the text of a dialog in 80 columns."""
WHY = [
    f"needs {16 * number} cpu and 512 MiB of memory; 2 nodes have too little left of either, {number}"
    for number in range(9)
]


def words(text: str) -> str:
    return " ".join(text.split())


def said(seen: Seen) -> list[Line]:
    """The text of the question; no line is wider than there is room for."""
    text = seen.top.screen.query_one("#told", Text)
    assert max(map(width_of, text.lines)) <= min(WIDTH, text.room)
    return text.lines


async def asked(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """How to scale an agent to what does not fit, for many reasons."""
    waiting = tuple(
        ForeseenReplica(agent="hello", namespace="default", slot=number, fate="waits", why=why)
        for number, why in enumerate(WHY, 1)
    )
    outlook = Outlook(replicas=waiting, counts={"waits": len(WHY)}, finished=True, revision=1)

    async def foreseen(*_: object) -> Outlook:
        return outlook

    monkeypatch.setattr(seen.client, "foresee_changes", foreseen)
    await seen.deploy("hello", 1)
    await seen.until("1 running")
    await seen.press("3", "s", "9", "9")
    await seen.until("9 replicas would fit nowhere and wait")


async def test_why_it_would_not_fit_can_be_read_whole(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    await asked(seen, monkeypatch)
    told = words(printed(said(seen), color=False))
    for why in WHY:
        assert why in told, "wrapped, and not cut"


def replicas(seen: Seen) -> int:
    (agent,) = seen.runtime.state.agents.values()
    return agent.replicas


async def test_what_comes_while_a_question_is_being_taken_away_finds_it_in_parts(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked(seen, monkeypatch)
    question = seen.top.screen
    assert isinstance(question, Confirm)
    await question.query_one("#more").remove()
    question.told()
    assert question.query("#told")
    await seen.press("escape")
    await seen.until("[3 Agents 1]")


async def test_enter_does_what_was_typed_once_it_is_said_what_would_come_of_it(seen: Seen) -> None:
    await seen.deploy("hello", 1)
    await seen.until("1 running")
    await seen.press("3", "s", "2")
    await seen.until("1 replica would start")
    await seen.press("enter")
    await seen.until(lambda: replicas(seen) == 2)
    await seen.until(lambda: not seen.top.screen.is_modal)


async def test_enter_before_that_goes_to_the_button_alone(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def foreseen(*_: object) -> Outlook:
        await never.wait()
        raise AssertionError

    monkeypatch.setattr(seen.client, "foresee_changes", foreseen)
    await seen.deploy("hello", 1)
    await seen.until("1 running")
    await seen.press("3", "s", "2")
    await seen.until("omnitide scale hello 2")
    await seen.press("enter")
    await seen.until(lambda: isinstance(seen.top.screen.focused, Button))
    assert replicas(seen) == 1
    await seen.press("enter")
    await seen.until(lambda: replicas(seen) == 2)


async def test_what_finds_no_room_in_a_question_is_scrolled_to_while_its_field_is_typed_into(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked(seen, monkeypatch)
    text = await seen.until("PgDn")
    assert "omnitide scale hello 99" not in text
    assert "Scale (y)" in text, "and what is answered with is in sight"
    for _ in range(5):
        await seen.press("pagedown")
    text = await seen.until("omnitide scale hello 99")
    assert "Scale (y)" in text
    for _ in range(5):
        await seen.press("pageup")
    await seen.until("Scale agent hello?")


@pytest.mark.parametrize("action", ACTIONS, ids=lambda one: one.id)
async def test_no_question_is_wider_than_its_box(seen: Seen, action: object) -> None:
    long = "n" * 63
    of = {
        "agent": [agent(f"{long[:-1]}{number}", namespace="m" * 63) for number in range(9)],
        "node": [node(f"{long[:-1]}{number}") for number in range(9)],
        "instance": [instance(f"{long[:-3]}{number}-1.1", namespace="m" * 63, node=long) for number in range(9)],
    }
    done = BY_ID[action.id]  # type: ignore[attr-defined]
    targets = of[done.kind] if done.many else of[done.kind][:1]
    shown = scene(*of["agent"], *of["node"], *of["instance"])
    seen.top.push_screen(Confirm(done, targets, shown, seen.client, " --data /a/very/long/folder/of/its/own"))
    await seen.until(lambda: isinstance(seen.top.screen, Confirm) and seen.top.screen.query("#told"))
    if done.ask in ("replicas", "version"):
        await seen.press("3")
        await seen.until(lambda: "omnitide" in printed(said(seen), color=False))
    told = words(printed(said(seen), color=False))
    assert not done.many or "and the same for 5 more" in told


async def test_a_terminals_command_is_whole(seen: Seen) -> None:
    one = instance("n" * 60 + "-1.1", namespace="m" * 63)
    seen.top.push_screen(Reach(one, " --data /var/lib/omnitide/somewhere"))
    await seen.until(lambda: isinstance(seen.top.screen, Reach) and seen.top.screen.query("#told"))
    told = printed(said(seen), color=False)
    assert "…" not in told
    assert "".join(told.split()).endswith(f"{'m' * 63}/{'n' * 60}-1.1--data/var/lib/omnitide/somewhere--/bin/sh")


async def test_an_event_is_opened_whole_and_from_there_what_it_is_about(seen: Seen) -> None:
    """In its row a long text is cut; what it is about may be gone, and who asked for it is in no other place."""
    await seen.deploy("hello", 1)
    why = "a reason that is longer than any row of a terminal is wide, " * 3
    told = event("instance.stop-requested", "instance/default/hello-1.1", 900, node_name="alpha", reason=why)
    gone = event("agent.removed", "agent/default/bye", 901)
    by = "administrator in Firefox on Linux (session s1)"
    await seen.press("5")
    await seen.until("HAPPENED")
    seen.top.scene.events.extend([told, msgspec.structs.replace(gone, by=by)])
    seen.top.take(frozenset({"event"}))
    await seen.until("agent bye")
    await seen.press("home", "enter")
    text = await seen.until("What it is about is gone")
    assert re.search(rf"by +{re.escape(by)}", text)
    await seen.press("enter")
    await seen.until(lambda: len(seen.top.screen_stack) == 1)
    await seen.press("down", "enter")
    text = await seen.until("Enter opens instance hello-1.1")
    assert why.strip() in words(text.replace("│", " "))
    await seen.press("enter")
    await seen.until(lambda: isinstance(seen.top.screen, Detail) and "instance hello-1.1" in seen.text)


async def test_a_hostile_caller_is_text(seen: Seen) -> None:
    await seen.press("5")
    await seen.until("HAPPENED")
    seen.top.scene.events.append(msgspec.structs.replace(event("agent.removed", "agent/default/bye", 901), by=HOSTILE))
    seen.top.take(frozenset({"event"}))
    await seen.until("agent bye")
    await seen.press("home", "enter")
    text = await seen.until("What it is about is gone")
    assert "[red]" in text
    assert not set("\x1b\x07\u202e") & set(text)


async def test_that_no_event_is_so_is_said_of_the_newest_alone(seen: Seen) -> None:
    await seen.deploy("hello", 1)
    await seen.press("5")
    await seen.until("agent hello")
    await seen.press("slash", *"scaled", "enter")
    await seen.until(
        f"none of the newest {len(seen.top.scene.events)} is so: Escape shows all; older ones: omnitide events"
    )
