"""`omnitide logs -f`: a thread reads each instance, one prints; as many at a time as their nodes give."""

import queue
import sys
import threading
import time
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from omnitide.cli.instances.backlog import Backlog
from omnitide.cli.instances.output import Printer
from omnitide.cli.session import Session

if TYPE_CHECKING:
    from omnitide.model.happenings import LogChunk
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client, EventWatch

MAX_STREAMS: Final = 100
"""Instances that are read at once."""
PER_NODE: Final = 24
"""Of one node. It gives 32 at a time, to all who ask; what is left is for others, and for `explain` and `run`."""
MAX_WAITING: Final = 1000
"""Instances that wait for their turn. A further one is said not to be shown."""
MAX_REMEMBERED: Final = 10_000
"""Instances that have been read to their end: news of them, which may come late, begins nothing anew."""
MAX_QUEUED: Final = 1000
"""Chunks that wait for the thread that prints; the readers then wait too."""
MAX_HELD: Final = 32
"""Chunks of one instance that are not printed yet; its reader then waits."""
AGAIN_S: Final = 1.0
WAKE_S: Final = 0.5
QUIET_S: Final = 0.5
"""What waits for its turn longer than this is told."""
BUSY_AGAIN_S: Final = 2.0
"""A node that had none left is asked again after it."""
MAX_FAILURES: Final = 30
"""Answers in a row that there is no output, after which an instance is given up: its node has forgotten it."""
NAMED: Final = 8

ENDED: Final = ("stopped", "succeeded", "failed", "lost")


@dataclass(frozen=True, slots=True)
class _Reading:
    """An instance, and from where on it is read."""

    instance: "Instance"
    tail: int | None = None
    since_ms: int = 0
    began: float = 0.0
    position: str = ""
    merged: bool = False
    """What it has written so far is put in one order with what the others have."""


@dataclass(frozen=True, slots=True)
class _CaughtUp:
    """What there was of an instance, by its id, has been read, or cannot be read now."""

    identifier: str


@dataclass(frozen=True, slots=True)
class _Over:
    """A reader has ended. `busy`: its node gives no more streams now, and why."""

    reading: _Reading
    busy: str = ""


@dataclass(frozen=True, slots=True)
class _Started:
    """An instance runs, by its id."""

    identifier: str


@dataclass(frozen=True, slots=True)
class _NoMoreStart:
    """No further instance comes to be."""


class Following:
    """All that belongs to the state lives in the thread that prints; the others only put into its queue."""

    def __init__(
        self,
        session: Session,
        client: "Client",
        printer: Printer,
        tail: int | None,
        since_ms: int,
        replicas: frozenset[int] = frozenset(),
    ) -> None:
        """`replicas`: only those of an agent; none given: all."""
        self._session = session
        self._client = client
        self._printer = printer
        self._tail = tail
        self._since_ms = since_ms
        self._replicas = replicas
        self._queue: queue.Queue[
            tuple[Instance, LogChunk] | Exception | _CaughtUp | _Over | _Started | _NoMoreStart
        ] = queue.Queue(MAX_QUEUED)
        self._backlog = Backlog(self._print)
        self._merges = False
        """What is begun with now is one of several that there were at first."""
        self._room: dict[str, threading.Semaphore] = {}
        """By instance: how many more chunks of it may wait to be printed."""
        self._readers: dict[str, _Reading] = {}
        self._per_node: Counter[str] = Counter()
        self._most: dict[str, int] = {}
        """By node: how many it gives us, where that is less than PER_NODE."""
        self._waiting: deque[_Reading] = deque()
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._watching = False
        self._changed = 0.0
        self._told: tuple[str, ...] = ()
        self._ask_again = 0.0
        self._left_out = False
        self._silent = True
        """Nothing has been shown, nor that there is nothing."""
        self._name = ""

    def run(self, kind: str, name: str, found: "list[Instance]") -> None:
        """Until Ctrl-C; of instances or a job, until they have ended. Raises FabricError, KeyboardInterrupt."""
        namespace, plain = self._session.name(name)
        self._name = name
        self._merges = len(found) > 1
        if kind == "instance":
            for one in found:
                self._begin(one, self._tail, self._since_ms)
            self._print_all()
            return
        # From the revision of the list on: what has begun since is an event.
        with self._client.watch_events(
            after=self._client.seen,
            kinds=["instance", "job"],
            namespace=namespace,
            subject=f"{kind}/{namespace}/{plain}",
            patience_s=float("inf"),
        ) as watch:
            # What has ended is soon read, and makes room for what goes on.
            for one in sorted(found, key=lambda one: one.status not in ENDED):
                self._begin(one, self._tail, self._since_ms)
            if kind == "agent" or self._client.get_job(plain, namespace=namespace).status == "active":
                self._watching = True
                threading.Thread(target=self._watch, args=(watch,), daemon=True).start()
            else:
                for one in self._client.instances(namespace=namespace, job=plain, ended=True):
                    self._begin(one, self._tail, self._since_ms)
            self._print_all()

    # -- the thread that prints --------------------------------------------------------------------------------------

    def _print_all(self) -> None:
        self._merges = False
        while self._readers or self._waiting or self._watching:
            self._tell_waiting()
            self._backlog.pass_on(time.monotonic())
            try:
                # A Ctrl-C just before this begins to wait is seen only when the wait ends.
                item = self._queue.get(timeout=WAKE_S)
            except queue.Empty:
                self._tell_silence()
                continue
            if isinstance(item, Exception):
                raise item
            if isinstance(item, _Started):
                self._start(item.identifier)
            elif isinstance(item, _Over):
                self._over(item)
            elif isinstance(item, _NoMoreStart):
                self._watching = False
            elif isinstance(item, _CaughtUp):
                self._backlog.caught_up(item.identifier, time.monotonic())
            else:
                self._silent = False
                self._backlog.put(item, time.monotonic())

    def _print(self, instance: "Instance", chunk: "LogChunk") -> None:
        self._printer.print(instance, chunk)
        self._room[instance.id].release()

    def _tell_silence(self) -> None:
        """On a terminal, once: that nothing comes is then no trouble of ours."""
        if self._silent and not self._session.plain and sys.stderr.isatty():
            who = f"{self._name} has written nothing yet" if self._readers else f"nothing of {self._name} runs yet"
            self._session.note(f"  {who}; waiting for it (Ctrl-C ends this)")
        self._silent = False

    def _start(self, identifier: str) -> None:
        from omnitide.sdk.errors import NotFound

        if self._knows(identifier):
            return
        try:
            self._begin(self._client.get_instance(identifier), None, 0)
        except NotFound:
            return

    def _knows(self, identifier: str) -> bool:
        waiting = any(one.instance.id == identifier for one in self._waiting)
        return identifier in self._readers or identifier in self._remembered or waiting

    def _begin(self, instance: "Instance", tail: int | None, since_ms: int) -> None:
        """Read it, now or when it is its turn."""
        if self._knows(instance.id) or (self._replicas and instance.slot not in self._replicas):
            return
        if len(self._waiting) >= MAX_WAITING:
            if not self._left_out:
                self._left_out = True
                self._session.warn(
                    f"more than {MAX_WAITING} instances wait to be followed; from {instance.name} on they are left out"
                )
            return
        self._enter(_Reading(instance, tail, since_ms, time.monotonic(), merged=self._merges and tail != 0))

    def _enter(self, reading: _Reading) -> None:
        node = reading.instance.node
        full = len(self._readers) >= MAX_STREAMS or self._per_node[node] >= self._most.get(node, PER_NODE)
        if full:
            self._waiting.append(replace(reading, merged=False))
            return
        self._changed = time.monotonic()
        self._readers[reading.instance.id] = reading
        self._room.setdefault(reading.instance.id, threading.Semaphore(MAX_HELD))
        if reading.merged:
            self._backlog.expect(reading.instance.id, self._changed)
        self._per_node[node] += 1
        threading.Thread(target=self._read, args=(reading,), daemon=True).start()

    def _over(self, over: _Over) -> None:
        instance = over.reading.instance
        del self._readers[instance.id]
        self._per_node[instance.node] -= 1
        self._backlog.caught_up(instance.id, time.monotonic())
        if over.busy:
            # Others read there too. Each of ours that ends is followed by another, and now and then one more is tried.
            self._most[instance.node] = self._per_node[instance.node]
            self._ask_again = time.monotonic() + BUSY_AGAIN_S
            self._waiting.appendleft(replace(over.reading, merged=False))
            return
        self._remembered[instance.id] = None
        if len(self._remembered) > MAX_REMEMBERED:
            oldest, _ = self._remembered.popitem(last=False)
            del self._room[oldest]
        self._take_turns()

    def _take_turns(self) -> None:
        """Begin with those that wait and have room now, in their order."""
        for _ in range(len(self._waiting)):
            self._enter(self._waiting.popleft())

    def _tell_waiting(self) -> None:
        """Say which are not followed, once things are quiet and if that is not what was said last."""
        now = time.monotonic()
        if self._most and now >= self._ask_again:
            self._ask_again = now + BUSY_AGAIN_S
            self._most = {node: most + 1 for node, most in self._most.items() if most + 1 < PER_NODE}
            self._take_turns()
        names = tuple(sorted(one.instance.name for one in self._waiting))
        if names == self._told or now - self._changed < QUIET_S:
            return
        gone = [name for name in self._told if name not in names]
        self._told = names
        if not names:
            self._session.note("  all are followed now")
            return
        if gone and len(gone) <= NAMED:
            self._session.note(f"  now followed: {', '.join(gone)}")
        listed = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        self._session.warn(
            f"not followed: {listed}. A node gives a few streams at a time ({PER_NODE} to one reader), and each of "
            f"these has its turn when another ends; one by itself: omnitide logs -f {names[0]}"
        )

    # -- threads of their own ----------------------------------------------------------------------------------------

    def _watch(self, watch: "EventWatch") -> None:
        """Tell of each instance that starts to run. Ends with the job, if it is one."""
        from omnitide.sdk.errors import FabricError

        try:
            for event in watch:
                if event.type.startswith(("omnitide.job.finished.", "omnitide.job.removed.")):
                    break
                if event.type.startswith("omnitide.instance.running."):
                    self._queue.put(_Started(str(event.data.get("instance", ""))))
        except FabricError as error:
            self._queue.put(error)
        self._queue.put(_NoMoreStart())

    def _read(self, reading: _Reading) -> None:
        """All that one instance writes, each byte once, through restarts of it, of its node and of Nexus.

        Between two attempts the node has no more to give, and the stream ends although the instance goes on.
        """
        from omnitide.sdk.errors import FabricError, NotFound, Unavailable

        if reading.merged:
            reading = self._read_backlog(reading)
            self._queue.put(_CaughtUp(reading.instance.id))
        instance, position, busy = reading.instance, reading.position, ""
        trouble, failures = "", 0
        ended = False
        while True:
            try:
                if position:
                    chunks = self._client.read_logs(instance.id, follow=True, after=position)
                else:
                    # Nothing has come yet, not even where it begins: what was new at first still is.
                    waited_ms = int(1000 * (time.monotonic() - reading.began))
                    since = reading.since_ms + waited_ms if reading.since_ms else 0
                    chunks = self._client.read_logs(instance.id, follow=True, tail=reading.tail, since_ms=since)
                for chunk in chunks:
                    trouble, failures = "", 0
                    self._put(instance, chunk)
                    position = chunk.position
                if ended:
                    break
                ended = self._client.get_instance(instance.id).status in ENDED
                if ended:
                    continue  # what it wrote between the two answers
            except (NotFound, Unavailable) as error:
                if error.code == "busy":
                    busy = error.detail
                    break
                # What an ended one wrote and is not there now is not there later either.
                failures += 1 if instance.status not in ENDED else MAX_FAILURES + 1
                if isinstance(error, NotFound) and (error.code != "logs-unavailable" or failures > MAX_FAILURES):
                    if failures > MAX_FAILURES:
                        self._session.warn(f"{instance.name} is not followed any more: {error.detail}")
                    break
                if error.detail != trouble:
                    trouble = error.detail
                    self._session.note(f"  {instance.name}: {trouble}; waiting for it")
            except FabricError as error:
                self._queue.put(error)
                break
            time.sleep(AGAIN_S)
        self._queue.put(_Over(replace(reading, position=position), busy))

    def _read_backlog(self, reading: _Reading) -> _Reading:
        """What is there now. If it cannot be read, whoever follows it finds that out too, and says it."""
        from omnitide.sdk.errors import FabricError

        position = ""
        try:
            for chunk in self._client.read_logs(reading.instance.id, tail=reading.tail, since_ms=reading.since_ms):
                self._put(reading.instance, chunk)
                position = chunk.position
        except FabricError:
            return replace(reading, position=position)
        # All is new from here on, were it more lines than the last so many.
        return replace(reading, position=position, tail=None)

    def _put(self, instance: "Instance", chunk: "LogChunk") -> None:
        self._room[instance.id].acquire()
        self._queue.put((instance, chunk))
