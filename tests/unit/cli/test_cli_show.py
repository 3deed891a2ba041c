"""How things look: tables that never cut a name, every event in words, output line by line."""

import json
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.cli.top.scenes import agent

from omnitide.cli.agents.agents import notes_of
from omnitide.cli.happenings.wording import BOOKKEEPING, exit_text, kind_of, text_of
from omnitide.cli.instances.explain import placement_lines
from omnitide.cli.instances.output import Printer
from omnitide.cli.instances.ps import _note, _state
from omnitide.cli.show.forms import as_text
from omnitide.cli.show.table import Cell, Column, table
from omnitide.cli.show.words import agent_status, ago, replicas, share, state
from omnitide.fabric.events import Event
from omnitide.model.explanations import PlacementVerdict, Reason, Way
from omnitide.model.happenings import CloudEvent, LogChunk
from omnitide.model.objects import Instance, InstanceCounts, InstanceExit

ROOT = Path(__file__).parents[3]
COLUMNS = (
    Column("NAME"),
    Column("STATUS"),
    Column("LESS", rank=1),
    Column("LEAST", rank=2),
    Column("NOTE", rank=3, free=True),
)


@given(
    st.lists(st.tuples(*[st.from_regex(r"[a-z]{1,40}", fullmatch=True)] * 5), min_size=1, max_size=8),
    st.integers(10, 200),
)
def test_names_are_never_cut_however_narrow_the_terminal(rows: list[tuple[str, ...]], width: int) -> None:
    lines = table(COLUMNS, rows, color=False, width=width)
    assert len(lines) == len(rows) + 1
    for row, line in zip(rows, lines[1:], strict=True):
        assert line.split()[:2] == list(row[:2])


@given(st.integers(30, 200))
def test_a_table_fits_if_it_can(width: int) -> None:
    rows = [["a" * 10, "running", "b" * 30, "c" * 30, "d" * 90]]
    assert all(len(line) <= width for line in table(COLUMNS, rows, color=False, width=width))


def test_what_no_terminal_shows_is_not_cut() -> None:
    rows = [["a", "b", "c", "d", "e" * 500]]
    assert table(COLUMNS, rows, color=False, width=None)[1].endswith("e" * 500)


def test_columns_without_anything_in_them_are_left_out() -> None:
    assert table(COLUMNS, [["a", "b", "-", "", ""]], color=False, width=80) == ["NAME  STATUS", "a     b"]


def test_colours_do_not_move_columns() -> None:
    rows = [[Cell("a", "green"), Cell("b"), "c", "d", "e"]]
    plain = table(COLUMNS, rows, color=False, width=80)
    import re

    painted = [re.sub(r"\x1b\[\d+m", "", line) for line in table(COLUMNS, rows, color=True, width=80)]
    assert painted == plain


def test_the_unknown_is_shown_since_when() -> None:
    from omnitide.cli.show.words import now_ms

    assert state("unknown", now_ms() - 12_400).text.startswith("unknown since 1")
    assert state("running").text == "running"


def test_times_and_shares() -> None:
    assert ago(0) == "-"
    assert ago(1000, 13_000) == "12 s"
    assert ago(13_000, 1000) == "0 ms"  # the other machine's clock is ahead
    assert share(400, 4000, "cpu") == "0.4/4"
    assert share(96 << 20, 8 << 30, "bytes") == "96 MiB/8 GiB"


def event(kind: str, **data: object) -> CloudEvent:
    return CloudEvent(
        specversion="1.0",
        id="1",
        source="/fabrics/f",
        type=f"omnitide.{kind}.v1",
        subject="instance/default/hello-2.1",
        time="2026-01-01T00:00:00Z",
        data=data,
        revision=1,
    )


def kinds() -> list[str]:
    tags = [str(member.__struct_config__.tag) for member in Event.__args__]  # type: ignore[attr-defined]
    return sorted(tag.rpartition(".")[0] for tag in tags)


@pytest.mark.parametrize("kind", kinds())
def test_every_event_has_words_of_its_own(kind: str) -> None:
    text = text_of(event(kind))
    assert text.startswith("instance hello-2.1 ")
    assert "{" not in text
    from omnitide.cli.happenings import wording

    assert kind in wording._WORDS


SAME: list[dict[str, object]] = json.loads((ROOT / "web/src/words/told.json").read_bytes())


@pytest.mark.parametrize("one", SAME, ids=lambda one: f"{one['kind']}: {one['text']}")
def test_an_event_has_the_words_that_the_panel_has_for_it(one: dict[str, object]) -> None:
    """web/src/words/format.test.ts asks the panel for the same."""
    told = event(str(one["kind"]), **one["data"])  # type: ignore[arg-type]
    text = text_of(told).removeprefix("instance hello-2.1 ")
    assert text == one["text"]


def test_every_kind_of_event_is_compared_with_the_panel() -> None:
    assert {one["kind"] for one in SAME} == set(kinds())


def test_bookkeeping_is_of_known_kinds() -> None:
    assert set(kinds()) >= BOOKKEEPING


def test_an_event_that_is_not_known_is_shown_with_all_it_says() -> None:
    told = event("instance.teleported", to="mars", node_name="alpha")
    assert kind_of(told) == "instance.teleported"
    assert text_of(told) == "instance hello-2.1 teleported {'to': 'mars'}"


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        ("disconnected", "unreachable: its connection broke, and it was not back within 2 s"),
        ("goodbye", "unreachable: it said goodbye, and was not back within 2 s"),
        ("start", "unreachable: it has not connected in the 2 s since Nexus started"),
        ("left", "unreachable: it said goodbye for good"),
        ("", "unreachable"),
    ],
)
def test_a_node_that_is_unreachable_is_so_for_what_has_happened(cause: str, text: str) -> None:
    told = event("node.unreachable", cause=cause, waited_ms=2_012)
    assert text_of(told).partition(" ")[2].partition(" ")[2] == text


@pytest.mark.parametrize(
    ("reason", "message", "text"),
    [
        ("exited", "exited with code 2", "exit code 2"),
        ("exited", "exited with code 2; it was refused a process", "exit code 2; it was refused a process"),
        ("trap", "wasm trap: unreachable", "exit code 2: wasm trap: unreachable"),
    ],
)
def test_what_else_is_known_of_a_death_is_told_with_its_code(reason: str, message: str, text: str) -> None:
    assert exit_text({"exit": {"code": 2, "reason": reason, "message": message}}) == text


def test_a_death_names_its_signal() -> None:
    told = event("instance.exited", exit={"signal": 9, "out_of_memory": True})
    assert text_of(told) == "instance hello-2.1 exited: signal 9 (SIGKILL), out of memory; starts again"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("readiness probe fails: no answer", "not ready: readiness probe fails: no answer"),
        ("the exec probe cannot be asked: away", "health unknown: the exec probe cannot be asked: away"),
    ],
)
def test_a_probe_that_fails_is_known(message: str, text: str) -> None:
    told = event("instance.health-changed", health="unknown", message=message)
    assert text_of(told) == f"instance hello-2.1 {text}"


def instance(name: str) -> Instance:
    return Instance(
        id=name,
        namespace="default",
        name=name,
        kind="agent",
        workload="a",
        workload_id="w",
        version=1,
        slot=1,
        generation=1,
        status="running",
        last_status="running",
        since_ms=1,
        created_ms=1,
        revision=1,
    )


def test_a_note_of_an_earlier_attempt_says_so() -> None:
    lost = replace(instance("a-1.1"), status="lost", attempt=3)
    last = InstanceExit(attempt=3, reason="signal", signal=9, text="signal 9")
    assert _note(replace(lost, exit=last)) == "signal 9"
    assert _note(replace(lost, exit=replace(last, attempt=2))) == "before: signal 9"
    assert _note(replace(lost, exit=replace(last, attempt=2, reason="stopped"))) == ""


def test_the_end_of_a_generation_before_is_told_as_long_as_it_counts() -> None:
    """Not of one of another version, or once it has run well for long: an end in a row is then none any more."""
    last = InstanceExit(attempt=1, reason="start-failed", cause="command-not-found", text="command-not-found: nosuch")
    runs = replace(instance("a-1.2"), generation=2, attempt=1, previous_exit=last)
    assert _note(replace(runs, ends=1)) == "before: command-not-found: nosuch"
    assert _note(replace(runs, ends=0)) == ""


def test_what_has_never_run_does_not_restart() -> None:
    waiting = replace(instance("a-1.1"), status="starting", condition="waiting", attempt=1, next_attempt_ms=9)
    last = InstanceExit(attempt=1, reason="start-failed", cause="secret-missing", text="secret-missing: pw")
    assert _note(replace(waiting, exit=last)) == "could not start; attempt 1: secret-missing: pw"
    assert _note(replace(waiting, exit=replace(last, reason="exited"))).startswith("restarts; attempt 1")


def test_what_ends_again_and_again_is_failing_whatever_it_does_now() -> None:
    runs = replace(instance("a-1.1"), condition="running", failing=True, ends=5)
    waits = replace(runs, status="starting", condition="waiting", ends=1, attempt=1, next_attempt_ms=9)
    assert [_state(one) for one in (runs, waits)] == [("failing", "red")] * 2
    assert _note(runs) == "running, ended 5 times in a row"
    last = InstanceExit(attempt=1, reason="exited", code=1, text="exit code 1")
    assert _note(replace(waits, exit=last)) == "waiting, ended 1 time in a row, restarts; attempt 1: exit code 1"
    silent = replace(runs, status="unknown", condition="unknown", unknown_since_ms=1)
    assert _state(silent).text.startswith("unknown since"), "what it does now nobody knows"


@pytest.mark.parametrize(
    ("counts", "failing", "told"),
    [
        (InstanceCounts(pending=1), 1, ["1 failing"]),
        (InstanceCounts(starting=1), 1, ["1 failing"]),
        (InstanceCounts(pending=3), 1, ["1 failing", "2 pending"]),
        (InstanceCounts(running=1, pending=1), 1, ["1 failing", "up to 1 more pending"]),
        (InstanceCounts(running=2, pending=1), 0, ["1 pending"]),
        (InstanceCounts(running=1, unknown=1, failed=1), 0, ["1 unknown", "1 failed"]),
    ],
)
def test_a_replica_is_counted_once_in_the_note_of_its_agent(
    counts: InstanceCounts, failing: int, told: list[str]
) -> None:
    assert notes_of(counts, failing) == told


@pytest.mark.parametrize(
    ("counts", "word", "style"),
    [
        (InstanceCounts(running=1, pending=1), "waiting", "yellow"),
        (InstanceCounts(starting=1, pending=1), "degraded", "red"),
        (InstanceCounts(running=1, failed=1), "degraded", "red"),
    ],
)
def test_an_agent_that_only_waits_for_a_place_is_called_what_panel_and_top_call_it(
    counts: InstanceCounts, word: str, style: str
) -> None:
    shown = agent("a", status="degraded", running=counts.running, counts=counts)
    assert agent_status(shown) == Cell(word, style)


@pytest.mark.parametrize(
    ("running", "wanted", "text"), [(0, 0, "0/0"), (2, 3, "2/3"), (3, 3, "3/3"), (4, 3, "3/3 +1"), (2, 0, "0/0 +2")]
)
def test_what_runs_beside_those_that_are_asked_for_is_said_apart(running: int, wanted: int, text: str) -> None:
    assert replicas(agent("a", running=running, replicas=wanted)) == text


def chunk(text: str, stream: str = "stdout") -> LogChunk:
    return LogChunk(at_ms=1, stream=stream, attempt=1, text=text)  # type: ignore[arg-type]


def test_lines_of_several_instances_are_never_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(prefix=True, color=False)
    one, two = instance("a-1.1"), instance("a-10.1")
    printer.know(one)
    printer.know(two)
    printer.print(one, chunk("hel"))
    printer.print(two, chunk("other\n"))
    printer.print(one, chunk("lo\nlast"))
    printer.close()
    assert capsys.readouterr().out.splitlines() == ["a-10.1 | other", "a-1.1 | hello", "a-1.1 | last"]


@given(st.lists(st.text(alphabet="ab\n", max_size=5), max_size=12))
def test_without_prefix_the_text_is_as_it_was_written(pieces: list[str]) -> None:
    import io

    kept, sys.stdout = sys.stdout, io.StringIO()
    try:
        printer = Printer(prefix=False, color=False)
        for piece in pieces:
            printer.print(instance("a"), chunk(piece))
        printer.close()
        assert sys.stdout.getvalue() == "".join(pieces)
    finally:
        sys.stdout = kept


def test_json_is_the_apis_own_object_with_specs_in_peoples_units() -> None:
    from omnitide.model.spec import AgentManifest, Resources

    manifest = AgentManifest(name="a", command=("x",), resources=Resources(cpu=500))
    assert msgspec.json.decode(as_text(manifest, "json"))["resources"] == {"cpu": 0.5}


def test_a_reason_that_was_told_is_not_told_again_because_it_had_a_capital() -> None:
    reasons = tuple(
        Reason(rule="x", text=text) for text in ("needs 4 cpu; none has it", "waits for node a", "is closed")
    )
    way = Way(node="n", name="a", text="a is uncordoned")
    text = "needs 4 cpu; none has it. Waits for node a. Fits when a is uncordoned."
    verdict = PlacementVerdict(verdict="fits-when", text=text, revision=1, reasons=reasons, when=(way,))
    assert placement_lines(verdict) == ["- is closed"]
