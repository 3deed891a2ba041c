"""Going into a network namespace, and back."""

import contextlib
import ctypes
import os
from collections.abc import Generator
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def _enter(namespace: Path) -> None:
    with namespace.open("rb") as file:
        if _libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"{namespace} cannot be entered")


@contextlib.contextmanager
def within_network(namespace: Path) -> Generator[None]:
    """The thread that calls, and whatever threads and processes it starts then, are in it.

    Raises OSError.
    """
    home = Path(f"/proc/self/fd/{os.open('/proc/thread-self/ns/net', os.O_RDONLY)}")
    try:
        _enter(namespace)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(int(home.name))
