"""The sandbox of a process: the arguments with which bubblewrap makes it, and whether it works on this machine.

The program sees the machine read-only, but for its own directory, /tmp and what its spec lets it write to; some places
are empty. It has its own processes, IPC and host name, no rights beyond its user's, and never gets others.
"""

import functools
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from omnitide.drivers import places as machine
from omnitide.drivers.protocol import DriverError, Launch
from omnitide.node.keeper import firm

PROGRAM: Final = "bwrap"
HIDDEN: Final = (
    "/root",
    "/home",
    "/run",
    "/var/run",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/ssl/private",
    "/etc/ssh/ssh_host_*_key",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
)
"""Besides what the spec names: people's own files, the sockets of the machine's services (a container engine's is a way
to root), and what a sandbox that runs as root could read: password hashes, the machine's keys, what containers have."""
_RESOLVER: Final = "/run/systemd/resolve"
_PROBE_S: Final = 10.0
_NAMESPACES: Final = ("--unshare-pid", "--unshare-ipc", "--unshare-uts")
_DROP: Final = ("--new-session", "--cap-drop", "ALL")
MAX_ENTRIES: Final = 500
"""Of a directory that has to be laid anew for a mount whose path the machine lacks."""


def works() -> bool:
    """Whether a sandbox can be made here, found out by making one; blocks."""
    program = shutil.which(PROGRAM)
    if program is None:
        return False
    users = () if os.geteuid() == 0 else ("--unshare-user",)
    base = [argument for place in _BASE for argument in place.arguments]
    command = [program, *users, *_NAMESPACES, "--unshare-net", *_DROP, *base, "--", "/bin/true"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def wrapper(launch: Launch, private: str, hidden: Sequence[str]) -> tuple[str, ...]:
    """bubblewrap and its arguments, up to the command's place. `private`: the instance's directory; `hidden`: of the
    node's own. Raises DriverError where there is no bubblewrap, or a path cannot be."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise _refused("there is no bubblewrap (bwrap) on this node")
    places, paths = _firmly(_places(launch, private, hidden))
    if paths and not _binds_open_paths(program, os.stat(program).st_mtime_ns):
        raise _refused(
            f"its bubblewrap has no {firm.OPTIONS[0]}, without which a path of the machine ({paths[0]}) could be "
            "exchanged for another one on its way into the sandbox: bubblewrap 0.10 has it, or a patched older one"
        )
    return (
        *((sys.executable, "-I", "-S", firm.__file__, str(len(paths)), *paths) if paths else ()),
        program,
        *_NAMESPACES,
        *(() if os.geteuid() == 0 else ("--unshare-user",)),
        *(() if launch.sandbox.network else ("--unshare-net",)),
        *_DROP,
        *(("--die-with-parent",) if launch.fence_ms else ()),
        *places,
        "--chdir",
        launch.working_directory or private,
    )


@functools.lru_cache(maxsize=4)
def _binds_open_paths(program: str, changed_ns: int) -> bool:
    """Whether this bubblewrap can be given what is open already; `changed_ns`: of its file. Blocks."""
    del changed_ns
    try:
        done = subprocess.run([program, "--help"], capture_output=True, timeout=_PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return firm.OPTIONS[0].encode() in done.stdout + done.stderr


class _Place(NamedTuple):
    """Something that is laid at a path. In this order, what lies deeper, or weighs more, comes later: it is not
    covered up by what lies about it."""

    parts: tuple[str, ...]
    weight: int
    arguments: tuple[str, ...]


def _firmly(places: Sequence[_Place]) -> tuple[list[str], list[str]]:
    """bubblewrap's arguments as `firm` takes them, and the paths that it is to open."""
    found: list[str] = []
    paths: list[str] = []
    for place in places:
        if place.arguments[0] in firm.OPTIONS:
            option, source, target = place.arguments
            found += (option, f"@{len(paths)}", target)
            paths.append(source)
        else:
            found += place.arguments
    return found, paths


def _place(path: str, weight: int, *arguments: str) -> _Place:
    return _Place(PurePosixPath(path).parts, weight, arguments)


def _places(launch: Launch, private: str, hidden: Sequence[str]) -> list[_Place]:
    # The keeper makes the private directory after this; where it is not used, nothing is there to be bound.
    own = machine.real((*(path for one in HIDDEN for path in glob.glob(one)), *hidden))
    everywhere = machine.names(own, machine.mounted())
    places = [*_BASE, *_hiding(dict.fromkeys((*everywhere, *launch.sandbox.hidden)))]
    if os.path.isdir(_RESOLVER):
        places.append(_place(_RESOLVER, _OPEN, "--ro-bind", _RESOLVER, _RESOLVER))
    for path in (*launch.sandbox.writable, launch.working_directory):
        if path and not os.path.exists(path):
            raise _refused(f"{path}, which shall be writable, is not there")
        if path:
            places.append(_place(path, _OPEN, "--bind-fd", launch.real.get(path) or os.path.realpath(path), path))
    places += _way_to(private, places)
    places.append(_place(private, _OPEN, "--bind-try", private, private))
    for mount in launch.mounts:
        target = os.path.normpath(os.path.join(private, mount.target))
        places += _room_for(target, places)
        places += _way_to(target, places)
        how = ("--ro-bind" if mount.read_only else "--bind") + ("-fd" if mount.firm else "")
        places.append(_place(target, _MOUNT, how, mount.source, target))
    return sorted(places)


def _hiding(paths: Iterable[str]) -> Iterable[_Place]:
    for path in paths:
        if os.path.islink(path):
            continue
        if os.path.isdir(path):
            yield _place(path, _EMPTY, "--tmpfs", path)
        elif os.path.exists(path):
            yield _place(path, _EMPTY, "--ro-bind", "/dev/null", path)


def _room_for(target: str, places: Sequence[_Place]) -> Iterable[_Place]:
    """Where the machine lacks a mount's path, a directory of it that can take one, with the same in it. Raises
    DriverError."""
    parts = PurePosixPath(target).parts
    own = any(place.arguments[0] in _CHANGEABLE and parts[: len(place.parts)] == place.parts for place in places)
    if own or os.path.exists(target):
        return
    above = os.path.dirname(target)
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    entries = os.listdir(above)
    if len(entries) > MAX_ENTRIES:
        raise _refused(f"{target} cannot be made: {above} holds {len(entries)} files, and {MAX_ENTRIES} are the most")
    yield _place(above, _AGAIN, "--tmpfs", above)
    for name in entries:
        path = os.path.join(above, name)
        if os.path.islink(path):
            yield _place(path, _SAME, "--symlink", os.readlink(path), path)
        else:
            yield _place(path, _SAME, "--ro-bind-try", path, path)


def _way_to(target: str, places: Sequence[_Place]) -> Iterable[_Place]:
    """The directories on the way to a path that would not be there: by itself bubblewrap makes them for root alone."""
    made = [place.parts for place in places if place.arguments[0] in _NEW]
    for above in PurePosixPath(target).parents:
        if any(len(above.parts) > len(parts) and above.parts[: len(parts)] == parts for parts in made):
            yield _place(str(above), _WAY, "--perms", "0755", "--dir", str(above))


def _refused(message: str) -> DriverError:
    return DriverError(message, cause="sandbox", permanent=True)


_WAY, _SAME, _AGAIN, _EMPTY, _OPEN, _MOUNT = range(6)
_NEW: Final = ("--tmpfs", "--dev")
_CHANGEABLE: Final = ("--tmpfs", "--bind", "--bind-fd", "--bind-try")
_BASE: Final = (
    _place("/", _SAME, "--ro-bind", "/", "/"),
    _place("/dev", _EMPTY, "--dev", "/dev"),
    _place("/proc", _EMPTY, "--proc", "/proc"),
    # root without rights may still write to files of root's, and some here change the whole machine.
    _place("/proc/sys", _OPEN, "--ro-bind", "/proc/sys", "/proc/sys"),
    _place("/tmp", _EMPTY, "--tmpfs", "/tmp"),
    _place("/var/tmp", _EMPTY, "--tmpfs", "/var/tmp"),
)
