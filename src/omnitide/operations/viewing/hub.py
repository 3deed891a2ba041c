"""The live view of one runtime: a snapshot at a revision, then patches, made once for any number of watchers.

While nobody watches nothing is kept, but for a while after the last watcher: a page that is loaded anew finds all made.
The first watcher costs one walk over everything; from then on each object's JSON is kept, so that a snapshot is a copy
and a patch holds only what looks different. A watcher that comes later takes
the snapshot that was made for another and the patches since, as long as those are kept.
"""

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Final

from omnitide.fabric.state import FabricState
from omnitide.operations.closing import closing
from omnitide.operations.failures import failed
from omnitide.operations.fanout import Direct, Watcher, queued
from omnitide.operations.rounds import Rounds
from omnitide.operations.runtime import Committed, NodeLive, Runtime, StreamEnded, Trimmed, WatchLagged
from omnitide.operations.viewing.frames import Snapshot, Use, ViewFrame, beat, joined, patch, snapshot_parts, use
from omnitide.operations.viewing.showing import Showing, everything, named, steady
from omnitide.operations.viewing.touched import touched_by
from omnitide.operations.views.failing import changes_at_ms
from omnitide.operations.views.silence import Hidden
from omnitide.telemetry import logs

TICK_S: Final = 0.03
"""Changes within a tick of each other leave together."""
CLOSE_TICK_S: Final = 0.01
"""With so many watchers that a round takes longer than a tick: a group is to have the newest when it has its turn, and
what came since its last one leaves together all the same."""
SHORT_TICK_S: Final = 0.002
"""What comes after a quiet time leaves at once, with the rest of its own command."""
LOOK_S: Final = 1.0
"""What is shown and is no state, or changes by the passing of time alone, is looked at this often."""
BEAT_S: Final = 2.0
"""A watcher that nothing was sent to is told this often that it sees the newest."""
TURN: Final = 200
"""Objects made at one go; then whatever else waits in the loop has its turn."""
KEPT_BYTES: Final = 8 << 20
"""Of patches since the snapshot that is kept; when there are more, the next watcher has a new one made."""
UNWATCHED_S: Final = 60.0
"""So long after the last watcher has left, what is kept for the next one is kept up."""
SNAPSHOT_S: Final = 10.0
"""A snapshot is kept for this long after it was made."""
QUEUE_BYTES: Final = 16 << 20
"""Of patches that wait for a slow watcher, before it has to begin anew."""

_log = logs.get(__name__)


class _Live:
    """From the first watcher's coming to the last one's leaving."""

    def __init__(self, runtime: Runtime) -> None:
        self.state: FabricState = runtime.committed()
        """What has been handed out."""
        self.rounds = Rounds(joined)
        self.failure: Exception | None = None
        self._runtime = runtime
        self._hidden = Hidden(self.state)
        """Of the state that was looked at last."""
        self._objects: dict[tuple[str, str], bytes] = {}
        self._waiting: set[str] = set()
        """Agents that the passing of time alone may show otherwise."""
        self._due: dict[str, int] = {}
        """Instances that it shows otherwise, and when."""
        self._use: dict[str, tuple[int, int]] = {}
        self._looks: dict[str, NodeLive | None] = {}
        """What was known of nodes apart from the state, and is part of their look."""
        self._since: deque[ViewFrame] = deque()
        self._since_bytes = 0
        self._snapshot: asyncio.Task[Snapshot] | None = None
        self._turn = asyncio.Lock()
        """Whoever makes frames: one at a time, from the state it began with."""
        self._ready = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="view-hub")

    # -- watchers ----------------------------------------------------------------------------------------------------

    async def join(self, watcher: Watcher[ViewFrame]) -> Snapshot:
        """A snapshot; every frame after it is offered to the watcher. Raises StreamEnded."""
        await self._ready.wait()
        if self.failure is not None:
            raise self.failure
        if self._snapshot is None:
            # No await from here to the end: what is copied and what is offered from now on fit together.
            self._since.clear()
            self._since_bytes = 0
            revision, objects = self.state.revision, dict(self._objects)
            made = snapshot_parts(self._runtime.log_id(), revision, self._runtime.now_ms(), objects, self._use)
            self._snapshot = asyncio.get_running_loop().create_task(made, name="view-snapshot")
            asyncio.get_running_loop().call_later(SNAPSHOT_S, self._forget, self._snapshot)
        snapshot = self._snapshot
        if self._since:
            watcher.offer(tuple(self._since))
        self.rounds.join(watcher)
        return await asyncio.shield(snapshot)

    def _forget(self, snapshot: "asyncio.Task[Snapshot]") -> None:
        if self._snapshot is snapshot:
            self._snapshot = None
            self._since.clear()
            self._since_bytes = 0

    def leave(self, watcher: Watcher[ViewFrame]) -> None:
        self.rounds.leave(watcher)

    def rest(self) -> None:
        """Nobody watches: whoever comes next begins with what is then, and not with what was made for another."""
        if self._snapshot is not None:
            self._forget(self._snapshot)

    def beat(self, watcher: Watcher[ViewFrame]) -> ViewFrame:
        return beat(watcher.position, self._runtime.now_ms())

    def stop(self) -> None:
        self._task.cancel()
        if self._snapshot is not None:
            self._snapshot.cancel()

    def _offer(self, frame: ViewFrame) -> None:
        if self._snapshot is not None:
            self._since.append(frame)
            self._since_bytes += len(frame)
            if self._since_bytes > KEPT_BYTES:
                self._forget(self._snapshot)
        self.rounds.put(frame)

    def _fail(self, failure: Exception) -> None:
        self.failure = failure
        self._ready.set()
        self.rounds.fail(failure)

    # -- frames ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._remake(everything(self.state), self.state)
            self._ready.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.rounds.run())
                tasks.create_task(self._follow())
                tasks.create_task(self._look())
        except* (StreamEnded, Trimmed):
            self._fail(StreamEnded())
        except* Exception as group:
            _log.error("the live view broke", error=repr(group.exceptions[0]))
            self._fail(StreamEnded())

    async def _follow(self) -> None:
        """Patches of what the log says. Ends with StreamEnded."""
        while True:
            try:
                await self._follow_log()
            except WatchLagged:
                # Too much to go by what was touched: everything is looked at once.
                async with self._turn:
                    state = self._runtime.committed()
                    self._hidden = Hidden(state)
                    await self._remake(dict.fromkeys([*self._objects, *everything(state)]), state)

    async def _follow_log(self) -> None:
        """At most one patch a tick. Ends with StreamEnded, WatchLagged or Trimmed."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        async with closing(self._runtime.watch(self.state.revision)) as batches:
            pending: list[Committed] = []
            while True:
                if not pending:
                    pending += await _next(batches)
                tick = TICK_S if self.rounds.round_s < TICK_S else CLOSE_TICK_S
                await asyncio.sleep(max(SHORT_TICK_S, last + tick - loop.time()))
                last = loop.time()
                state = self._runtime.committed()
                while pending[-1][0] < state.revision:
                    pending += await _next(batches)
                entries = [entry for revision, entry in pending if revision <= state.revision]
                pending = pending[len(entries) :]
                async with self._turn:
                    changed = touched_by(self.state, entries, state)
                    self._hidden.follow(state, changed.nodes)
                    await self._remake(named(changed), state)

    async def _look(self) -> None:
        """What time alone changes, and how busy nodes are."""
        while True:
            await asyncio.sleep(LOOK_S)
            async with self._turn:
                busy, looks = await self._look_at_nodes()
                now_ms = self._runtime.now_ms()
                agents = [("agent", identifier) for identifier in sorted(self._waiting)]
                due = [("instance", identifier) for identifier, at_ms in self._due.items() if at_ms <= now_ms]
                await self._remake([*looks, *agents, *due], self.state)
                if busy:
                    self._offer(use(self.state.revision, self._runtime.now_ms(), busy))

    async def _remake(self, wanted: Iterable[tuple[str, str]], state: FabricState) -> None:
        """Make these objects of a state anew, and offer those that look different as one patch. `_hidden` is of it."""
        now_ms = self._runtime.now_ms()
        showing = Showing(state, self._runtime.node_live, now_ms, self._hidden)
        changed: dict[tuple[str, str], bytes | None] = {}
        for number, key in enumerate(wanted, 1):
            encoded = showing.encoded(*key)
            if encoded != self._objects.get(key):
                changed[key] = encoded
            if number % TURN == 0:
                await asyncio.sleep(0)
        # No await from here on: watchers join at a state and its objects, and are offered all that comes after it.
        moved = state.revision != self.state.revision
        self.state = state
        for key, encoded in changed.items():
            self._keep(key, encoded, now_ms, failing=key[1] in showing.failing)
        if self._ready.is_set() and (changed or moved):
            self._offer(patch(state.revision, self._runtime.now_ms(), changed))

    def _keep(self, key: tuple[str, str], encoded: bytes | None, now_ms: int, *, failing: bool) -> None:
        """`failing`: of an agent, whether replicas of it end again and again."""
        kind, identifier = key
        if encoded is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = encoded
        if kind == "agent":
            agent = self.state.agents.get(identifier)
            waits = agent is not None and (agent.counts.pending > 0 or failing)
            (self._waiting.add if waits else self._waiting.discard)(identifier)
        if kind == "instance":
            instance = self.state.instances.get(identifier)
            at_ms = 0 if instance is None else changes_at_ms(self.state.agents, instance, now_ms)
            if at_ms:
                self._due[identifier] = at_ms
            else:
                self._due.pop(identifier, None)
        if kind == "node" and encoded is None:
            self._use.pop(identifier, None)
            self._looks.pop(identifier, None)

    async def _look_at_nodes(self) -> tuple[Use, list[tuple[str, str]]]:
        """Those that are busier or less so than they were, and those that look different."""
        busy: dict[str, tuple[int, int]] = {}
        looks: list[tuple[str, str]] = []
        sampled = self._runtime.metrics().busy()
        for number, identifier in enumerate(self.state.nodes, 1):
            live = self._runtime.node_live(identifier)
            look = steady(live)
            if look != self._looks.get(identifier):
                self._looks[identifier] = look
                looks.append(("node", identifier))
            now = sampled.get(identifier)
            if now is None and live is not None and live.use is not None:
                now = (live.use.cpu_milli_used, live.use.memory_used_bytes)
            if now is not None and self._use.get(identifier) != now:
                self._use[identifier] = busy[identifier] = now
            if number % TURN == 0:
                await asyncio.sleep(0)
        return busy, looks


async def _next(batches: AsyncIterator[Iterable[Committed]]) -> list[Committed]:
    async for batch in batches:
        return list(batch)
    raise StreamEnded


class ViewHub:
    """All watchers of the view of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = weakref.ref(runtime)
        self._live: _Live | None = None
        self._watchers = 0
        self._ending: asyncio.TimerHandle | None = None
        """While nobody watches what is kept up all the same."""

    @property
    def watchers(self) -> int:
        return self._watchers

    async def watch(self, direct: Direct[ViewFrame] | None = None) -> AsyncIterator[ViewFrame]:
        """A snapshot in parts, then patches, but those that `direct` has sent. Raises Failed, WatchLagged,
        StreamEnded."""
        runtime = self._runtime()
        if runtime is None:
            raise StreamEnded
        most = runtime.limits().watchers
        if self._watchers >= most:
            raise failed("busy", f"{most} views are open, the most there can be")
        self._watchers += 1
        watcher = Watcher[ViewFrame](QUEUE_BYTES, direct=direct)
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self._live is None or self._live.failure is not None:
            self._live = _Live(runtime)
        live = self._live
        try:
            snapshot = await live.join(watcher)
            for part in snapshot.parts:
                yield part
            watcher.position = snapshot.revision
            async with closing(queued(watcher, BEAT_S, lambda: live.beat(watcher))) as frames:
                async for frame in frames:
                    yield frame
        finally:
            live.leave(watcher)
            self._watchers -= 1
            if not self._watchers:
                live.rest()
                self._ending = asyncio.get_running_loop().call_later(UNWATCHED_S, self._end)

    def _end(self) -> None:
        self._ending = None
        if self._live is not None:
            self._live.stop()
            self._live = None


_hubs: "weakref.WeakKeyDictionary[Runtime, ViewHub]" = weakref.WeakKeyDictionary()


def view_hub_of(runtime: Runtime) -> ViewHub:
    """The one hub of a runtime."""
    hub = _hubs.get(runtime)
    if hub is None:
        hub = _hubs[runtime] = ViewHub(runtime)
    return hub
