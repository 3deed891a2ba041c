"""For the keeper's clients: make sure that a directory has a keeper, and talk to it without an event loop."""

import contextlib
import fcntl
import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Generator
from types import TracebackType
from typing import cast

from omnitide.node.keeper import protocol
from omnitide.node.keeper.client import peer_uid
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.protocol import Decoder, Json, Refused

_PROGRAM = "import sys; sys.path.insert(0, {source!r}); from omnitide.node.keeper.__main__ import main; main()"
_ANSWER_S = 30.0
_START_S = 30.0
_open_files: list[tuple[int, int]] = []
"""One at most."""


class KeeperUnavailable(Exception):
    """There is no keeper to talk to."""


def connect(directory: str) -> socket.socket:
    """A socket to the directory's keeper. Raises KeeperUnavailable, also for a keeper of another user."""
    paths = Paths(directory)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # By descriptor: the path of a socket may only be 107 bytes long.
        folder = os.open(paths.directory, os.O_PATH | os.O_DIRECTORY)
        try:
            # While the keeper's backlog is full, a socket with Python's timeout would fail at once; the kernel's waits.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(_ANSWER_S), 0))
            connection.connect(f"/proc/self/fd/{folder}/{os.path.basename(paths.socket)}")
            connection.settimeout(_ANSWER_S)
        finally:
            os.close(folder)
        uid = peer_uid(connection)
        if uid not in (os.geteuid(), 0):
            raise KeeperUnavailable(f"{paths.socket} is served by user {uid}")
    except OSError as error:
        connection.close()
        raise KeeperUnavailable(f"{paths.socket}: {error.strerror or error}") from None
    except KeeperUnavailable:
        connection.close()
        raise
    return connection


class Talk:
    """A blocking connection: one request at a time. For starting, upgrading and ending a keeper, and for tests."""

    def __init__(self, directory: str) -> None:
        """Connect and greet. Raises KeeperUnavailable."""
        self._socket = connect(directory)
        self._decoder = Decoder()
        self._next = 0
        try:
            self.about = self.ask("hello", protocol=protocol.VERSION)
        except BaseException:
            self._socket.close()
            raise

    def ask(self, operation: str, **fields: object) -> Json:
        """The answer to a request; what is pushed meanwhile is passed over. Raises Refused, KeeperUnavailable."""
        self._next += 1
        try:
            self._socket.sendall(protocol.encode({"id": self._next, "op": operation, **fields}))
            while True:
                message = self._receive()
                if message.get("id") in (self._next, None) and "error" in message:
                    error = cast("Json", message["error"])
                    raise Refused(str(error["message"]), cause=str(error["cause"]), permanent=bool(error["permanent"]))
                if message.get("id") == self._next:
                    return protocol.record(message, "ok")
        except OSError as error:
            raise KeeperUnavailable(f"the keeper does not answer: {error}") from None

    def _receive(self) -> Json:
        while (message := self._decoder.next()) is None:
            data = self._socket.recv(1 << 16)
            if not data:
                raise KeeperUnavailable("the keeper has hung up")
            self._decoder.feed(data)
        return message

    def wait_for_hangup(self, seconds: float) -> bool:
        """Whether the keeper has closed this connection within the time: it has ended, or become its next program."""
        self._socket.settimeout(seconds)
        try:
            while self._socket.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Talk":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def program() -> str:
    """What the interpreter is to run: the keeper as it is installed here, wherever that is."""
    source = os.path.abspath(__file__)
    for _ in range(4):  # up from omnitide/node/keeper/launch.py
        source = os.path.dirname(source)
    return _PROGRAM.format(source=source)


def command(directory: str, *, cgroup: str = "auto", max_runs: int = 2000, leaf_pid: int = 0) -> list[str]:
    """How to start a keeper: the barest interpreter, as its memory is what each of its forks has to carry."""
    arguments = [sys.executable, "-I", "-S", "-c", program(), "--directory", directory]
    arguments += ["--cgroup", cgroup, "--max-runs", str(max_runs)]
    if leaf_pid:
        arguments += ["--leaf-pid", str(leaf_pid)]
    return arguments


def ensure_keeper(directory: str, *, cgroup: str = "auto", max_runs: int = 2000, leaf_pid: int = 0) -> Json:
    """The hello of the directory's keeper, started now if there is none; blocks, for 0.1 s at a start.

    The keeper is a daemon in a session of its own and outlives the caller. Two callers at once start one keeper.
    `leaf_pid`: see the keeper's options. Raises KeeperUnavailable.
    """
    try:
        with Talk(directory) as talk:
            return talk.about
    except KeeperUnavailable:
        pass
    paths = Paths(directory)
    paths.prepare()
    lock = os.open(paths.start_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with Talk(directory) as talk:
                return talk.about
        except KeeperUnavailable:
            pass
        _start(command(directory, cgroup=cgroup, max_runs=max_runs, leaf_pid=leaf_pid))
        with Talk(directory) as talk:
            return talk.about
    finally:
        os.close(lock)


def _start(arguments: list[str]) -> None:
    """Raises KeeperUnavailable."""
    try:
        with _usual_open_files():
            starting = subprocess.Popen(
                [*arguments, "--daemon"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={},
            )
    except OSError as error:
        raise KeeperUnavailable(f"the keeper cannot be started: {error}") from None
    with starting:
        try:
            _, said = starting.communicate(timeout=_START_S)
        except subprocess.TimeoutExpired as error:
            starting.kill()
            raise KeeperUnavailable(f"the keeper cannot be started: {error}") from None
    if starting.returncode != 0:
        raise KeeperUnavailable(f"the keeper did not start: {said.decode(errors='replace').strip()}")


def give_open_files(soft: int, hard: int) -> None:
    """The limits that keepers get which are started from here, and their instances from them: those of whoever started
    this process, before it raised its own."""
    _open_files[:] = [(soft, hard)]


@contextlib.contextmanager
def _usual_open_files() -> Generator[None]:
    """A child has the limits that its parent has when it begins."""
    if not _open_files:
        yield
        return
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, _open_files[0])
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, own)


def upgrade_keeper(directory: str, *, python: str = sys.executable) -> Json:
    """Let the keeper become the program installed now; returns its new hello. Raises Refused, KeeperUnavailable."""
    with Talk(directory) as talk:
        talk.ask("upgrade", python=python, program=program())
        if not talk.wait_for_hangup(_START_S):
            raise KeeperUnavailable("the keeper did not change to its next program")
    with Talk(directory) as talk:
        return talk.about


def stop_keeper(directory: str, *, stop_runs: bool, grace_ms: int | None = None, timeout_s: float = 60.0) -> None:
    """End the directory's keeper, with all its runs if so asked; returns when it is gone. None there: no error.

    Raises Refused where runs are live and are not to be stopped, KeeperUnavailable if it does not end in time.
    """
    try:
        talk = Talk(directory)
    except KeeperUnavailable:
        return
    with talk:
        talk.ask("shutdown", stop_runs=stop_runs, **({} if grace_ms is None else {"grace_ms": grace_ms}))
        if not talk.wait_for_hangup(timeout_s):
            raise KeeperUnavailable(f"the keeper still waits for its runs after {timeout_s:.0f} s")
