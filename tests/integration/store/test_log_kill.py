"""kill -9 in the middle of appends, a hundred times: all that was acknowledged is there, and nothing is half there."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from omnitide.store.protocol import Record
from omnitide.store.rocksdb import RocksLog, open_rocksdb_log

KILLS = 100
DEADLINE_SECONDS = 20.0


class Victim:
    """Starts and kills writers on one log; collects what they acknowledged."""

    def __init__(self, process: "subprocess.Popen[str]", acks: int, ack_size: int) -> None:
        self._process = process
        self._acks = acks
        self._ack_size = ack_size
        self._rest = b""
        self._reply("ready")

    def start(self, seed: int) -> None:
        self._tell(f"start {seed}")

    def kill(self) -> None:
        self._tell("kill")
        self._reply("-9")

    def acknowledged(self, wanted: int) -> list[int]:
        """Positions told since the last call: waits for `wanted` of them, and takes what more is there."""
        positions: list[int] = []
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            waiting = max(0.0, deadline - time.monotonic()) if len(positions) < wanted else 0.0
            ready, _, _ = select.select([self._acks], [], [], waiting)
            if not ready:
                assert len(positions) >= wanted, "the writer acknowledged too little before the deadline"
                return positions
            data = self._rest + os.read(self._acks, 1 << 16)
            whole = len(data) // self._ack_size * self._ack_size
            positions += [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, self._ack_size)]
            self._rest = data[whole:]

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _reply(self, expected: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == expected


@contextmanager
def victim(path: Path, appender: ModuleType) -> Iterator[Victim]:
    read_end, write_end = os.pipe()
    command = [sys.executable, str(appender.__file__), "zygote", str(path), str(write_end)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[write_end]
    ) as process:
        os.close(write_end)
        try:
            yield Victim(process, read_end, appender.ACK.size)
        finally:
            process.kill()
            os.close(read_end)


async def read_from(log: RocksLog, after: int) -> list[Record]:
    records: list[Record] = []
    while fresh := await log.read(after + len(records)):
        records += fresh
    return records


@pytest.mark.parametrize("seed", [1])
async def test_a_hundred_kills_lose_nothing_acknowledged(tmp_path: Path, appender: ModuleType, seed: int) -> None:
    rng = Random(seed)
    known: list[Record] = []
    survived_unacknowledged = 0
    with victim(tmp_path / "log", appender) as writer:
        for round_number in range(KILLS):
            writer.start(seed=round_number)
            # Some die while they open the log, most after a few batches, at any moment within the next one.
            wanted = rng.choice((0, 1, rng.randrange(1, 12)))
            acknowledged = writer.acknowledged(wanted)
            moment = time.perf_counter() + rng.random() * (0.03 if wanted == 0 else 0.003)
            while time.perf_counter() < moment:
                pass
            writer.kill()
            acknowledged += writer.acknowledged(0)

            log = await open_rocksdb_log(tmp_path / "log", ballast_bytes=appender.BALLAST_BYTES)
            tail = (await log.tail()).position
            assert tail >= max([len(known), *acknowledged])
            survived_unacknowledged += tail > max([len(known), *acknowledged])
            # The chain of hashes proves that what was compared once has not changed since.
            assert (await log.verify()).position == tail
            fresh = await read_from(log, len(known))
            appender.check_records(fresh)
            known += fresh
            assert len(known) == tail
            if round_number % 20 == 0:
                assert await read_from(log, 0) == known
            await log.close()
    assert len(known) > KILLS
    print(f"\n{KILLS} kills, {len(known)} records, {survived_unacknowledged} times a batch in flight was there whole")
