"""Rounds: each watcher is offered all that was put since it came, once and in order, and none waits for all others."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.test_fanout import Numbered

from omnitide.operations.fanout import Watcher
from omnitide.operations.rounds import GROUP, Rounds
from omnitide.operations.runtime import StreamEnded
from omnitide.operations.viewing.frames import ViewFrame, joined, patch, use

DEADLINE_S = 10.0


class Taking:
    """A watcher whose connection takes everything at once."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.seen: list[int] = []
        self.offers = 0
        self.watcher = Watcher[Numbered](1000, position=since, direct=self._take)
        self.watcher.idle = True

    def _take(self, frames: tuple[Numbered, ...]) -> bool:
        self.offers += 1
        self.seen += [frame.resume for frame in frames]
        return True


async def until_all_have(takers: Sequence[Taking], newest: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while any(one.watcher.position != newest for one in takers):
            await asyncio.sleep(0)


@given(st.lists(st.sampled_from(["put", "put", "join", "many join", "leave", "turn"]), max_size=40))
def test_whoever_comes_and_goes_each_has_what_was_put_since_it_came(steps: list[str]) -> None:
    async def run() -> None:
        rounds, newest = Rounds[Numbered](), 0
        running = asyncio.create_task(rounds.run())
        takers: list[Taking] = []
        for step in steps:
            match step:
                case "put":
                    newest += 1
                    rounds.put(Numbered(newest))
                case "join" | "many join":
                    for _ in range(1 if step == "join" else GROUP):
                        takers.append(Taking(newest))
                        rounds.join(takers[-1].watcher)
                case "leave" if takers:
                    rounds.leave(takers.pop(len(takers) // 2).watcher)
                case _:
                    await asyncio.sleep(0)
        await until_all_have(takers, newest)
        assert all(one.seen == list(range(one.since + 1, newest + 1)) for one in takers)
        assert len(rounds) == len(takers)
        running.cancel()

    asyncio.run(run())


async def test_a_thousand_are_served_in_groups_with_turns_for_others_in_between() -> None:
    rounds = Rounds[Numbered]()
    takers = [Taking(0) for _ in range(1000)]
    for one in takers:
        rounds.join(one.watcher)
    running = asyncio.create_task(rounds.run())
    rounds.put(Numbered(1))
    served = [0]
    async with asyncio.timeout(DEADLINE_S):
        while served[-1] < len(takers):
            await asyncio.sleep(0)
            served.append(sum(one.offers for one in takers))
    assert max(later - earlier for earlier, later in pairwise(served)) <= 250, "at one go"
    running.cancel()


async def test_what_came_since_a_groups_last_turn_leaves_together() -> None:
    rounds = Rounds[Numbered]()
    takers = [Taking(0) for _ in range(3 * GROUP)]
    for one in takers:
        rounds.join(one.watcher)
    running = asyncio.create_task(rounds.run())
    rounds.put(Numbered(1))
    async with asyncio.timeout(DEADLINE_S):
        while not any(one.offers for one in takers):
            await asyncio.sleep(0)
    for number in range(2, 10):
        rounds.put(Numbered(number))
    await until_all_have(takers, 9)
    assert max(one.offers for one in takers) == 2
    assert min(one.offers for one in takers) == 1, "who had not had its turn has it all in one"
    running.cancel()


async def test_the_end_comes_after_all_that_was_put() -> None:
    rounds = Rounds[Numbered]()
    one = Taking(0)
    rounds.join(one.watcher)
    rounds.put(Numbered(1))
    rounds.fail(StreamEnded())
    assert one.seen == [1]
    assert isinstance(one.watcher.failure, StreamEnded)


Key = tuple[str, str]
KEYS = st.tuples(st.sampled_from(["node", "agent", "instance"]), st.sampled_from(["a", "b", "c"]))
PATCHES = st.lists(st.dictionaries(KEYS, st.sampled_from([b"1", b"2", None]), max_size=4), min_size=1, max_size=5)


def shown(frames: Sequence[ViewFrame]) -> dict[Key, bytes | None]:
    objects: dict[Key, bytes | None] = {}
    for frame in frames:
        objects.update(frame.changed or {})
    return objects


@given(PATCHES)
def test_patches_that_leave_together_say_the_same_as_one_after_the_other(
    patches: list[dict[Key, bytes | None]],
) -> None:
    frames = [patch(number, 1000 + number, changed) for number, changed in enumerate(patches, 1)]
    (made,) = joined(frames)
    assert shown([made]) == shown(frames)
    assert (made.resume, made.time_ms) == (len(patches), 1000 + len(patches))
    assert made.json == patch(made.resume, made.time_ms, shown(frames)).json


def test_what_is_no_patch_keeps_its_place_among_them() -> None:
    frames = [patch(1, 1, {("node", "a"): b"1"}), patch(2, 2, {}), use(2, 2, {"a": (1, 2)}), patch(3, 3, {})]
    first, busy, last = joined(frames)
    assert [first.resume, busy.json, last.resume] == [2, frames[2].json, 3]
