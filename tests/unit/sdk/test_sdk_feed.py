"""A watch shows each event once and in order, over any number of broken connections."""

import random
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.sdk.errors import Conflict, Forbidden, Trimmed, Unauthorized, UnknownRevision, Unreachable
from omnitide.sdk.feed import BOOKMARK, Feed

Event = dict[str, object]


def feed(after: int | None = 0, patience_s: float = 60.0) -> Feed:
    return Feed(after, {}, random.Random(1), patience_s)


def event(revision: int, index: int = 1) -> Event:
    return {
        "specversion": "1.0",
        "id": f"log/{revision}.{index}",
        "source": "/fabrics/f",
        "type": "omnitide.agent.created.v1",
        "subject": "agent/default/a",
        "time": "2026-01-01T00:00:00Z",
        "revision": revision,
    }


def bookmark(revision: int) -> Event:
    return {"specversion": "1.0", "id": "b", "source": "", "type": BOOKMARK, "revision": revision}


def asked_after(watch: Feed) -> int:
    (after,) = parse_qs(urlsplit(watch.address("http://127.0.0.1")).query)["after"]
    return int(after)


def frame(*events: Event) -> bytes:
    return msgspec.json.encode(events)


def ids(events: list[object]) -> list[str]:
    return [one.id for one in events]  # type: ignore[attr-defined]


def test_after_a_break_it_asks_for_the_last_revision_again_and_shows_only_what_is_new() -> None:
    watch = feed()
    assert len(watch.take(frame(event(5, 1), event(5, 2)))) == 2
    watch.closed(1006, "")
    assert watch.address("https://h:7400") == "wss://h:7400/v1/events/stream?after=4&log=log"
    shown = watch.take(frame(event(5, 1), event(5, 2), event(5, 3), event(6, 1)))
    assert [one.id for one in shown] == ["log/5.3", "log/6.1"]


def test_after_a_bookmark_it_goes_on_behind_it() -> None:
    watch = feed()
    watch.take(frame(event(5)))
    assert watch.take(frame(bookmark(90))) == []
    assert watch.address("http://127.0.0.1:1") == "ws://127.0.0.1:1/v1/events/stream?after=90&log=log"
    assert watch.revision == 90


def test_a_restored_log_that_has_come_further_is_another_one_and_ends_the_watch() -> None:
    watch = feed()
    watch.take(frame(event(5)))
    with pytest.raises(UnknownRevision) as caught:
        watch.closed(4409, '{"code": "unknown-revision", "resume": 900}')
    assert "restored" in caught.value.detail
    assert caught.value.problem.resume_revision == 900


def test_a_watcher_that_was_too_slow_resumes_at_once_and_says_so() -> None:
    watch = feed()
    watch.take(frame(event(7)))
    assert watch.closed(4408, '{"code":"lagged","resume":7}') == 0.0
    assert watch.lagged == 1


def test_what_is_trimmed_is_an_error_with_the_oldest_that_is_kept() -> None:
    with pytest.raises(Trimmed) as caught:
        feed(3).closed(4410, '{"code":"trimmed","first":12}')
    assert caught.value.first_revision == 12


@pytest.mark.parametrize(("code", "kind"), [(4401, Unauthorized), (4403, Forbidden)])
def test_a_token_that_is_not_valid_any_more_ends_the_watch(code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        feed().closed(code, "")


def test_patience_has_an_end_and_any_event_renews_it() -> None:
    watch = feed(patience_s=3.0)
    waited = 0.0
    with pytest.raises(Unreachable):
        for _ in range(1000):
            waited += watch.broke("https://h", "refused")
    assert 3.0 <= waited <= 3.0 + 5.0
    watch.take(frame(event(1)))
    assert watch.broke("https://h", "refused") > 0


@given(st.data())
def test_each_event_is_shown_once_and_in_order_whatever_breaks(data: st.DataObject) -> None:
    log = [event(revision, index) for revision in range(1, 8) for index in range(1, data.draw(st.integers(2, 4)))]
    watch = feed()
    shown: list[str] = []
    for _ in range(200):
        after = asked_after(watch)
        rest = [one for one in log if int(str(one["revision"])) > after]
        cut = data.draw(st.integers(0, len(rest))) if rest else 0
        shown += [one.id for one in watch.take(frame(*rest[:cut]))]
        if cut == len(rest):
            break
        watch.closed(1006, "")
    rest = [one for one in log if int(str(one["revision"])) > asked_after(watch)]
    shown += [one.id for one in watch.take(frame(*rest))]
    assert shown == [one["id"] for one in log]


def test_a_revision_that_the_fabric_has_never_had_ends_the_watch_and_names_both() -> None:
    """To try again would be to try for ever: of another log, or a slip."""
    watch = feed(after=5000)
    with pytest.raises(UnknownRevision) as caught:
        watch.closed(4409, '{"code":"unknown-revision","resume":41}')
    assert caught.value.newest_revision == 41
    assert caught.value.detail == "the fabric is at revision 41 and has never had revision 5000"
    assert isinstance(caught.value, Conflict)
    assert not caught.value.retryable
