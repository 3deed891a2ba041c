"""`top` itself, without a terminal, over a real server of the API: keys, mouse, questions, and how little is drawn."""

import asyncio
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from tests.unit.cli.top.scenes import HOSTILE, instance, node
from tests.unit.cli.top.seeing import Seen

from omnitide.cli.top.actions import ACTIONS
from omnitide.cli.top.dialogs import Confirm, Reach
from omnitide.cli.top.drawing import Text
from omnitide.cli.top.following import SUM_END_MS
from omnitide.cli.top.lines import printed, width_of
from omnitide.cli.top.output_screen import Output
from omnitide.cli.top.row_kinds import InstanceRows
from omnitide.cli.top.rows import Rows
from omnitide.cli.top.screens import Detail
from omnitide.fabric import commands as cm
from omnitide.model.happenings import OutputLine
from omnitide.model.problem import problem
from omnitide.model.spec import AgentSpec, JobSpec, Resources
from omnitide.sdk.async_client import AsyncClient
from omnitide.sdk.errors import Unavailable
from omnitide.security.tokens import parse_api_token
from omnitide.telemetry.series.definition import SeriesInfo


async def test_what_needs_a_person_comes_first(seen: Seen) -> None:
    await seen.until("● All is well")
    seen.runtime.silence("beta")
    text = await seen.until("WHAT NEEDS YOU")
    assert "wants your eye" in text.splitlines()[2], "the verdict is the first line of the page"
    assert text.index("WHAT NEEDS YOU") < text.index("2 nodes")
    assert "✖ 1 unreachable" in text


async def test_keys_that_were_typed_at_one_go_are_taken_in_their_order(seen: Seen) -> None:
    """A filter whose letters are keys of actions does nothing but filter; nor does a key overtake one that moves."""
    await seen.deploy("hello", 3)
    await seen.until("3 running")
    await seen.press("2", "slash", "d", "r", "y")
    await seen.until("filter: dry")
    assert seen.top.screen is seen.top.screen_stack[0], "no question was opened"
    await seen.press("escape", "down", "d")
    await seen.until("Drain node beta?")


async def test_a_no_and_an_enter_alone_do_nothing(seen: Seen) -> None:
    await seen.deploy("hello", 3)
    await seen.until("3 running")
    await seen.press("3", "x")
    await seen.until("Nothing serves what it serves.")
    await seen.press("enter")
    await seen.until(lambda: not isinstance(seen.top.screen, Confirm))
    agent = await seen.client.get_agent("hello")
    assert agent.status == "running"


async def test_a_question_takes_no_key_of_the_page(seen: Seen) -> None:
    await seen.deploy("hello", 3)
    await seen.until("3 running")
    await seen.press("3", "s")
    await seen.until("Scale agent hello?")
    await seen.press("1", "0")
    await seen.until("7 further replicas will start")
    assert "omnitide scale hello 10" in seen.text
    await seen.press("q", "u")
    await seen.until("replicas is a whole number")
    await seen.press("y", "enter", "enter")
    assert isinstance(seen.top.screen, Confirm), "what is no number is not done"
    assert (await seen.client.get_agent("hello")).replicas == 3


async def test_what_is_marked_is_meant_together(seen: Seen) -> None:
    await seen.press("2", "space", "space")
    await seen.until("2 marked")
    await seen.press("c")
    await seen.until("Cordon 2 nodes alpha, beta?")
    await seen.press("y")
    await seen.until("Cordon asked for 2 nodes")
    await seen.until("◌ cordoned")
    assert {one.scheduling async for one in seen.client.nodes()} == {"cordoned"}


async def test_a_scroll_bar_stands_beside_the_rows_and_not_on_them(seen: Seen) -> None:
    await seen.deploy("a-name-that-takes-the-room-of-others", 30)
    await seen.press("4")
    await seen.until("30 instances")
    rows = seen.top.rows("instance")
    assert rows.max_scroll_y > 0
    assert rows.room == seen.top.size.width - 1
    for row in range(3):
        cells = rows.cells_of(row)
        assert width_of(cells) <= rows.room
        await seen.until("".join(cell.text for cell in cells).rstrip())


async def test_columns_are_sorted_by_keys_and_by_a_click_on_their_title(seen: Seen) -> None:
    await seen.deploy("aaa", 1)
    await seen.deploy("bbb", 3)
    await seen.press("3")
    await seen.until("2 agents")
    rows = seen.top.rows("agent")
    first = seen.text.splitlines()[2].index("RUN")
    await seen.pilot.click("#agent", offset=(first, 0))
    await seen.until("▼RUN")
    assert [seen.top.scene.view.agents[key].name for key in rows.ids] == ["bbb", "aaa"]
    await seen.press("exclamation_mark")
    await seen.until("▲RUN")
    assert [seen.top.scene.view.agents[key].name for key in rows.ids] == ["aaa", "bbb"]
    await seen.pilot.click("#tabs", offset=(15, 0))
    await seen.until(lambda: seen.top.page == "node")


async def test_the_palette_finds_objects_and_names_are_text(seen: Seen) -> None:
    await seen.deploy("hello", 2)
    await seen.until("2 running")
    wild = node("[red]gamma")
    seen.top.scene.view.nodes[wild.id] = wild
    await seen.press("ctrl+k", *"gamma")
    await seen.until("node [red]gamma")
    await seen.press("down", "enter")
    await seen.until(lambda: isinstance(seen.top.screen, Detail))
    await seen.until("node [red]gamma")


async def test_the_palette_has_the_best_of_many_that_it_finds(seen: Seen) -> None:
    """Whichever the fabric names first: with 60 that only have the letters somewhere, one that begins so is there."""
    for name in [*(f"a-{number}-web" for number in range(70)), "web-10", "web-9"]:
        wild = node(name, scheduling="open")
        seen.top.scene.view.nodes[wild.id] = wild
    await seen.press("ctrl+k", *"web")
    text = await seen.until("node web-9")
    assert text.index("node web-9") < text.index("node web-10") < text.index("node a-0-web")
    await seen.press("escape")
    await seen.until(lambda: len(seen.top.screen_stack) == 1)
    await seen.press("ctrl+k", *"cordon")
    await seen.until("Cordon a node…")
    await seen.press("enter")
    await seen.until("Cordon which node?")
    await seen.press(*"web")
    text = await seen.until("web-9", without="alpha")
    assert text.index(" web-9") < text.index(" web-10") < text.index(" a-0-web")


async def test_the_palette_finds_an_action_by_its_name_and_asks_for_what(seen: Seen) -> None:
    await seen.deploy("hello", 2)
    await seen.until("2 running")
    await seen.press("ctrl+k", *"cordon")
    await seen.until("Cordon a node…")
    await seen.press("enter")
    await seen.until("Cordon which node?")
    await seen.press(*"bet")
    await seen.until("beta", without="alpha")
    await seen.press("enter")
    await seen.until("Cordon node beta?")
    await seen.press("y")
    await seen.until("beta is closed to new instances")
    await seen.press("ctrl+k", *"uncordon")
    await seen.until("Uncordon a node…")
    await seen.press("enter")
    await seen.until("Uncordon which node?")
    await seen.until("beta", without="  alpha")


async def test_the_palette_takes_the_command_lines_words_and_a_name(seen: Seen) -> None:
    await seen.deploy("hello", 2)
    await seen.until("2 running")
    for name in ("desk-10", "desk-9"):
        wild = node(name, scheduling="open")
        seen.top.scene.view.nodes[wild.id] = wild
    for typed, found in (
        ("rm hello", "Remove hello"),
        ("delete hello", "Remove hello"),
        ("scl hello", "Scale hello"),
        ("logs hello", "Output of hello-1.1"),
        ("shell hello", "Terminal in hello-1.1"),
    ):
        await seen.press("ctrl+k", *typed)
        await seen.until(found)
        await seen.press("escape")
        await seen.until(lambda: len(seen.top.screen_stack) == 1)
    await seen.press("ctrl+k", *"drain desk")
    text = await seen.until("Drain desk-10")
    assert text.index("Drain desk-9") < text.index("Drain desk-10")
    await seen.press("escape")
    await seen.until(lambda: len(seen.top.screen_stack) == 1)
    await seen.press("ctrl+k", *"shell hello-1.1")
    await seen.until("Terminal in hello-1.1", without="Terminal in hello-2.1")
    await seen.press("enter")
    await seen.until(lambda: isinstance(seen.top.screen, Reach))


async def test_the_palette_asks_whose_output_is_wanted(seen: Seen) -> None:
    await seen.deploy("hello", 1)
    await seen.until("1 running")
    await seen.press("ctrl+k", *"logs")
    await seen.until("Output of an agent…")
    await seen.press("enter")
    await seen.until("Output of which agent?")
    await seen.press(*"hel")
    await seen.until("hello", without="alpha")
    await seen.press("enter")
    await seen.until(lambda: isinstance(seen.top.screen, Output))


@pytest.mark.parametrize("width", [60, 80, 100, 200])
async def test_the_keys_at_the_bottom_are_whole_and_the_help_is_always_one(seen: Seen, width: int) -> None:
    await seen.deploy("hello", 2)
    await seen.until("2 running")
    await seen.pilot.resize_terminal(width, 24)
    titles = [one.title for one in ACTIONS if one.kind == "agent"]
    for press in ("3", "enter"):
        await seen.press(press)
        await seen.until("? Keys" if press == "3" else "esc Back")
        await seen.until(lambda: "q Quit" in seen.text.splitlines()[-1])
        shown = seen.text.splitlines()[-1]
        assert "? Keys" in shown
        assert len(shown) <= width
        rest = re.split(r" {2,}", shown.strip())
        known = {"Open", "Back", "Instances", "Output", "Quit", "Keys", "Filter", *titles}
        assert {one.partition(" ")[2] for one in rest} <= known, "a key is shown whole or not at all"
    assert "Shift+D Remove" in shown or width < 200


async def test_a_token_that_is_revoked_is_said_and_what_was_known_stays(seen: Seen) -> None:
    await seen.deploy("hello", 1)
    await seen.press("4")
    await seen.until("hello-1.1")
    seen.runtime.apply(cm.RevokeToken(id=parse_api_token(seen.client.target.token).id, force=True))
    text = await seen.until("STALE")
    assert "the token is not valid now" in text
    assert "trying again" not in text
    assert "hello-1.1" in text


async def test_only_what_is_seen_is_made_and_only_what_differs_is_drawn(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    view = seen.top.scene.view
    view.instances.update({one.id: one for one in (instance(f"many-{number}.1") for number in range(20_000))})
    cells_of = Rows.cells_of
    monkeypatch.setattr(Rows, "cells_of", lambda self, row: made.append(row) or cells_of(self, row))
    await seen.press("4")
    await seen.until("20000 instances")
    assert len(set(made)) < 3 * 24, "of 20,000 rows no more than stand on the screen"

    drawn: list[int] = []
    render_line = Rows.render_line
    monkeypatch.setattr(Rows, "render_line", lambda self, y: drawn.append(y) or render_line(self, y))
    rows = seen.top.rows("instance")
    assert isinstance(rows, InstanceRows)
    second = rows.ids[1]
    rows.redraw()
    await seen.pilot.pause()
    assert drawn == [], "nothing is drawn where nothing is another"
    view.instances[second] = instance("many-1.1", status="failed")
    rows.redraw()
    await seen.pilot.pause()
    assert drawn == [2], "one row differs, one line is drawn"


async def test_a_hostile_name_is_asked_about_as_text(seen: Seen) -> None:
    wild = instance("wild-1.1", node=HOSTILE)
    seen.top.scene.view.instances[wild.id] = wild
    seen.top.open_object("instance", wild.id)
    text = await seen.until("\\u001b[31m[red]")
    assert "\x1b" not in text


def wrote(seen: Seen, name: str, *lines: str) -> None:
    (found,) = (one.id for one in seen.runtime.state.instances.values() if one.name == name)
    for line in lines:
        seen.runtime.writes(found).write(f"{line}\n", at_ms=seen.runtime.clock_ms)


async def test_the_output_of_an_agent_is_one_stream_with_names(seen: Seen) -> None:
    await seen.deploy("hello", 2)
    wrote(seen, "hello-1.1", "one")
    wrote(seen, "hello-2.1", "two")
    await seen.press("3")
    await seen.until("2/2")
    await seen.press("l")
    await seen.until("as it is written")
    text = await seen.until("output of agent hello")
    assert text.index("hello-1.1 one") < text.index("hello-2.1 two")
    wrote(seen, "hello-1.1", "three")
    await seen.until("hello-1.1 three")
    seen.runtime.silence("alpha")
    seen.runtime.log_cut.set()
    await seen.until("lines of hello-")
    await seen.press("escape")
    await seen.until("[3 Agents 1]")


async def test_output_goes_on_after_a_break_with_every_line_once(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnitide.cli.top.output_screen.AGAIN_S", 0.01)
    asked: list[str] = []
    began_ms = 1_700_000_000_000

    def written(second: int, text: str) -> OutputLine:
        at_ms = began_ms + second * 1000
        return OutputLine(at_ms=at_ms, node_at_ms=at_ms, instance=one.id, name="hello-1.1", stream="stdout", text=text)

    async def search(*of: str, since: str, last: int, follow: bool) -> AsyncGenerator[OutputLine]:
        assert (of, follow) == ((f"instance:{one.id}",), True)
        asked.append(since)
        # After a break from a little before it: what was shown comes again.
        for second in (0, 1) if len(asked) == 1 else (1, 1, 2):
            yield written(second, f"line {second}")
        if len(asked) == 1:
            assert last == 500
            raise Unavailable(problem("busy", "the connection broke"))
        assert last == 0
        await asyncio.Event().wait()

    await seen.deploy("hello", 1)
    (one,) = seen.runtime.state.instances.values()
    monkeypatch.setattr(seen.client, "search_logs", search)
    await seen.press("4")
    await seen.until("hello-1.1")
    await seen.press("l")
    text = await seen.until("line 2")
    shown = [line.split("line ")[1][0] for line in text.splitlines() if "  line " in line]
    assert shown == ["0", "1", "1", "2"], "two that are the same are two"
    assert asked == ["", datetime.fromtimestamp(began_ms / 1000 - 1, UTC).isoformat()]


async def test_the_instances_of_an_agent_are_not_those_of_one_whose_name_begins_so(seen: Seen) -> None:
    await seen.deploy("web", 1)
    await seen.deploy("web-api", 2)
    await seen.press("3")
    rows, agents = seen.top.rows("agent"), seen.top.scene.view.agents
    await seen.until(lambda: [agents[key].name for key in rows.ids] == ["web", "web-api"])
    await seen.press("home", "i")
    text = await seen.until("1 instance of 3")
    assert "web-1.1" in text
    assert "web-api-1.1" not in text


async def test_what_happened_long_ago_to_an_object_is_asked_for(seen: Seen) -> None:
    """Of a large fabric the newest events are of a few minutes."""
    await seen.deploy("hello", 1)
    await seen.press("3")
    await seen.until("1/1")
    seen.top.scene.events.clear()
    await seen.press("enter")
    await seen.until("agent hello")
    await seen.press("end")
    text = await seen.until("instance hello-1.1 running")
    assert "nothing that is still known" not in text


async def test_what_an_agent_did_itself_is_asked_for_beside_all_that_its_instances_did(seen: Seen) -> None:
    await seen.deploy("hello", 80)
    revision = (await seen.client.get_fabric()).revision
    await seen.until(lambda: seen.top.scene.events and seen.top.scene.events[-1].revision == revision)
    seen.top.scene.events.clear()
    await seen.press("3")
    await seen.until("hello")
    await seen.press("enter")
    await seen.until(lambda: isinstance(seen.top.screen, Detail))
    shown = seen.top.screen.query_one("#object", Text)
    await seen.until(lambda: "created, 80 replicas" in printed(shown.lines, color=False))


async def test_the_figures_of_an_agent_end_before_what_is_still_to_come(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of the fabric: its instances are on many nodes, and a sum of some of them is less than is used."""
    ends: list[int] = []
    query = type(seen.client).query_metrics

    async def noted(client: AsyncClient, name: str, **asked: Any) -> Any:
        ends.append(asked["end_ms"])
        return await query(client, name, **asked)

    monkeypatch.setattr(type(seen.client), "query_metrics", noted)
    await seen.deploy("hello", 1)
    await seen.press("3")
    await seen.until("1/1")
    ends.clear()
    await seen.press("enter")
    await seen.until(lambda: len(ends) >= 2)
    assert set(ends) == {SUM_END_MS}


@pytest.mark.parametrize("page", ["2", "4"])
async def test_a_node_that_is_looked_at_sends_each_second(
    seen: Seen, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the charts of one thing, of which `now` is said, were behind by a batch."""
    watched: list[str] = []
    monkeypatch.setattr(seen.runtime.metrics(), "watch_node", watched.append)
    await seen.deploy("hello", 1)
    await seen.until("1 running")
    (one,) = (await seen.client.list_instances()).items
    recent, start = seen.runtime.metrics().recent, seen.runtime.metrics().now_s()
    used = SeriesInfo("omnitide_node_memory_used_bytes", (("node", one.node),), "gauge", "By", "Used.")
    own = (("instance_id", one.id), ("node", one.node))
    kept = SeriesInfo("omnitide_instance_memory_working_set_bytes", own, "gauge", "By", "Used.")
    for info in (used, kept):
        entry = recent.entry(one.node_id, info, 1)
        assert entry is not None
        entry.ring.write(np.array([entry.row]), start - 9, np.full((1, 10), 1024.0), np.array([False]), None)
    assert not watched, "the overview looks at none"
    await seen.press(page, "slash", *one.node, "enter", "enter")
    await seen.until(lambda: isinstance(seen.top.screen, Detail))
    await seen.until(lambda: watched)
    assert set(watched) == {one.node_id}
    assert "Memory now 1 KiB" in await seen.until("Memory")


async def test_why_an_instance_waits_is_on_its_page(seen: Seen) -> None:
    spec = AgentSpec(command=("serve",), resources=Resources(cpu=3_000))
    await seen.client.deploy_agent("wide", spec, replicas=3)
    seen.runtime.settle()
    await seen.press("4", "slash", *"state:pending", "enter")
    await seen.until("1 instance of 3")
    await seen.press("enter")
    await seen.until("WHY")
    text = await seen.until("wide-3.1")
    assert "cpu" in text[text.index("WHY") :]


async def test_an_agents_versions_are_on_its_page_and_one_is_gone_back_to(seen: Seen) -> None:
    await seen.deploy("hello", 1)
    await seen.client.deploy_agent("hello", AgentSpec(command=("serve", "better")), replicas=1)
    seen.runtime.settle()
    await seen.press("3")
    await seen.until("1/1")
    await seen.press("enter")
    text = await seen.until("VERSIONS, 2")
    (current,) = (line for line in text.splitlines() if " *v2 " in line)
    assert "updated" in current
    assert "command" in current
    await seen.press("b")
    await seen.until("omnitide rollback hello")
    await seen.press("enter", "y")
    await seen.until(lambda: seen.runtime.state.agents and "*v3" in seen.text)


async def test_jobs_have_a_page_of_their_own(seen: Seen) -> None:
    await seen.client.run_job(JobSpec(command=("once",)), name="once")
    seen.runtime.settle()
    await seen.press("6")
    text = await seen.until("[6 Jobs 1]")
    assert all(len(line) <= 80 for line in text.splitlines())
    await seen.until("◐ active")
    wrote(seen, "once-1.1", "working")
    await seen.press("l")
    await seen.until("working")
    await seen.until("output of job once")
    await seen.press("escape")
    await seen.until("[6 Jobs 1]")
    await seen.press("enter")
    await seen.until("instance once-1.1")
