"""Files whose size nobody knows before they are read, as the kernel makes them in /proc and /sys: an archive tells the
size first, and would have them empty or filled up."""

from typing import Final

from omnitide.drivers.protocol import DriverError

FOLDERS: Final = ("/proc", "/sys")


def is_unsized(path: str) -> bool:
    """Of a path without links and detours."""
    return any(f"{path}/".startswith(f"{folder}/") for folder in FOLDERS)


def refusal(path: str) -> DriverError:
    message = (
        f"{path}: what is in {' and '.join(FOLDERS)} has no size before it is read, and cannot be copied; a program"
        " such as cat can print it (omnitide exec)"
    )
    return DriverError(message, cause="archive", permanent=True)
