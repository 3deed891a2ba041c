"""Carries what runs print from their pipes to their logs."""

import os
from functools import partial

from omnitide.node.keeper import linux
from omnitide.node.keeper.instance import Instance
from omnitide.node.keeper.log_format import MAX_PAYLOAD
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.run import Run

_READS_A_TURN = 1
"""Of 64 KiB, which is what a pipe holds, before the others get their turn: a flood slows its writer and nobody else."""
_LAST_READS = 64


class Output:
    """Reads pipes as the loop says that they have something; the only memory is one buffer for all."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._buffer = memoryview(bytearray(MAX_PAYLOAD))

    def watch(self, run: Run, instance: Instance) -> None:
        for fd in run.pipes:
            self._loop.watch(fd, partial(self._pump, run, instance, fd, _READS_A_TURN))

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

    def _pump(self, run: Run, instance: Instance, fd: int, reads: int) -> None:
        stream = run.pipes.get(fd)
        if stream is None or instance.log is None:
            return
        now = linux.wall_ms()
        for _ in range(reads):
            try:
                size = os.readv(fd, [self._buffer])
            except BlockingIOError:
                break
            if size == 0:
                self._drop(run, fd)
                break
            instance.log.write(stream, self._buffer[:size], now, run.attempt)
            if size < MAX_PAYLOAD:
                break
        if instance.followers:
            instance.wake_followers()
