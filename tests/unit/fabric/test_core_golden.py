"""Old logs load for ever: each released event, the entry around it, a whole history and a snapshot, byte by byte.

If one of these fails, an old log would be read as something else. Mend the code, not the golden file.
"""

from pathlib import Path

import msgspec
import pytest
from tests.unit.fabric.golden_files import (
    BASE,
    ENTRY,
    EVENTS,
    EVERY,
    HISTORY,
    LIFECYCLE,
    PROVISIONS,
    SNAPSHOT,
    Json,
    explicit,
    fold,
    read,
    read_entries,
)

from omnitide.fabric import events as ev
from omnitide.fabric.evolve import apply
from omnitide.fabric.invariants import violations
from omnitide.fabric.records import Record
from omnitide.fabric.snapshot import digest, dump, load
from omnitide.fabric.state import FabricState, empty_state

FILES = sorted(EVENTS.glob("*.json"))
KINDS = {str(kind.__struct_config__.tag) for kind in ev.EVENT_TYPES}


@pytest.fixture(scope="module")
def base() -> FabricState:
    return fold(read_entries(BASE))


@pytest.fixture(scope="module")
def history() -> list[ev.Entry]:
    return read_entries(HISTORY)


def records(path: Path) -> list[Json]:
    return read(path)["records"]  # type: ignore[return-value]


def known(golden: object, now: object) -> object:
    """`now` without the fields that were added since."""
    if isinstance(golden, dict) and isinstance(now, dict):
        return {key: known(value, now[key]) if key in now else "(gone)" for key, value in golden.items()}
    if isinstance(golden, list) and isinstance(now, list) and len(golden) == len(now):
        return [known(one, other) for one, other in zip(golden, now, strict=True)]
    return now


def test_every_event_has_its_golden_file_and_every_file_its_event() -> None:
    assert {path.stem for path in FILES} == KINDS, "python -m tests.unit.fabric.golden_files makes those that miss"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_released_event_is_read_as_what_it_was(path: Path) -> None:
    assert [record["record"] for record in records(path)] == ["full", "bare"]
    for record in records(path):
        raw = bytes.fromhex(str(record["entry"]))
        entry = ev.decode_entry(raw)
        (event,) = entry.events
        assert ev.kind_of(event) == path.stem
        assert known(record["event"], explicit(event)) == record["event"]
        assert ev.encode_entry(entry) == raw, "it would be written otherwise"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_released_event_makes_of_a_state_what_it_made(path: Path, base: FabricState) -> None:
    for record in records(path):
        entry = ev.decode_entry(bytes.fromhex(str(record["entry"])))
        assert digest(apply(base, entry)) == record["state"], record["record"]


def _unset(value: object, where: str = "") -> list[str]:
    """Fields that stand at their default, anywhere below."""
    found: list[str] = []
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            here = getattr(value, field.name)
            default = field.default
            if field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            if default is not msgspec.NODEFAULT and here == default:
                found.append(f"{where}.{field.name}")
            found += _unset(here, f"{where}.{field.name}")
    elif isinstance(value, tuple | list):
        for item in value:
            found += _unset(item, where)
    elif isinstance(value, dict):
        for item in value.values():
            found += _unset(item, where)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_full_record_has_every_field_that_was_there_and_the_bare_one_none_of_the_optional(path: Path) -> None:
    full, bare = records(path)
    entry = ev.decode_entry(bytes.fromhex(str(full["entry"])))
    since = set(_unset(entry.events[0])) - set(_fields(full["event"]))
    assert set(_unset(entry.events[0])) == since, "a field of the full record stands at its default"
    event = ev.decode_entry(bytes.fromhex(str(bare["entry"]))).events[0]
    optional = [field.name for field in msgspec.structs.fields(event) if not field.required]
    assert [name for name in optional if f".{name}" not in _unset(event)] == []


def _fields(golden: object, where: str = "") -> list[str]:
    if not isinstance(golden, dict):
        items = golden if isinstance(golden, list) else []
        return [name for item in items for name in _fields(item, where)]
    return [name for key, value in golden.items() for name in (f"{where}.{key}", *_fields(value, f"{where}.{key}"))]


@pytest.mark.parametrize("name", ["full", "bare"])
def test_the_entry_itself(name: str) -> None:
    golden: Json = read(ENTRY)[name]  # type: ignore[assignment]
    raw = bytes.fromhex(str(golden["bytes"]))
    entry = ev.decode_entry(raw)
    assert known(golden["entry"], explicit(entry)) == golden["entry"]
    assert ev.encode_entry(entry) == raw


class TestHistory:
    def test_it_has_every_kind_of_event(self, history: list[ev.Entry]) -> None:
        released = {path.stem for path in FILES}
        assert {ev.kind_of(event) for entry in history for event in entry.events} >= released - NOT_IN_HISTORY
        assert len(history) >= 200

    def test_it_ends_where_it_ended(self, history: list[ev.Entry]) -> None:
        states: Json = read(HISTORY)["states"]  # type: ignore[assignment]
        state = empty_state()
        for entry in history:
            state = apply(state, entry)
            if str(state.revision) in states:
                assert digest(state) == states[str(state.revision)], f"at revision {state.revision}"
        assert len(states) >= len(history) // EVERY
        assert violations(state) == []


NOT_IN_HISTORY: set[str] = {
    "fabric.feature-level-raised.v1",
    "node.labelled.v1",
    "node.driver-silent.v1",
    "node.driver-answers.v1",
    "agent.rolled-back.v1",
    "agent.version-proven.v1",
    "agent.rollout-paused.v1",
    "agent.rollout-stumbled.v1",
    "agent.rollout-late.v1",
    "agent.rollout-resumed.v1",
    "secret.changed.v1",
    "secret.removed.v1",
    "config.changed.v1",
    "config.removed.v1",
}
"""Kinds that were released after the history was made; they get a history of their own."""


class TestSnapshot:
    def test_an_old_snapshot_is_the_state_that_it_was_made_of(self, history: list[ev.Entry]) -> None:
        golden = read(SNAPSHOT)
        chunks = [bytes.fromhex(chunk) for chunk in golden["chunks"]]  # type: ignore[union-attr]
        state = load(chunks)
        assert state == fold(history[: int(str(golden["revision"]))])
        assert violations(state) == []

    def test_the_same_state_is_written_as_it_was(self, history: list[ev.Entry]) -> None:
        golden = read(SNAPSHOT)
        state = fold(history[: int(str(golden["revision"]))])
        assert [chunk.hex() for chunk in dump(state)] == golden["chunks"]

    def test_it_has_every_kind_of_record(self) -> None:
        seen = {record["kind"] for path in (SNAPSHOT, PROVISIONS, LIFECYCLE) for record in read(path)["records"]}  # type: ignore[union-attr]
        assert seen == {str(kind.__struct_config__.tag) for kind in Record.__args__}


@pytest.mark.parametrize("path", [PROVISIONS, LIFECYCLE], ids=lambda path: path.stem)
class TestLaterHistories:
    def test_it_ends_where_it_ended_and_is_written_as_it_was(self, path: Path) -> None:
        golden = read(path)
        state = fold(read_entries(path))
        assert digest(state) == golden["state"]
        assert [chunk.hex() for chunk in dump(state)] == golden["chunks"]
        assert load([bytes.fromhex(chunk) for chunk in golden["chunks"]]) == state  # type: ignore[union-attr]
        assert violations(state) == []
