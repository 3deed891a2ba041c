"""The command that a run's spec has run inside it before its stop signal: as its user, where it runs, in its groups.

It is within the grace: what is left of it at its end is killed with the rest. Its output goes to the run's log.
"""

import os
from collections.abc import Callable

from omnitide.node.keeper import inside, linux, processes, tree, words
from omnitide.node.keeper.instance import Instance
from omnitide.node.keeper.log_format import STDERR, STDOUT
from omnitide.node.keeper.protocol import MARKER, Refused
from omnitide.node.keeper.run import Run
from omnitide.node.keeper.spawn import Plan, explain, parse_failure, spawn


class Hooks:
    """Those of one keeper that run, by pid."""

    def __init__(
        self, keeper_id: str, open_files: tuple[int, int], watch: Callable[[Run, Instance, int], None]
    ) -> None:
        """`watch` carries what comes out of a descriptor to the run's log."""
        self._keeper_id = keeper_id
        self._open_files = open_files
        self._watch = watch
        self._runs: dict[int, tuple[Run, Instance, int]] = {}
        """With what each one's child says of a failure to execute it: a descriptor, or -1."""

    def begin(self, run: Run, instance: Instance) -> bool:
        """Start a run's command; False where that is impossible, which its log then tells."""
        opened: list[int] = []
        try:
            self._spawn(run, instance, opened)
        except (OSError, Refused) as error:
            _tell(run, instance, str(error))
            return False
        finally:
            for fd in opened:
                os.close(fd)
        return True

    def _spawn(self, run: Run, instance: Instance, opened: list[int]) -> None:
        """`opened`: what this keeper has to close again. Raises OSError, Refused."""
        environment = {**run.environment, MARKER: tree.marker(self._keeper_id, run)}
        within = inside.command(run, run.pre_stop, environment["PATH"], run.directory, run.identity)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        opened.append(null)
        out, err = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        opened += [out[1], err[1]]
        try:
            spawned = spawn(
                Plan(
                    programs=within.programs,
                    arguments=within.arguments,
                    environment=environment,
                    directory=run.directory,
                    private_directory=run.directory == instance.work,
                    identity=within.identity,
                    stdin=null,
                    stdout=out[1],
                    stderr=err[1],
                    groups=within.groups,
                    open_files=self._open_files,
                    dies_with_keeper=False,
                )
            )
        except OSError:
            opened += [out[0], err[0]]
            raise
        for fd, stream in ((out[0], STDOUT), (err[0], STDERR)):
            os.set_blocking(fd, False)
            run.pipes[fd] = stream
            self._watch(run, instance, fd)
        run.hook_pid = spawned.pid
        self._runs[spawned.pid] = (run, instance, spawned.status_fd)

    def take_over(self, run: Run, instance: Instance) -> None:
        """One that was begun before an upgrade; it may have ended since."""
        if run.hook_pid and processes.look_up(run.hook_pid) is not None:
            self._runs[run.hook_pid] = (run, instance, -1)

    def ended(self, pid: int) -> Run | None:
        """The run whose command it was, if it was one."""
        if pid not in self._runs:
            return None
        run, instance, status_fd = self._runs.pop(pid)
        run.hook_pid = 0
        if status_fd >= 0:
            report = words.read(status_fd, b"")
            os.close(status_fd)
            if report:
                _tell(run, instance, str(explain(parse_failure(report), run.pre_stop[0], run.directory, run.user)))
        return run


def _tell(run: Run, instance: Instance, what: str) -> None:
    if instance.log is not None:
        instance.log.write(STDERR, f"pre_stop: {what}\n".encode()[:4096], linux.wall_ms(), run.attempt)
