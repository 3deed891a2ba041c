"""A fork whose child is not this process's but its parent's: clone with CLONE_PARENT, which Python does not wrap.

So the keeper, the zygote's parent, hears how a run ends, with one fork instead of two. The C library's own preparations
for a fork are left out: they are for processes of several threads, and a zygote has one.
"""

import ctypes
import os
import platform
import signal
from typing import Final

_CLONE_PARENT: Final = 0x8000
_NUMBERS: Final = {"x86_64": 56, "aarch64": 220}
"""Of the system call `clone`, on the machines that wasmtime has wheels for."""

_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long] * 6
_python = ctypes.pythonapi


def fork_sibling() -> int:
    """0 in the child, its process id here. Raises OSError."""
    number = _NUMBERS[platform.machine()]
    _python.PyOS_BeforeFork()
    pid = int(_syscall(number, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0
    code = ctypes.get_errno()
    _python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(code, os.strerror(code))
    return pid
