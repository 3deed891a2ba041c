"""The page of one object: what it says is so now, or says since when it is not known."""

import re

import pytest
from tests.unit.cli.top.scenes import NOW_MS, agent, event, instance, node, scene

from omnitide.cli.top.actions import BY_ID
from omnitide.cli.top.details import chart_lines, detail_lines
from omnitide.cli.top.event_table import event_tone
from omnitide.cli.top.figures import cores
from omnitide.cli.top.lines import printed
from omnitide.cli.top.words import instance_state
from omnitide.model.metrics import MetricAnswer, MetricSeries


def told(*given: object, **more: object) -> str:
    return printed(detail_lines(*given, **more), color=False)  # type: ignore[arg-type]


def chart(*values: float | None) -> str:
    series = MetricSeries(labels={}, values=values)
    answer = MetricAnswer(
        name="m",
        kind="gauge",
        unit="",
        help="",
        aggregate="avg",
        start_ms=0,
        step_ms=10_000,
        resolution_ms=1000,
        items=(series,),
        revision=1,
    )
    return printed(chart_lines("CPU, cores", answer, 78, 2, 4.0, lambda value: cores(value * 1000)), color=False)


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
    assert " now 3 " in chart(1.0, 2.0, 3.0, None, None), "its last batch may be on its way"
    assert "CPU, cores 3 of 4 40s ago, at most 3" in chart(1.0, 2.0, 3.0, None, None, None, None)


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
