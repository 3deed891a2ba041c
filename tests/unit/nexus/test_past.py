"""What the fabric was at a revision is what it was then, however one looks back."""

import asyncio
import functools
import random
from collections.abc import AsyncIterator

import pytest
from tests.property.fabric.world import World

from omnitide.fabric.events import Entry, encode_entry
from omnitide.fabric.evolve import apply
from omnitide.fabric.snapshot import digest, dump
from omnitide.fabric.state import FabricState, empty_state
from omnitide.nexus import past as past_module
from omnitide.nexus.past import Past
from omnitide.operations.runtime import NotServing, Trimmed
from omnitide.store.memory import MemoryLog, open_memory_log
from omnitide.store.protocol import Batch, Record, SnapshotInfo


@functools.cache
def some_history() -> list[Entry]:
    world = World(random.Random(5), checked=False)
    world.steps(150)
    return world.fabric.log


class History:
    """A log of some hundred entries, and the digest of the state after each."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.states: list[FabricState] = [empty_state()]

    async def write(self) -> None:
        entries = some_history()
        await self.log.append(Batch(self.log.epoch, 0, b"all", [encode_entry(entry) for entry in entries]))
        for entry in entries:
            self.states.append(apply(self.states[-1], entry))

    async def snapshot(self, revision: int) -> SnapshotInfo:
        return await self.log.save_snapshot(revision, dump(self.states[revision]))

    @property
    def end(self) -> int:
        return len(self.states) - 1


@pytest.fixture
async def history() -> AsyncIterator[History]:
    made = History(await open_memory_log())
    await made.write()
    assert made.end > 60
    yield made
    await made.log.close()


async def check(history: History, past: Past, *revisions: int) -> None:
    for revision in revisions:
        assert digest(await past.state_at(revision)) == digest(history.states[revision])


async def test_any_revision_can_be_shown_from_the_beginning_on(history: History) -> None:
    past = Past(history.log)
    await check(history, past, history.end, 1, 30, 29, 31, history.end - 1)


async def test_a_snapshot_spares_folding_what_is_before_it(history: History) -> None:
    await history.snapshot(20)
    await history.snapshot(50)
    await history.log.trim(21)
    past = Past(history.log)
    await check(history, past, 60, 49, 20, 21)


async def test_what_is_trimmed_is_said_with_the_oldest_that_can_be_shown(history: History) -> None:
    await history.snapshot(20)
    await history.snapshot(50)
    await history.log.trim(21)
    with pytest.raises(Trimmed) as caught:
        await Past(history.log).state_at(19)
    assert caught.value.first == 20


async def test_few_states_are_kept_and_looking_on_begins_at_the_nearest(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_module, "KEPT", 2)
    folded: list[int] = []

    def counting(state: FabricState, entry: object) -> FabricState:
        folded.append(state.revision + 1)
        return apply(state, entry)  # type: ignore[arg-type]

    monkeypatch.setattr(past_module, "apply", counting)
    past = Past(history.log)
    await check(history, past, 40)
    folded.clear()
    await check(history, past, 43)
    assert folded == [41, 42, 43]
    folded.clear()
    await check(history, past, 43)
    assert folded == []
    await check(history, past, 44, 45)
    folded.clear()
    await check(history, past, 42)
    assert folded[0] == 1, "40 is kept no more"


async def test_those_who_look_back_at_once_are_bounded(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_module, "MAX_WAITING", 2)
    go_on = asyncio.Event()
    read = history.log.read

    async def slow(after: int, *, limit: int) -> list[Record]:
        await go_on.wait()
        return await read(after, limit=limit)

    monkeypatch.setattr(history.log, "read", slow)
    past = Past(history.log)
    looks = [asyncio.ensure_future(past.state_at(number)) for number in (10, 20, 30)]
    await asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED)
    go_on.set()
    answers = await asyncio.gather(*looks, return_exceptions=True)
    assert [isinstance(answer, NotServing) for answer in answers] == [False, False, True]
    await check(history, past, 30)
