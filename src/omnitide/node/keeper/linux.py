"""The few Linux calls and files that Python's standard library does not wrap."""

import ctypes
import errno
import functools
import os
import signal
import struct
import time

_CLONE3 = 435
"""The same number on every architecture."""
_CLONE_INTO_CGROUP = 0x200000000
_CLONE_ARGS = struct.Struct("=11Q")
"""flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup."""
_FALLOC_FL_KEEP_SIZE = 1
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
_prctl.restype = ctypes.c_int


_fallocate = _libc.fallocate64 if hasattr(_libc, "fallocate64") else _libc.fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_fallocate.restype = ctypes.c_int


def _checked_prctl(option: int, argument: int) -> None:
    if _prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


_syscall = ctypes.PyDLL(None, use_errno=True).syscall  # unlike CDLL it keeps the interpreter's lock, which a fork needs
_syscall.argtypes = [ctypes.c_long, ctypes.c_char_p, ctypes.c_size_t]
_syscall.restype = ctypes.c_long


def fork_into(group: int) -> int:
    """As `os.fork`, with the child in a control group of version 2, an open directory, from the beginning (Linux 5.7).

    For a process of one thread whose child does little and executes a program: none of what Python does around a fork
    is done. Raises OSError.
    """
    arguments = _CLONE_ARGS.pack(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, group)
    pid = int(_syscall(_CLONE3, arguments, len(arguments)))
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


@functools.cache
def can_fork_into() -> bool:
    """Whether this kernel has `fork_into`, and lets this process use it."""
    try:
        pid = fork_into(1 << 32)  # no descriptor: who knows the argument at all calls it invalid
    except OSError as error:
        return error.errno == errno.EINVAL
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return False


def become_subreaper() -> None:
    """Orphans below this process become its children; survives exec, is not inherited by children."""
    _checked_prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int) -> None:
    """The kernel sends a signal to this process when its parent dies; survives exec, is lost when the user changes."""
    _checked_prctl(_PR_SET_PDEATHSIG, number)


def reserve(fd: int, offset: int, length: int) -> bool:
    """Lay room by for a part of a file, beyond its end too, which stays where it is. False: there is none, or the file
    system has no such thing."""
    return _fallocate(fd, _FALLOC_FL_KEEP_SIZE, offset, length) == 0


def monotonic_ms() -> int:
    """Milliseconds since boot, time asleep included: a fence must fall due while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def since_boot_ns() -> int:
    """As `monotonic_ms`, in nanoseconds: the clock by which the kernel says when a process was made."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def wall_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def boot_id() -> str:
    """Changes with each boot of the machine: process ids of another boot mean nothing."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
