"""`evolve`: one event into the state. `apply`: one entry of the log into the state. Pure; frozen with the events."""

from typing import Final

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric.events import EVENT_TYPES, Entry, Event, UnknownEvent
from omnitide.fabric.folds import access, instances, nodes, secrets, workloads
from omnitide.fabric.folds.moment import Fold, Moment
from omnitide.fabric.state import FabricState, Idempotency, Remembered

__all__ = ["Moment", "apply", "close_entry", "evolve"]

TURN_MS: Final = 12 * 3600 * 1000
TURN_SIZE: Final = 100_000

_FOLDS: Final[dict[type, Fold]] = {**access.FOLDS, **secrets.FOLDS, **nodes.FOLDS, **workloads.FOLDS, **instances.FOLDS}

if set(_FOLDS) != set(EVENT_TYPES):
    raise AssertionError(f"events without a fold or folds without an event: {set(_FOLDS) ^ set(EVENT_TYPES)}")


def evolve(state: FabricState, event: Event, at: Moment) -> FabricState:
    """The state after one event of the entry at `at`. Raises UnknownEvent for a type without a fold."""
    fold = _FOLDS.get(type(event))
    if fold is None:
        raise UnknownEvent(f"no fold for {type(event).__name__}")
    return fold(state, event, at)


def close_entry(state: FabricState, entry: Entry, at: Moment) -> FabricState:
    """What an entry changes besides its events: revision, log time, remembered answers."""
    if not entry.idempotency_key:
        return replace(state, revision=at.revision, time_ms=at.time_ms)
    memory = state.idempotency
    if at.time_ms - memory.turned_ms >= TURN_MS or len(memory.recent) >= TURN_SIZE:
        memory = Idempotency(recent=Map(), older=memory.recent, turned_ms=at.time_ms)
    answer = Remembered(fingerprint=entry.fingerprint, revision=at.revision, result=entry.result)
    key = remembered_key(entry.principal, entry.idempotency_key)
    memory = replace(memory, recent=memory.recent.set(key, answer))
    return replace(state, revision=at.revision, time_ms=at.time_ms, idempotency=memory)


def remembered_key(principal: str, key: str) -> str:
    return f"{principal}/{key}"


def apply(state: FabricState, entry: Entry) -> FabricState:
    """The state after an entry. Its revision is one above the state's."""
    at = Moment(state.revision + 1, entry.time_ms, entry.principal, entry.correlation)
    for event in entry.events:
        state = evolve(state, event, at)
    return close_entry(state, entry, at)
