"""Durable means synced. kill -9 does not show it, because the page cache survives the process. Two proofs do:

* By trace: no acknowledgement leaves the process before the sync that covers it has returned.
* By loss: a library under the log keeps what a power loss would leave (durable_mirror.c), the writer is killed, and the
  log that is opened is the one that was left: without anything unsynced, or with an arbitrary part of it.

Each proof is also run on a log whose sync does nothing, and must notice.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import NamedTuple

import pytest

from omnitide.store.protocol import LogError
from omnitide.store.rocksdb import open_rocksdb_log

ID = "user.mirror"
PAGE = 4096
DEADLINE_SECONDS = 60.0
OUTAGES = 8
"""Three ends each: nothing that was not synced, and twice an arbitrary part of it."""


class Told(NamedTuple):
    """The highest positions that a writer acknowledged."""

    record: int
    snapshot: int


def run_writer(appender: ModuleType, path: Path, *options: str, env: dict[str, str]) -> Told:
    """Run a writer until it is killed by its environment."""
    read_end, write_end = os.pipe()
    command = [sys.executable, str(appender.__file__), "append", str(path), str(write_end), *options]
    with subprocess.Popen(command, pass_fds=[write_end], env=os.environ | env) as process:
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            told = pipe.read()
        assert process.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    positions = [position for (position,) in appender.ACK.iter_unpack(told)]
    return Told(
        record=max((each for each in positions if not each & appender.SNAPSHOT), default=0),
        snapshot=max((each & ~appender.SNAPSHOT for each in positions if each & appender.SNAPSHOT), default=0),
    )


# -- by trace ----------------------------------------------------------------------------------------------------------

_LINE = re.compile(r"^(?P<pid>\d+) +(?:(?P<call>\w+)\(|<\.\.\. (?P<resumed>\w+) resumed>)(?P<rest>.*)$")
_FILE = re.compile(r"^(?P<fd>\d+)<(?P<path>[^>]*)>")


def trace_events(lines: Iterator[str]) -> Iterator[tuple[str, str, int, str]]:
    """(`start` or `end`, call, descriptor, path) in the order in which the kernel saw them."""
    running: dict[str, tuple[int, str]] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        if match["call"]:
            target = _FILE.match(match["rest"])
            if target is None:
                continue
            running[match["pid"]] = (int(target["fd"]), target["path"])
            yield "start", match["call"], *running[match["pid"]]
        if not match["rest"].endswith("<unfinished ...>"):
            fd_and_path = running.pop(match["pid"], None)
            if fd_and_path is not None:
                assert "= -1" not in match["rest"], line
                yield "end", match["call"] or match["resumed"], *fd_and_path


def acknowledgements_too_early(trace: Path, ack_fd: int) -> tuple[int, int]:
    """How many acknowledgements are in the trace, and how many left while a write of theirs was not yet synced."""
    written: dict[str, int] = {}
    begun: dict[str, int] = {}
    synced: dict[str, int] = {}
    told = early = wrote_since = 0
    with trace.open() as lines:
        for moment, call, fd, path in trace_events(lines):
            if path.endswith(".log") and call in ("write", "pwrite64", "writev", "pwritev"):
                if moment == "start":
                    written[path] = written.get(path, 0) + 1
                    wrote_since += 1
            elif path.endswith(".log") and call in ("fsync", "fdatasync"):
                if moment == "start":
                    begun[path] = written.get(path, 0)
                else:
                    synced[path] = begun[path]
            elif call == "write" and fd == ack_fd and moment == "start":
                told += 1
                unsynced = [each for each, version in written.items() if synced.get(each, 0) < version]
                early += bool(unsynced) or wrote_since == 0
                wrote_since = 0
    return told, early


def traced(appender: ModuleType, tmp_path: Path, *options: str) -> tuple[int, int]:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    if subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True).returncode != 0:
        pytest.skip("strace may not trace here")
    trace = tmp_path / "trace"
    read_end, write_end = os.pipe()
    calls = "trace=write,pwrite64,writev,pwritev,fsync,fdatasync"
    command = [strace, "-f", "-y", "-e", calls, "-s", "0", "-o", str(trace)]
    command += [sys.executable, str(appender.__file__), "append", str(tmp_path / "log"), str(write_end)]
    try:
        subprocess.run(
            [*command, "--batches", "60", *options], pass_fds=[write_end], check=True, timeout=DEADLINE_SECONDS
        )
    finally:
        os.close(read_end)
        os.close(write_end)
    return acknowledgements_too_early(trace, write_end)


def test_no_acknowledgement_leaves_before_the_sync_that_covers_it(appender: ModuleType, tmp_path: Path) -> None:
    told, early = traced(appender, tmp_path)
    # The first tells the position after opening.
    assert (told, early) == (61, 0)


def test_the_trace_shows_a_log_that_does_not_sync(appender: ModuleType, tmp_path: Path) -> None:
    told, early = traced(appender, tmp_path, "--without-sync")
    assert told == 61
    assert early >= 60


# -- by loss -----------------------------------------------------------------------------------------------------------


class Disk:
    """A directory, and beside it what a power loss would leave of it."""

    def __init__(self, place: Path, library: Path) -> None:
        self.root = place / "disk"
        self._mirror = place / "mirror"
        self.root.mkdir(parents=True)
        self._mirror.mkdir()
        try:
            os.setxattr(self.root, ID, b"root")
        except OSError:
            pytest.skip("the file system of temporary files has no extended attributes")
        self.env = {"LD_PRELOAD": str(library), "MIRROR_OF": str(self.root), "MIRROR_TO": str(self._mirror)}

    def put(self, tree: Path) -> None:
        """Start with a copy of `tree`, all of it durable."""
        shutil.copytree(tree, self.root, dirs_exist_ok=True)
        paths = [self.root, *self.root.rglob("*")]
        for number, path in enumerate(paths):
            os.setxattr(path, ID, b"start.%d" % number)
        for path in paths:
            if path.is_dir():
                lines = [f"{_id(each)} {'d' if each.is_dir() else 'f'} {each.name}\n" for each in path.iterdir()]
                (self._mirror / f"dir-{_id(path)}").write_text("".join(lines))
            else:
                shutil.copyfile(path, self._mirror / f"file-{_id(path)}")

    def after_power_loss(self, target: Path, rng: Random | None) -> Path:
        """What is left: nothing that was not synced or, with `rng`, an arbitrary part of it.

        With one exception: a file whose contents were synced keeps its new name. POSIX does not promise that, every
        journaling file system does it, and RocksDB leans on it when it creates a database.
        """
        live = {_id(path): path for path in self.root.rglob("*")}
        self._restore(_id(self.root), self.root, target, live, rng)
        return target

    def _restore(self, identity: str, now: Path, target: Path, live: dict[str, Path], rng: Random | None) -> None:
        target.mkdir(parents=True)
        listing = self._mirror / f"dir-{identity}"
        lines = listing.read_text().splitlines() if listing.exists() else []
        entries = {name: (each, kind) for each, kind, name in (line.split(" ", 2) for line in lines)}
        if rng is not None:
            here = {path.name: path for path in now.iterdir()} if now.is_dir() else {}
            for name in sorted(entries.keys() | here.keys()):
                synced = name in here and (self._mirror / f"file-{_id(here[name])}").exists()
                if synced or rng.random() < 0.5:
                    entries.pop(name, None)
                    if name in here:
                        entries[name] = (_id(here[name]), "d" if here[name].is_dir() else "f")
        for name, (each, kind) in entries.items():
            if kind == "d":
                self._restore(each, now / name, target / name, live, rng)
            else:
                (target / name).write_bytes(self._contents(each, live.get(each), rng))

    def _contents(self, identity: str, now: Path | None, rng: Random | None) -> bytes:
        kept = self._mirror / f"file-{identity}"
        contents = bytearray(kept.read_bytes() if kept.exists() else b"")
        if rng is None or now is None:
            return bytes(contents)
        # Page by page what was synced or what was written since, also where that was written over.
        written = now.read_bytes()
        length = rng.randint(len(contents), max(len(contents), len(written)))
        contents.extend(bytes(length - len(contents)))
        for start in range(0, length, PAGE):
            if rng.random() < 0.6:
                end = min(start + PAGE, length, len(written))
                contents[start:end] = written[start:end]
        return bytes(contents)


def _id(path: Path) -> str:
    try:
        return os.getxattr(path, ID).decode()
    except OSError:
        return f"never-seen-{path.name}"


async def check_log(appender: ModuleType, path: Path, acknowledged: Told) -> bool:
    """Opens by itself, and holds at least what was acknowledged, whole; returns whether its end was torn."""
    log = await open_rocksdb_log(path, ballast_bytes=appender.BALLAST_BYTES)
    try:
        tail = (await log.tail()).position
        assert tail >= acknowledged.record, f"acknowledged up to {acknowledged.record}, the log ends at {tail}"
        kept_from = await log.first_position()
        records = []
        while fresh := await log.read(kept_from - 1 + len(records)):
            records += fresh
        assert len(records) == tail - kept_from + 1
        snapshots = await log.snapshots()
        assert max((each.position for each in snapshots), default=0) >= acknowledged.snapshot
        for info in snapshots:
            assert [chunk async for chunk in log.load_snapshot(info)] == [appender.state(info.position)]
        assert kept_from == 1 or len(snapshots) >= 2
        appender.check_records(records)
        assert (await log.verify()).position == tail
    finally:
        await log.close()
    return log.recovered.torn_tail


async def test_a_power_loss_loses_nothing_acknowledged(
    appender: ModuleType, mirror_library: Path, tmp_path: Path
) -> None:
    rng = Random(7)
    left: Path | None = None
    torn = outage = 0
    # Where a writer is when the power goes depends on the machine's pace: on with it until an end was torn.
    while outage < OUTAGES or (not torn and outage < 6 * OUTAGES):
        outage += 1
        disk = Disk(tmp_path / f"disk-{outage}", mirror_library)
        if left is not None:
            disk.put(left)
        env = disk.env | {"MIRROR_CUT": str(rng.randrange(1, 120))}
        acknowledged = run_writer(appender, disk.root / "log", "--seed", str(outage), "--snapshots", env=env)
        ends: list[Path] = []
        for variant, chance in enumerate([None, Random(rng.random()), Random(rng.random())]):
            end = disk.after_power_loss(tmp_path / f"left-{outage}-{variant}", chance)
            shutil.copytree(end, end.with_name(end.name + "-opened"))
            torn += await check_log(appender, end.with_name(end.name + "-opened") / "log", acknowledged)
            ends.append(end)
        left = rng.choice(ends)
    assert torn > 0, "no outage left a torn end: the test tests too little"


@pytest.mark.parametrize("cut", range(1, 20))
async def test_a_power_loss_while_a_log_is_made_leaves_what_can_be_opened(
    appender: ModuleType, mirror_library: Path, tmp_path: Path, cut: int
) -> None:
    """Cut off before each of the first syncs: those that create the store, its identity and the first epoch."""
    disk = Disk(tmp_path / "disk", mirror_library)
    acknowledged = run_writer(appender, disk.root / "log", env=disk.env | {"MIRROR_CUT": str(cut)})
    for variant, chance in enumerate([None, *(Random(cut * 100 + i) for i in range(8))]):
        left = disk.after_power_loss(tmp_path / f"left-{variant}", chance)
        await check_log(appender, left / "log", acknowledged)


async def test_the_power_loss_shows_a_log_that_does_not_sync(
    appender: ModuleType, mirror_library: Path, tmp_path: Path
) -> None:
    disk = Disk(tmp_path / "disk", mirror_library)
    acknowledged = run_writer(appender, disk.root / "log", "--without-sync", "--die-after", "40", env=disk.env)
    left = disk.after_power_loss(tmp_path / "left", None)
    with pytest.raises((AssertionError, LogError)):
        await check_log(appender, left / "log", acknowledged)
