"""Further programs inside runs. Each belongs to the connection that asked for it, and is killed when that closes.

Their input and output are descriptors of the client: none of their data passes through the keeper. To the run they are
orphans with its marker and in its control groups: they count as its processes, and end with it.
"""

import os
import signal
from functools import partial

from omnitide.node.keeper import inside, processes, spawn, tree
from omnitide.node.keeper.client import Client
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.protocol import MARKER, Refused, refusal
from omnitide.node.keeper.run import RUNNING, SANDBOX, Run
from omnitide.node.keeper.spawn import Plan, SpawnFailed
from omnitide.node.keeper.spec import ExecSpec, Identity

MAX_EXECS = 256
"""At once; a further one is refused."""


class Exec:
    """One program, from its fork until it is reaped."""

    __slots__ = ("client", "command", "directory", "pid", "request", "status_fd", "user", "within")

    def __init__(self, pid: int, client: Client, request: int, status_fd: int) -> None:
        self.pid = pid
        self.client = client
        self.request = request
        self.status_fd = status_fd
        self.within = False
        """In a sandbox, below `enter`."""
        self.command = self.directory = self.user = ""
        """For the text of a failure."""


class Execs:
    """All of a keeper's, by pid."""

    def __init__(self, loop: Loop, keeper_id: str, open_files: tuple[int, int]) -> None:
        self._loop = loop
        self._keeper_id = keeper_id
        self._open_files = open_files
        self._by_pid: dict[int, Exec] = {}

    def __len__(self) -> int:
        return len(self._by_pid)

    def begin(self, client: Client, request: int, run: Run, spec: ExecSpec, descriptors: list[int]) -> None:
        """Start a program; its client is answered once it is executed, or has failed to. Raises Refused."""
        if run.state != RUNNING:
            raise Refused(f"attempt {run.attempt} of {run.name} does not run", cause="not-running", permanent=False)
        if len(self._by_pid) >= MAX_EXECS:
            raise Refused(f"{MAX_EXECS} programs run inside instances already", cause="busy", permanent=False)
        if len(descriptors) != 3:
            message = "an exec comes with three descriptors: input, output, error output"
            raise Refused(message, cause="invalid", permanent=True)
        identity = may_become(run, spec.identity)
        directory = os.path.join(run.directory, spec.working_directory)
        within = inside.command(run, spec.command, spec.environment["PATH"], directory, identity)
        plan = Plan(
            programs=within.programs,
            arguments=within.arguments,
            environment={**spec.environment, MARKER: tree.marker(self._keeper_id, run)},
            directory=run.directory if run.kind == SANDBOX else directory,
            # A private directory is entered before the user changes; one that the caller names only as that user.
            private_directory=not spec.working_directory or run.kind == SANDBOX,
            identity=within.identity,
            stdin=descriptors[0],
            stdout=descriptors[1],
            stderr=descriptors[2],
            groups=within.groups,
            open_files=self._open_files,
            dies_with_keeper=False,
            terminal=spec.terminal,
        )
        try:
            if spec.terminal and identity is not None:
                os.fchown(descriptors[0], identity.uid, -1)
            spawned = spawn.spawn(plan)
        except SpawnFailed as error:
            raise spawn.explain(error.failure, spec.command[0], directory, _user(identity)) from None
        except OSError as error:
            raise Refused(f"no process can be started: {error.strerror}", cause="resources", permanent=False) from None
        begun = Exec(spawned.pid, client, request, spawned.status_fd)
        begun.within = run.kind == SANDBOX
        begun.command, begun.directory, begun.user = spec.command[0], directory, _user(identity)
        self._by_pid[spawned.pid] = begun
        self._loop.watch(spawned.status_fd, partial(self._read_status, begun))

    def _read_status(self, begun: Exec) -> None:
        """Exec closes the pipe; a child that fails before writes why."""
        if begun.status_fd < 0:
            return
        try:
            report = os.read(begun.status_fd, 256)
        except BlockingIOError:
            return
        self._close_status(begun)
        if report:
            failure = spawn.parse_failure(report)
            refused = spawn.explain(failure, begun.command, begun.directory, begun.user)
            begun.client.send({"id": begun.request, "error": refusal(refused)})
        else:
            begun.client.send({"id": begun.request, "ok": {"pid": begun.pid}})

    def _close_status(self, begun: Exec) -> None:
        if begun.status_fd >= 0:
            self._loop.forget(begun.status_fd)
            os.close(begun.status_fd)
            begun.status_fd = -1

    def signal(self, client: Client, pid: int, number: int) -> None:
        """To a client's own program and the rest of its process group. What has ended hears nothing."""
        begun = self._by_pid.get(pid)
        if begun is not None and begun.client is client:
            if begun.within:
                # `enter` is only their way in: it waits for them, and would end before them.
                _signal_each([other for other in processes.below([pid]) if other != pid], number)
            else:
                _signal_group(pid, number)

    def ended(self, pid: int, code: int | None, number: int | None) -> None:
        """A child has ended and is about to be reaped: until then its number, and that of its group, is its own."""
        begun = self._by_pid.pop(pid, None)
        if begun is None:
            return
        _signal_group(pid, signal.SIGKILL)
        self._read_status(begun)  # its failure may not have been heard yet
        begun.client.send({"push": "exec", "pid": pid, "code": code, "signal": number})

    def gone(self, client: Client) -> None:
        """A client has hung up: kill what it talked with, in all of its session, and in those of what is below it: in a
        sandbox a program with a terminal has one of its own."""
        for begun in [one for one in self._by_pid.values() if one.client is client]:
            known = processes.all_processes()
            sessions = {begun.pid}
            below = processes.with_descendants([begun.pid], known)
            sessions.update(known[pid].session for pid in below if pid in known)
            processes.kill_all(
                lambda sessions=sessions: [one for one in processes.all_processes().values() if one.session in sessions]
            )


def may_become(run: Run, wanted: Identity | None) -> Identity | None:
    """Who a further program in a run is to be; None: the keeper's own user. Raises Refused.

    It is given the rights of the run, and no more: only root's runs, whose rights are all, have programs of others. So
    whoever may only execute cannot get beyond the user that the spec names.
    """
    own = run.identity
    if wanted is None or own is None or own.uid == 0:
        return wanted or own
    if wanted.uid == own.uid and {wanted.gid, *wanted.groups} <= {own.gid, *own.groups}:
        return wanted
    asked = f"user {wanted.uid} with groups {sorted({wanted.gid, *wanted.groups})}"
    message = f"{run.name} is user {own.uid}'s: in it nobody becomes {asked}, who may do what its user may not"
    raise Refused(message, cause="user", permanent=True)


def _signal_each(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _user(identity: Identity | None) -> str:
    return str(identity.uid) if identity is not None else ""
