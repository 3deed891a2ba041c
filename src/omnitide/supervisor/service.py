"""The supervisor as others see it: a unix socket of lines of JSON, one request and one answer each.

`{"op": "state"}`, `start`, `adopt`, `stop`, `release` (it ends, what it keeps goes on) and `follow`, after which it
tells what happens for as long as the connection stands. The answer is `{"ok": ...}` or `{"error": "..."}`.
"""

import fcntl
import json
import os
import signal
import socket
import sys
import time

from omnitide import __version__
from omnitide.supervisor.child import read_spec, variables
from omnitide.supervisor.journal import Journal
from omnitide.supervisor.keeping import STOP_S, Keeping
from omnitide.supervisor.loop import Loop
from omnitide.supervisor.places import Places
from omnitide.supervisor.shapes import Json, cast

MAX_REQUEST = 4 << 20
"""Bytes; an environment is the largest part. A longer one ends the connection."""
MAX_CLIENTS = 64
"""Connections at once; a further one is closed."""
FIRST_WORD_MS = 10_000
"""A supervisor that nobody has asked for anything by then ends."""
MAX_STOP_S = 3600.0
"""Longest time that a process may be given to end."""
MAX_NAME = 64
LOCK_S = 5.0
"""Longest wait for the supervisor before to end."""


class Held(Exception):
    """Another supervisor has the directory."""


class Supervisor:
    def __init__(self, directory: str) -> None:
        """Raises Held, OSError."""
        self._places = Places(directory)
        self._lock = _lock(self._places.lock)
        self._loop = Loop()
        self._journal = Journal(self._places.log)
        self._keeping = Keeping(self._loop, self._places, self._journal, self._happened)
        self._clients: dict[int, tuple[socket.socket, bytearray]] = {}
        self._followers: set[int] = set()
        self._closing = False
        self._asked = False
        """For something to keep, or there was time enough for it."""
        self._listener = self._listen()

    def run(self) -> None:
        """Until nothing is left to be kept, or a signal, which ends what is kept."""
        wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(woken)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _noted)
        for number in (signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self._loop.watch(wake, lambda: self._signalled(wake))
        self._loop.watch(self._listener.fileno(), self._accept)
        self._loop.after(FIRST_WORD_MS, self._give_up_waiting)
        self._journal.write(f"supervisor {__version__} begins as process {os.getpid()}")
        self._keeping.remember()
        self._loop.run()
        self._listener.close()
        _unlink(self._places.socket)
        self._journal.write("supervisor ends")

    # -- ending ------------------------------------------------------------------------------------------------------

    def _signalled(self, wake: int) -> None:
        os.read(wake, 64)
        if not self._closing:
            self._closing = True
            self._journal.write("supervisor is to end, with what it keeps")
            self._keeping.close(self._stop)

    def _stop(self) -> None:
        self._loop.stopped = True

    def _give_up_waiting(self) -> None:
        self._asked = True
        self._look_for_work()

    def _look_for_work(self) -> None:
        if self._asked and self._keeping.idle() and not self._clients.keys() - self._followers:
            self._stop()

    # -- connections -------------------------------------------------------------------------------------------------

    def _listen(self) -> socket.socket:
        _unlink(self._places.socket)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        # By descriptor: the path of a socket may only be 107 bytes long.
        folder = os.open(self._places.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listener.bind(f"/proc/self/fd/{folder}/{os.path.basename(self._places.socket)}")
        finally:
            os.close(folder)
            os.umask(before)
        listener.listen(16)
        return listener

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        user = int.from_bytes(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder)
        if user not in (0, os.geteuid()) or len(self._clients) >= MAX_CLIENTS:
            client.close()
            return
        client.setblocking(False)
        self._clients[client.fileno()] = (client, bytearray())
        self._loop.watch(client.fileno(), lambda: self._receive(client))

    def _receive(self, client: socket.socket) -> None:
        held = self._clients.get(client.fileno())
        if held is None:
            return
        try:
            data = client.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        buffer = held[1]
        buffer += data
        if not data or len(buffer) > MAX_REQUEST:
            self._hang_up(client)
            return
        while client.fileno() in self._clients and (end := buffer.find(b"\n")) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            self._serve(client, line)

    def _hang_up(self, client: socket.socket) -> None:
        number = client.fileno()
        if self._clients.pop(number, None) is not None:
            self._followers.discard(number)
            self._loop.forget(number)
            client.close()
            self._look_for_work()

    def _send(self, client: socket.socket, message: Json) -> None:
        """One that does not read what it is told is cut off."""
        if client.fileno() not in self._clients:
            return
        try:
            client.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._hang_up(client)

    def _happened(self, text: str) -> None:
        for number in [number for number in self._followers if number in self._clients]:
            self._send(self._clients[number][0], {"happened": text})
        if not self._closing:
            # Once the cause of this is dealt with: a child that died may be started again in the same breath.
            self._loop.after(0, self._look_for_work)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _serve(self, client: socket.socket, line: bytes) -> None:
        try:
            request = cast("object", json.loads(line))
            if not isinstance(request, dict):
                raise ValueError("a request is an object")
            self._do(client, cast("Json", request))
        except (ValueError, OSError) as error:
            self._send(client, {"error": str(error)})
        except Exception as error:
            # Nothing that a client sends may end what keeps the fabric running: not depth, not size, not a defect here.
            self._journal.write(f"a request could not be dealt with: {type(error).__name__}: {error}"[:500])
            self._send(client, {"error": f"the request could not be dealt with: {type(error).__name__}"})

    def _do(self, client: socket.socket, request: Json) -> None:
        operation, name = request.get("op"), request.get("name", "")
        if not isinstance(name, str) or len(name) > MAX_NAME or not (name.isascii() and name.isprintable()):
            raise ValueError("a name is a short text of plain characters")
        if self._closing and operation != "state":
            raise ValueError("the supervisor is ending")
        if operation in ("start", "adopt", "stop"):
            self._asked = True
        if operation == "stop":
            seconds = _seconds(request.get("seconds", STOP_S))
            self._keeping.stop(name, seconds, lambda orderly: self._send(client, {"ok": {"orderly": orderly}}))
            return
        if operation in ("start", "adopt"):
            spec, environment = read_spec(request), variables(request.get("environment"))
            if not name:
                raise ValueError("a process needs a name")
            if operation == "start":
                self._keeping.start(name, spec, environment)
            else:
                pid = request.get("pid")
                if not isinstance(pid, int) or not 0 < pid < 1 << 22:
                    raise ValueError("pid is the number of a process")
                self._keeping.adopt(name, spec, environment, pid)
        elif operation == "follow":
            self._followers.add(client.fileno())
        elif operation == "release":
            self._journal.write("released: what is kept goes on without a supervisor")
            self._stop()
        elif operation != "state":
            raise ValueError(f"unknown operation {operation!r}")
        about = {"pid": os.getpid(), "version": __version__}
        self._send(client, {"ok": {**about, "children": self._keeping.public()}})


def _seconds(given: object) -> float:
    """Raises ValueError for what is no time to wait; infinity and NaN compare false."""
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0 <= given <= MAX_STOP_S:
        raise ValueError(f"seconds is a number from 0 to {MAX_STOP_S:.0f}")
    return float(given)


def _noted(number: int, frame: object) -> None:
    """The wakeup descriptor says it to the loop."""


def _lock(path: str) -> int:
    """Held for life. Raises Held, OSError."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise Held(f"another supervisor has {os.path.dirname(path)}") from None
            time.sleep(0.02)
        else:
            return lock


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
