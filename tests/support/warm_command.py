"""The `omnitide` command as a process of its own, forked from one that has loaded already what every command loads.

A suite runs the command some thousand times, and each start of a Python that loads the same modules costs more than
what the command then does. Arguments, environment, working directory, pipes, signals and the exit code are the
process's own, as they are of the installed script. What a start loads and how quick it is is tried elsewhere, with
the script itself (test_cli_surface.py, test_cli_real_fabric.py, test_cli_completion.py).
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NoReturn, Self

OMNITIDE: Final = Path(sys.prefix) / "bin" / "omnitide"
LOADED: Final = (
    "omnitide.cli.root",
    "omnitide.cli.session",
    "omnitide.cli.show.errors",
    "omnitide.cli.show.live",
    "omnitide.model.manifest",
    "omnitide.sdk.client",
    "omnitide.supervisor.client",
)
"""What nearly every command loads; the command's own module it loads itself."""
LARGEST: Final = 128 * 1024
"""Bytes of a request: arguments and environment."""


class WarmCommand:
    """Runs commands; its process is started with the first of them, and ends with this one."""

    def __init__(self) -> None:
        self._asked: socket.socket | None = None
        self._said: IO[bytes] | None = None
        self.pid = 0
        """Of its process, once there is one."""

    def run(
        self,
        words: Sequence[str],
        *,
        input: str,  # noqa: A002 # as subprocess.run
        cwd: Path,
        env: Mapping[str, str],
        timeout: float,
    ) -> "subprocess.CompletedProcess[str]":
        """As `subprocess.run` with text. Raises subprocess.TimeoutExpired, the command is killed then."""
        asked = json.dumps({"words": list(words), "cwd": str(cwd), "env": dict(env)}).encode()
        assert len(asked) <= LARGEST, "give it in a file"
        stdin, stdout, stderr, ended = (os.pipe() for _ in range(4))
        try:
            self._ask(asked, [stdin[0], stdout[1], stderr[1], ended[1]])
        except BaseException:
            for ours in (stdin[1], stdout[0], stderr[0], ended[0]):
                os.close(ours)
            raise
        finally:
            for theirs in (stdin[0], stdout[1], stderr[1], ended[1]):
                os.close(theirs)
        read: dict[int, bytearray] = {stdout[0]: bytearray(), stderr[0]: bytearray(), ended[0]: bytearray()}
        unsent = memoryview(input.encode())
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as waiting:
            for ours in read:
                waiting.register(ours, selectors.EVENT_READ)
            os.set_blocking(stdin[1], False)
            waiting.register(stdin[1], selectors.EVENT_WRITE)
            while waiting.get_map():
                ready = waiting.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    with contextlib.suppress(ProcessLookupError, ValueError):
                        os.kill(int(read[ended[0]].split()[0]), signal.SIGKILL)
                    for left in list(waiting.get_map()):
                        os.close(left)
                    raise subprocess.TimeoutExpired(
                        list(words), timeout, bytes(read[stdout[0]]), bytes(read[stderr[0]])
                    )
                for key, _ in ready:
                    if key.fd == stdin[1]:
                        unsent = _send(stdin[1], unsent)
                        over = not unsent
                    else:
                        over = not (some := os.read(key.fd, 1 << 16))
                        read[key.fd] += some
                    if over:
                        waiting.unregister(key.fd)
                        os.close(key.fd)
        if len(outcome := read[ended[0]].split()) < 2:
            raise self._gone()
        said, told = read[stdout[0]].decode(), read[stderr[0]].decode()
        return subprocess.CompletedProcess(list(words), int(outcome[1]), said, told)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._asked is not None and self._said is not None:
            self._asked.close()
            self._said.close()
            self._asked = None

    def _ask(self, asked: bytes, places: Sequence[int]) -> None:
        try:
            socket.send_fds(self._socket(), [asked], places)
        except BrokenPipeError:
            raise self._gone() from None

    def _gone(self) -> AssertionError:
        """One command fails by what the process said last, and the next one starts it anew."""
        assert self._said is not None
        self._said.seek(0)
        last = self._said.read().decode(errors="replace")
        self.__exit__()
        return AssertionError(f"process {self.pid}, which commands are forked from, is gone: {last or 'by a signal'}")

    def _socket(self) -> socket.socket:
        if self._asked is None:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 # as long as its process
            self._asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                started = subprocess.run(
                    [sys.executable, __file__, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=self._said,
                    env={key: text for key, text in os.environ.items() if not key.startswith(("OMNITIDE_", "PYTHON"))},
                    check=True,
                )
            self.pid = int(started.stdout)
        return self._asked


WARM: Final = WarmCommand()


def _send(pipe: int, unsent: memoryview) -> memoryview:
    """What is left then; nothing, where nobody reads any more."""
    try:
        return unsent[os.write(pipe, unsent) :] if unsent else unsent
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        return unsent[:0]


def _serve(asked: socket.socket) -> None:
    """Fork a process for each request until nobody can ask any more. Returns in the child, which is the command."""
    running: dict[int, tuple[int, int]] = {}
    with selectors.DefaultSelector() as waiting:
        waiting.register(asked, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fd != asked.fileno():
                    pid, told = running.pop(key.fd)
                    _, status = os.waitpid(pid, 0)
                    waiting.unregister(key.fd)
                    os.close(key.fd)
                    # Whoever asked may have given it up.
                    with contextlib.suppress(BrokenPipeError):
                        os.write(told, f"{os.waitstatus_to_exitcode(status)}".encode())
                    os.close(told)
                    continue
                request, places, _, _ = socket.recv_fds(asked, LARGEST, 4)
                if not request:
                    os._exit(0)
                pid = os.fork()
                if pid == 0:
                    waiting.close()
                    asked.close()
                    for watched, (_, told) in running.items():
                        os.close(watched)
                        os.close(told)
                    os.close(places.pop())
                    return _become(json.loads(request), places)
                for given in places[:3]:
                    os.close(given)
                with contextlib.suppress(BrokenPipeError):
                    os.write(places[3], f"{pid} ".encode())
                watched = os.pidfd_open(pid)
                running[watched] = (pid, places[3])
                waiting.register(watched, selectors.EVENT_READ)


def _become(request: dict[str, object], places: Sequence[int]) -> None:
    for number, place in enumerate(places):
        os.dup2(place, number)
        os.close(place)
    env, words, cwd = request["env"], request["words"], request["cwd"]
    assert isinstance(env, dict)
    assert isinstance(words, list)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(str(cwd))
    sys.argv = [str(OMNITIDE), *words]


def _main() -> NoReturn:
    # Nobody's child: tests look whether theirs are gone.
    if child := os.fork():
        os.write(1, f"{child}".encode())
        os._exit(0)
    os.dup2(0, 1)  # whoever started it reads to the end
    for name in LOADED:
        __import__(name)
    from omnitide.cli.main import main

    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(main())


if __name__ == "__main__":
    # Its folder would come first, with modules of the tests' own names.
    sys.path.pop(0)
    _main()
