"""How a run comes to be: directory, control groups, pipes, process. What fails is undone and refused with its cause."""

import os
import resource
import signal

from omnitide.node.keeper import cgroup_files, links, linux, processes, sandbox, spawn, tree
from omnitide.node.keeper.cgroup import Cgroups
from omnitide.node.keeper.cgroup_files import Groups
from omnitide.node.keeper.cgroup_mounts import UNIFIED
from omnitide.node.keeper.instance import Instance
from omnitide.node.keeper.journal import Journal
from omnitide.node.keeper.log_format import STDERR, STDOUT
from omnitide.node.keeper.mounts import Mounts
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.protocol import MARKER, Refused
from omnitide.node.keeper.quick_spawn import spawn_quickly
from omnitide.node.keeper.run import Run, from_spec
from omnitide.node.keeper.spares import Spares
from omnitide.node.keeper.spawn import Plan, SpawnFailed
from omnitide.node.keeper.spec import RunSpec
from omnitide.node.keeper.zygotes import Zygotes

_BURST_MS = 30
"""A start within so many milliseconds of another is one of many."""


class Starter:
    """Starts processes; keeps nothing of them."""

    def __init__(
        self,
        *,
        paths: Paths,
        journal: Journal,
        cgroups: Cgroups | None,
        keeper_id: str,
        open_files: tuple[int, int],
        zygotes: Zygotes,
    ) -> None:
        """`open_files`: soft and hard limit that runs get. Raises OSError."""
        self.zygotes = zygotes
        self.spares = Spares(paths.spare)
        self._paths = paths
        self._journal = journal
        self._cgroups = cgroups
        self._keeper_id = keeper_id
        self.open_files = open_files
        self._mounts = Mounts()
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._open_to_others = False
        self._last_start_ms = -_BURST_MS

    def start(self, spec: RunSpec, instance: Instance) -> Run:
        """Start a run's process. Raises Refused.

        Whether its program can be executed is heard later, on `status_fd`, or is known on return, when that is -1.
        """
        run = from_spec(spec)
        environment = {**spec.environment, MARKER: tree.marker(self._keeper_id, run)}
        run.directory = spec.working_directory or instance.work
        programs = () if spec.zygote else spawn.possible_programs(run.command, environment["PATH"])
        blind = self._mounts.may_hang(run.directory, programs)
        self._prepare_directory(spec, instance, blind=blind)
        if not blind and not spec.zygote:
            programs = spawn.existing_programs(run.command, programs, run.directory)
        run.groups, run.unenforced = self._groups(spec)
        try:
            self._spawn(run, spec, programs, environment, blind=blind)
        except SpawnFailed as error:
            cgroup_files.remove(run.groups)
            raise spawn.explain(error.failure, run.command, run.directory, run.user) from None
        except Refused:
            cgroup_files.remove(run.groups)
            raise
        except OSError as error:
            cgroup_files.remove(run.groups)
            raise Refused(f"no process can be started: {error.strerror}", cause="resources", permanent=False) from None
        self._remember(run)
        return run

    def _prepare_directory(self, spec: RunSpec, instance: Instance, *, blind: bool) -> None:
        """Make the working directory where it is the instance's private one, else see that it is there.

        In the latter case the one for its output is made: every instance has something on disk to be known by.
        `blind`: the keeper must not look. Raises Refused.
        """
        try:
            if spec.working_directory:
                if not blind and not os.path.isdir(spec.working_directory):
                    os.listdir(spec.working_directory)  # says why not
                _make(instance.logs)
                if not spec.links:
                    return
            if not self.spares.take(instance.work):
                _make(instance.work)
            if spec.identity is not None:
                os.chown(instance.work, spec.identity.uid, spec.identity.gid, follow_symlinks=False)
                if not self._open_to_others:
                    self._paths.open_to_other_users()
                    self._open_to_others = True
            links.make(instance.work, spec.links, spec.identity)
        except PermissionError:
            return  # the child may see more, or less: it says
        except OSError as error:
            cause, permanent = ("working-directory", True) if spec.working_directory else ("resources", False)
            message = f"working directory {spec.working_directory or instance.work}: {error.strerror}"
            raise Refused(message, cause=cause, permanent=permanent) from None

    def _groups(self, spec: RunSpec) -> tuple[Groups, tuple[str, ...]]:
        """The run's control groups, and which of its limits are not enforced. Raises Refused."""
        asked = spec.limits.asked()
        enforced = self._cgroups.enforces if self._cgroups and asked else ()
        missing = tuple(limit for limit in asked if limit not in enforced)
        if missing and spec.limits_required:
            problems = "; ".join(self._cgroups.problems) if self._cgroups else "control groups are switched off"
            message = f"limits required but not enforceable on this node: {', '.join(missing)} ({problems})"
            raise Refused(message, cause="limits", permanent=True)
        if self._cgroups is None:
            return {}, missing
        try:
            return self._cgroups.create(spec.instance, spec.limits), missing
        except OSError as error:
            if spec.limits_required:
                message = f"the limits cannot be set: {error.strerror}"
                raise Refused(message, cause="limits", permanent=False) from None
            return {}, spec.limits.asked()

    def _may_move(self, groups: Groups) -> bool:
        """Whether the keeper gets into a run's groups sooner than a child can be born there.

        In version 2 the first move in a while takes 10 ms and more, those after it next to nothing: see
        `cgroup_files.open_to_enter`.
        """
        now_ms = linux.monotonic_ms()
        lately = now_ms - self._last_start_ms < _BURST_MS
        self._last_start_ms = now_ms
        return lately or UNIFIED not in groups or not linux.can_fork_into()

    def _spawn(
        self, run: Run, spec: RunSpec, programs: tuple[str, ...], environment: dict[str, str], *, blind: bool
    ) -> None:
        """Raises SpawnFailed and OSError, with nothing left open."""
        quickly = spec.identity is None and not spec.fence_ms and not blind
        go_home = _nothing
        if self._cgroups is not None and run.groups:
            quickly = quickly and self._cgroups.may_visit(run.groups) and self._may_move(run.groups)
            go_home = self._cgroups.go_home
        opened: list[int] = []
        words = (-1, -1)
        try:
            if spec.wrapper or spec.zygote:
                words = _pipe(opened)
            stdout, stderr = _pipe(opened), _pipe(opened)
            plan = Plan(
                programs=(spec.wrapper[0],) if spec.wrapper else programs,
                arguments=_in_sandbox(spec, words[1]) if spec.wrapper else spec.command,
                environment=environment,
                directory=run.directory,
                private_directory=not spec.working_directory,
                identity=spec.identity,
                keeps_root=bool(spec.wrapper),
                stdin=self._null,
                stdout=stdout[1],
                stderr=stderr[1],
                groups=run.groups,
                open_files=self.open_files,
                dies_with_keeper=spec.fence_ms > 0,
                words=words[1],
            )
            run.started_at_ms = linux.wall_ms()
            before_ns = linux.since_boot_ns()
            if spec.zygote is not None:
                run.pid, run.status_fd = self.zygotes.fork(spec.zygote, plan)
            else:
                run.pid, run.status_fd = spawn_quickly(plan, go_home) if quickly else spawn.spawn(plan)
                run.started_ticks = processes.started_between(before_ns, linux.since_boot_ns())
        except (OSError, SpawnFailed, Refused):
            for fd in opened:
                os.close(fd)
            raise
        for fd in (stdout[1], stderr[1], words[1]):
            if fd >= 0:
                os.close(fd)
        run.words_fd = words[0]
        run.main_alive = True
        run.pipes = {stdout[0]: STDOUT, stderr[0]: STDERR}
        run.fence_at_ms = linux.monotonic_ms() + spec.fence_ms if spec.fence_ms else 0

    def _remember(self, run: Run) -> None:
        """A run that would be forgotten with the keeper must not be acknowledged: its process is ended again."""
        if not run.started_ticks:
            process = processes.look_up(run.pid)
            run.started_ticks = process.started if process else 0
        try:
            self._journal.started(run)
        except OSError as error:
            run.failure = f"record {error.errno or 0}".encode()
            os.kill(run.pid, signal.SIGKILL)


def _in_sandbox(spec: RunSpec, words: int) -> tuple[str, ...]:
    kept = sandbox.kept_variables(spec.environment) if spec.identity is not None else ()
    return (*spec.wrapper, *kept, "--json-status-fd", str(words), "--", *spec.command)


def _nothing() -> None:
    pass


def _make(directory: str) -> None:
    """Private to the keeper's user, until it is given away."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass


def _pipe(opened: list[int]) -> tuple[int, int]:
    ends = os.pipe2(os.O_CLOEXEC)
    opened.extend(ends)
    os.set_blocking(ends[0], False)
    return ends


def raise_open_files() -> tuple[int, int]:
    """Let the keeper hold as many descriptors as the machine allows; returns the limits as they were."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard
