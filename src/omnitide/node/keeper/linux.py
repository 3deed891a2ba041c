"""The few Linux calls and files that Python's standard library does not wrap."""

import ctypes
import os
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
_prctl.restype = ctypes.c_int


def _checked_prctl(option: int, argument: int) -> None:
    if _prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def become_subreaper() -> None:
    """Orphans below this process become its children; survives exec, is not inherited by children."""
    _checked_prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signal: int) -> None:
    """The kernel sends `signal` to this process when its parent dies; survives exec, is lost when the user changes."""
    _checked_prctl(_PR_SET_PDEATHSIG, signal)


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
