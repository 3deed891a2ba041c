"""What a release does with a log that another release wrote: read it as it was meant, or stop and say why."""

import msgspec
import pytest
from tests.support.spec import Fabric

from omnitide.fabric import events as ev
from omnitide.fabric.events import UnknownEvent, decode_entry, encode_entry
from omnitide.fabric.evolve import Moment, apply, evolve
from omnitide.fabric.state import empty_state


def raw(**fields: object) -> bytes:
    event = {"kind": "namespace.created.v1", "name": "blue", **fields}
    return msgspec.msgpack.encode({"time_ms": 1, "principal": "system:x", "events": [event]})


def test_a_known_event_is_read() -> None:
    entry = decode_entry(raw())
    assert entry.events == (ev.NamespaceCreated(name="blue"),)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (raw(kind="namespace.renamed.v1"), "Invalid value 'namespace.renamed.v1'"),
        (raw(kind="namespace.created.v2"), "Invalid value 'namespace.created.v2'"),
        (raw(colour="blue"), "unknown field `colour`"),
        (raw(name=7), "Expected `str`, got `int`"),
        (msgspec.msgpack.encode({"time_ms": 1, "principal": "x", "events": [], "mood": 1}), "unknown field `mood`"),
        (msgspec.msgpack.encode({"time_ms": 1, "principal": "x"}), "missing required field `events`"),
        (b"", "truncated"),
        (b"\xc1", "malformed"),
        (raw()[:-1], "truncated"),
        (b"\x81\xa7time_ms\xa1\xff", "expected `int`"),
    ],
)
def test_what_this_release_does_not_know_stops_it_by_name(payload: bytes, words: str) -> None:
    with pytest.raises(UnknownEvent) as raised:
        decode_entry(payload)
    assert words.lower() in str(raised.value).lower()


def test_an_event_type_without_a_fold_stops_it() -> None:
    class Foreign(msgspec.Struct):
        pass

    with pytest.raises(UnknownEvent):
        evolve(empty_state(), Foreign(), Moment(1, 1, "x"))  # type: ignore[arg-type]


def test_kinds_are_unique_and_carry_a_version() -> None:
    kinds = [str(kind.__struct_config__.tag) for kind in ev.EVENT_TYPES]
    assert len(kinds) == len(set(kinds))
    assert all(kind.rpartition(".v")[2].isdecimal() for kind in kinds)
    assert ev.kind_of(ev.NamespaceCreated(name="x")) == "namespace.created.v1"


def test_an_entry_is_applied_as_a_whole_at_the_next_revision() -> None:
    fabric = Fabric()
    entry = ev.Entry(
        time_ms=fabric.state.time_ms + 5,
        principal="token:admin",
        events=(ev.NamespaceCreated(name="blue"), ev.NamespaceCreated(name="green")),
    )
    after = apply(fabric.state, decode_entry(encode_entry(entry)))
    assert after.revision == fabric.state.revision + 1
    assert after.time_ms == entry.time_ms
    assert {after.namespaces[name].revision for name in ("blue", "green")} == {after.revision}
