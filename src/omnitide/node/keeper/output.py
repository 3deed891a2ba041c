"""Carries what runs print from their pipes to their logs."""

import os
from functools import partial

from omnitide.node.keeper import linux
from omnitide.node.keeper.instance import Instance
from omnitide.node.keeper.log_format import MAX_PAYLOAD
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.run import Run

_LAST_READS = 64


class Output:
    """Reads pipes as the loop says that they have something; the only memory is one buffer for all.

    A turn is one read of 64 KiB, which is what a pipe holds: a flood slows its own writer and nobody else. The order of
    a run's two streams is kept as far as two pipes can tell it: whichever was written to first is read first.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._buffer = memoryview(bytearray(MAX_PAYLOAD))

    def watch(self, run: Run, instance: Instance) -> None:
        for fd in run.pipes:
            self.watch_one(run, instance, fd)

    def watch_one(self, run: Run, instance: Instance, fd: int) -> None:
        self._loop.watch_edge(fd, partial(self._take_turn, run, instance, fd))

    def _take_turn(self, run: Run, instance: Instance, fd: int) -> None:
        """Read once. A pipe that may hold more goes to the end of the queue."""
        if self._pump(run, instance, fd, 1):
            self.watch_one(run, instance, fd)

    def finish(self, run: Run, instance: Instance) -> None:
        """Take what a dead tree has left in its pipes; a stranger that still holds one open is not waited for."""
        for fd in list(run.pipes):
            self._pump(run, instance, fd, _LAST_READS)
        self.close(run)

    def close(self, run: Run) -> None:
        for fd in list(run.pipes):
            self._drop(run, fd)

    def _drop(self, run: Run, fd: int) -> None:
        self._loop.forget(fd)
        os.close(fd)
        del run.pipes[fd]

    def _pump(self, run: Run, instance: Instance, fd: int, reads: int) -> bool:
        """Copy from a pipe to the log; whether there may be more."""
        stream = run.pipes.get(fd)
        if stream is None or instance.log is None:
            return False
        more = True
        now = linux.wall_ms()
        for _ in range(reads):
            try:
                size = os.readv(fd, [self._buffer])
            except BlockingIOError:
                more = False
                break
            if size == 0:
                self._drop(run, fd)
                more = False
                break
            instance.log.write(stream, self._buffer[:size], now, run.attempt)
            if size < MAX_PAYLOAD:
                more = False
                break
        if instance.followers:
            instance.wake_followers()
        return more
