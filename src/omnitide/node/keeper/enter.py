"""Goes into a sandbox, gives up all rights there, and executes a program: `exec` and `pre_stop` of sandboxed runs.

A program of its own, executed outside by the keeper, as what it does must not depend on anything in the sandbox: what
lies at /usr/bin in there may be the spec's own. So nothing of the sandbox is executed, or loaded, before its rights are
gone. Imports the standard library, and all of it before it enters.

    python -I -S enter.py FIRST USER_NAMESPACE DIRECTORY UID GID GROUPS CONTROL_GROUPS COMMAND...

FIRST: the first process of the sandbox. USER_NAMESPACE: 1 if it has users of its own, else 0. UID, GID and GROUPS (with
commas): who to become; UID empty: who it is. CONTROL_GROUPS: directories to be entered, one a line. This process stays
outside, in the keeper's own groups, and ends as the program does.
"""

import ctypes
import errno
import fcntl
import os
import resource
import signal
import sys
import termios
from typing import NoReturn

_USER = 0x10000000
_PID = 0x20000000
_NAMESPACES = {"ipc": 0x08000000, "uts": 0x04000000, "net": 0x40000000, "mnt": 0x00020000}
_NS_GET_USERNS = 0xB701
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 4, 24, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_RIGHTS = 64
NOT_EXECUTED, NOT_FOUND, NOT_ENTERED = 126, 127, 125
"""Exit codes, as shells have them; the last where there is no such sandbox any more."""

_libc = ctypes.CDLL(None, use_errno=True)
_setns = _libc.setns
_setns.argtypes = [ctypes.c_int, ctypes.c_int]
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
_capset = _libc.capset
_capset.argtypes = [ctypes.c_void_p, ctypes.c_void_p]


def _checked(outcome: int, what: str) -> None:
    if outcome != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _give_up_rights(uid: int | None, gid: int, groups: list[int]) -> None:
    """For good: nothing that is executed from here on gets any. Raises OSError."""
    _checked(_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient rights")
    for right in range(_MOST_RIGHTS):
        if _prctl(_PR_CAPBSET_DROP, right, 0, 0, 0) != 0:
            break  # the kernel knows no more
    if uid is not None:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    none = (ctypes.c_uint32 * 6)()
    _checked(_capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), none), "rights")
    _checked(_prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new rights")


def _users(first: str, mounts: int) -> list[int]:
    """The user namespaces to be entered: the one whose root made the others, and has the right to enter them; and the
    one in which the program is, which bubblewrap makes within it to give the user its own number back."""
    makers = fcntl.ioctl(mounts, _NS_GET_USERNS)
    programs = os.open(f"/proc/{first}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    return [makers] if os.fstat(makers).st_ino == os.fstat(programs).st_ino else [makers, programs]


def _open(first: str, name: str) -> int:
    """A namespace of the sandbox; -1 where it is the one that this process is in, which cannot always be entered."""
    path = f"/proc/{first}/ns/{name}"
    same = os.stat(path).st_ino == os.stat(f"/proc/self/ns/{name}").st_ino
    return -1 if same else os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _run_inside(argv: list[str], namespaces: list[tuple[int, int]], joins: list[int], terminal: bool) -> NoReturn:
    directory, uid, gid, groups, command = argv[2], argv[3], argv[4], argv[5], argv[7:]
    code = NOT_ENTERED
    try:
        # From here on the sandbox sees this process: it must not get at its memory, descriptors or program (which is a
        # way to the machine's own file of it), not even for the moment between the loss of all rights and the exec.
        _checked(_prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "it cannot be hidden")
        for fd in joins:
            os.write(fd, b"0")
        if terminal:
            # A shell sets the terminal's process group, which takes a session and groups that have numbers in there.
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for fd, kind in namespaces:
            if fd < 0:
                continue
            _checked(_setns(fd, kind), "it cannot be entered")
        numbers = [int(group) for group in groups.split(",") if group]
        _give_up_rights(int(uid) if uid else None, int(gid or 0), numbers)
        code = NOT_EXECUTED
        os.chdir(directory)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)  # Python has changed these
        code = _execute(command)
    except OSError as error:
        _say(f"{command[0]}: {error.strerror or error}")
    finally:
        os._exit(code)


def _execute(command: list[str]) -> int:
    """Returns only where that is impossible, with the exit code for it."""
    number = errno.ENOENT
    for folder in [""] if "/" in command[0] else os.environ.get("PATH", "").split(":"):
        try:
            os.execv(os.path.join(folder, command[0]), command)  # noqa: S606 - what it is for
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                number = error.errno or number
    _say(f"{command[0]}: {os.strerror(number)}")
    return NOT_FOUND if number == errno.ENOENT else NOT_EXECUTED


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode(errors="replace"))


def _end_as(status: int) -> NoReturn:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


def main(argv: list[str]) -> NoReturn:
    first, own_users, control_groups = argv[0], argv[1] == "1", argv[6]
    try:
        joins = [os.open(f"{group}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for group in control_groups.splitlines()]
        processes = _open(first, "pid")
        opened = [(_open(first, name), kind) for name, kind in _NAMESPACES.items()]
        users = _users(first, opened[-1][0]) if own_users else []
        if users:
            _checked(_setns(users[0], _USER), "it cannot be entered")
        _checked(_setns(processes, _PID), "it cannot be entered")
    except OSError as error:
        _not_entered("it has ended" if error.errno in (errno.ENOENT, errno.ESRCH) else error.strerror or str(error))
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP):
        signal.signal(number, _ignored)  # a terminal's: the program's to answer, and not inherited by it
    terminal = _give_terminal()
    try:
        pid = os.fork()
    except OSError as error:
        # How the kernel says that a namespace's first process has ended.
        _not_entered("it has ended" if error.errno == errno.ENOMEM else error.strerror or str(error))
    if pid == 0:
        _run_inside(argv, [*opened, *((fd, _USER) for fd in users[1:])], joins, terminal)
    _end_as(os.waitpid(pid, 0)[1])


def _not_entered(why: str) -> NoReturn:
    _say(f"the sandbox: {why}")
    os._exit(NOT_ENTERED)


def _give_terminal() -> bool:
    """Leave it to whoever takes it, if there is one."""
    if not os.isatty(0):
        return False
    try:
        fcntl.ioctl(0, termios.TIOCNOTTY)
    except OSError:
        return False  # it is not this session's
    return True


def _ignored(number: int, frame: object) -> None:
    pass


if __name__ == "__main__":
    main(sys.argv[1:])
