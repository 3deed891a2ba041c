"""Processes of a local fabric: found by who they are, never by a bare number; ended; and what their logs say.

A process is ours if it runs our module on our data folder. Its number alone proves nothing: numbers are used again.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric.layout import Layout
from omnitide.supervisor import identity

NEXUS: Final = "omnitide.api"
NODE: Final = "omnitide.node"
POLL_S: Final = 0.01
KILLED_S: Final = 5.0
"""For a killed process to be gone."""
FOLDER_MODE: Final = 0o711
"""Others may pass through, to a Nexus that runs as a user of its own; what lies within is private file by file."""
TAIL_BYTES: Final = 16_384


class _Record(msgspec.Struct, frozen=True):
    level: str = ""
    reason: str = ""


class Found(NamedTuple):
    """A process that runs one of our modules."""

    pid: int
    folder: Path
    """Its data."""
    unit: str = ""
    """Of systemd, if that keeps it."""

    @property
    def arguments(self) -> list[str]:
        return identity.arguments(self.pid)


def running(module: str, folder: Path, pid: int) -> Found | None:
    """The process of a number, if it runs the module on the folder."""
    if pid <= 0 or not identity.started(pid):
        return None
    words = identity.arguments(pid)
    if module not in words or "--data" not in words[:-1]:
        return None
    # The folder may have been spelled otherwise where it was started.
    return Found(pid, folder, unit_of(pid)) if _same(words[words.index("--data") + 1], folder) else None


def runs_module(module: str, pid: int) -> bool:
    """Whatever its folder."""
    return pid > 0 and bool(identity.started(pid)) and module in identity.arguments(pid)


def _same(named: str, folder: Path) -> bool:
    try:
        return named == str(folder) or os.path.samefile(named, folder)
    except (OSError, ValueError):
        return False


def unit_of(pid: int) -> str:
    """The unit of systemd that a process belongs to, if that is one of ours; else it is empty."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""
    for part in groups.replace("\n", "/").split("/"):
        if part.startswith("omnitide-") and part.endswith(".service"):
            return part
    return ""


def environment_of(pid: int) -> dict[str, str]:
    """What a process was started with; empty where that cannot be read."""
    try:
        words = os.fsdecode(Path(f"/proc/{pid}/environ").read_bytes()).split("\0")
    except OSError:
        return {}
    return {key: value for key, equals, value in (word.partition("=") for word in words) if key and equals}


def wait_gone(pid: int, seconds: float) -> bool:
    """Whether a process has ended within the time; a dead one that its parent has not waited for has."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def stop(found: Found, seconds: float) -> bool:
    """SIGTERM, and SIGKILL after `seconds`. False if it had to be killed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
        os.kill(found.pid, signal.SIGCONT)  # else one that was suspended could not end in order
        if not wait_gone(found.pid, seconds):
            os.kill(found.pid, signal.SIGKILL)
            wait_gone(found.pid, KILLED_S)
            return False
    return True


def tail(log: Path, begin: int, lines: int = 8) -> str:
    """The last lines that were written to a log since it had `begin` bytes; errors alone, if it tells some.

    One that is shorter now was begun anew meanwhile, and is read from its beginning.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(begin if begin <= size else 0, size - TAIL_BYTES))
            written = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    told = dict.fromkeys(line.removeprefix("error: ") for line in written if line.startswith("error: "))
    told |= dict.fromkeys(reason for line in written if line.startswith("{") and (reason := _reason(line)))
    return "\n       ".join(told or written[-lines:])


def _reason(line: str) -> str:
    """Of a record of a log in JSON, if it tells why a process cannot go on."""
    try:
        record = msgspec.json.decode(line, type=_Record)
    except msgspec.MsgspecError:
        return ""
    return record.reason if record.level == "error" else ""


def full_disks(layout: Layout) -> str:
    """A remark on the disks of the fabric that have no room, or nothing."""
    from omnitide.config.disks import free_bytes, full

    folders = dict.fromkeys((layout.data, layout.nexus, layout.node))
    found = [f"{folder} ({free_bytes(folder) >> 10} KiB free)" for folder in folders if full(folder)]
    return f": no room on the disk of {found[0]}" if found else ""


def size_of(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


@contextlib.contextmanager
def locked(layout: Layout) -> Generator[None]:
    """Only one `up`, `down` or `join` at a time on a folder. Raises Failure."""
    import fcntl

    try:
        layout.data.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failure(
            f"the data folder {layout.data} cannot be used: {error.strerror}", "another one: --data DIR"
        ) from None
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failure(
                        f"another omnitide command has been at work on {layout.data} for a minute", code=Exit.TIMEOUT
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
