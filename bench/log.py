"""How fast the event log is, beside a bare RocksDB script in the same run.

    python bench/log.py [--seconds S] [--records N] [--path DIR]

The bare script does what the log must do at the least: one write batch of 200-byte records and one sync of the
write-ahead log, in a loop, without event loop, framing, hash, checks or witness. The two take turns, and the median
of the turns is shown. Then N records are written, and the log is opened again, read and verified.
"""

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
from rocksdict import Options, Rdict, WriteBatch

from omnitide.store.memory import open_memory_log
from omnitide.store.protocol import Batch, EventLog
from omnitide.store.rocksdb import open_rocksdb_log

RECORD_BYTES = 200
BATCH_SIZES = (1, 64, 512)
TURNS = 5


def bare(path: Path, size: int, seconds: float) -> float:
    """Records a second of the bare script."""
    options = Options(raw_mode=True)
    store = Rdict(str(path), options)
    record = os.urandom(RECORD_BYTES)
    position = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        batch = WriteBatch(raw_mode=True)
        for _ in range(size):
            position += 1
            batch.put(position.to_bytes(8, "big"), record)
        store.write(batch)
        store.flush_wal(sync=True)
    store.close()
    return position / elapsed


async def through(log: EventLog, size: int, seconds: float) -> float:
    """Records a second of a log, one append in flight, as the engine drives it."""
    payloads = [os.urandom(RECORD_BYTES)] * size
    begun = position = (await log.tail()).position
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        position = await log.append(Batch(log.epoch, position, position.to_bytes(8, "big"), payloads))
    await log.close()
    return (position - begun) / elapsed


async def compare(place: Path, seconds: float) -> None:
    async def rocksdb(path: Path, size: int) -> float:
        return await through(await open_rocksdb_log(path), size, seconds)

    async def memory(_: Path, size: int) -> float:
        return await through(await open_memory_log(), size, seconds / 4)

    async def script(path: Path, size: int) -> float:
        return bare(path, size, seconds)

    contenders: dict[str, Callable[[Path, int], Awaitable[float]]] = {
        "bare": script,
        "RocksLog": rocksdb,
        "MemoryLog": memory,
    }
    print(f"\n{'records a second':>22} {'bare script':>12} {'RocksLog':>12} {'ratio':>7} {'MemoryLog':>12}")
    for size in BATCH_SIZES:
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(TURNS):
            for name, run in contenders.items():
                path = place / name
                rates[name].append(await run(path, size))
                shutil.rmtree(path, ignore_errors=True)
        median = {name: statistics.median(each) for name, each in rates.items()}
        ratio = statistics.median(log / script for log, script in zip(rates["RocksLog"], rates["bare"], strict=True))
        print(
            f"{f'batches of {size}':>22} {median['bare']:>12,.0f} {median['RocksLog']:>12,.0f} {ratio:>7.2f}"
            f" {median['MemoryLog']:>12,.0f}"
        )


async def long_log(path: Path, records: int) -> None:
    log = await open_rocksdb_log(path)
    payloads = [os.urandom(RECORD_BYTES) for _ in range(500)]
    position = 0
    while position < records:
        position = await log.append(Batch(log.epoch, position, position.to_bytes(8, "big"), payloads))
    await log.close()

    started = time.perf_counter()
    log = await open_rocksdb_log(path)
    opened = time.perf_counter() - started
    started = time.perf_counter()
    after = 0
    while found := await log.read(after):
        after = found[-1].position
    read = time.perf_counter() - started
    started = time.perf_counter()
    await log.verify()
    verified = time.perf_counter() - started
    resident = psutil.Process().memory_info().rss
    await log.close()
    size = sum(file.stat().st_size for file in (path / "db").iterdir())
    print(f"\nA log of {position:,} records, {size / 1e6:,.0f} MB on disk")
    print(f"  opened in {opened * 1000:,.0f} ms, read in {read:.2f} s ({position / read:,.0f} records a second),")
    print(f"  verified in {verified:.2f} s; this process is then {resident / 1e6:.0f} MB resident")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    parser.add_argument("--records", type=int, default=1_000_000, help="of the long log; 0 leaves it out")
    parser.add_argument("--path", type=Path, help="directory on the disk to measure (default: of temporary files)")
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    with tempfile.TemporaryDirectory(dir=arguments.path) as place:
        await compare(Path(place), arguments.seconds)
        if arguments.records:
            await long_log(Path(place) / "long", arguments.records)


if __name__ == "__main__":
    asyncio.run(main())
