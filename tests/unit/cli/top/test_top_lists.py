"""Rows of `top`: which are shown, in which order, and that nothing in them is more than text."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len
from tests.unit.cli.top.scenes import HOSTILE, agent, event, instance, node, scene

from omnitide.cli.top.bars import Listed, said, tabs
from omnitide.cli.top.details import detail_lines
from omnitide.cli.top.event_table import EVENTS
from omnitide.cli.top.lines import cut, cut_name, fit, printed, wrap
from omnitide.cli.top.listing import Filter, Table, chosen, head_cells, layout, measured, parse_filter, row_cells
from omnitide.cli.top.overview import overview_lines
from omnitide.cli.top.scene import SAMPLES, Scene
from omnitide.cli.top.tables import AGENTS, INSTANCES, NODES
from omnitide.cli.top.words import agent_state, instance_state, node_since_ms, node_state, output, visible
from omnitide.model.inventory import Concern, Node
from omnitide.model.objects import InstanceCounts, InstanceExit, Rollout


def view(shown: Scene) -> list[Node]:
    return list(shown.view.nodes.values())


def names(table: Table, shown: Scene, text: str = "", sort: str = "", *, turned: bool = False) -> list[str]:
    keys = chosen(table, shown, parse_filter(text, table.fields), sort or table.first, turned=turned)
    return [table.name(table.objects(shown)[key]) for key in keys]


def test_what_is_wrong_comes_first_and_the_rest_by_name_as_people_count() -> None:
    shown = scene(
        instance("web-10.1"),
        instance("web-2.1"),
        instance("web-3.1", health="unhealthy"),
        instance("job-1", status="stopped"),
        instance("db-1.1", status="unknown"),
    )
    assert names(INSTANCES, shown) == ["web-3.1", "db-1.1", "web-2.1", "web-10.1", "job-1"]
    assert names(INSTANCES, shown, turned=True)[0] == "job-1"


def test_a_column_of_figures_has_its_largest_first() -> None:
    shown = scene(agent("a", replicas=2), agent("b", replicas=30), agent("c", replicas=4))
    assert names(AGENTS, shown, sort="replicas") == ["b", "c", "a"]
    assert names(AGENTS, shown, sort="replicas", turned=True) == ["a", "c", "b"]
    busy = scene(node("x"), node("y"))
    busy.view.use = {"n-x": (100, 1), "n-y": (3000, 1)}
    assert names(NODES, busy, sort="cpu") == ["y", "x"]


def test_what_a_silent_node_used_last_is_not_shown_as_its_use() -> None:
    shown = scene(node("a"), node("b", status="lost"), node("c", status="stalled"))
    shown.view.use = {"n-a": (100, 1), "n-b": (3000, 1 << 30), "n-c": (2000, 1)}
    cells = {one.name: [NODES.column(key).cell(one, shown).text for key in ("cpu", "memory")] for one in view(shown)}
    assert cells["b"] == ["? unknown", "? unknown"]
    assert "2%" in cells["a"][0]
    assert "50%" in cells["c"][0], "it is connected, and its samples come"
    assert names(NODES, shown, sort="cpu") == ["c", "a", "b"]


def test_fewer_replicas_than_there_should_be_stand_out_unless_that_is_what_somebody_wants() -> None:
    styles = {
        status: AGENTS.column("replicas").cell(agent("a", status=status, running=0), scene()).style
        for status in ("degraded", "stopped")
    }
    assert styles == {"degraded": "wait", "stopped": ""}


def test_the_small_curve_of_a_node_is_of_its_last_minute_and_goes_with_it() -> None:
    shown = scene(node("a"), node("b"))
    for second in range(SAMPLES + 5):
        shown.view.use = {"n-a": (second, 1), "n-b": (1, 1)}
        shown.keep_use()
    assert list(shown.busy["n-a"]) == list(range(5, SAMPLES + 5))
    del shown.view.nodes["n-b"], shown.view.use["n-b"]
    shown.keep_use()
    assert shown.busy.keys() == {"n-a"}


def test_the_newest_event_is_first_however_many_a_revision_has() -> None:
    shown = scene()
    shown.events.extend(
        [event("agent.created", "agent/default/a", 9), event("instance.running", "instance/default/a-1.1", 10)]
    )
    assert names(EVENTS, shown) == ["log/10.1", "log/9.1"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("web", ["web-1.1", "web-2.1"]),
        ("node:beta", ["web-2.1", "db-1.1"]),
        ("-node:beta", ["web-1.1"]),
        ("web node:beta", ["web-2.1"]),
        ("state:failed", ["db-1.1"]),
        ("node:", ["web-1.1", "web-2.1", "db-1.1"]),
        ("colour:red", []),
        ("agent:=web", ["web-1.1", "web-2.1"]),
        ("agent:=we", []),
        ("agent:=", ["web-1.1", "web-2.1", "db-1.1"]),
        ("-node:=alpha", ["web-2.1", "db-1.1"]),
    ],
)
def test_a_filter_has_words_and_conditions(text: str, found: list[str]) -> None:
    shown = scene(
        instance("web-1.1"), instance("web-2.1", node="beta"), instance("db-1.1", node="beta", status="failed")
    )
    assert sorted(names(INSTANCES, shown, text)) == sorted(found)


def test_a_namespace_is_a_bound_of_what_is_shown() -> None:
    shown = scene(agent("a"), agent("b", namespace="shop"), instance("b-1.1", namespace="shop"), namespace="shop")
    assert names(AGENTS, shown) == ["shop/b"]
    assert names(INSTANCES, shown) == ["shop/b-1.1"]


@pytest.mark.parametrize("width", [40, 60, 78, 120, 250])
@pytest.mark.parametrize("table", [NODES, AGENTS, INSTANCES, EVENTS])
def test_rows_are_as_wide_as_the_terminal_and_keep_name_and_state(table: Table, width: int) -> None:
    shown = scene(node("alpha" * 30), agent("a" * 60), instance("界" * 40 + "-1.1"))
    shown.events.append(event("node.lost", "node/" + "b" * 90, 3))
    needs = measured(table.columns, table.objects(shown).values(), shown)
    plan = layout(table.columns, width, needs, table.first)
    assert {"name", "state"} <= {column.key for column, _ in plan} or table is EVENTS
    widths = {cell_len("".join(cell.text for cell in head_cells(plan, table.first, turned=False)))}
    for one in table.objects(shown).values():
        widths.add(cell_len("".join(cell.text for cell in row_cells(plan, one, shown))))
    assert len(widths) == 1
    assert widths.pop() <= width or width < 60


def test_what_ends_again_and_again_says_so_whether_it_runs_or_waits() -> None:
    runs = instance("a-1.1", failing=True, ends=5)
    waits = instance("b-1.1", status="starting", condition="waiting", failing=True, ends=1)
    assert instance_state(runs) == ("bad", "failing", "running, ended 5 times in a row")
    assert instance_state(waits) == ("bad", "failing", "waiting, ended 1 time in a row")
    silent = instance("e-1.1", status="unknown", failing=True, ends=5, unknown_because="its node is not heard from")
    assert instance_state(silent) == ("unknown", "unknown", "its node is not heard from")
    away = instance("f-1.1", failing=True, ends=85, unknown_because="node alpha was stopped by its operator")
    assert instance_state(away) == ("wait", "away", "was failing, node alpha was stopped by its operator")
    assert instance_state(instance("c-1.1", status="pending", condition="waiting")) == ("wait", "waiting", "")
    assert instance_state(instance("d-1.1", health="unhealthy", health_message="503")) == ("bad", "unhealthy", "503")
    assert agent_state(agent("a", status="failing", failing=1)) == ("bad", "failing", "1 replica ends again and again")
    assert agent_state(agent("a", status="failing", failing=2)).more == "2 replicas end again and again"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (InstanceCounts(running=1, pending=1), ("wait", "waiting", "1 pending")),
        (InstanceCounts(starting=1, pending=1), ("bad", "degraded", "1 pending")),
        (InstanceCounts(running=1, failed=1), ("bad", "degraded", "1 failed")),
    ],
)
def test_an_agent_that_only_waits_for_a_place_has_its_reason(counts: InstanceCounts, expected: tuple[str, ...]) -> None:
    assert agent_state(agent("a", status="degraded", running=counts.running, counts=counts)) == expected


def test_an_agent_whose_rollout_is_halted_has_another_word_than_one_that_runs() -> None:
    """A tally counts by word and colour: `1 running` in red beside `3 running` in green would tell nothing."""
    halted = Rollout(version=2, asked=1, replicas=2, halted="a-1.2 has failed for good")
    why = "rollout halted: a-1.2 has failed for good"
    runs, fails = (agent("a", status=status, rollout=halted) for status in ("running", "failing"))
    assert agent_state(runs) == ("bad", "halted", f"running, {why}")
    assert agent_state(fails) == ("bad", "failing", why)
    short = agent("b", status="degraded", running=1, counts=InstanceCounts(running=1, pending=1), rollout=halted)
    assert agent_state(short) == ("bad", "degraded", why)
    shown = scene(runs, node("alpha", departing="update", back_within_ms=1000))
    assert names(AGENTS, shown, "state:halted") == names(AGENTS, shown, "state:running") == ["a"]
    assert names(NODES, shown, "state:away") == names(NODES, shown, "state:live") == ["alpha"]


def test_a_node_that_takes_nothing_new_has_that_for_its_word() -> None:
    """As in the panel: live ones and cordoned ones are told apart in a tally too."""
    assert node_state(node("a")) == ("good", "live", "")
    assert node_state(node("a", scheduling="cordoned")) == ("wait", "cordoned", "")
    assert node_state(node("a", status="lost", scheduling="drained")) == ("bad", "lost", "drained")
    assert node_state(node("a", departing="restart", back_within_ms=9_000)).told == "away, back within 9 s"
    assert node_state(node("a", departing="leave")).told == "leaving, leave"


def test_a_node_that_its_operator_stopped_is_stopped_since_then_until_it_is_back() -> None:
    for status in ("live", "unreachable", "lost"):
        stopped = node("a", status=status, departing="stopped", back_within_ms=30_000, since_ms=5, stopped_ms=7)
        assert node_state(stopped) == ("off", "stopped", "by its operator")
        assert node_since_ms(stopped) == 7


def test_since_when_a_drain_goes_on_is_told_where_it_is_known() -> None:
    assert node_since_ms(node("a", scheduling="draining", draining_since_ms=7)) == 7
    assert node_since_ms(node("a", scheduling="cordoned")) == 0


def test_a_state_is_a_word_with_a_sign_never_a_colour_alone() -> None:
    exited = InstanceExit(text="exit code 3")
    assert instance_state(instance("a-1.1", status="failed", exit=exited)).told == "failed, exit code 3"
    assert node_state(node("a", scheduling="draining")).tone == "wait"
    shown = scene(instance("a-1.1", status="failed"), instance("b-1.1"))
    told = [
        row_cells(layout(INSTANCES.columns, 78, {}, ""), one, shown)[1].text for one in shown.view.instances.values()
    ]
    assert told[0].startswith("✖ failed")
    assert told[1].startswith("● running")


def test_of_the_last_end_an_asked_for_one_says_nothing_unless_it_is_its_own() -> None:
    crash = InstanceExit(text="exit code 3", reason="exited")
    asked = InstanceExit(text="signal 15 (SIGTERM)", reason="stopped")
    moved = instance("a-1.2", previous_exit=asked)
    again = instance("a-1.2", attempt=2, exit=asked)
    ended = instance("a-1.1", status="stopped", exit=asked)
    shown = scene(moved)
    cells = [
        INSTANCES.column("end").cell(one, shown).text
        for one in (moved, again, ended, instance("a-1.2", previous_exit=crash), instance("a-1.2", exit=crash))
    ]
    assert cells == ["", "", "signal 15 (SIGTERM)", "exit code 3", "exit code 3"]
    told = printed(detail_lines(moved, shown, {}, 80), color=False)
    assert re.search(r"before that +stopped by request: signal 15", told)
    crashed = replace(moved, previous_exit=crash)
    assert re.search(r"before that +exit code 3", printed(detail_lines(crashed, shown, {}, 80), color=False))


# -- what comes from the fabric ----------------------------------------------------------------------------------------


def test_nothing_from_the_fabric_reaches_the_terminal_but_as_text() -> None:
    wild = node(HOSTILE, labels={"zone": HOSTILE}, address=HOSTILE, software=HOSTILE)
    sick = instance("a-1.1", health="unhealthy", health_message=HOSTILE, node=HOSTILE, exit=InstanceExit(text=HOSTILE))
    odd = agent("a", labels={HOSTILE: HOSTILE})
    shown = scene(wild, sick, odd)
    shown.events.append(
        event(
            "instance.health-changed", "instance/default/a-1.1", 2, health="unknown", message=HOSTILE, node_name=HOSTILE
        )
    )
    shown.events.append(event(f"instance.{HOSTILE}", f"instance/default/{HOSTILE}", 3, what=HOSTILE))
    assert shown.status is not None
    concern = Concern(subject=HOSTILE, text=HOSTILE, hint=HOSTILE)
    shown.status = type(shown.status)(
        **{**{key: getattr(shown.status, key) for key in shown.status.__struct_fields__}, "concerns": (concern,)}
    )
    lines = overview_lines(shown, 100, 40)
    for target in (wild, sick, odd):
        lines += detail_lines(target, shown, {}, 100)
    for table in (NODES, AGENTS, INSTANCES, EVENTS):
        plan = layout(table.columns, 200, {}, "")
        lines += [row_cells(plan, one, shown) for one in table.objects(shown).values()]
    text = printed(lines, color=False)
    assert "[red]" in text, "markup is shown as it is"
    assert not [letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs") and letter != "\n"]


def test_a_replica_that_failed_for_good_or_is_lost_is_counted_apart_as_that() -> None:
    """As in the panel and by `status`: that it ended would play it down."""
    shown = scene(
        instance("web-1.1"),
        instance("web-2.1", status="failed"),
        instance("web-3.1", status="lost"),
        instance("run-1.1", kind="job", status="failed"),
        instance("run-2.1", kind="job", status="lost"),
    )
    text = printed(overview_lines(shown, 100, 40), color=False)
    assert re.search(r"^ *1 instance +✖ 1 failed +✖ 1 lost +● 1 running +○ 2 ended$", text, re.MULTILINE), text
    row = "".join(cell.text for _, cells in tabs(shown, "event", 120) for cell in cells)
    assert "4 Instances 1 " in row


def test_what_has_ended_is_counted_apart() -> None:
    """As in the panel: the states of the overview add up to the instances that there are, and tabs have as many."""
    shown = scene(
        *(instance(f"web-{number}.1") for number in range(1, 11)),
        *(instance(f"wide-{number}.1", status="pending") for number in (1, 2)),
        instance("run-1.1", kind="job", status="failed"),
    )
    text = printed(overview_lines(shown, 100, 40), color=False)
    assert "12 instances     ◌ 2 pending   ● 10 running   ○ 1 ended\n" in text
    assert "3 Agents 0 " in (row := "".join(cell.text for _, cells in tabs(shown, "event", 120) for cell in cells))
    assert "4 Instances 12 " in row
    rows = Listed("instance", 13, 13, "Name", "", 0, "run-1.1", ended=1)
    assert printed([said(rows, "")], color=False).startswith(" ? keys   12 instances, and 1 that ended  by name")
    some = Listed("instance", 2, 13, "Name", "web", 0, "web-1.1", ended=1)
    assert "2 instances of 13  by name" in printed([said(some, "")], color=False), "of rows"


@given(st.text())
def test_what_is_visible_has_nothing_that_a_terminal_obeys(text: str) -> None:
    for shown in (visible(text), output(text)):
        assert not [letter for letter in shown if unicodedata.category(letter) in ("Cc", "Cs")]
        assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u200b\ufeff")


def test_output_keeps_its_words_and_loses_its_colours() -> None:
    assert output("\x1b[1;31merror\x1b[0m: no\r") == "error: no"
    assert output("\x1b]0;title\x07x") == "\\u001b]0;title\\u0007x"


@given(st.text(alphabet="ab界é -", max_size=60), st.integers(5, 40))
def test_a_text_is_brought_to_a_width_as_terminals_count(text: str, width: int) -> None:
    assert cell_len(cut(text, width)) <= width
    assert cell_len(cut_name(text, width)) <= width
    assert cell_len(fit(text, width)) == width
    assert all(cell_len(one) <= max(width, 8) for one in wrap(text, width))
    assert "".join(wrap(text, width)).replace(" ", "") == text.replace(" ", "")


def test_an_empty_filter_shows_all() -> None:
    assert parse_filter("  ", ()) == Filter()
