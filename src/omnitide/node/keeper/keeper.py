"""The keeper put together, from its start to its end or its next program."""

import fcntl
import gc
import os
import signal
import socket
import sys
import time
from typing import NamedTuple

from omnitide.node.keeper import linux, place, protocol, recovery, starting, upgrade
from omnitide.node.keeper.cgroup import Cgroups
from omnitide.node.keeper.cgroup_mounts import discover_here
from omnitide.node.keeper.journal import Journal
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.notes import note
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.protocol import Json, Refused
from omnitide.node.keeper.run import Run
from omnitide.node.keeper.service import Service
from omnitide.node.keeper.starting import Starter
from omnitide.node.keeper.supervisor import Supervisor
from omnitide.node.keeper.version import code_id
from omnitide.node.keeper.zygotes import Zygotes

_BACKLOG = 64
_TRY_SECONDS = 10
_LOCK_TRIES = 10
_LOCK_PAUSE_S = 0.05


class Options(NamedTuple):
    """What the keeper is started with."""

    directory: str
    use_cgroups: bool = True
    max_runs: int = 2000
    leaf_pids: tuple[int, ...] = ()
    """Processes (the node proxy) to take along into the keeper's control group where that is necessary."""
    resume: int = -1
    """Descriptor of the state that the program before this one left; -1 for a start from nothing."""


class AlreadyRunning(Exception):
    """Another keeper has this directory."""


def _claim(paths: Paths, now: place.Place, *, resumed: bool) -> str:
    """Write into the directory that it is this keeper's; where it was copied from, if it was. Raises OSError.

    A copy has the id of the original's keeper by which its processes and control groups are found: it gets another one.
    """
    then = place.read(paths.place)
    copied_from = ""
    if then is not None and not resumed and not place.is_same(then, now):
        copied_from = then.directory
        note(f"this directory is a copy of {then.directory}: what its journal tells of ran there, and is left alone")
        if os.path.lexists(paths.identity):
            os.unlink(paths.identity)
    place.write(paths.place, now)
    return copied_from


def _keeper_id(paths: Paths) -> str:
    """A name for this directory's keepers that no other on the machine has."""
    try:
        with open(paths.identity) as file:
            text = file.read().strip()
            if len(text) == 12 and text.isalnum():
                return text
    except FileNotFoundError:
        pass
    text = os.urandom(6).hex()
    partial = f"{paths.identity}~"
    with open(partial, "w") as file:
        file.write(text)
    os.rename(partial, paths.identity)
    return text


def _listen(paths: Paths) -> socket.socket:
    """The socket in the keeper's directory; reached by descriptor, as a socket's path may only be 107 bytes long."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(paths.directory, os.O_PATH | os.O_DIRECTORY)
    try:
        if os.path.lexists(paths.socket):
            os.unlink(paths.socket)  # a dead keeper's: the lock is ours
        before = os.umask(0o177)
        try:
            listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(paths.socket)}")
        finally:
            os.umask(before)
    finally:
        os.close(directory)
    listener.listen(_BACKLOG)
    return listener


class Keeper:
    """One keeper process."""

    def __init__(self, options: Options, arguments: list[str]) -> None:
        """`arguments`: how to start this program again, for an upgrade. Raises AlreadyRunning, Refused, OSError."""
        self._options = options
        self._arguments = arguments
        self._paths = Paths(options.directory)
        self._paths.prepare()
        os.chdir("/")
        linux.become_subreaper()
        state = upgrade.load(options.resume) if options.resume >= 0 else None
        self._upgrades = protocol.number(state, "upgrades") if state else 0
        self._lock = protocol.number(state, "lock") if state else self._take_lock()
        self._place = place.here(self._paths.directory)
        copied_from = _claim(self._paths, self._place, resumed=state is not None)
        keeper_id = _keeper_id(self._paths)
        self._open_files = _open_files(state) if state else starting.raise_open_files()
        self._cgroups = (
            Cgroups(discover_here(), keeper_id, also_move=options.leaf_pids) if options.use_cgroups else None
        )
        journal = Journal(self._paths.journal, linux.boot_id())
        self._loop = Loop()
        self._watch_signals()
        self._supervisor = Supervisor(
            loop=self._loop,
            paths=self._paths,
            starter=Starter(
                paths=self._paths,
                journal=journal,
                cgroups=self._cgroups,
                keeper_id=keeper_id,
                open_files=self._open_files,
                zygotes=Zygotes(self._loop),
            ),
            journal=journal,
            keeper_id=keeper_id,
            max_runs=options.max_runs,
            changed=self._changed,
            idle=self._idle,
        )
        self._service: Service | None = None
        if state:
            self._listener = socket.socket(fileno=protocol.number(state, "listener"))
            upgrade.restore(self._supervisor, state)
        else:
            if copied_from:
                recovery.take_copied(self._paths, self._supervisor, journal, copied_from)
            else:
                recovery.recover(self._paths, self._supervisor, journal, self._cgroups, keeper_id)
            self._listener = _listen(self._paths)
        self._listener.setblocking(False)
        self._supervisor.trash.empty()
        self._service = Service(
            loop=self._loop,
            listener=self._listener,
            supervisor=self._supervisor,
            cgroups=self._cgroups,
            about=self._about(keeper_id),
            upgrade=self._upgrade,
            shutdown=self._shutdown,
        )
        self._loop.after(0, self._supervisor.bury_children)  # those who ended while nobody listened

    def _take_lock(self) -> int:
        """The directory is this keeper's while it holds the lock. Raises AlreadyRunning."""
        fd = os.open(self._paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(_LOCK_PAUSE_S)  # the one before may have hung up but not quite ended
            else:
                return fd
        os.close(fd)
        raise AlreadyRunning(f"a keeper already looks after {self._paths.directory}")

    def _about(self, keeper_id: str) -> Json:
        return {
            "keeper": keeper_id,
            "pid": os.getpid(),
            "code": code_id(),
            "upgrades": self._upgrades,
            "max_runs": self._options.max_runs,
        }

    def _watch_signals(self) -> None:
        """Every signal that would be ignored gets a handler that does nothing, so that exec sets it back to default."""
        for number in signal.valid_signals():
            if signal.getsignal(number) in (signal.SIG_IGN, signal.default_int_handler):
                signal.signal(number, _ignore)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, _ignore)
        self._signals, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        self._loop.watch(self._signals, self._on_signals)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _on_signals(self) -> None:
        try:
            numbers = os.read(self._signals, 4096)
        except BlockingIOError:
            return
        if signal.SIGTERM in numbers:
            self._shutdown(True, None)
        self._supervisor.bury_children()

    def run(self) -> None:
        """Serve until a shutdown."""
        gc.collect()
        gc.freeze()  # what is here stays; a child must not copy it because a collection has touched it
        self._loop.run()
        self._close()

    def _changed(self, run: Run) -> None:
        if self._service is not None:
            self._service.changed(run)

    def _idle(self) -> None:
        if self._supervisor.closing:
            self._loop.stop()

    def _shutdown(self, stop_runs: bool, grace_ms: int | None) -> None:
        """End once no run is live, which with `stop_runs` is made so."""
        self._supervisor.closing = True
        if stop_runs:
            for run in list(self._supervisor.live.values()):
                self._supervisor.stopper.stop(run, grace_ms)
        if not self._supervisor.live:
            self._loop.after(0, self._loop.stop)  # the answer goes first

    def _close(self) -> None:
        """Clients hear the end as the last of all: then the directory is free for another keeper."""
        if self._in_place() and os.path.lexists(self._paths.socket):
            os.unlink(self._paths.socket)
        self._listener.close()
        if self._cgroups is not None:
            self._cgroups.leave()
        os.close(self._lock)
        if self._service is not None:
            self._service.close()
        self._loop.close()

    def _in_place(self) -> bool:
        """Whether the directory is where it was: by then another's may stand there, with a keeper of its own."""
        try:
            return place.is_same(self._place, place.here(self._paths.directory))
        except OSError:
            return False

    # -- upgrade ---------------------------------------------------------------------------------------------------

    def _upgrade(self, message: Json) -> None:
        """Check that the program on disk starts and understands our state; then become it. Raises Refused."""
        python = protocol.text(message, "python", sys.executable)
        arguments = [python, *_with_program(self._arguments, protocol.text(message, "program", ""))]
        fd = self._save_state()
        why = _try_out([*arguments, "--check-state", str(fd)])
        os.lseek(fd, 0, os.SEEK_SET)
        self._undo_state(fd)
        if why:
            raise Refused(f"the new program does not take over: {why}", cause="upgrade", permanent=False)
        self._loop.after(0, lambda: self._exec(arguments))

    def _save_state(self) -> int:
        return upgrade.save(self._supervisor, self._listener.fileno(), self._lock, self._open_files, self._upgrades + 1)

    def _undo_state(self, fd: int) -> None:
        upgrade.undo(self._supervisor, fd, self._listener.fileno(), self._lock)

    def _exec(self, arguments: list[str]) -> None:
        if self._service is not None:
            self._service.close()
        fd = self._save_state()
        # The next program takes them up where this one stops: until then, a SIGTERM would find nobody to hear it.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            os.execv(arguments[0], [*arguments, "--resume", str(fd)])  # noqa: S606 - the same user's own request
        except OSError as error:
            note(f"upgrade: {arguments[0]}: {error.strerror}; this program goes on")
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            self._undo_state(fd)


def _with_program(arguments: list[str], program: str) -> list[str]:
    """The same start, with the program of another installation if one is named: this one's may be gone by now."""
    if not program or "-c" not in arguments:
        return arguments
    place = arguments.index("-c") + 1
    return [*arguments[:place], program, *arguments[place + 1 :]]


def _ignore(number: int, frame: object) -> None:
    pass


def _open_files(state: Json) -> tuple[int, int]:
    soft, hard = protocol.items(state, "open_files")
    assert isinstance(soft, int)
    assert isinstance(hard, int)
    return soft, hard


def _try_out(arguments: list[str]) -> str:
    """Run a command that should succeed soon; why it did not, or nothing."""
    try:
        pid = os.posix_spawn(arguments[0], arguments, os.environ)
    except OSError as error:
        return f"{arguments[0]}: {error.strerror}"
    pidfd = os.pidfd_open(pid)
    try:
        import select

        if not select.select([pidfd], [], [], _TRY_SECONDS)[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return f"no answer in {_TRY_SECONDS} s"
    finally:
        os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return f"{' '.join(arguments)} ended with {code}; see keeper.log" if code else ""
