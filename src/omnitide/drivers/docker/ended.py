"""Ended runs whose container has been removed: how they ended and what they said, in this driver's own folder.

A container takes its files, its name, its network and its variables on the engine's disk for as long as it is there.
Nobody needs more of an instance that is over than what `logs` shows: that is copied as the engine sends it, and read by
the same code. It goes with the instance.
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from omnitide.drivers.docker.log_files import beginning_lost
from omnitide.drivers.docker.naming import word
from omnitide.drivers.protocol import DriverError, Run, RunKey

if TYPE_CHECKING:
    from omnitide.drivers.docker.answers import Container
    from omnitide.drivers.docker.engine import Engine

FOLDER: Final = "ended"
OUTPUT: Final = ".output"
PIECE: Final = 1 << 20
"""Read and written at once."""


class Record(msgspec.Struct, frozen=True):
    """What is known of a run besides its output."""

    run: Run
    tty: bool = False
    cut: bool = False
    """The beginning of its output was not kept."""
    forgotten: bool = False
    """Nobody asks for the run any more, only for what it said."""


class Ended:
    """Read once; written through. One driver writes."""

    def __init__(self, directory: str) -> None:
        self._root = Path(directory, FOLDER)
        self._records: dict[RunKey, Record] = {}
        self._putting = asyncio.Lock()
        """One copy at a time, and no instance is removed during it."""
        for path in self._root.glob("*/*.json"):
            # What a crash has left half written has its container still.
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                record = msgspec.json.decode(path.read_bytes(), type=Record)
                run = msgspec.structs.replace(record.run, unenforced=tuple(record.run.unenforced))
                self._records[run.key] = msgspec.structs.replace(record, run=run)

    def get(self, key: RunKey) -> Record | None:
        return self._records.get(key)

    def of(self, instance: str) -> list[Record]:
        return [record for key, record in self._records.items() if key.instance == instance]

    def runs(self) -> list[Run]:
        """Those that are not forgotten."""
        return [record.run for record in self._records.values() if not record.forgotten]

    def output(self, key: RunKey) -> Path:
        return self._path(key, OUTPUT)

    def _path(self, key: RunKey, suffix: str) -> Path:
        return self._root / word(key.instance) / f"{key.attempt}{suffix}"

    async def put(self, engine: "Engine", container: "Container", run: Run, *, forgotten: bool) -> None:
        """Copy all that is to be known of it. Raises DriverError; then the container has to stay."""
        async with self._putting:
            cut = await asyncio.to_thread(beginning_lost, container.log_path)
            record = Record(run, container.config.tty, cut, forgotten)
            output = self.output(run.key)
            fresh = output.with_suffix(".new")
            try:
                self._root.mkdir(mode=0o700, exist_ok=True)
                output.parent.mkdir(mode=0o700, exist_ok=True)
                with fresh.open("wb") as file:
                    async for piece in _said(engine, container):
                        await asyncio.to_thread(file.write, piece)
                fresh.replace(output)
                self._write(record)
            except OSError as error:
                with contextlib.suppress(OSError):
                    fresh.unlink(missing_ok=True)
                message = f"what {run.key.instance} has said cannot be kept: {error}"
                raise DriverError(message, cause="no-disk", permanent=False) from None

    def forget(self, key: RunKey) -> None:
        """Raises DriverError."""
        record = self._records.get(key)
        if record is not None and not record.forgotten:
            try:
                self._write(msgspec.structs.replace(record, forgotten=True))
            except OSError as error:
                raise DriverError(f"the driver's notes: {error}", cause="no-disk", permanent=False) from None

    def _write(self, record: Record) -> None:
        target = self._path(record.run.key, ".json")
        fresh = target.with_suffix(".json.new")
        fresh.write_bytes(msgspec.json.encode(record))
        fresh.replace(target)
        self._records[record.run.key] = record

    async def remove(self, instance: str) -> None:
        async with self._putting:
            if any(key.instance == instance for key in self._records):
                await asyncio.to_thread(shutil.rmtree, self._root / word(instance), ignore_errors=True)
                self._records = {key: one for key, one in self._records.items() if key.instance != instance}

    def bytes(self, instance: str) -> int:
        """What is kept of it takes on disk. Blocks."""
        total = 0
        with contextlib.suppress(OSError), os.scandir(self._root / word(instance)) as found:
            total = sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in found)
        return total


async def _said(engine: "Engine", container: "Container") -> AsyncGenerator[bytes]:
    """All of it, as the engine sends it."""
    params = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": "all"}
    held = bytearray()
    async with engine.stream("GET", f"containers/{container.id}/logs", params=params) as answer:
        async for piece in answer.iter_any():
            held += piece
            if len(held) >= PIECE:
                yield bytes(held)
                held.clear()
    yield bytes(held)


async def pieces(path: str) -> AsyncGenerator[bytes]:
    """A copy, as the engine would send it; nothing of one that is gone."""
    try:
        file = await asyncio.to_thread(open, path, "rb")
    except OSError:
        return
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
