"""`python -m omnitide.drivers.wasm.zygote`: has wasmtime loaded, forks a child for each run; see `keeper.zygotes`."""

import array
import gc
import json
import os
import signal
import socket
import struct
import sys
from typing import Final, NoReturn

from omnitide.drivers.wasm import child, engine
from omnitide.drivers.wasm.engine import Ready
from omnitide.drivers.wasm.forking import fork_sibling, fork_sibling_into
from omnitide.drivers.wasm.work import parse

_SOCKET: Final = 3
_MAX_DESCRIPTORS: Final = 32
_MAX_WORK: Final = 8 << 20
_ANSWER: Final = struct.Struct("=i")
_FIRST_GROUP: Final = 6
"""Of what a request hands over; before it go work, three streams, status and words."""


def main() -> None:
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # as a program has them that is executed
    link = socket.socket(fileno=_SOCKET)
    link.set_inheritable(False)
    ready = engine.ready()
    child.warm_up(ready)
    gc.collect()
    gc.freeze()
    gc.disable()
    link.send(b"r")
    keeper = os.getppid()
    while True:
        message, handed = _receive(link)
        if not message:
            return
        try:
            answer = _fork(ready, link, handed, keeper)
        except OSError as error:
            answer = -(error.errno or 1)
        finally:
            for fd in handed:
                os.close(fd)
        link.send(_ANSWER.pack(answer))


def _receive(link: socket.socket) -> tuple[bytes, list[int]]:
    size = array.array("i").itemsize
    message, ancillary, _, _ = link.recvmsg(16, socket.CMSG_SPACE(_MAX_DESCRIPTORS * size), socket.MSG_CMSG_CLOEXEC)
    handed = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            handed.frombytes(data[: len(data) - len(data) % size])
    return message, handed.tolist()


def _fork(ready: Ready, link: socket.socket, handed: list[int], keeper: int) -> int:
    """The process id of a new child of the keeper's, born in the first of its control groups where that can be: the
    others it enters by itself. Raises OSError."""
    joins = handed[_FIRST_GROUP:]
    pid = fork_sibling_into(os.path.dirname(os.readlink(f"/proc/self/fd/{joins[0]}"))) if joins else None
    if pid == 0:
        os.close(joins.pop(0))
    if pid is None:
        pid = fork_sibling()
    if pid == 0:
        _become(ready, link, [*handed[:_FIRST_GROUP], *joins], keeper)
    return pid


def _become(ready: Ready, link: socket.socket, handed: list[int], keeper: int) -> NoReturn:
    try:
        link.close()
        work_file, stdin, stdout, stderr, report, words, *joins = handed
        with os.fdopen(work_file, "rb") as file:
            work = parse(json.loads(file.read(_MAX_WORK)))
        for source, target in ((stdin, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, target)
            os.close(source)
        child.run(ready, work, report, words, joins, keeper)
    except BaseException as error:  # two zygotes must never go on
        sys.stderr.write(f"zygote: {error!r}\n")
        sys.stderr.flush()
    finally:
        os._exit(127)


if __name__ == "__main__":
    main()
