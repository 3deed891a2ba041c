"""What of a machine a node gives to nobody while its settings do not name it. The node decides, by what a path really
is; who only reads a path can tell of those that are refused by their name."""

import posixpath
from typing import Final

SENSITIVE: Final = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/run",
)
"""Neither these nor what is above or below them, unless the setting `node.volume_paths` names paths."""
OF_ALL: Final = ("/", "/home")
"""What holds what belongs to many."""
HARMLESS: Final = ("/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")
"""Devices that every container has of its own. Given by any other path too, unless `node.devices` names devices."""


def is_sensitive(path: str) -> bool:
    """Whether an absolute path is refused as a volume by its name alone, where `node.volume_paths` is empty."""
    plain = posixpath.normpath("/" + path.lstrip("/"))
    return plain in OF_ALL or any(_within(plain, one) or _within(one, plain) for one in SENSITIVE)


def _within(path: str, above: str) -> bool:
    return path == above or path.startswith(above + "/")
