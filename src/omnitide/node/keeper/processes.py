"""What `/proc` says of processes: who descends from whom, which run a process belongs to; and killing without mistake.

Used where no control group holds a run together. A run's processes are its main process's session, whatever carries the
run's marker in its environment, and all their descendants. What leaves the session *and* clears its environment *and*
loses its parent is not found so; it is an orphan below the keeper, and `Orphans` in `tree` deals with those.
"""

import os
import signal
from collections.abc import Callable, Iterable
from typing import NamedTuple

from omnitide.node.keeper.protocol import MARKER

_MARKER_PREFIX = f"{MARKER}=".encode()
_MAX_ENVIRONMENT = 4 << 20


class Process(NamedTuple):
    """A process as `/proc/<pid>/stat` shows it."""

    pid: int
    parent: int
    session: int
    started: int
    """Clock ticks since boot; with the pid it names a process for as long as the machine is up."""
    state: str
    cpu_ticks: int
    """Used by itself and by children that it has waited for."""
    memory_pages: int
    threads: int

    @property
    def dead(self) -> bool:
        """A zombie that runs no more; one whose other threads go on is none, though its state says so."""
        return self.state in "ZX" and self.threads <= 1


def look_up(pid: int) -> Process | None:
    """A process, or None if there is none with this id (or it is not to be seen)."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        line = os.read(fd, 4096)
    except OSError:
        return None
    finally:
        os.close(fd)
    # The name in parentheses may itself hold spaces and parentheses.
    fields = line[line.rfind(b")") + 2 :].split()
    if len(fields) < 22:
        return None
    return Process(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        state=fields[0].decode(),
        cpu_ticks=sum(map(int, fields[11:15])),
        memory_pages=int(fields[21]),
        threads=int(fields[17]),
    )


_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def started_between(before_ns: int, after_ns: int) -> int:
    """`Process.started` of what was made between two times since boot; 0 where that leaves more than one."""
    before, after = before_ns // _TICK_NS, after_ns // _TICK_NS
    return before if before == after else 0


def all_processes() -> dict[int, Process]:
    """Every process that is to be seen and not dead."""
    found = (look_up(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process is not None and not process.dead}


def children(pid: int) -> list[int] | None:
    """Child process ids, or None where the kernel does not list them."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found.extend(map(int, file.read().split()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return None
    return found


def marker(pid: int) -> str:
    """The run that a process was started for, from its environment; empty if it has none or cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read(_MAX_ENVIRONMENT)
    except OSError:
        return ""
    for variable in environment.split(b"\0"):
        if variable.startswith(_MARKER_PREFIX):
            return variable[len(_MARKER_PREFIX) :].decode(errors="replace")
    return ""


def with_descendants(seeds: Iterable[int], processes: dict[int, Process]) -> set[int]:
    """`seeds` and everything below them."""
    below: dict[int, list[int]] = {}
    for process in processes.values():
        below.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    open_ends = [pid for pid in seeds if pid in processes]
    while open_ends:
        pid = open_ends.pop()
        if pid not in found:
            found.add(pid)
            open_ends.extend(below.get(pid, ()))
    return found


def below(roots: Iterable[int]) -> dict[int, Process]:
    """`roots` and all their descendants, dead ones left out; found downwards: the rest of the machine costs nothing.

    What is forked meanwhile may be missed, as in any look at processes that run; ask again.
    """
    found: dict[int, Process] = {}
    open_ends = list(roots)
    while open_ends:
        pid = open_ends.pop()
        process = look_up(pid) if pid not in found else None
        if process is None:
            continue
        if not process.dead:
            found[pid] = process
        young = children(pid)
        if young is None and not process.dead:
            everything = all_processes()  # a kernel without lists of children
            found.update((other, everything[other]) for other in with_descendants([pid], everything))
        open_ends.extend(young or ())
    return found


def is_left(process: Process) -> bool:
    """Whether this very process is there still, and not dead."""
    now = look_up(process.pid)
    return now is not None and now.started == process.started and not now.dead


def kill_exactly(process: Process, number: int = signal.SIGKILL) -> None:
    """Signal this very process, never another that has come to have its id."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        now = look_up(process.pid)
        if now is not None and now.started == process.started:
            signal.pidfd_send_signal(fd, number)
    except OSError:
        pass
    finally:
        os.close(fd)


def kill_all(find: Callable[[], list[Process]]) -> list[Process]:
    """Kill what `find` finds: first held still, round by round, so that nothing forks away from under the search.

    Returns all that was told to die: they may take a while for it.
    """
    held: dict[int, Process] = {}
    for _ in range(8):
        fresh = [process for process in find() if process.pid not in held]
        if not fresh:
            break
        for process in fresh:
            held[process.pid] = process
            kill_exactly(process, signal.SIGSTOP)
    for process in held.values():
        kill_exactly(process)
    return list(held.values())
