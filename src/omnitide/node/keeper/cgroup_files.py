"""Acts on one run's control groups: a mapping from hierarchy (unified, pids, memory, cpu, freezer) to directory.

All of these tolerate groups that are gone: a run may have ended, or the machine's manager may have removed them.
"""

import os
import signal

from omnitide.node.keeper.cgroup_mounts import UNIFIED

Groups = dict[str, str]

_MOST_PASSES = 20


def read(path: str) -> str | None:
    """A control file's text, or None where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts: list[bytes] = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode()
    except OSError:
        return None
    finally:
        os.close(fd)


def write(path: str, value: str) -> None:
    """Set a control file that exists. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def open_to_enter(key: str, group: str) -> int:
    """The file by which a process of one thread enters a control group, by writing 0. Raises OSError.

    In version 1 it moves as a thread: to move a process, the kernel first waits until every processor has seen that
    no other may fork meanwhile, for 10 ms or so unless another has moved just before.
    """
    return os.open(f"{group}/{'cgroup.procs' if key == UNIFIED else 'tasks'}", os.O_WRONLY | os.O_CLOEXEC)


def counter(path: str, name: str) -> int | None:
    """A number from a file of `name number` lines."""
    for line in (read(path) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return None


def tracker(groups: Groups) -> str | None:
    """The hierarchy by which a run's processes are found."""
    return next((key for key in (UNIFIED, "pids", "freezer", "memory", "cpu") if key in groups), None)


def _below(directory: str) -> list[str]:
    """`directory` and all groups below it, the deepest last. A run that owns its group may have made groups in it."""
    found = [directory]
    for parent in found:
        try:
            with os.scandir(parent) as entries:
                found.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue
    return found


def members(groups: Groups) -> list[int]:
    """Process ids in a run's groups."""
    key = tracker(groups)
    if key is None:
        return []
    return [int(pid) for group in _below(groups[key]) for pid in (read(f"{group}/cgroup.procs") or "").split()]


def alive(groups: Groups) -> bool:
    """Whether a process is left in a run's groups."""
    if UNIFIED in groups:
        return counter(f"{groups[UNIFIED]}/cgroup.events", "populated") == 1
    return bool(members(groups))


def kill(groups: Groups) -> None:
    """Send SIGKILL to every process of a run. What is forked meanwhile is met by the next call: ask `alive`."""
    stuck = UNIFIED in groups and os.getpid() in members(groups)
    if UNIFIED in groups and not stuck:
        try:
            write(f"{groups[UNIFIED]}/cgroup.kill", "1")
        except OSError:
            pass  # before Linux 5.14
        else:
            return
    if not stuck:  # it would hold itself still, for good
        _stop_forking(groups)
    killed: set[int] = set()
    for _ in range(_MOST_PASSES):
        fresh = [pid for pid in members(groups) if pid not in killed and pid not in (0, os.getpid())]
        if not fresh:
            break
        for pid in fresh:
            killed.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
    if UNIFIED in groups:
        _try_write(f"{groups[UNIFIED]}/cgroup.freeze", "0")


def _stop_forking(groups: Groups) -> None:
    """A tree that forks faster than it is killed must be held still first."""
    if UNIFIED in groups:
        _try_write(f"{groups[UNIFIED]}/cgroup.freeze", "1")
    elif "pids" in groups:
        for group in _below(groups["pids"]):
            _try_write(f"{group}/pids.max", "0")


def _try_write(path: str, value: str) -> None:
    try:
        write(path, value)
    except OSError:
        pass


def oom_kills(groups: Groups) -> int:
    """How many processes of the run the kernel has killed for want of memory."""
    if "memory" in groups:
        return counter(f"{groups['memory']}/memory.oom_control", "oom_kill") or 0
    if UNIFIED in groups:
        return counter(f"{groups[UNIFIED]}/memory.events", "oom_kill") or 0
    return 0


def refused_processes(groups: Groups) -> int:
    """How often the run was refused a further process at its limit of them."""
    group = groups.get("pids") or groups.get(UNIFIED)
    return (counter(f"{group}/pids.events", "max") or 0) if group else 0


def remove_if_left(groups: Groups) -> bool:
    """Remove the group by which a run's processes are found, if none is left in it and it has no groups below: whether
    that was so. One call, where to ask first whether any is left takes four."""
    key = tracker(groups)
    if key is None:
        return False
    try:
        os.rmdir(groups[key])
    except OSError:
        return False
    return True


def remove(groups: Groups) -> bool:
    """Remove a run's groups; False while something (a process not yet buried) holds one."""
    gone = True
    for directory in groups.values():
        try:
            os.rmdir(directory)
            continue
        except FileNotFoundError:
            continue
        except OSError:
            pass
        for group in reversed(_below(directory)):
            try:
                os.rmdir(group)
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
    return gone
