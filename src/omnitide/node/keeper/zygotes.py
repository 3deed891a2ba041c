"""Zygotes: processes with a runtime loaded that fork a child for a run, which so starts without loading it again.

What a zygote is and does is its client's affair: the keeper is told a command. It gets a socket as descriptor 3, says
`r` there when it is ready, and ends when the socket closes. A request is one message of the byte `f` with descriptors:
a file with the work as JSON, standard input, output and error output, status, words, and the files of control groups
to enter; the answer is the child's process id, or minus an errno. The child has lost its parent by then: it is the
keeper's, as the keeper is its subreaper. It reports on `status` as the child of a fork does, and says on `words` what
its exit code cannot.
"""

import json
import os
import signal
import socket
import struct
from collections.abc import Callable

from omnitide.node.keeper import cgroup_files
from omnitide.node.keeper.loop import Loop, Timer
from omnitide.node.keeper.notes import note
from omnitide.node.keeper.protocol import Json, Refused
from omnitide.node.keeper.spawn import Plan, Spawned
from omnitide.node.keeper.spec import Zygote

MAX_ZYGOTES = 4
"""At a time; a further one takes the place of the oldest."""
_READY_MS = 60_000
_ANSWER_S = 5.0
"""How long the keeper waits for a fork; a zygote that takes longer is killed, and the start is refused."""
_ANSWER = struct.Struct("=i")

Ready = Callable[[Refused | None], None]


def _refused(message: str) -> Refused:
    return Refused(message, cause="zygote", permanent=False)


class _Child:
    """One zygote."""

    __slots__ = ("link", "name", "pid", "ready", "timer", "waiting")

    def __init__(self, name: str, pid: int, connection: socket.socket) -> None:
        self.name = name
        self.pid = pid
        self.link = connection
        self.ready = False
        self.waiting: list[Ready] = []
        self.timer: Timer | None = None


class Zygotes:
    """Those of one keeper, by name. An upgrade ends them: the next program starts its own when asked."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._by_name: dict[str, _Child] = {}

    def has(self, pid: int) -> bool:
        return any(zygote.pid == pid for zygote in self._by_name.values())

    def pids(self) -> list[int]:
        return [zygote.pid for zygote in self._by_name.values()]

    def ensure(self, name: str, command: tuple[str, ...], environment: dict[str, str], reply: Ready) -> None:
        """Start the zygote unless there is one; `reply` is called once it is ready, or with why it is not."""
        zygote = self._by_name.get(name)
        if zygote is None:
            if len(self._by_name) >= MAX_ZYGOTES:
                self._drop(next(iter(self._by_name.values())), "another has taken its place")
            zygote = self._start(name, command, environment)
        if zygote.ready:
            reply(None)
        else:
            zygote.waiting.append(reply)

    def _start(self, name: str, command: tuple[str, ...], environment: dict[str, str]) -> _Child:
        """Raises Refused."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        files = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 2, 1),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
        ]
        try:
            pid = os.posix_spawn(command[0], command, environment, file_actions=files, setsid=True)
        except OSError as error:
            ours.close()
            raise Refused(f"{command[0]}: {error.strerror}", cause="zygote", permanent=True) from None
        finally:
            theirs.close()
        zygote = self._by_name[name] = _Child(name, pid, ours)
        ours.settimeout(_ANSWER_S)
        self._loop.watch(ours.fileno(), lambda: self._readable(zygote))
        zygote.timer = self._loop.after(_READY_MS, lambda: self._drop(zygote, "it was not ready in time"))
        return zygote

    def _readable(self, zygote: _Child) -> None:
        try:
            said = zygote.link.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if said != b"r":
            self._drop(zygote, "it has ended; see keeper.log")
            return
        zygote.ready = True
        if zygote.timer is not None:
            zygote.timer.cancel()
        waiting, zygote.waiting = zygote.waiting, []
        for reply in waiting:
            reply(None)

    def fork(self, wanted: Zygote, plan: Plan) -> Spawned:
        """Have a zygote's child take up a run. Raises Refused where there is none that is ready, OSError."""
        zygote = self._by_name.get(wanted.name)
        if zygote is None or not zygote.ready:
            raise _refused(f"the zygote {wanted.name} is not ready")
        status, report = os.pipe2(os.O_CLOEXEC)
        handed: list[int] = []
        try:
            os.set_blocking(status, False)
            handed.append(_file(_work(wanted.work, plan)))
            handed += [os.dup(fd) for fd in (plan.stdin, plan.stdout, plan.stderr, report, plan.words)]
            handed += [cgroup_files.open_to_enter(key, group) for key, group in plan.groups.items()]
            pid = self._ask(zygote, handed)
        except BaseException:
            os.close(status)
            raise
        finally:
            for fd in (report, *handed):
                os.close(fd)
        return Spawned(pid, status)

    def _ask(self, zygote: _Child, handed: list[int]) -> int:
        try:
            socket.send_fds(zygote.link, [b"f"], handed)
            answer = zygote.link.recv(_ANSWER.size)
            pid = int(_ANSWER.unpack(answer)[0])
        except (OSError, struct.error) as error:
            self._drop(zygote, f"it does not answer: {error}")
            raise _refused(f"the zygote {zygote.name} does not answer") from None
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def _drop(self, zygote: _Child, why: str) -> None:
        """Part with a zygote; what it has forked goes on."""
        if self._by_name.get(zygote.name) is not zygote:
            return
        del self._by_name[zygote.name]
        note(f"the zygote {zygote.name} (process {zygote.pid}) is given up: {why}")
        self._loop.forget(zygote.link.fileno())
        zygote.link.close()
        if zygote.timer is not None:
            zygote.timer.cancel()
        try:
            if zygote.pid:
                os.kill(zygote.pid, signal.SIGKILL)
        except OSError:
            pass
        for reply in zygote.waiting:
            reply(_refused(f"the zygote {zygote.name} has ended: {why}"))

    def buried(self, pid: int) -> None:
        """A child that is no run has ended, and has been reaped."""
        for zygote in list(self._by_name.values()):
            if zygote.pid == pid:
                zygote.pid = 0  # its number may be another's from now on
                self._drop(zygote, "it has ended; see keeper.log")


def _work(work: Json, plan: Plan) -> Json:
    return {
        **work,
        "environment": plan.environment,
        "directory": plan.directory,
        "private_directory": plan.private_directory,
        "identity": list(plan.identity) if plan.identity else None,
        "open_files": list(plan.open_files),
        "dies_with_keeper": plan.dies_with_keeper,
        "groups": len(plan.groups),
    }


def _file(work: Json) -> int:
    """A file in memory: work may be longer than a message can be."""
    fd = os.memfd_create("work", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(json.dumps(work).encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
