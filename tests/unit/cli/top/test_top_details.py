"""The page of one object: what it says is so now, or says since when it is not known."""

import re

import msgspec
import pytest
from tests.unit.cli.top.scenes import NOW_MS, agent, event, instance, node, scene

from omnitide.cli.top.actions import BY_ID
from omnitide.cli.top.bars import Listed, head, said
from omnitide.cli.top.details import chart_lines, detail_lines
from omnitide.cli.top.event_table import clock, event_tone
from omnitide.cli.top.figures import cores
from omnitide.cli.top.lines import line, printed, width_of
from omnitide.cli.top.listing import layout, measured, row_cells
from omnitide.cli.top.reasons import node_why, version_lines
from omnitide.cli.top.scene import Connection
from omnitide.cli.top.tables import NODES
from omnitide.cli.top.words import instance_state
from omnitide.model.metrics import MetricAnswer, MetricSeries
from omnitide.model.objects import AgentVersion, Difference, InstanceExit
from omnitide.model.spec import AgentSpec


def told(*given: object, **more: object) -> str:
    return printed(detail_lines(*given, **more), color=False)  # type: ignore[arg-type]


def chart(*values: float | None, since_ms: int = 0, step_ms: int = 10_000) -> str:
    """`since_ms`: how long ago the last step ended."""
    series = MetricSeries(labels={}, values=values)
    answer = MetricAnswer(
        name="m",
        kind="gauge",
        unit="",
        help="",
        aggregate="avg",
        start_ms=0,
        step_ms=step_ms,
        resolution_ms=1000,
        items=(series,),
        revision=1,
    )
    now_ms = len(values) * step_ms + since_ms
    lines = chart_lines("CPU, cores", answer, 78, 2, 4.0, lambda value: cores(value * 1000), now_ms)
    return printed(lines, color=False)


@pytest.mark.parametrize("status", ["unreachable", "lost"])
def test_what_a_silent_node_used_last_is_not_what_it_uses(status: str) -> None:
    silent = node("alpha", status=status, unknown_since_ms=NOW_MS - 5000, instances=3)
    shown = scene(silent)
    shown.view.use["n-alpha"] = (2000, 1 << 30)
    text = told(silent, shown, {}, 78)
    assert re.search(r"^uses +not known$", text, re.MULTILINE)
    assert re.search(r"^runs +not known; 3 instances were there$", text, re.MULTILINE)
    live = node("alpha", instances=1)
    text = told(live, shown, {}, 78)
    assert "cpu 2 of 4, memory 1 GiB of 8 GiB" in text
    assert re.search(r"^runs +1 instance$", text, re.MULTILINE)


def test_a_chart_of_which_nothing_new_comes_has_no_now() -> None:
    assert "CPU, cores now 3 of 4, at most 3" in chart(1.0, 2.0, 3.0)
    assert "CPU, cores 3 of 4 40s ago, at most 3" in chart(1.0, 2.0, 3.0, None, None, None, None)


def test_a_chart_says_up_to_when_it_knows_while_a_batch_is_on_its_way() -> None:
    steps = (1.0, 2.0, 3.0)
    assert "CPU, cores now 3 of 4" in chart(*steps, None, None, step_ms=2000), "of a node that sends each second"
    assert "CPU, cores 3 of 4 8s ago" in chart(*steps, *(None,) * 4, step_ms=2000)
    assert "CPU, cores 3 of 4 20s ago" in chart(*steps, None, None)
    assert "CPU, cores 3 of 4 21s ago" in chart(*steps, since_ms=21_000), "a sum ends before the newest batches"
    assert "now" not in chart(*steps, since_ms=21_000)


def test_the_line_of_a_chart_ends_where_it_is_known() -> None:
    """Also of an answer that is old, as while Nexus does not answer: the right edge is now."""

    def ends(text: str) -> int:
        """Columns that are empty at the right."""
        return 78 - len(text.splitlines()[-1])

    known = (1.0,) * 78
    assert ends(chart(*known)) == 0
    assert ends(chart(*known, since_ms=21_000)) == 2
    assert ends(chart(*known[:75], None, None, None)) == 3
    assert "nothing was sampled in the last 13 min" in chart(*known, since_ms=780_000)


def test_instances_stand_as_on_their_page_the_worst_first() -> None:
    web = agent("web", replicas=12)
    shown = scene(web, *(instance(f"web-{number}.1") for number in (3, 10, 1)), instance("web-7.1", health="unhealthy"))
    text = told(web, shown, {}, 78)
    assert re.findall(r"web-\d+\.1", text) == ["web-7.1", "web-1.1", "web-3.1", "web-10.1"]


def test_what_happened_is_what_people_want_to_know_however_long_ago_it_was() -> None:
    alpha = node("alpha")
    shown = scene(alpha)
    shown.events.extend(event("node.reported", "node/alpha", number) for number in range(10, 30))
    shown.events.append(event("node.connected", "node/alpha", 30))
    before = [event("node.joined", "node/alpha", 2), event("node.connected", "node/alpha", 30)]
    text = told(alpha, shown, {}, 78, events=before)
    happened = text[text.index("WHAT HAPPENED") :].splitlines()[1:]
    assert [line.split(maxsplit=2)[2] for line in happened] == ["connected", "joined the fabric"]
    assert "nothing that is still known" in told(alpha, scene(alpha), {}, 78)


def test_that_health_is_not_known_is_no_good_news() -> None:
    told = {
        health: event_tone(event("instance.health-changed", "instance/default/a-1.1", 1, health=health))
        for health in ("healthy", "unhealthy", "unknown")
    }
    assert told == {"healthy": "good", "unhealthy": "bad", "unknown": "off"}


def test_an_instance_of_a_node_that_is_away_is_told_as_in_the_panel() -> None:
    away = instance("web-1.1", unknown_because="node alpha is away, back within 2 m")
    assert instance_state(away) == ("wait", "away", "was running, node alpha is away, back within 2 m")


def test_an_action_is_named_with_what_it_is_done_to_as_one_says_it() -> None:
    assert BY_ID["agent.scale"].named("agent web") == "Scale agent web"
    assert BY_ID["agent.pause"].named("agent web") == "Pause rollout of agent web"
    assert BY_ID["agent.resume"].named("an agent…") == "Resume rollout of an agent…"


def test_nothing_on_a_page_is_cut_where_there_is_little_room() -> None:
    """A page is scrolled: what finds no room in its line goes on below, under its beginning."""
    why = (
        "exit code 78 (the configuration names a database that does not answer on port 5432 of any host that it knows)"
    )
    one = instance("web-1.1", status="failed", condition="failed", exit=InstanceExit(text=why))
    shown = scene(one)
    shown.events.append(event("instance.stop-requested", "instance/default/web-1.1", 5, reason=why))
    lines = detail_lines(one, shown, {}, 60)
    assert max(map(width_of, lines)) <= 60
    text = printed(lines, color=False)
    assert "…" not in text
    assert " ".join(text.split()).count(why) == 3, "in its state, in how it ended, and in what happened"
    assert re.search(r"^ended last +exit code 78.*\n {13}\S", text, re.MULTILINE)
    versions = [
        AgentVersion(
            number=2, current=True, spec=AgentSpec(command=("serve",)), reason="updated", principal="token:s1",
            by="administrator in Firefox on Linux (session s1)", created_ms=NOW_MS,
            differences=(Difference(path="command", before="serve", after="serve" + " --verbose" * 9),),
        )
    ]  # fmt: skip
    lines = version_lines(versions, shown, 60)
    assert max(map(width_of, lines)) <= 60
    text = " ".join(printed(lines, color=False).split())
    assert text.endswith("--verbose --verbose; by administrator in Firefox on Linux (session s1)")


def test_a_version_that_nobody_has_seen_work_says_so() -> None:
    def version(number: int, **more: object) -> AgentVersion:
        fields = {"spec": AgentSpec(command=("serve",)), "reason": "updated", "principal": "token:s1", "by": "me"}
        return AgentVersion(number=number, created_ms=NOW_MS, **{"current": False, **fields, **more})  # type: ignore[arg-type]

    versions = [version(3, current=True), version(2), version(1, proven=True)]
    text = printed(version_lines(versions, scene(), 78), color=False)
    assert [("v2" in line) for line in text.splitlines() if "not known to work" in line] == [True]


def test_nobody_says_since_when_a_node_is_what_it_has_not_been_since() -> None:
    """It is live for an hour, and drained since who knows when."""
    hour = NOW_MS - 3_600_000
    shown = {
        "live": node("alpha", since_ms=hour),
        "draining": node("alpha", since_ms=hour, scheduling="draining"),
        "stalled": node("alpha", since_ms=hour, status="stalled", stalled_since_ms=NOW_MS - 30_000),
        "lost": node("alpha", since_ms=hour, status="lost", unknown_since_ms=hour),
    }
    found = {}
    for name, one in shown.items():
        (state,) = re.findall(r"^state +\S (.*)$", told(one, scene(one), {}, 78), re.MULTILINE)
        plan = layout(NODES.columns, 140, measured(NODES.columns, [one], scene(one)), NODES.first)
        row = "".join(cell.text for cell in row_cells(plan, one, scene(one)))
        found[name] = state, "1h" in row, "30s" in row
    assert found == {
        "live": ("live for 1h", True, False),
        "draining": ("draining", False, False),
        "stalled": ("stalled for 30s", False, True),
        "lost": ("lost for 1h", True, False),
    }


def test_what_a_node_told_itself_is_in_sight_beside_all_that_was_lost_with_it() -> None:
    lost = node("alpha", status="lost", unknown_since_ms=NOW_MS)
    shown = scene(lost)
    shown.events.append(event("node.unreachable", "node/alpha", 5, cause="disconnected", waited_ms=3000))
    for number in range(6, 106):
        shown.events.append(event("instance.lost", f"instance/default/a-{number}.1", number, node_name="alpha"))
    text = told(lost, shown, {}, 100)
    assert "unreachable: its connection broke, and it was not back within 3 s" in text
    assert text.count("lost with its node") == 29
    assert node_why(lost, shown.events).startswith("unreachable: its connection broke")
    assert node_why(node("alpha"), shown.events) == "", "that is over"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_lines_around_a_page_keep_what_matters_where_there_is_little_room(width: int) -> None:
    shown = scene(node("alpha"))
    assert shown.status is not None
    shown.status = msgspec.structs.replace(shown.status, demo=True)
    shown.connection = Connection(live=True)
    cells, _ = head(shown, width, line(" output of instance media/transcoder-of-what-is-long-12.13"))
    text = "".join(cell.text for cell in cells)
    assert width_of(cells) <= width
    assert "● live r" in text
    assert text.endswith(f"{clock(NOW_MS)} "), "and the clock by which it is so"
    assert "DEMO" in text
    listed = Listed("instance", 3, 320, "State", "state:failing node:desk-south", 0, "media/transcoder-12.13")
    cells = said(listed, "media", width)
    assert width_of(cells) <= width
    assert "".join(cell.text for cell in cells).endswith("  media/transcoder-12.13")
