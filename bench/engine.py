"""The whole engine on RocksDB: commands decided, durable and acknowledged; latency at half the rate; start from a log.

    python -m bench.engine                     # throughput at 1, 64 and 1,000 clients, latency, start
    python -m bench.engine --events 1000000    # with a start from a log of that many entries

A client submits a command, waits for its durable answer, and submits the next. Each scales
one of 1,000 agents up or down and so writes one entry with the events that follow from it. Beside it, in the same run,
the bare loop of the same shape: msgspec, RocksDB, one sync a batch, without deciding anything.
"""

import argparse
import asyncio
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from bench._targets import Targets, add_report_only

from omnitide.fabric.commands import CreateFabric, DeployAgent, Header, ScaleAgent
from omnitide.fabric.decide import Decision
from omnitide.model.spec import AgentSpec
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.collector import Collector
from omnitide.nexus.engine import Engine, EngineLimits
from omnitide.store.protocol import Batch, EventLog
from omnitide.store.rocksdb import open_rocksdb_log

AGENTS = 1000
HEADER = Header(principal="system:bench", correlation="c-00000000")
SPEC = AgentSpec(command=("python3", "-m", "http.server", "${PORT_HTTP}"))


TARGET_RATE, TARGET_P99_MS, TARGET_START_S = 20_000, 10.0, 3.0
TARGET_EVENTS = 1_000_000


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def prepare(engine: Engine) -> None:
    await engine.submit(CreateFabric(fabric_id="bench"), HEADER)
    for start in range(0, AGENTS, 100):
        await asyncio.gather(
            *(
                engine.submit(
                    DeployAgent(agent=f"a{n}", namespace="default", name=f"agent-{n}", spec=SPEC, replicas=0), HEADER
                )
                for n in range(start, start + 100)
            )
        )


async def paced(engine: Engine, rate: float, seconds: float) -> list[float]:
    """Latencies in milliseconds with commands arriving at a fixed rate, whether or not the last was answered."""
    latencies: list[float] = []
    pending: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        began = time.perf_counter()
        await engine.submit(
            ScaleAgent(namespace="default", name=f"agent-{number % AGENTS}", replicas=number // AGENTS % 2), HEADER
        )
        latencies.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    sent = 0
    while (elapsed := time.perf_counter() - began) < seconds:
        due = int(elapsed * rate)
        for number in range(sent, due):
            task = asyncio.ensure_future(one(number))
            pending.add(task)
            task.add_done_callback(pending.discard)
        sent = max(sent, due)
        await asyncio.sleep(0.001)
    await asyncio.gather(*pending)
    return latencies


async def bare(log: EventLog, clients: int, seconds: float) -> float:
    """The same clients against a loop that only encodes and syncs."""
    encoder = msgspec.msgpack.Encoder()
    waiting: list[asyncio.Future[None]] = []
    wake = asyncio.Event()
    position = (await log.tail()).position
    done = 0
    end = time.perf_counter() + seconds

    async def writer() -> None:
        nonlocal position, waiting, done
        number = 0
        while True:
            await wake.wait()
            wake.clear()
            while waiting:
                taken, waiting = waiting, []
                payloads = [encoder.encode({"time_ms": 1, "principal": "p", "events": ["x" * 150]}) for _ in taken]
                number += 1
                position = await log.append(Batch(log.epoch, position, f"bare{number}".encode(), payloads))
                done += len(taken)
                for future in taken:
                    future.set_result(None)

    async def client() -> None:
        while time.perf_counter() < end:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting.append(future)
            wake.set()
            await future

    writing = asyncio.ensure_future(writer())
    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    writing.cancel()
    return done / (time.perf_counter() - began)


async def throughput(directory: Path, seconds: float, targets: Targets) -> None:
    print(f"{'clients':>8} {'engine/s':>10} {'bare/s':>10} {'ratio':>6} {'p50 ms':>8} {'p99 ms':>8}")
    for clients in (1, 64, 1000):
        log = await open_rocksdb_log(directory / f"bare{clients}")
        floor = await bare(log, clients, seconds)
        await log.close()
        log = await open_rocksdb_log(directory / f"engine{clients}")
        engine = await Engine.open(log, SystemClock(), EngineLimits(snapshot_every=10**9))
        await prepare(engine)
        collector = asyncio.ensure_future(Collector(lambda engine=engine: engine.committed().revision).run())
        rate, latencies = await alternating(engine, clients, seconds)
        print(
            f"{clients:>8} {rate:>10,.0f} {floor:>10,.0f} {rate / floor:>6.2f}"
            f" {percentile(latencies, 0.5):>8.2f} {percentile(latencies, 0.99):>8.2f}"
        )
        if clients == 1000:
            half = await paced(engine, rate / 2, seconds)
            print(
                f"at half that rate ({rate / 2:,.0f}/s): p50 {percentile(half, 0.5):.2f} ms,"
                f" p99 {percentile(half, 0.99):.2f} ms, most {max(half):.1f} ms"
            )
            targets.above("1,000 clients", rate, TARGET_RATE, "commands/s")
            targets.below("at half that rate, p99", percentile(half, 0.99), TARGET_P99_MS, "ms")
        collector.cancel()
        await engine.close()
        await log.close()


async def alternating(engine: Engine, clients: int, seconds: float) -> tuple[float, list[float]]:
    """Each client scales its agent up and down: every command writes an entry with events."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        name = f"agent-{number % AGENTS}"
        turn = 0
        while (began := time.perf_counter()) < end:
            turn += 1
            answer = await engine.submit(ScaleAgent(namespace="default", name=name, replicas=turn % 2), HEADER)
            if not isinstance(answer, Decision) or not answer.entry.events:
                raise AssertionError(answer)
            latencies.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return len(latencies) / (time.perf_counter() - began), latencies


async def start(directory: Path, events: int, targets: Targets) -> None:
    log = await open_rocksdb_log(directory / "start")
    engine = await Engine.open(log, SystemClock(), EngineLimits(snapshot_every=10**9, inbox=100_000))
    await prepare(engine)
    while engine.committed().revision < events:
        await asyncio.gather(
            *(
                engine.submit(ScaleAgent(namespace="default", name=f"agent-{n % AGENTS}", replicas=turn), HEADER)
                for turn in (1, 0)
                for n in range(AGENTS)
            )
        )
    await engine.snapshot()
    for _ in range(5):
        await asyncio.gather(
            *(
                engine.submit(ScaleAgent(namespace="default", name=f"agent-{n % AGENTS}", replicas=turn), HEADER)
                for turn in (1, 0)
                for n in range(AGENTS)
            )
        )
    state = engine.committed()
    await engine.close()
    await log.close()
    began = time.perf_counter()
    log = await open_rocksdb_log(directory / "start")
    opened = time.perf_counter()
    engine = await Engine.open(log, SystemClock())
    ready = time.perf_counter()
    if engine.committed() != state:
        raise AssertionError("the state after the start differs from the one before")
    print(
        f"start with {state.revision:,} entries, a snapshot and 10,000 entries behind it:"
        f" {ready - began:.2f} s (log {opened - began:.2f} s, state {ready - opened:.2f} s)"
    )
    if events <= TARGET_EVENTS:
        targets.below(f"start with {state.revision:,} entries", ready - began, TARGET_START_S, "s")
    await engine.close()
    await log.close()


async def run(options: argparse.Namespace) -> int:
    print(f"Python {platform.python_version()}, {platform.machine()}, uvloop")
    targets = Targets()
    directory = Path(tempfile.mkdtemp(prefix="omnitide-bench-"))
    try:
        await throughput(directory, options.seconds, targets)
        if options.events:
            await start(directory, options.events, targets)
    finally:
        shutil.rmtree(directory)
    return targets.end(options.report_only)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--events", type=int, default=0, help="entries in the log for the start measurement")
    add_report_only(parser)
    options = parser.parse_args()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
