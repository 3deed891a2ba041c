"""What tracing costs: commands a second with and without, in one run.

    python -m bench.tracing                    # 1,000 clients; ten rounds of each, one after the other

Each client has a change of one of 1,000 agents decided, made durable and acknowledged, and does around it what a
surface does with each call: it asks whether the call is traced, and tells of its span. *default*: ten of them a second
are traced; *all*: each of them. Spans are sent to a receiver in a process of its own, which reads and drops them. What
HTTP costs is left out; with it, the share is smaller. Of the costs the lower quartile is shown: on a machine that does
other work as well, the rest is that.
"""

import argparse
import asyncio
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench._targets import Targets, add_report_only
from bench.engine import AGENTS, prepare

from omnitide.api.call_traces import CallTraces, end
from omnitide.fabric.commands import Header, ScaleAgent
from omnitide.fabric.decide import Decision
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.collector import Collector
from omnitide.nexus.engine import Engine, EngineLimits
from omnitide.nexus.traces import Traces
from omnitide.store.rocksdb import open_rocksdb_log
from omnitide.telemetry.tracing import otlp
from omnitide.telemetry.tracing.choosing import Choice

RECEIVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
TARGET_SHARE = 0.97
"""Of the commands a second without, with tracing as it is by default."""
PLAIN = "c-0123456789ab"


class Way:
    """One way to take calls, over an engine of its own."""

    def __init__(self, name: str, engine: Engine, traces: Traces | None, calls: CallTraces) -> None:
        self.name = name
        self.engine = engine
        self._traces = traces
        self._calls = calls
        self._turns = [0] * AGENTS
        self.rates: list[float] = []
        self.costs: list[float] = []
        """Processor time of this process for each command, us."""

    async def round(self, clients: int, seconds: float) -> None:
        submit = self.engine.submit if self._traces is None else self._traces.submit
        until = time.perf_counter() + seconds
        done = 0

        async def client(number: int) -> None:
            nonlocal done
            agent = number % AGENTS
            while time.perf_counter() < until:
                self._turns[agent] += 1
                call = self._calls.begin(None, None, changes=True)
                header = Header(principal="system:bench", correlation=call.correlation if call is not None else PLAIN)
                command = ScaleAgent(namespace="default", name=f"agent-{agent}", replicas=self._turns[agent] % 2)
                answer = await submit(command, header)
                if call is not None:
                    end(call, "PUT /v1/namespaces/{namespace}/agents/{name}", {"http.response.status_code": 200})
                if not isinstance(answer, Decision):
                    raise AssertionError(answer)
                done += 1

        began, cost = time.perf_counter(), time.process_time()
        await asyncio.gather(*(client(number) for number in range(clients)))
        self.rates.append(done / (time.perf_counter() - began))
        self.costs.append((time.process_time() - cost) / done * 1e6)


def lower_quartile(costs: list[float]) -> float:
    """Of one round, that."""
    return statistics.quantiles(costs, n=4)[0] if len(costs) > 1 else costs[0]


async def run(options: argparse.Namespace, folder: Path, port: int) -> Targets:
    clock = SystemClock()
    export = otlp.begin(
        f"http://127.0.0.1:{port}",
        "http/protobuf",
        "bench",
        {},
        {"OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    )
    assert export is not None
    targets = Targets()
    ways: list[Way] = []
    collectors: list[asyncio.Task[None]] = []
    for name, a_second in (("without", 0.0), ("default", 10.0), ("all", 1e9)):
        log = await open_rocksdb_log(folder / name)
        engine = await Engine.open(log, clock, EngineLimits(snapshot_every=10**9))
        await prepare(engine)
        traced = name != "without"
        calls = CallTraces(Choice(a_second, {}) if traced else None)
        ways.append(Way(name, engine, Traces(engine, clock) if traced else None, calls))
        collector = Collector(lambda engine=engine: engine.committed().revision)
        collectors.append(asyncio.ensure_future(collector.run()))
    base = ways[0]
    print(f"{'tracing':<10} {'commands/s':>11} {'share':>7} {'cpu us each':>12} {'more':>7}")
    for way in ways[1:]:
        base.rates.clear()
        base.costs.clear()
        for number in range(options.rounds):
            # In turn, each time from the other one on: what else the machine does meets both alike.
            for one in (base, way) if number % 2 else (way, base):
                await one.round(options.clients, options.seconds)
        share = statistics.median(way.rates) / statistics.median(base.rates)
        bare, cost = (lower_quartile(one.costs) for one in (base, way))
        print(f"{'without':<10} {statistics.median(base.rates):>11,.0f} {'':>7} {bare:>12.1f}")
        shown = f"{statistics.median(way.rates):>11,.0f} {share:>7.1%} {cost:>12.1f} {cost / bare - 1:>+7.1%}"
        print(f"{way.name:<10} {shown}")
        if way.name == "default":
            targets.above("tracing by default, of the throughput without", share * 100, TARGET_SHARE * 100, "%")
    for task in collectors:
        task.cancel()
    for way in ways:
        await way.engine.close()
        await way.engine.log.close()
    export.close()
    return targets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10, help="of each way")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a round")
    add_report_only(parser)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least one of each way is measured")
    import uvloop

    print(f"Python {platform.python_version()}, {platform.machine()}, uvloop; {options.clients} clients")
    folder = Path(tempfile.mkdtemp(prefix="omnitide-bench-"))
    receiver = subprocess.Popen([sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            targets = runner.run(run(options, folder, port))
    finally:
        receiver.kill()
        receiver.wait()
        shutil.rmtree(folder)
    return targets.end(options.report_only)


if __name__ == "__main__":
    sys.exit(main())
