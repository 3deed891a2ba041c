"""The view of a watcher is whole at every moment: parts of a snapshot are nothing until the last of them is there."""

import json
import random
from typing import Any

import pytest

from omnitide.sdk.errors import Forbidden, NotAFabric, Unauthorized, Unreachable
from omnitide.sdk.view import KINDS, View
from omnitide.sdk.view_feed import ViewFeed


def node(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "status": "live",
        "since_ms": 1,
        "scheduling": "open",
        "joined_ms": 1,
        "revision": 1,
        **fields,
    }


def message(kind: str, revision: int = 1, **fields: Any) -> str:
    return json.dumps({"kind": kind, "revision": revision, "time_ms": revision * 1000, **fields})


def part(number: int, parts: int, *names: str, revision: int = 1) -> str:
    nodes = {name: node(name) for name in names}
    return message("snapshot", revision, log="log", part=number, parts=parts, objects={"node": nodes})


def test_a_snapshot_counts_once_its_last_part_is_there() -> None:
    view = View()
    assert not view.take(part(1, 2, "a")).kinds
    assert not view.filled
    assert view.nodes == {}
    assert view.take(part(2, 2, "b")).kinds == frozenset(KINDS)
    assert view.filled
    assert sorted(view.nodes) == ["a", "b"]


def test_a_patch_puts_whole_objects_and_takes_away_what_is_gone() -> None:
    view = View()
    view.take(part(1, 1, "a", "b"))
    view.take(message("use", node={"a": [500, 7], "x": [1, 1]}))
    before = view.nodes["b"]
    changes = view.take(message("patch", 2, objects={"node": {"a": None, "b": node("b", status="lost")}}))
    assert changes.kinds == {"node"}
    assert list(view.nodes) == ["b"]
    assert (before.status, view.nodes["b"].status) == ("live", "lost"), "objects are not changed in place"
    assert view.use == {}, "nor is anything kept of what is gone, or was never there"
    assert view.revision == 2


def test_what_was_known_holds_until_a_new_snapshot_is_whole() -> None:
    view = View()
    view.take(part(1, 1, "a"))
    view.take(part(1, 2, "b", revision=9))
    assert list(view.nodes) == ["a"]
    view.begin()  # the connection broke in between
    view.take(part(1, 1, "c", revision=10))
    assert list(view.nodes) == ["c"]


@pytest.mark.parametrize(
    "frames",
    [
        [message("patch", objects={})],
        [part(2, 2, "a")],
        [part(1, 2, "a"), part(2, 3, "b")],
        [part(1, 2, "a"), part(2, 2, "b", revision=5)],
        [part(1, 2, "a"), message("patch", objects={})],
        ["{"],
        ['{"kind":"snapshot","part":1,"parts":1,"objects":{"node":{"a":{"id":1}}}}'],
    ],
)
def test_what_does_not_fit_is_refused(frames: list[str]) -> None:
    view = View()
    *fine, wrong = frames
    for frame in fine:
        view.take(frame)
    with pytest.raises(NotAFabric):
        view.take(wrong)
    assert not view.filled


def test_a_kind_of_a_later_nexus_is_left_alone() -> None:
    view = View()
    view.take(part(1, 1, "a"))
    assert not view.take(message("forecast", 99, objects={"node": {"a": None}})).kinds
    assert view.revision == 1
    assert list(view.nodes) == ["a"]


def feed(patience_s: float = 60.0) -> ViewFeed:
    return ViewFeed(random.Random(1), patience_s)


def test_it_begins_anew_after_each_break_and_says_what_is_wrong_meanwhile() -> None:
    watch = feed()
    assert watch.address("https://h:7400") == "wss://h:7400/v1/view"
    watch.take(part(1, 1, "a"))
    assert watch.broke("https://h:7400", "the connection broke") > 0
    assert watch.patience.trouble == "the connection broke"
    watch.begin()
    assert watch.patience.trouble, "a connection is none until something is heard over it"
    watch.take(part(1, 1, "a"))
    assert watch.patience.trouble == ""
    assert watch.closed(4408, "") == 0.0
    assert watch.lagged == 1


@pytest.mark.parametrize(("code", "error"), [(4401, Unauthorized), (4403, Forbidden)])
def test_a_token_that_is_not_valid_any_more_is_an_end(code: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        feed().closed(code, "")


def test_patience_has_an_end() -> None:
    watch = feed(patience_s=1.0)
    with pytest.raises(Unreachable):
        for _ in range(100):
            watch.broke("https://h:7400", "nobody there")
