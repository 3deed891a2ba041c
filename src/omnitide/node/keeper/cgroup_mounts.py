"""Which control group hierarchies this machine has and where this process is in them, version 2 and version 1."""

from typing import NamedTuple

UNIFIED = "unified"
"""The hierarchy of version 2, alone or beside those of version 1 ("hybrid")."""
_V1_KEYS = ("pids", "memory", "cpu", "freezer")


class Hierarchy(NamedTuple):
    """One mounted hierarchy. `key` is `unified`, or a controller of version 1: pids, memory, cpu, freezer."""

    key: str
    mount: str
    own: str
    """Directory of the control group that this process is in."""


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _own_directory(mount: str, root: str, path: str) -> str | None:
    """Where group `path` is below `mount`, which shows the hierarchy from `root` on; None if it is not shown."""
    if root == "/":
        inner = path
    elif path == root or path.startswith(root + "/"):
        inner = path[len(root) :]
    else:
        return None
    if ".." in inner.split("/"):
        return None  # this process is outside of the part that its cgroup namespace shows
    return (mount + inner).rstrip("/") or "/"


def discover(mountinfo: str, cgroup: str) -> dict[str, Hierarchy]:
    """Hierarchies by key, from the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`."""
    paths: dict[str, str] = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        for key in controllers.split(",") if controllers else [UNIFIED]:
            paths[key] = path
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        fields, separator, rest = line.partition(" - ")
        if not separator:
            continue
        root, mount = (_unescape(field) for field in fields.split()[3:5])
        kind, _, options = [*rest.split(), "", ""][:3]
        if kind == "cgroup2":
            keys: tuple[str, ...] = (UNIFIED,)
        elif kind == "cgroup":
            keys = tuple(key for key in _V1_KEYS if key in options.split(","))
        else:
            continue
        for key in keys:
            own = _own_directory(mount, root, paths[key]) if key in paths else None
            if own is not None and key not in found:
                found[key] = Hierarchy(key, mount, own)
    return found


def discover_here() -> dict[str, Hierarchy]:
    """The hierarchies that this process sees; none where they cannot be read."""
    try:
        with open("/proc/self/mountinfo") as mountinfo, open("/proc/self/cgroup") as cgroup:
            return discover(mountinfo.read(), cgroup.read())
    except (OSError, ValueError):
        return {}
