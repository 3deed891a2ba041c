"""A file system without much room, made by root; and what there is of it."""

import os
import subprocess
from pathlib import Path


class SmallDisk:
    """A file system of half a mebibyte; `unmount` at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "small", str(path)], check=True)

    def fill(self, but: int = 0) -> None:
        """All of it but so many bytes."""
        with open(self.path / "filler", "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                file.truncate(file.tell() - but)

    def free(self) -> None:
        (self.path / "filler").unlink()

    def left(self) -> int:
        """Bytes that nobody has."""
        found = os.statvfs(self.path)
        return found.f_bfree * found.f_frsize

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
