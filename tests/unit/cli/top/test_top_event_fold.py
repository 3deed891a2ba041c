"""Rows of events in `top`: what happens again and again is one row, and never two causes in one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.cli.top.scenes import event, node, scene
from tests.unit.cli.top.test_top_room import rows

from omnitide.cli.top.event_fold import APART_MS, folded
from omnitide.cli.top.event_screen import whole_event_lines
from omnitide.cli.top.event_table import EVENTS, at_ms, times_and_words
from omnitide.cli.top.lines import printed
from omnitide.model.happenings import CloudEvent

WEB = "instance/default/web-1.1"
REPEATS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[4] / "web" / "src" / "words" / "repeats.json").read_text()
)
"""Two events of a kind each, and whether they are told as one: here as in the panel."""


def happened(kind: str, revision: int, subject: str = WEB, **data: object) -> CloudEvent:
    time = f"2026-01-01T00:{revision // 60:02}:{revision % 60:02}Z"
    given = {"instance": "a-web.1.1", "node_name": "alpha", **data} if subject == WEB else data
    return msgspec.structs.replace(event(kind, subject, revision, **given), time=time)


def exited(revision: int, code: int = 1, **record: object) -> CloudEvent:
    return happened("instance.exited", revision, exit={"code": code, "reason": "exited", **record})


def loop(times: int, first: int = 1, code: int = 1) -> list[CloudEvent]:
    return [
        one
        for at in range(first, first + 3 * times, 3)
        for one in (
            happened("instance.starting", at, attempt=at),
            happened("instance.running", at + 1, attempt=at, handle=f"pid:{at}"),
            exited(at + 2, code),
        )
    ]


def counts(events: list[CloudEvent]) -> list[tuple[str, int]]:
    return [(row.event.id.partition("/")[2], row.times) for row in folded([(one, at_ms(one.time)) for one in events])]


def test_a_loop_is_three_rows_where_its_newest_are() -> None:
    assert counts(loop(5)) == [("13.1", 5), ("14.1", 5), ("15.1", 5)]
    assert counts(loop(2)) == [(f"{number}.1", 1) for number in range(1, 7)], "two are no repeats"


def test_another_cause_is_another_row() -> None:
    ends = [exited(1), exited(2), exited(3, 137), exited(4), exited(5, 137), exited(6, 137), exited(7, cause="oom")]
    assert counts(ends) == [("4.1", 3), ("6.1", 3), ("7.1", 1)]
    why = [happened("node.unreachable", at, "node/alpha", cause=cause) for at, cause in enumerate("aabab", 1)]
    assert counts(why) == [("3.1", 1), ("4.1", 3), ("5.1", 1)]


def test_another_instance_or_node_is_another_row() -> None:
    others = [happened("node.connected", at, f"node/{name}") for at, name in enumerate(("a", "b", "a", "b", "a"), 1)]
    assert counts(others) == [("2.1", 1), ("4.1", 1), ("5.1", 3)]


def test_what_somebody_did_parts_what_was_before_from_what_came_after() -> None:
    scaled = happened("agent.scaled", 4, "agent/default/web", agent="a-web", replicas=3)
    ends = [exited(1), exited(2), exited(3), scaled, exited(5), exited(6), exited(7)]
    assert counts(ends) == [("3.1", 3), ("4.1", 1), ("7.1", 3)]
    asked = msgspec.structs.replace(exited(4), by="administrator")
    assert counts([exited(1), exited(2), exited(3), asked, exited(5)]) == [("3.1", 3), ("4.1", 1), ("5.1", 1)]


def test_what_is_far_apart_is_told_apart() -> None:
    far = APART_MS // 1000 + 10
    assert counts([exited(1), exited(2), exited(3), exited(3 + far)]) == [("3.1", 3), (f"{3 + far}.1", 1)]


def test_a_row_says_how_often_and_keeps_its_key_while_more_come() -> None:
    shown = scene(node("alpha"))
    shown.events.extend(loop(4))
    told_rows = rows(EVENTS, shown)
    assert len(told_rows) == 3
    assert "✖ 4× exited: exit code 1; starts again" in told_rows[-1]
    keys = list(EVENTS.objects(shown))
    shown.events.extend(loop(1, first=13))
    assert list(EVENTS.objects(shown)) == keys
    newest = EVENTS.objects(shown)[keys[-1]]
    told = printed(whole_event_lines(newest, "", shown.now_ms, 78, shown.repeats[newest.id]), color=False)
    assert "times        5 in 12s, this the newest; each alone: omnitide events" in told


def test_a_row_keeps_its_key_while_its_oldest_are_forgotten() -> None:
    events = [(one, at_ms(one.time)) for one in loop(9)]
    keys = [row.key for row in folded(events)]
    assert len(set(keys)) == 3
    for forgotten in range(1, 18):
        assert sorted(row.key for row in folded(events[forgotten:])) == sorted(keys)


@pytest.mark.parametrize(
    ("kind", "subject", "field", "one", "other"),
    [
        ("instance.health-changed", WEB, "message", "refused", "timed out"),
        ("node.driver-silent", "node/alpha", "driver", "docker", "wasm"),
        ("node.port-refused", "node/alpha", "port", 20001, 20002),
    ],
)
def test_what_has_another_cause_is_a_row_of_its_own(
    kind: str, subject: str, field: str, one: object, other: object
) -> None:
    made = [happened(kind, at, subject, **{field: one if at % 2 else other}) for at in range(1, 7)]
    assert [times for _, times in counts(made)] == [3, 3]


@pytest.mark.parametrize("case", REPEATS, ids=lambda case: case["apart"])
def test_what_is_told_as_one_is_what_the_panel_tells_as_one(case: dict[str, Any]) -> None:
    subject = "node/alpha" if case["kind"].startswith("node.") else WEB
    made = [happened(case["kind"], at, subject, **(case["one"] if at % 2 else case["other"])) for at in range(1, 7)]
    assert [times for _, times in counts(made)] == ([6] if case["alike"] else [3, 3])


def test_the_newest_number_is_told() -> None:
    refused = "exited with code 2; it was refused a further process {}, at its limit of them"
    shown = scene(node("alpha"))
    shown.events.extend(
        exited(at, 2, message=refused.format(often)) for at, often in enumerate(("once", "3 times", "4 times"), 1)
    )
    (newest,) = EVENTS.objects(shown).values()
    assert times_and_words(newest, shown).startswith(
        "3× exited: exit code 2; it was refused a further process 4 times, at its limit of them"
    )
