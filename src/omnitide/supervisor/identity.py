"""Which process a number means: numbers are used again; a number, the time of its start and the boot are not."""

import os


def started(pid: int) -> int:
    """When a process was started, in clock ticks since boot; 0 if there is none that is alive."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read(4096)
    except OSError:
        return 0
    # The name in parentheses may itself hold spaces and parentheses.
    fields = line[line.rfind(b")") + 2 :].split()
    return 0 if len(fields) < 20 or fields[0] in (b"Z", b"X") else int(fields[19])


def arguments(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsdecode(file.read()).split("\0")[:-1]
    except OSError:
        return []


def mark(pid: int) -> str:
    """Of a process that is alive, and of no other ever: the boot, and when in it the process was started."""
    when = started(pid)
    return f"{_boot()}:{when}" if when else ""


def same(pid: int, marked: str) -> bool:
    """It is alive, and still the process that had this mark."""
    return pid > 0 and bool(marked) and mark(pid) == marked


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
