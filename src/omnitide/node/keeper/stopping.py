"""How a run is brought to its end: the stop signal and its grace, the fence and its deadline, signals on request."""

import errno
import os
import signal
from collections.abc import Callable, Iterable
from functools import partial

from omnitide.node.keeper import ending, linux, sandbox
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.protocol import Refused
from omnitide.node.keeper.run import RUNNING, SANDBOX, STARTING, STOPPING, Run
from omnitide.node.keeper.tree import Trees

_KILL_AGAIN_MS = 250


class Stopper:
    """Ends runs. That a run has ended is found out by the supervisor; this one only asks, waits and kills."""

    def __init__(
        self, loop: Loop, trees: Trees, changed: Callable[[Run], None], begin_hook: Callable[[Run], bool]
    ) -> None:
        """`begin_hook` starts a run's `pre_stop`, after whose end `send_stop` is called; False: there is none."""
        self._begin_hook = begin_hook
        self._loop = loop
        self._trees = trees
        self._changed = changed

    def stop(self, run: Run, grace_ms: int | None = None) -> None:
        """Ask a run to end; what is left of it after the grace is killed. Asked again, the earlier deadline counts."""
        grace_ms = run.stop_grace_ms if grace_ms is None else grace_ms
        if run.ended or run.exit is not None:
            return
        if run.state == STARTING:
            # The child still has the keeper's signal handlers and would swallow the signal.
            run.wanted_stop_ms = grace_ms if run.wanted_stop_ms is None else min(grace_ms, run.wanted_stop_ms)
            return
        first = not run.kill_reason
        if first:
            run.kill_reason = ending.STOPPED
            run.state = STOPPING
            self._changed(run)
        if grace_ms <= 0:
            self._force(run, ending.KILLED)
            return
        if first and not (run.pre_stop and self._begin_hook(run)):
            self.send_stop(run)
        due_ms = linux.monotonic_ms() + grace_ms
        if run.kill_timer is None or due_ms < run.kill_timer.due_ms:
            self.kill_at(run, due_ms)

    def send_stop(self, run: Run) -> None:
        """The signal by which a run is asked to end."""
        if not run.ended and run.exit is None:
            _signal_group(run.first or run.pid, run.stop_signal)

    def kill_at(self, run: Run, due_ms: int) -> None:
        """Set the time (monotonic) at which a stopping run is killed."""
        if run.kill_timer is not None:
            run.kill_timer.cancel()
        delay_ms = max(0, due_ms - linux.monotonic_ms())
        run.kill_timer = self._loop.after(delay_ms, partial(self._force, run, ending.KILLED))

    def _force(self, run: Run, reason: str) -> None:
        """Kill a run's whole tree, again until its main process has ended (one that waits for a disk may take long)."""
        if run.ended or run.exit is not None:
            return
        if run.kill_reason != ending.FENCED:
            run.kill_reason = reason
        if run.state == RUNNING:
            run.state = STOPPING
        self._trees.kill(run)
        sandbox.kill(run.first, run.pid)
        if run.main_alive:
            _send(os.kill, run.pid, signal.SIGKILL)
        if run.kill_timer is not None:
            run.kill_timer.cancel()
        run.kill_timer = self._loop.after(_KILL_AGAIN_MS, partial(self._force, run, reason))

    def signal(self, run: Run, number: int) -> None:
        """Send a signal to a run's main process. Raises Refused."""
        if not run.main_alive or run.state == STARTING:
            message = f"attempt {run.attempt} of {run.instance} is {run.state}: there is no process to signal"
            raise Refused(message, cause="not-running", permanent=True)
        pid = run.pid
        if run.kind == SANDBOX:
            pid = sandbox.program(run.first, run.pid)
            if not pid:
                raise Refused("the program in its sandbox has ended", cause="not-running", permanent=True)
        try:
            os.kill(pid, number)
        except OSError as error:
            raise Refused(
                f"signal {number} to process {pid}: {error.strerror}",
                cause="permission" if error.errno == errno.EPERM else "invalid",
                permanent=True,
            ) from None

    def renew_fences(self, runs: Iterable[Run], within_ms: int) -> None:
        """Set the deadline of fenced runs anew; others are not concerned."""
        due_ms = linux.monotonic_ms() + within_ms
        for run in runs:
            if run.fence_at_ms and not run.ended and run.kill_reason != ending.FENCED:
                run.fence_at_ms = due_ms
                if run.fence_timer is None or run.fence_timer.due_ms > due_ms:
                    self.arm_fence(run)

    def arm_fence(self, run: Run) -> None:
        """Set the timer of a run's fence."""
        if run.fence_timer is not None:
            run.fence_timer.cancel()
        delay_ms = max(0, run.fence_at_ms - linux.monotonic_ms())
        run.fence_timer = self._loop.after(delay_ms, partial(self._at_fence, run))

    def _at_fence(self, run: Run) -> None:
        # A renewal only moves the time; the timer that was set before finds out here.
        run.fence_timer = None
        if run.ended or run.exit is not None:
            return
        if run.fence_at_ms > linux.monotonic_ms():
            self.arm_fence(run)
            return
        self._force(run, ending.FENCED)
        self._changed(run)


def _signal_group(pid: int, number: int) -> None:
    """To the whole process group; woken then should it have been suspended, else it could not act on it."""
    _send(os.killpg, pid, number)
    _send(os.killpg, pid, signal.SIGCONT)


def _send(how: Callable[[int, int], None], pid: int, number: int) -> None:
    try:
        how(pid, number)
    except OSError:
        pass  # it has ended meanwhile
