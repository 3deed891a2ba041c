"""A run in a sandbox: its main process is bubblewrap, outside; its program is the child of the sandbox's first process.

    keeper > bubblewrap (main process) > first process > program

bubblewrap waits for the program and ends with its exit code, 128 and the number for one that was ended by a signal.
The first process is init of the namespace: no signal but SIGKILL reaches it, and with it dies all that is inside. The
program is in the first process's session and group. So signals go to that group, never to bubblewrap, which would end
before its program; and to kill the sandbox is to kill its first process.
"""

import os
import signal
import sys
from collections.abc import Iterable

from omnitide.node.keeper import enter, processes, words
from omnitide.node.keeper.spec import Identity


def program(first: int, main: int) -> int:
    """The process of the program once it has been executed; 0 before that.

    `first`: the sandbox's first process, `main`: bubblewrap. Until the program is executed its process still carries
    bubblewrap's command line.
    """
    for child in processes.children(first) or ():
        line = _command_line(child)
        if line and line != _command_line(main):
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


_LOADER_S = frozenset(
    (
        "GCONV_PATH",
        "GETCONF_DIR",
        "GLIBC_TUNABLES",
        "HOSTALIASES",
        "LOCALDOMAIN",
        "LOCPATH",
        "NIS_PATH",
        "NLSPATH",
        "RESOLV_HOST_CONF",
        "RES_OPTIONS",
        "TMPDIR",
        "TZDIR",
    )
)


def kept_variables(environment: dict[str, str]) -> tuple[str, ...]:
    """bubblewrap's arguments that give back what the C library takes from the environment of a process whose user and
    effective user differ, as bubblewrap's do for another user (glibc, sysdeps/generic/unsecvars.h)."""
    found: list[str] = []
    for name, value in environment.items():
        if name in _LOADER_S or name.startswith(("LD_", "MALLOC_")):
            found += ("--setenv", name, value)
    return tuple(found)


def prefix(
    first: int, user_namespace: bool, directory: str, identity: Identity | None, groups: Iterable[str]
) -> tuple[str, ...]:
    """What goes before a command that shall run in the sandbox: into its namespaces and control groups, without rights.
    See `enter`."""
    who = (str(identity.uid), str(identity.gid), ",".join(map(str, identity.groups))) if identity else ("", "", "")
    where = (str(first), "1" if user_namespace else "0", directory)
    return (sys.executable, "-I", "-S", enter.__file__, *where, *who, "\n".join(groups))


def first_of(said: bytes) -> int:
    return words.of_sandbox(said).first
