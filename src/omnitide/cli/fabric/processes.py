"""Processes of a local fabric: started in sessions of their own, found again by who they are, never by a bare number.

A process is ours if it runs our module on our data folder. Its number alone proves nothing: numbers are used again.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric.layout import Layout

NEXUS: Final = "omnitide.api"
NODE: Final = "omnitide.node"
POLL_S: Final = 0.01
MAX_LOG_BYTES: Final = 16 << 20
"""A log that is larger when its process is started is set aside, in place of the one set aside before."""


class Started(msgspec.Struct, frozen=True):
    """A process that was started here."""

    pid: int
    created: float
    """When, by the kernel: with the number it is unique."""
    environment: dict[str, str] = {}
    """What it was told besides its folder; told again at the next start."""


class Records(msgspec.Struct, frozen=True):
    nexus: Started | None = None
    node: Started | None = None


def read_records(layout: Layout) -> Records:
    try:
        return msgspec.json.decode(layout.records.read_bytes(), type=Records)
    except (OSError, msgspec.MsgspecError):
        return Records()


def write_records(layout: Layout, records: Records) -> None:
    beside = layout.records.with_suffix(".next")
    beside.write_bytes(msgspec.json.encode(records))
    beside.chmod(0o600)
    beside.replace(layout.records)


def find(module: str, folder: Path, record: Started | None, hint_pid: int = 0) -> psutil.Process | None:
    """The process that runs `module` on `folder`: the one on record, or the one that the hint names."""
    for pid in filter(None, (record.pid if record else 0, hint_pid)):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            words = process.cmdline()
            ours = module in words and str(folder) in words and process.status() != psutil.STATUS_ZOMBIE
            if ours and (record is None or pid != record.pid or abs(process.create_time() - record.created) < 1.0):
                return process
    return None


def start(
    module: str, folder: Path, arguments: Sequence[str], log: Path, environment: Mapping[str, str], *, detached: bool
) -> "subprocess.Popen[bytes]":
    """Start a module on a folder, with its output in a file. Detached: it outlives us and our terminal."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > MAX_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # -P: a folder that happens to be the current one must not put its modules before ours.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", module, "--data", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd="/" if os.name == "posix" else None,
            env={**os.environ, **environment},
            start_new_session=detached,
        )
    finally:
        os.close(descriptor)


def recorded(process: "subprocess.Popen[bytes]", environment: Mapping[str, str]) -> Started:
    return Started(process.pid, psutil.Process(process.pid).create_time(), dict(environment))


def stop(process: psutil.Process, seconds: float) -> bool:
    """SIGTERM, and SIGKILL after `seconds`. False if it had to be killed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except psutil.TimeoutExpired:
            process.kill()
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(5.0)
            return False
    return True


def tail(log: Path, begin: int, lines: int = 8) -> str:
    """The last lines that were written to a log since it had `begin` bytes."""
    try:
        with log.open("rb") as file:
            file.seek(begin)
            written = file.read()[-16_384:].decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    told = [line for line in written if line.startswith("error: ")]
    return "\n       ".join(told or written[-lines:]).removeprefix("error: ")


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
        layout.data.mkdir(parents=True, exist_ok=True, mode=0o700)
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
