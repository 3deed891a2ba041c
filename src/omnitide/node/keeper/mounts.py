"""Which paths lie on file systems that may not answer: there the keeper itself must not look, only a forked child may.

A dead file server makes whoever touches its files wait for ever. If that is the keeper, every run waits with it.
"""

import os
import select
from collections.abc import Iterable

_REMOTE = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs")
)


def remote_places(mountinfo: str) -> list[str]:
    """Mount points of network and user-space file systems, from the text of `/proc/self/mountinfo`."""
    found: list[str] = []
    for line in mountinfo.splitlines():
        fields, separator, rest = line.partition(" - ")
        kind = rest.partition(" ")[0]
        if separator and (kind in _REMOTE or kind.startswith("fuse") or kind == "autofs"):
            place = fields.split()[4].replace("\\040", " ")
            found.append(place.rstrip("/"))
    return found


class Mounts:
    """The remote places of this machine, read again only when the kernel says that mounts have changed."""

    def __init__(self) -> None:
        self._places: list[str] = []
        self._poll = select.poll()
        try:
            self._fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1
            return
        self._poll.register(self._fd, select.POLLPRI)
        self._read()

    def _read(self) -> None:
        parts: list[bytes] = []
        os.lseek(self._fd, 0, os.SEEK_SET)
        while part := os.read(self._fd, 1 << 16):
            parts.append(part)
        self._places = remote_places(b"".join(parts).decode(errors="surrogateescape"))

    def may_hang(self, directory: str, paths: Iterable[str] = ()) -> bool:
        """Whether a directory, or one of the paths as seen from there, is below a remote place, as far as its name
        shows: links are not followed, that would look."""
        if self._fd >= 0 and self._poll.poll(0):
            self._read()
        return bool(self._places) and any(
            self._is_remote(os.path.normpath(os.path.join(directory, path))) for path in ("", *paths)
        )

    def _is_remote(self, path: str) -> bool:
        return any(path == place or path.startswith(place + "/") for place in self._places)
