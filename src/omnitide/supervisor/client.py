"""For those who talk to a supervisor: make sure that a data directory has one, and ask it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import cast

from omnitide import __version__
from omnitide.supervisor.places import Places

Json = dict[str, object]

_PROGRAM = "import sys; sys.path.insert(0, {source!r}); from omnitide.supervisor.__main__ import main; sys.exit(main())"
NOT_FOR_KEEPS = frozenset({"OMNITIDE_JOIN_TOKEN", "OMNITIDE_CLIENT_TOKEN"})
"""Secrets of the command that asks: nothing that goes on after it has a use for them."""
_START_S = 10.0
_ANSWER_S = 30.0


class SupervisorUnavailable(Exception):
    """There is none to talk to, or it does not answer."""


class SupervisorRefused(Exception):
    """It does not do what was asked."""


class Connection:
    """One request at a time."""

    def __init__(self, directory: str, timeout_s: "float | None" = _ANSWER_S) -> None:
        """Raises SupervisorUnavailable."""
        places = Places(directory)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._buffer = b""
        self._socket.settimeout(timeout_s)
        try:
            # By descriptor: the path of a socket may only be 107 bytes long.
            folder = os.open(places.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._socket.connect(f"/proc/self/fd/{folder}/{os.path.basename(places.socket)}")
            finally:
                os.close(folder)
        except OSError as error:
            self._socket.close()
            raise SupervisorUnavailable(f"{places.socket}: {error.strerror or error}") from None

    def ask(self, operation: str, fields: "Json | None" = None) -> Json:
        """Raises SupervisorUnavailable, SupervisorRefused."""
        try:
            self._socket.sendall(json.dumps({"op": operation, **(fields or {})}).encode() + b"\n")
        except OSError as error:
            raise SupervisorUnavailable(f"the supervisor does not listen: {error}") from None
        answer = self._read()
        if "error" in answer:
            raise SupervisorRefused(str(answer["error"]))
        return cast("Json", answer["ok"])

    def happenings(self) -> Iterator[str]:
        """What happens, as it does, until the supervisor ends. After `ask("follow")`."""
        while True:
            try:
                yield str(self._read().get("happened", ""))
            except SupervisorUnavailable:
                return

    def _read(self) -> Json:
        while b"\n" not in self._buffer:
            try:
                data = self._socket.recv(1 << 16)
            except OSError as error:
                raise SupervisorUnavailable(f"the supervisor does not answer: {error}") from None
            if not data:
                raise SupervisorUnavailable("the supervisor has hung up")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return cast("Json", json.loads(line))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def command(directory: str) -> list[str]:
    """How to start one: the barest interpreter, for its memory."""
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, "-I", "-S", "-c", _PROGRAM.format(source=source), "--data", Places(directory).directory]


def ask(directory: str, operation: str, fields: "Json | None" = None, *, timeout_s: float = _ANSWER_S) -> "Json | None":
    """Of the supervisor that there is; None if there is none. Raises SupervisorUnavailable, SupervisorRefused."""
    try:
        connection = Connection(directory, timeout_s)
    except SupervisorUnavailable:
        return None
    with connection:
        return connection.ask(operation, fields)


def ensure(directory: str) -> Json:
    """The state of the directory's supervisor, which is started now if there is none, or one of another version.

    The caller sees to it that nobody else does the same at the same time. Raises SupervisorUnavailable.
    """
    state = _known(directory)
    if state is not None and state.get("version") != __version__:
        # It would go on with old code until the machine is started again. What it keeps does not notice.
        _told(lambda: ask(directory, "release"))
        state = None
    return state if state is not None else _start(directory)


def _known(directory: str) -> "Json | None":
    return _told(lambda: ask(directory, "state"))


def _told(question: Callable[[], "Json | None"]) -> "Json | None":
    """None also where it ends in the moment of being asked."""
    try:
        return question()
    except SupervisorUnavailable:
        return None


def _start(directory: str) -> Json:
    places = Places(directory)
    output = os.open(places.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        begin = os.fstat(output).st_size
        process = subprocess.Popen(
            command(directory),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={key: value for key, value in os.environ.items() if key not in NOT_FOR_KEEPS},
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(output)
    deadline = time.monotonic() + _START_S
    while True:
        state = _known(directory)
        if state is not None:
            return state
        if process.poll() is not None or time.monotonic() > deadline:
            with open(places.log, "rb") as file:
                file.seek(begin)
                said = file.read(4096).decode("utf-8", "replace").strip()
            raise SupervisorUnavailable(f"the supervisor did not start: {said or f'code {process.poll()}'}")
        time.sleep(0.005)
