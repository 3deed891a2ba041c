"""A fork whose child is not this process's but its parent's: clone3 with CLONE_PARENT, which Python does not wrap.

So the keeper, the zygote's parent, hears how a run ends, with one fork instead of two. And the child is born in its
control group (CLONE_INTO_CGROUP): to move a process there the kernel waits until all processors have passed a quiet
state, which takes 10 to 20 ms where nobody else has moved any. The C library's own preparations for a fork are left
out: they are for processes of several threads, and a zygote has one.
"""

import ctypes
import errno
import os
import platform
import signal
import struct
from typing import Final

_CLONE_PARENT: Final = 0x8000
_CLONE_INTO_CGROUP: Final = 0x2_0000_0000
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
"""Number of the system call `clone`, on the machines that wasmtime has wheels for."""
_CLONE3: Final = 435
_ARGUMENTS: Final = struct.Struct("=11Q")
"""`struct clone_args`: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
cgroup."""
_CANNOT: Final = (errno.ENOSYS, errno.EINVAL, errno.E2BIG, errno.EBADF, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP)
"""An old kernel, a group of version 1, a sandbox around us: then the child has to move by itself."""

_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long] * 6
_python = ctypes.pythonapi


def fork_sibling() -> int:
    """0 in the child, its process id here. Raises OSError."""
    pid = _forked(_CLONE[platform.machine()], _CLONE_PARENT | signal.SIGCHLD, 0)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return pid


def fork_sibling_into(group: str) -> int | None:
    """The same, in the control group of that directory; None where that cannot be. Raises OSError."""
    try:
        directory = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # The exit signal is the zygote's own, as it has to be with CLONE_PARENT.
        fields = _ARGUMENTS.pack(_CLONE_PARENT | _CLONE_INTO_CGROUP, 0, 0, 0, 0, 0, 0, 0, 0, 0, directory)
        buffer = ctypes.create_string_buffer(fields, _ARGUMENTS.size)
        pid = _forked(_CLONE3, ctypes.addressof(buffer), _ARGUMENTS.size)
    finally:
        os.close(directory)
    if pid < 0:
        if -pid in _CANNOT:
            return None
        raise OSError(-pid, os.strerror(-pid))
    return pid


def _forked(number: int, first: int, second: int) -> int:
    """Minus an errno where it fails."""
    _python.PyOS_BeforeFork()
    pid = int(_syscall(number, first, second, 0, 0, 0))
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0
    code = ctypes.get_errno()
    _python.PyOS_AfterFork_Parent()
    return pid if pid > 0 else -code
