"""Names the keeper's source on disk, so that a running keeper can be told from the installed one."""

import os
import zlib


def code_id() -> str:
    """A checksum over the files of this package."""
    folder = os.path.dirname(os.path.abspath(__file__))
    checksum = 0
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(f"{folder}/{name}", "rb") as file:
                checksum = zlib.crc32(file.read(), zlib.crc32(name.encode(), checksum))
    return f"{checksum:08x}"
