"""Keeping processes: started, ended, started again after a death, given up where that cannot help; and remembered."""

import json
import os
import signal
import time
from collections.abc import Callable

from omnitide.supervisor import files, identity, policy, record
from omnitide.supervisor.child import Child, Spec, read_spec
from omnitide.supervisor.journal import Journal
from omnitide.supervisor.loop import Loop, now_ms
from omnitide.supervisor.places import Places
from omnitide.supervisor.shapes import Json, cast, number

Ended = Callable[[bool], None]
"""Told whether it ended before it had to be killed."""
ORDER = ("node", "nexus")
"""In which they are ended: the node says goodbye to Nexus."""
STOP_S = 15.0
MAX_CHILDREN = 16
"""There are two."""


class Keeping:
    def __init__(self, loop: Loop, places: Places, journal: Journal, changed: Callable[[str], None]) -> None:
        self._loop = loop
        self._places = places
        self._journal = journal
        self._changed = changed
        self._children: dict[str, Child] = {}
        self._stopping: dict[str, list[Ended]] = {}
        self._killed: set[str] = set()
        self._closing = False

    # -- what there is -----------------------------------------------------------------------------------------------

    def public(self) -> Json:
        return {name: child.public() for name, child in self._children.items()}

    def idle(self) -> bool:
        """Nothing runs, and nothing is to be started."""
        return not any(child.running or child.timer for child in self._children.values())

    def remember(self) -> None:
        """Go on where the last supervisor left off: what still runs is taken over, what is wanted is started."""
        try:
            with open(self._places.record, "rb") as file:
                kept = cast("Json", json.load(file))
            # A data directory that was copied must not start what belongs to the one that it was copied from.
            if self._places.same(str(kept["directory"])):
                for name, told in cast("dict[str, Json]", kept["children"]).items():
                    self._remember(name, told)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._journal.write(f"what the last supervisor kept cannot be read: {error!r}")

    def _remember(self, name: str, told: Json) -> None:
        spec = read_spec(told)
        child = self._children[name] = Child(name, spec)
        child.wanted = bool(told.get("wanted"))
        child.gave_up = str(told.get("gave_up", ""))
        child.last_end = str(told.get("last_end", ""))
        child.last_end_ms, child.restarts = number(told, "last_end_ms"), number(told, "restarts")
        pid = number(told, "pid")
        if identity.same(pid, str(told.get("mark", ""))):
            try:
                self._adopt(child, pid)
            except OSError:
                pass
        if child.running and not child.wanted:
            self.stop(name, STOP_S, lambda orderly: None)  # noqa: ARG005 (nobody waits for it)
        elif child.wanted and not child.running and child.gave_up:
            child.seen = files.signature(spec.files)
            self._look_again(child)
        elif child.wanted and not child.running:
            self._start(child, "it was wanted")

    # -- on request --------------------------------------------------------------------------------------------------

    def start(self, name: str, spec: Spec, environment: dict[str, str]) -> None:
        """As asked from now on. One that runs is left as it is. Raises ValueError where there are too many."""
        child = self._children.get(name)
        if child is None:
            child = self._new(name, spec)
        child.environment = environment
        child.wanted = True
        if child.running:
            self._save()
            return
        self._loop.cancel(child.timer)
        child.timer = None
        child.spec = spec
        child.failures = child.restarts = child.last_end_ms = 0
        child.gave_up = child.last_end = ""
        self._start(child, "as asked")

    def adopt(self, name: str, spec: Spec, environment: dict[str, str], pid: int) -> None:
        """Keep from now on one that runs already. Raises OSError if it does not, ValueError if there are too many."""
        before = self._children.get(name)
        if before is not None and before.running:
            return
        if not identity.mark(pid):
            raise OSError(f"no process {pid} runs")
        child = self._new(name, spec)
        child.environment, child.wanted = environment, True
        try:
            self._adopt(child, pid)
        except OSError:
            del self._children[name]
            if before is not None:
                self._children[name] = before
            raise
        if before is not None:
            self._loop.cancel(before.timer)

    def _new(self, name: str, spec: Spec) -> Child:
        if name not in self._children and len(self._children) >= MAX_CHILDREN:
            raise ValueError(f"no more than {MAX_CHILDREN} processes are kept")
        child = self._children[name] = Child(name, spec)
        return child

    def stop(self, name: str, seconds: float, ended: Ended) -> None:
        """End one, which is not started again. `ended` is called when it is gone, at once if it does not run."""
        child = self._children.get(name)
        if child is None:
            ended(True)
            return
        if not self._closing:
            child.wanted, child.gave_up = False, ""
        if not child.running:
            self._loop.cancel(child.timer)
            child.timer = None
            self._save()
            ended(True)
            return
        waiting = self._stopping.setdefault(name, [])
        waiting.append(ended)
        self._save()
        if len(waiting) == 1:
            self._say(f"{name}: to end, as asked")
            child.signal(signal.SIGTERM)
            # One that was suspended can end in order only if it goes on; systemd does the same.
            child.signal(signal.SIGCONT)
            child.timer = self._loop.after(int(seconds * 1000), lambda: self._kill(child))

    def close(self, done: Callable[[], None]) -> None:
        """End them all, to be started again by the next supervisor."""
        self._closing = True
        names = [name for name in ORDER if name in self._children]
        names += [name for name in self._children if name not in names]

        def following(index: int) -> None:
            if index == len(names):
                done()
            else:
                self.stop(names[index], STOP_S, lambda orderly: following(index + 1))  # noqa: ARG005 (goes on anyway)

        following(0)

    # -- what happens ------------------------------------------------------------------------------------------------

    def _start(self, child: Child, why: str) -> None:
        child.timer, child.gave_up = None, ""
        try:
            child.start()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._say(f"{child.name}: cannot be started: {reason}")
            self._died(child, f"cannot be started: {reason}", None, 0)
            return
        self._say(f"{child.name}: started as process {child.pid}, {why}")
        self._loop.watch(child.pidfd, lambda: self._ended(child))
        self._save()

    def _adopt(self, child: Child, pid: int) -> None:
        child.adopt(pid)
        self._say(f"{child.name}: process {pid} runs already and is kept from now on")
        self._loop.watch(child.pidfd, lambda: self._ended(child))
        self._save()

    def _kill(self, child: Child) -> None:
        child.timer = None
        self._killed.add(child.name)
        self._say(f"{child.name}: killed, as it did not end in time")
        child.signal(signal.SIGKILL)

    def _ended(self, child: Child) -> None:
        pid, lived_ms = child.pid, now_ms() - child.began_ms
        self._loop.forget(child.pidfd)
        how, code = child.reap()
        self._loop.cancel(child.timer)
        child.timer = None
        waiting = self._stopping.pop(child.name, None)
        if waiting is None and not self._closing:
            self._say(f"{child.name}: process {pid} is gone after {lived_ms / 1000:.1f} s: {how}")
            self._died(child, how, code, lived_ms)
            return
        orderly = child.name not in self._killed
        self._killed.discard(child.name)
        self._say(f"{child.name}: process {pid} has ended: {how}")
        self._save()
        for ended in waiting or ():
            ended(orderly)

    def _died(self, child: Child, how: str, code: "int | None", lived_ms: int) -> None:
        child.last_end, child.last_end_ms = how, time.time_ns() // 1_000_000
        reason = policy.why_permanent(code)
        if reason:
            child.gave_up = f"{how}: {reason}"
            if code == policy.WRONG_USE and child.spec.files:
                child.gave_up += ", until one of its files changes"
                self._look_again(child)
            self._save()
            self._say(f"{child.name}: not started again: {child.gave_up} (its log: {child.spec.log})")
            return
        child.failures = policy.failures_after(child.failures, lived_ms)
        child.restarts += 1
        delay = policy.delay_ms(child.failures)
        if delay:
            self._say(f"{child.name}: died {child.failures} times in a row; started again in {delay / 1000:g} s")
            child.timer = self._loop.after(delay, lambda: self._start(child, f"again, restart {child.restarts}"))
            self._save()
        else:
            self._start(child, f"again, restart {child.restarts}")

    def _look_again(self, child: Child) -> None:
        """Wait for somebody to mend the configuration that ended it; where there are no files, for nothing."""
        if child.spec.files:
            child.timer = self._loop.after(files.EVERY_MS, lambda: self._look(child))

    def _look(self, child: Child) -> None:
        now = files.signature(child.spec.files)
        if now == child.seen:
            self._look_again(child)
            return
        child.restarts += 1
        self._start(child, f"its configuration has changed, restart {child.restarts}")

    # -- memory ------------------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._journal.write(text)
        self._changed(text)

    def _save(self) -> None:
        kept = {
            "directory": self._places.directory,
            "supervisor": {"pid": os.getpid(), "mark": identity.mark(os.getpid())},
            "children": self.public(),
        }
        try:
            record.write(self._places, json.dumps(kept))
        except OSError as error:
            self._journal.write(f"the record cannot be written: {error.strerror}")
