"""A run in a sandbox: its main process is bubblewrap, outside; its program is the child of the sandbox's first process.

    keeper > bubblewrap (main process) > first process > program

bubblewrap waits for the program and ends with its exit code, 128 and the number for one that was ended by a signal.
The first process is init of the namespace: no signal but SIGKILL reaches it, and with it dies all that is inside. The
program is in the first process's session and group. So signals go to that group, never to bubblewrap, which would end
before its program; and to kill the sandbox is to kill its first process.
"""

import os
import signal

from omnitide.node.keeper import processes, words
from omnitide.node.keeper.spec import Identity

_SETPRIV = "/usr/bin/setpriv"
_NO_RIGHTS = ("--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all")
_BECOMING = f"{_SETPRIV}\0--reuid=".encode()
NOT_EXECUTED = b"setpriv: failed to execute"
"""What setpriv prints where the program cannot be executed."""


def program(first: int, main: int) -> int:
    """The process of the program once it has been executed; 0 before that.

    `first`: the sandbox's first process, `main`: bubblewrap. Until the program is executed its process still carries
    bubblewrap's command line, or that of `become`.
    """
    for child in processes.children(first) or ():
        line = _command_line(child)
        if line and line != _command_line(main) and not line.startswith(_BECOMING):
            return child
    return 0


def _command_line(pid: int) -> bytes:
    try:
        fd = os.open(f"/proc/{pid}/cmdline", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(fd)


def is_first(pid: int, main: int) -> bool:
    """Whether a number still names the first process of the sandbox whose main process is `main`."""
    process = processes.look_up(pid)
    return process is not None and process.session == pid and process.parent in (main, os.getpid())


def kill(first: int, main: int) -> None:
    """Kill all that is in the sandbox."""
    if first and is_first(first, main):
        try:
            os.kill(first, signal.SIGKILL)
        except OSError:
            pass


def become(identity: Identity | None) -> tuple[str, ...]:
    """What goes before a program that shall run as another user: within, as that user might not get to the place."""
    if identity is None:
        return ()
    groups = ",".join(map(str, identity.groups))
    who = (f"--reuid={identity.uid}", f"--regid={identity.gid}", f"--groups={groups}" if groups else "--clear-groups")
    return (_SETPRIV, *who, *_NO_RIGHTS, "--")


def prefix(first: int, user_namespace: bool, directory: str, identity: Identity | None) -> tuple[str, ...]:
    """What goes before a command that shall run in the sandbox: into its namespaces, and no more rights than it has."""
    enter = ("/usr/bin/nsenter", f"--target={first}", f"--wdns={directory}")
    enter += ("--mount", "--pid", "--ipc", "--uts", "--net")
    if user_namespace:
        enter += ("--user", "--preserve-credentials")
    return (*enter, "--", *(become(identity) or (_SETPRIV, *_NO_RIGHTS, "--")))


def first_of(said: bytes) -> int:
    return words.of_sandbox(said).first
