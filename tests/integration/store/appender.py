"""A writer that is made to die: appends batches to a log and tells through a pipe what was acknowledged.

    appender.py append PATH ACKS [--seed S]     appends until it is killed
    appender.py zygote PATH ACKS                forks such writers: `start SEED` and `kill` on standard input

Each record names its batch, so that a reader can tell a batch that is only half there.
"""

import argparse
import asyncio
import os
import signal
import struct
import sys
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from omnitide.store import rocks_handle
from omnitide.store.protocol import Batch, Record
from omnitide.store.rocksdb import open_rocksdb_log

HEAD = struct.Struct("<QQI")
ACK = struct.Struct("<Q")
SNAPSHOT = 1 << 63
"""Set in what is told when it is a snapshot that was acknowledged."""
BALLAST_BYTES = 2 << 20
"""Small, because it makes the write buffers small: tables are written and log files change while batches arrive."""


def payload(position: int, first: int, count: int) -> bytes:
    """The record at a position of the batch that starts at `first`."""
    return HEAD.pack(position, first, count) + _body(position)


def state(position: int) -> bytes:
    """What a snapshot at a position holds."""
    return b"state at %d" % position * 100


@lru_cache(maxsize=200_000)
def _body(position: int) -> bytes:
    rng = Random(position)
    return rng.randbytes(rng.choice((0, 10, 200, 200, 2000)))


def check_records(records: list[Record]) -> None:
    """Every record is what was written, and every batch is there from its first record to its last."""
    before = records[0].position - 1 if records else 0
    seen = 0
    while seen < len(records):
        position, first, count = HEAD.unpack_from(records[seen].payload)
        assert position == first == before + seen + 1
        assert len(records) >= seen + count, f"batch at {first} has {len(records) - seen} of {count} records"
        for record in records[seen : seen + count]:
            assert record == Record(record.position, payload(record.position, first, count))
        seen += count


class Plan(NamedTuple):
    seed: int
    batches: int = sys.maxsize
    die_after: int = sys.maxsize
    snapshots: bool = False


async def append(path: Path, acks: int, plan: Plan) -> None:
    log = await open_rocksdb_log(path, ballast_bytes=BALLAST_BYTES)
    position = (await log.tail()).position
    os.write(acks, ACK.pack(position))
    rng = Random(plan.seed)
    saved: list[int] = []
    for number in range(plan.batches):
        size = rng.choice((1, 1, 3, 64, 300))
        payloads = [payload(position + 1 + i, position + 1, size) for i in range(size)]
        batch = Batch(log.epoch, position, b"%d-%d" % (plan.seed, number), payloads)
        position = await log.append(batch)
        os.write(acks, ACK.pack(position))
        if number + 1 == plan.die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if plan.snapshots and number % 8 == 7:
            saved.append((await log.save_snapshot(position, [state(position)])).position)
            os.write(acks, ACK.pack(position | SNAPSHOT))
            if len(saved) > 2:
                await log.trim(saved[-2] + 1)
    await log.close()


def zygote(path: Path, acks: int) -> None:
    """Forking is quicker than starting Python a hundred times; this process itself has no log open and no thread."""
    child = 0
    print("ready", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "start":
            child = os.fork()
            if child == 0:
                asyncio.run(append(path, acks, Plan(int(arguments[0]))))
        else:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["append", "zygote"])
    parser.add_argument("path", type=Path)
    parser.add_argument("acks", type=int, help="file descriptor that positions are written to once acknowledged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batches", type=int, default=sys.maxsize)
    parser.add_argument("--die-after", type=int, default=sys.maxsize, help="be killed after so many batches")
    parser.add_argument("--snapshots", action="store_true", help="save snapshots and trim now and then")
    parser.add_argument("--without-sync", action="store_true", help="break the log on purpose: the proof must notice")
    arguments = parser.parse_args()
    if arguments.without_sync:
        rocks_handle.Handle.sync = lambda _: None
    if arguments.role == "zygote":
        zygote(arguments.path, arguments.acks)
    else:
        plan = Plan(arguments.seed, arguments.batches, arguments.die_after, arguments.snapshots)
        asyncio.run(append(arguments.path, arguments.acks, plan))


if __name__ == "__main__":
    main()
