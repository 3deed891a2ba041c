"""What `top` shows where there is little room, and while nothing is known yet: whole figures and names, no riddles."""

import re

import msgspec
import pytest
from rich.cells import cell_len
from tests.unit.cli.top.scenes import NOW_MS, agent, event, instance, node, scene

from omnitide.cli.top.details import chart_lines
from omnitide.cli.top.event_table import EVENTS
from omnitide.cli.top.figures import size
from omnitide.cli.top.lines import cut, printed
from omnitide.cli.top.listing import Table, layout, measured, row_cells
from omnitide.cli.top.overview import overview_lines
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.tables import AGENTS, INSTANCES, NODES
from omnitide.model.metrics import MetricAnswer, MetricSeries
from omnitide.model.objects import InstanceExit

TERMINAL = 78
"""80 columns, less the sign of what is marked."""


def rows(table: Table, shown: Scene, width: int = TERMINAL) -> list[str]:
    found = list(table.objects(shown).values())
    plan = layout(table.columns, width, measured(table.columns, found, shown), table.first)
    return ["".join(cell.text for cell in row_cells(plan, one, shown)).rstrip() for one in found]


def busy(used_cpu: int, used_memory: int) -> Scene:
    shown = scene(node("book-fields-north-001", cpu_milli=128_000, memory_bytes=5 << 40, instances=12_345))
    shown.view.use = {"n-book-fields-north-001": (used_cpu, used_memory)}
    return shown


@pytest.mark.parametrize("width", [60, 70, 78, 100, 160])
def test_a_figure_is_whole_or_not_there(width: int) -> None:
    for used in (9_510, 99_940, 350, 12_345):
        (row,) = rows(NODES, busy(used, 1023 << 30), width)
        assert "…" not in row, row
        assert cell_len(row) <= width
    crowd = agent("a", replicas=12_000, running=11_999, version=12_345)
    crowd = msgspec.structs.replace(crowd, cpu_milli=12_345, memory_bytes=1023 << 40)
    assert "…" not in rows(AGENTS, scene(crowd), width)[0]
    often = scene(instance("a-1.1", attempt=12_345, memory_bytes=1023 << 20))
    assert "…" not in rows(INSTANCES, often, width)[0]


def test_names_have_the_room_that_states_do_not_need() -> None:
    shown = scene(
        instance("sensor-filter-1.1", namespace="sensors", node="book-north-001"),
        instance("sensor-filter-2.1", namespace="sensors", node="book-south-001"),
    )
    for row, site in zip(rows(INSTANCES, shown), ("north", "south"), strict=True):
        assert "sensors/sensor-filter-" in row
        assert f"book-{site}-001" in row
        assert "● running" in row
    (row,) = rows(NODES, busy(9_510, 1 << 30))
    assert "book-fields-north-001" in row
    assert "9.5/128" in row, "what gives way is a column behind, not a part of one before"


def test_a_state_is_whole_where_there_is_room_for_it() -> None:
    failing = agent("legacy-sync", namespace="office", status="failing", running=0, replicas=1, failing=1)
    (row,) = rows(AGENTS, scene(failing))
    assert "✖ failing, 1 replica ends again and again " in row
    assert "…" not in row
    assert " 0/1 " in row, "and how much of it runs"
    loops = instance(
        "legacy-sync-1.1", namespace="office", node="rack-b-001", condition="waiting", failing=True, ends=31
    )
    (row,) = rows(INSTANCES, scene(loops))
    assert "✖ failing, waiting, ended 31 times i…  rack-b-001   1m" in row, "figures keep no room that a state needs"
    assert cell_len(row) == TERMINAL
    (row,) = rows(INSTANCES, scene(loops), 118)
    assert "✖ failing, waiting, ended 31 times in a row " in row


def test_a_long_name_gives_way_only_to_what_is_always_shown() -> None:
    (row,) = rows(INSTANCES, scene(instance("n" * 90 + "-1.1", node="alpha")))
    assert re.match(r"n+…n*-1\.1 ", row), row
    assert "● running" in row
    assert "alpha" in row
    ended = instance("sensor-filter-1.1", namespace="sensors", status="failed", exit=InstanceExit(text="exit code 78"))
    assert "✖ failed, exit code 78" in rows(INSTANCES, scene(ended))[0], "so is what went wrong"


def test_beside_a_long_name_a_state_says_what_is_wrong() -> None:
    name, where = "payments-reconciliation-worker-eu", {"namespace": "finance-team", "node": "book-fields-north-001"}
    killed = instance(f"{name}-13.1", status="failed", exit=InstanceExit(text="signal 9 (SIGKILL)"), **where)
    (row,) = rows(INSTANCES, scene(killed))
    assert "✖ failed, signal 9 (S…" in row
    assert re.match(r"finance-team/p\w*…[a-z-]*-eu-13\.1 ", row), "and the name keeps both of its ends"
    assert "book-f…rth-001" in row
    assert cell_len(row) <= TERMINAL


def test_a_small_column_behind_one_that_has_no_room_is_shown() -> None:
    plan = layout(NODES.columns, 66, {"name": 12, "state": 9, "instances": 2}, NODES.first)
    assert [column.key for column, _ in plan] == ["name", "state", "for", "instances", "cpu"]


def test_a_text_is_not_cut_within_a_number() -> None:
    assert cut("exit code 137", 12) == "exit code …"
    assert cut("1.25 GiB", 4) == "…"
    assert cut("exit code 137", 13) == "exit code 137"
    assert cut("web-10", 6) == "web-10"


# -- what is not known ------------------------------------------------------------------------------------------------


def overview(shown: Scene, width: int = TERMINAL) -> list[str]:
    return printed(overview_lines(shown, width, 24), color=False).splitlines()


def line(lines: list[str], start: str) -> str:
    return next(one for one in lines if one.startswith(start))


def test_what_no_node_has_told_yet_is_being_asked_for() -> None:
    shown = scene(node("alpha"), node("beta"))
    shown.began_ms = NOW_MS - 1000
    for name in ("cpu", "memory"):
        told = line(overview(shown), name)
        assert "asking the nodes" in told
        assert "?" not in told
    assert all("asking" in row and "?" not in row for row in rows(NODES, shown))


def test_what_stays_unknown_says_so_in_words() -> None:
    shown = scene(node("alpha"), node("beta", status="lost"))
    shown.began_ms, shown.now_ms = NOW_MS, NOW_MS + 60_000
    assert "no node tells" in line(overview(shown), "cpu")
    alpha, beta = rows(NODES, shown)
    assert "? not told" in alpha
    assert "? unknown" in beta
    dark = scene(node("alpha", status="lost"))
    assert "no live node" in line(overview(dark), "cpu")


def test_a_sum_of_some_nodes_says_of_how_many() -> None:
    shown = scene(node("alpha"), node("beta"))
    shown.view.use = {"n-alpha": (2000, 4 << 30)}
    told = line(overview(shown), "cpu")
    assert "50% used" in told, "of what those have that have told"
    assert "1 of 2 nodes" in told
    shown.view.use["n-beta"] = (0, 0)
    assert "25% used" in line(overview(shown), "cpu")
    assert "of 2 nodes" not in line(overview(shown), "cpu")


def test_the_overview_is_as_wide_as_the_terminal_and_cuts_no_figure() -> None:
    big = scene(node("alpha", cpu_milli=1_428_000, memory_bytes=52 * (1 << 40) // 10, reserved_cpu_milli=30_000))
    big.view.use = {"n-alpha": (204_000, 14 * (1 << 40) // 10)}
    for width in (60, 78, 118):
        lines = overview(big, width)
        assert max(map(cell_len, lines)) <= width
        assert line(lines, "memory").endswith("of 5.2 TiB")


def test_the_title_of_a_chart_says_less_where_there_is_less_room() -> None:
    used = MetricSeries(labels={}, values=(None, *(5.5 * (1 << 30),) * 89))
    answer = MetricAnswer(
        name="m", kind="gauge", unit="", help="", aggregate="avg", start_ms=0, step_ms=10_000, resolution_ms=1000,
        items=(used,), revision=1,
    )  # fmt: skip
    told = {
        width: printed(
            chart_lines("Memory", answer, width, 3, 24.0 * (1 << 30), size, 900_000)[:1], color=False
        ).strip()
        for width in (60, 38, 30)
    }
    assert told[60] == "Memory now 5.5 GiB of 24 GiB, at most 5.5 GiB in 15 min"
    assert told[38] == "Memory now 5.5 GiB, at most 5.5 GiB"
    assert told[30] == "Memory now 5.5 GiB of 24 GiB"


def test_a_state_that_finds_no_room_is_told_in_a_line_of_its_own() -> None:
    many = [instance(f"a-{number}.1", status="running") for number in range(58)]
    others = [
        instance(f"b-{state}-1.1", status=state)
        for state in ("lost", "unknown", "pending", "stopping", "starting", "placed")
    ]
    text = "\n".join(overview(scene(*many, *others)))
    for told in ("1 unknown", "1 pending", "1 stopping", "1 starting", "1 placed", "58 running", "1 lost"):
        assert told in text


def test_changes_name_whole_what_changed() -> None:
    shown = scene()
    shown.events.append(event("instance.placed", "instance/sensors/sensor-compact-1-1.1", 2, node_name="alpha"))
    assert "instance sensors/sensor-compact-1-1.1" in "\n".join(overview(shown))
    (row,) = rows(EVENTS, shown)
    assert "instance sensors/sensor-compact-1-1.1" in row
