"""The table of runs and their life: started, watched, ended, forgotten."""

import os
from collections.abc import Callable, Iterator
from functools import partial

from omnitide.node.keeper import cgroup_files, ending, linux, sandbox, spawn, words
from omnitide.node.keeper.execs import Execs
from omnitide.node.keeper.hooks import Hooks
from omnitide.node.keeper.instance import Instance, Trash, erase
from omnitide.node.keeper.journal import Journal
from omnitide.node.keeper.log_ages import LogAges
from omnitide.node.keeper.log_format import STDERR
from omnitide.node.keeper.log_writer import LogWriter
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.notes import note
from omnitide.node.keeper.output import Output
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.protocol import Refused
from omnitide.node.keeper.run import EXITED, RUNNING, SANDBOX, STARTING, STOPPING, UNKNOWN, ZYGOTE, Key, Run
from omnitide.node.keeper.spec import RunSpec
from omnitide.node.keeper.starting import Starter
from omnitide.node.keeper.stopping import Stopper
from omnitide.node.keeper.tree import Trees

MAX_KNOWN_RUNS = 10_000
"""Runs remembered, ended ones included, and instances, before more are refused."""
_CHILDREN_A_TURN = 256
_SETTLE_MOST_MS = 250
_GROUPS_GIVEN_UP_MS = 1000
_WRITE_AGAIN_MS = 1000
_SANDBOX_LOOK_MS = 2
_SANDBOX_MOST_MS = 30_000
"""How often a sandbox in the making is looked at, and how long that may take."""

Reply = Callable[["Run | Refused"], None]


class Supervisor:
    """All runs of one keeper. Everything happens in the loop's thread."""

    def __init__(
        self,
        *,
        loop: Loop,
        paths: Paths,
        starter: Starter,
        journal: Journal,
        keeper_id: str,
        max_runs: int,
        changed: Callable[[Run], None],
        idle: Callable[[], None],
    ) -> None:
        """`changed` is called after each change of a run's state, `idle` when the last live run has ended."""
        self._loop = loop
        self._paths = paths
        self._starter = starter
        self._journal = journal
        self._max_runs = max_runs
        self._changed = changed
        self._idle = idle
        self._mains: dict[int, Run] = {}
        self._trees = Trees(keeper_id, self._mains.keys(), self._is_helper)
        self._output = Output(loop)
        self._waiting: dict[Key, list[Reply]] = {}
        self._known = 0
        self.live: dict[Key, Run] = {}
        """Runs that have not ended."""
        self.instances: dict[str, Instance] = {}
        self.closing = False
        """No more starts: the keeper is about to end."""
        self.stopper = Stopper(loop, self._trees, changed, self._begin_hook)
        self._hooks = Hooks(keeper_id, starter.open_files, self._output.watch_one)
        self._log_ages = LogAges(loop, self.instances)
        self.zygotes = starter.zygotes
        self.trash = Trash(paths)
        self._spares = starter.spares
        self.execs = Execs(loop, keeper_id, starter.open_files)
        """Further programs in the runs."""

    def runs(self) -> Iterator[Run]:
        """Every known run, by instance and attempt."""
        for name in sorted(self.instances):
            instance = self.instances[name]
            for attempt in sorted(instance.runs):
                yield instance.runs[attempt]

    def find(self, instance: str, attempt: int) -> Run | None:
        known = self.instances.get(instance)
        return known.runs.get(attempt) if known else None

    # -- starting --------------------------------------------------------------------------------------------------

    def start(self, spec: RunSpec, reply: Reply) -> None:
        """Start a run, or find the one that is there; `reply` is called once its program is executed, or has failed to.

        Raises Refused for what is known to be impossible at once.
        """
        existing = self.find(spec.instance, spec.attempt)
        if existing is not None:
            if existing.state == STARTING:
                self._waiting.setdefault(existing.key, []).append(reply)
            else:
                reply(existing)
            return
        instance = self.instance(spec.instance)
        self._check_room(instance, spec)
        run = self._starter.start(spec, instance)
        if instance.log is None:
            instance.log = LogWriter(instance.logs, max_bytes=spec.log_file_bytes, max_files=spec.log_files)
        instance.log.max_bytes, instance.log.max_files = spec.log_file_bytes, spec.log_files
        instance.log.max_age_ms = spec.log_age_ms
        self._waiting[run.key] = [reply]
        self.adopt(run, instance)
        self.supervise(run)
        if spec.log_age_ms:
            self._log_ages.arm()
        if run.status_fd < 0 and not run.failure:
            self._begun(run)

    def _check_room(self, instance: Instance, spec: RunSpec) -> None:
        if self.closing:
            raise Refused("the keeper is shutting down", cause="driver-unavailable", permanent=False)
        live = next((run for run in instance.runs.values() if not run.ended), None) if instance.runs else None
        if live is not None:
            message = f"attempt {live.attempt} of {spec.instance} has not ended"
            raise Refused(message, cause="busy", permanent=False)
        if instance.runs and spec.attempt < max(instance.runs):
            message = (
                f"attempt {spec.attempt} of {spec.instance} is over: attempt {max(instance.runs)} has been started"
            )
            raise Refused(message, cause="stale-attempt", permanent=True)
        if len(self.live) >= self._max_runs:
            message = f"{self._max_runs} runs are live on this node, which is the most that its keeper takes"
            raise Refused(message, cause="resources", permanent=False)
        if self._known >= MAX_KNOWN_RUNS or len(self.instances) >= MAX_KNOWN_RUNS:
            message = f"{MAX_KNOWN_RUNS} runs are remembered on this node; ended ones must be removed first"
            raise Refused(message, cause="resources", permanent=False)

    def instance(self, name: str) -> Instance:
        """The instance of that name, known or new; a new one is not yet in the table. Raises Refused."""
        return self.instances.get(name) or Instance(name, self._paths)

    def adopt(self, run: Run, instance: Instance) -> None:
        """Take a run into the table: just started, remembered on disk, or handed over by an upgrade."""
        self.instances[instance.name] = instance
        if run.attempt not in instance.runs:
            self._known += 1
        instance.runs[run.attempt] = run
        if not run.ended:
            self.live[run.key] = run

    def supervise(self, run: Run) -> None:
        """Watch what a live run has open, and its deadlines."""
        instance = self.instances[run.instance]
        if run.main_alive:
            self._mains[run.pid] = run
        if run.status_fd >= 0:
            self._loop.watch(run.status_fd, partial(self._read_status, run))
        if run.kind != SANDBOX or run.state != STARTING:
            self._output.watch(run, instance)
        elif run.status_fd < 0:
            self._await_sandbox(run, linux.monotonic_ms())
        self._hooks.take_over(run, instance)
        if run.fence_at_ms:
            self.stopper.arm_fence(run)

    def _read_status(self, run: Run) -> None:
        """Exec closes the pipe; a child that fails before writes why."""
        if run.status_fd < 0:
            return
        try:
            report = os.read(run.status_fd, 256)
        except BlockingIOError:
            return
        self._close_status(run)
        if report or run.failure:
            run.failure = run.failure or report
            return  # the child is about to exit, and `settle` follows
        self._begun(run)

    def _begun(self, run: Run) -> None:
        """The run's main process is what it shall be; in a sandbox the program comes later."""
        if run.kind == SANDBOX:
            self._await_sandbox(run, linux.monotonic_ms())
        else:
            self._executed(run)

    def _await_sandbox(self, run: Run, since_ms: int) -> None:
        """Look, until it is so, whether the program has been executed in its sandbox. What fails ends the run."""
        if run.state != STARTING or run.failure or not run.main_alive:
            return
        run.words = words.read(run.words_fd, run.words)
        first = sandbox.first_of(run.words)
        if first and sandbox.program(first, run.pid):
            run.first = first
            self._output.watch(run, self.instances[run.instance])
            self._executed(run)
        elif linux.monotonic_ms() - since_ms > _SANDBOX_MOST_MS:
            run.failure = b"sandbox 0 it was not made in time"
            self.stopper.kill_at(run, 0)
        else:
            self._loop.after(_SANDBOX_LOOK_MS, partial(self._await_sandbox, run, since_ms))

    def _begin_hook(self, run: Run) -> bool:
        return self._hooks.begin(run, self.instances[run.instance])

    def _is_helper(self, pid: int) -> bool:
        return pid == self.trash.pid or self.zygotes.has(pid)

    def _executed(self, run: Run) -> None:
        """The run's program has begun."""
        run.state = RUNNING
        # In this order: whoever has the answer may ask about the run at once, and has heard of it.
        self._changed(run)
        self._answer(run, run)
        if run.wanted_stop_ms is not None:
            self.stopper.stop(run, run.wanted_stop_ms)

    def _close_status(self, run: Run) -> None:
        if run.status_fd >= 0:
            self._loop.forget(run.status_fd)
            os.close(run.status_fd)
            run.status_fd = -1

    def _answer(self, run: Run, outcome: "Run | Refused") -> None:
        for reply in self._waiting.pop(run.key, ()):
            reply(outcome)

    def _failed(self, run: Run, instance: Instance) -> None:
        """A run whose program was never executed, and of which nothing is left: forget it and tell why."""
        self._let_go(run)
        self._forget(run, instance)
        if not instance.runs:
            del self.instances[instance.name]
        self._answer(run, spawn.explain(spawn.parse_failure(run.failure), run.command, run.directory, run.user))
        instance.wake_followers()
        if not self.live:
            self._idle()

    # -- ending ----------------------------------------------------------------------------------------------------

    def bury_children(self) -> None:
        """Record, then reap, what has ended: a run's exit is on disk before its process is gone."""
        for _ in range(_CHILDREN_A_TURN):
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            run = self._mains.get(found.si_pid)
            if run is not None:
                self._main_ended(run, found.si_code, found.si_status)
            elif found.si_code == os.CLD_EXITED:
                self.execs.ended(found.si_pid, found.si_status, None)
            else:
                self.execs.ended(found.si_pid, None, found.si_status)
            os.waitid(os.P_PID, found.si_pid, os.WEXITED | os.WNOHANG)
            stopping = self._hooks.ended(found.si_pid)
            if stopping is not None:
                self.stopper.send_stop(stopping)
            if run is None:
                self.zygotes.buried(found.si_pid)
                self.trash.buried(found.si_pid)
            else:
                self._main_buried(run)
        self._loop.after(0, self.bury_children)

    def _main_ended(self, run: Run, how: int, status: int) -> None:
        self._read_status(run)
        run.words = words.read(run.words_fd, run.words)
        if run.kind == SANDBOX and run.state == STARTING and not run.failure:
            self._judge_sandbox(run)
        if run.failure:
            return
        run.exit = ending.describe(
            how=how,
            status=status,
            kill_reason=run.kill_reason,
            oom_kills=cgroup_files.oom_kills(run.groups),
            # Before the rest of its tree is killed, for which the limit is lowered.
            refused_processes=cgroup_files.refused_processes(run.groups) if status or how != os.CLD_EXITED else 0,
            ended_at_ms=linux.wall_ms(),
            sandboxed=run.kind == SANDBOX,
            said=words.of_zygote(run.words) if run.kind == ZYGOTE else ("", ""),
        )
        self._write_exit(run)

    def _judge_sandbox(self, run: Run) -> None:
        """One that has ended before its program was seen: it was quick, or was never executed."""
        said = b"".join(words.read(fd, b"") for fd, kind in run.pipes.items() if kind == STDERR)
        if not words.of_sandbox(run.words).executed:
            run.failure = b"sandbox 0 " + said
            return
        instance = self.instances[run.instance]
        if said and instance.log is not None:
            instance.log.write(STDERR, said, linux.wall_ms(), run.attempt)
        self._executed(run)

    def _main_buried(self, run: Run) -> None:
        del self._mains[run.pid]
        run.main_alive = False
        if not run.failure:
            run.state = STOPPING
        self.settle(run)

    def _write_exit(self, run: Run) -> None:
        instance = self.instances.get(run.instance)
        if run.exit is None or instance is None or run.attempt not in instance.runs:
            return
        try:
            self._journal.ended(run, run.exit)
        except OSError as error:
            # It stays known in memory; only a keeper that died before it was written would be followed by "unknown".
            note(f"the end of attempt {run.attempt} of {run.instance} is not recorded: {error.strerror}; trying again")
            self._loop.after(_WRITE_AGAIN_MS, partial(self._write_exit, run))

    def settle(self, run: Run) -> None:
        """The main process is gone: end the rest of its tree, take the last of its output, then call the run ended.

        A start that has failed has a tree too: bubblewrap may be gone before the first process of its sandbox is.
        """
        instance = self.instances[run.instance]
        sandbox.kill(run.first, run.pid)
        if not cgroup_files.remove_if_left(run.groups) and self._trees.alive(run):
            self._trees.kill(run)
        else:
            if not run.failure:
                self._output.finish(run, instance)
            if cgroup_files.remove(run.groups) or run.settled_for_ms > _GROUPS_GIVEN_UP_MS:
                (self._failed if run.failure else self._ended)(run, instance)
                return
        run.settle_delay_ms = min(_SETTLE_MOST_MS, max(1, 2 * run.settle_delay_ms))
        run.settled_for_ms += run.settle_delay_ms
        run.settle_timer = self._loop.after(run.settle_delay_ms, partial(self.settle, run))

    def _ended(self, run: Run, instance: Instance) -> None:
        self._let_go(run)
        run.state = UNKNOWN if run.exit is not None and run.exit.reason == ending.UNKNOWN else EXITED
        del self.live[run.key]
        if instance.log is not None:
            self._tell_losses(run, instance.log)
            instance.log.close()
        if not run.groups:
            self._trees.kill_strays(self.live.values())
        self._changed(run)
        instance.wake_followers()
        if not self.live:
            self._idle()

    def _tell_losses(self, run: Run, log: LogWriter) -> None:
        losses = log.take_losses()
        if losses and run.exit is not None:
            run.exit = run.exit._replace(message=f"{run.exit.message}; {losses}")
            self._write_exit(run)

    def _let_go(self, run: Run) -> None:
        """Close and cancel everything that a live run holds."""
        self._output.close(run)
        self._close_status(run)
        if run.words_fd >= 0:
            os.close(run.words_fd)
            run.words_fd = -1
        for timer in (run.kill_timer, run.fence_timer, run.settle_timer):
            if timer is not None:
                timer.cancel()
        run.kill_timer = run.fence_timer = run.settle_timer = None

    # -- forgetting ------------------------------------------------------------------------------------------------

    def remove(self, run: Run) -> None:
        """Forget an ended run; its instance's log stays. Raises Refused."""
        if not run.ended:
            message = f"attempt {run.attempt} of {run.instance} is {run.state}; it can be removed when it has ended"
            raise Refused(message, cause="busy", permanent=False)
        self._forget(run, self.instances[run.instance])

    def _forget(self, run: Run, instance: Instance) -> None:
        del instance.runs[run.attempt]
        self._known -= 1
        self.live.pop(run.key, None)
        self._journal.forgotten(run.key)
        if self._journal.overgrown:
            self._journal.rewrite(self.runs())

    def remove_instance(self, name: str) -> None:
        """Forget an instance with all that it left on disk. Raises Refused."""
        instance = self.instance(name)
        live = next((run for run in instance.runs.values() if not run.ended), None)
        if live is not None:
            message = (
                f"attempt {live.attempt} of {name} is {live.state}; an instance can be removed when all have ended"
            )
            raise Refused(message, cause="busy", permanent=False)
        for directory in (instance.logs, instance.work):
            if directory == instance.work and _left_nothing(instance) and self._spares.keep(directory):
                continue
            if not erase(directory):
                self._throw_away(directory)
        for run in list(instance.runs.values()):
            cgroup_files.remove(run.groups)
            self._forget(run, instance)
        self.instances.pop(name, None)
        if instance.log is not None:
            instance.log.close()
        instance.wake_followers()

    def _throw_away(self, directory: str) -> None:
        try:
            self.trash.put(directory)
        except OSError as error:
            raise Refused(f"{directory}: {error.strerror}", cause="resources", permanent=False) from None


def _left_nothing(instance: Instance) -> bool:
    """Whether it is certain that no process of an instance is left: each run's were held together, and seen to end."""
    return bool(instance.runs) and all(run.groups and run.state == EXITED for run in instance.runs.values())
