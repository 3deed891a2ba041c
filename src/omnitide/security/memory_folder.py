"""A node's folder for secrets in files: on a file system in memory alone, with a folder in it for each instance."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path


def memory_root(node_id: str, candidates: Iterable[str] | None = None) -> Path | None:
    """A folder of this node's on a file system in memory; None where there is none to write to."""
    if candidates is None:
        candidates = ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR", ""))
    for candidate in candidates:
        if candidate and _is_memory(candidate) and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate) / f"omnitide-{node_id}"
    return None


def _is_memory(path: str) -> bool:
    """Whether a path is on tmpfs or ramfs, by the kernel's table of mounts."""
    real = os.path.realpath(path)
    best, kind = "", ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                fields = line.split()
                point = fields[4].encode().decode("unicode_escape")
                if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
                    best, kind = point, fields[fields.index("-") + 1]
    except (OSError, ValueError, IndexError):
        return False
    return kind in ("tmpfs", "ramfs")


class MemoryFolder:
    """All that there is of a node."""

    def __init__(self, root: Path | None) -> None:
        """`root`: as `memory_root` finds it."""
        self._root = root

    @property
    def root(self) -> str:
        """Empty where there is no memory to put files in."""
        return str(self._root) if self._root is not None else ""

    def remove(self, instance: str) -> None:
        """Forget an instance's files; no error if there are none."""
        if self._root is None or not self._is_ours() or "/" in instance or instance in ("", ".", ".."):
            return
        path = self._root / instance
        if path.exists():
            shutil.rmtree(path, ignore_errors=True)

    def leave(self) -> None:
        """The node ends: its folder goes, unless an instance that goes on has files in it."""
        if self._root is not None and self._is_ours():
            with contextlib.suppress(OSError):
                self._root.rmdir()

    def _is_ours(self) -> bool:
        """False too if there is none."""
        try:
            status = self._root.lstat() if self._root is not None else None
        except OSError:
            return False
        return status is not None and stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()

    def sweep(self, wanted: Callable[[str], bool]) -> None:
        """Remove the files of instances that are not here any more."""
        if self._root is None or not self._is_ours():
            return
        for path in list(self._root.iterdir()):
            if not wanted(path.name):
                shutil.rmtree(path, ignore_errors=True)
