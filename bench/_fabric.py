"""A real fabric of processes for benchmarks: Nexus and nodes in a private directory, and the end of all of it.

    with workspace() as root:
        fabric = Fabric(root)
        fabric.start_nexus()

Whatever was started is ended when the block is left, however it is left: by SIGTERM, Ctrl-C or an error too.
"""

import asyncio
import contextlib
import json
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil
from tests.support.whose import works_in

from omnitide.model.happenings import CloudEvent
from omnitide.model.spec import AgentSpec, Resources
from omnitide.node.keeper.launch import KeeperUnavailable, ensure_keeper, stop_keeper
from omnitide.sdk import AsyncClient, Target
from omnitide.security.join import join

MARK = "OMNITIDE_BENCH"
"""Variable of every instance that a benchmark starts, by which the end finds it: its value is the workspace."""
START_S = 60.0
"""Longest wait for a process to be ready. Long, because the machine may be busy; a hang still ends."""
READY_FILE = "nexus.json"


def machine() -> str:
    """The machine that figures are read on, in one line, and how busy it is: figures of a busy one mean little."""
    load = os.getloadavg()[0]
    about = f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"
    return f"{about}, Python {platform.python_version()}, load average {load:.1f}"


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: of 100 values the 99th is the second largest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def show(what: str, value: str) -> None:
    print(f"  {what:<56}{value}", flush=True)


# -- processes ---------------------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no memory: it has ended")


def descendants(pid: int) -> list[int]:
    """Numbers of a process and all below it, the process first."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _processes_of(root: Path) -> list[psutil.Process]:
    """Those that name the workspace, which is a fresh random name, in their arguments or as their mark."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if works_in(process.cmdline(), root) or process.environ().get(MARK) == str(root):
                found.append(process)
    return found


def _end_all(root: Path) -> None:
    for directory in root.glob("*/*/keeper"):
        # Orderly where possible, as the keeper removes its control groups too; one that was killed is started for it.
        keepers = [process.pid for process in _processes_of(directory)]
        send(keepers, signal.SIGCONT)
        with contextlib.suppress(KeeperUnavailable):
            ensure_keeper(str(directory))
            stop_keeper(str(directory), stop_runs=True, grace_ms=0, timeout_s=10.0)
    deadline = time.monotonic() + 10.0
    while (left := _processes_of(root)) and time.monotonic() < deadline:
        send([process.pid for process in left], signal.SIGKILL)
        time.sleep(0.05)
    if left:
        print(f"warning: processes that would not end: {[process.pid for process in left]}", file=sys.stderr)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit("ended by a signal")


@contextlib.contextmanager
def workspace() -> Generator[Path]:
    """A private directory; at the end every process that works in it is ended and it is removed."""
    root = Path(tempfile.mkdtemp(prefix="omnitide-bench-"))
    before = signal.signal(signal.SIGTERM, _interrupted)
    try:
        compile_ahead(root)
        yield root
    finally:
        _end_all(root)
        signal.signal(signal.SIGTERM, before)
        shutil.rmtree(root, ignore_errors=True)


def environment(root: Path) -> dict[str, str]:
    """Of the processes: bytecode is kept in the workspace, as pip keeps it for an installed package. Without it, each
    start compiles every module anew, and the compiler's memory stays in the process."""
    told = {key: value for key, value in os.environ.items() if not key.startswith(("OMNITIDE_", "PYTHON"))}
    return {**told, "PYTHONPYCACHEPREFIX": str(root / "bytecode")}


def compile_ahead(root: Path) -> None:
    modules = "import omnitide.api.process, omnitide.node.main, omnitide.node.identity_tool, uvloop"
    subprocess.run([sys.executable, "-P", "-c", modules], env=environment(root), check=True)


# -- the fabric --------------------------------------------------------------------------------------------------------


@dataclass
class Nexus:
    own: "subprocess.Popen[bytes] | None"
    target: Target
    node_endpoint: str

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """Raises RuntimeError if it is somebody else's."""
        if self.own is None:
            raise RuntimeError("this Nexus was started elsewhere")
        return self.own


@dataclass
class Node:
    name: str
    data: Path
    process: "subprocess.Popen[bytes]"

    @property
    def keeper(self) -> int:
        """The keeper's process number. Raises RuntimeError if there is none."""
        directory = str(self.data / "keeper")
        for process in _processes_of(self.data):
            if directory in process.cmdline():
                return process.pid
        raise RuntimeError(f"node {self.name} has no keeper")


@dataclass
class Fabric:
    """One Nexus and its nodes, in a directory of the workspace."""

    root: Path
    name: str = "fabric"
    nodes: dict[str, Node] = field(default_factory=dict)
    _nexus: Nexus | None = None

    @property
    def directory(self) -> Path:
        return self.root / self.name

    @property
    def nexus(self) -> Nexus:
        if self._nexus is None:
            raise RuntimeError("no Nexus was started")
        return self._nexus

    def _start(self, module: str, data: Path, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (data / "process.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", module, "--data", str(data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(self.root),
                start_new_session=True,
            )

    def start_nexus(self, *arguments: str) -> Nexus:
        """Start Nexus and wait until it is ready. Raises RuntimeError with its last words otherwise."""
        data = self.directory / "nexus"
        ports = ("--api-port", "0", "--node-port", "0", "--grpc-port", "0")
        process = self._start("omnitide.api", data, (*ports, *arguments))
        deadline = time.monotonic() + START_S
        while not (data / READY_FILE).exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Nexus did not start:\n{last_words(data)}")
            time.sleep(0.002)
        ready: Mapping[str, str] = json.loads((data / READY_FILE).read_text())
        token, ca = (data / "admin-token").read_text().strip(), (data / "ca.pem").read_text()
        self._nexus = Nexus(process, Target(ready["url"], token, ca), ready["node_endpoint"])
        return self._nexus

    def adopt(self, target: Target) -> None:
        """Nodes join a Nexus that somebody else starts and ends."""
        self._nexus = Nexus(None, target, "")

    def client(self) -> AsyncClient:
        return AsyncClient(self.nexus.target)

    async def join(self, client: AsyncClient, name: str) -> None:
        """Give a node its identity, by a token of its own."""
        token = await client.create_token("join", ttl="1h", uses=1)
        directory = self.directory / name / "identity"
        directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        await join(self.nexus.target.url, token.text, {"name": name, "host": name}, directory)

    def start_node(self, name: str) -> Node:
        """Start the proxy of a node that has joined; does not wait."""
        data = self.directory / name
        node = Node(name, data, self._start("omnitide.node", data, ("--name", name)))
        self.nodes[name] = node
        return node

    async def add_node(self, client: AsyncClient, name: str) -> Node:
        """Join, start, and wait until it is live."""
        await self.join(client, name)
        node = self.start_node(name)
        await self.until_live(client, node)
        return node

    async def until_live(self, client: AsyncClient, node: Node) -> None:
        deadline = time.monotonic() + START_S
        while (await client.get_node(node.name)).status != "live":
            if node.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"node {node.name} did not come up:\n{last_words(node.data)}")
            await asyncio.sleep(0.02)

    def sleeper(self) -> AgentSpec:
        """An agent that does nothing, small enough for hundreds of it on a small machine."""
        return AgentSpec(
            command=("/bin/sleep", "1000000"),
            environment={MARK: str(self.root)},
            resources=Resources(cpu=1, memory=1 << 20),
        )

    def end(self) -> None:
        """End all of this fabric and remove it, before the workspace ends."""
        _end_all_of(self)
        shutil.rmtree(self.directory, ignore_errors=True)


def _end_all_of(fabric: Fabric) -> None:
    for node in fabric.nodes.values():
        node.process.terminate()
    for node in fabric.nodes.values():
        _wait(node.process)
        with contextlib.suppress(KeeperUnavailable):
            stop_keeper(str(node.data / "keeper"), stop_runs=True, grace_ms=0, timeout_s=10.0)
    if fabric.nexus.own is not None:
        fabric.nexus.own.terminate()
        _wait(fabric.nexus.own)


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_words(data: Path) -> str:
    try:
        return "\n".join((data / "process.log").read_text(errors="replace").splitlines()[-8:])
    except OSError:
        return ""


# -- events ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """An event and when it arrived here, by time.monotonic."""

    at: float
    event: CloudEvent

    @property
    def kind(self) -> str:
        """`instance.running`."""
        return self.event.type.removeprefix("omnitide.").rpartition(".v")[0]


class Events:
    """What the event stream has brought so far, and a way to wait for more."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._more = asyncio.Event()

    def put(self, events: Sequence[CloudEvent]) -> None:
        now = time.monotonic()
        self.seen += [Seen(now, event) for event in events]
        self._more.set()

    async def until(self, kind: str, count: int = 1, *, start: int = 0, about: str = "", within_s: float = START_S):
        """The first `count` of a kind after index `start` whose subject begins so. Raises TimeoutError."""
        found: list[Seen] = []
        index = start
        async with asyncio.timeout(within_s):
            while True:
                while index < len(self.seen):
                    seen = self.seen[index]
                    index += 1
                    if seen.kind == kind and seen.event.subject.startswith(about):
                        found.append(seen)
                        if len(found) == count:
                            return found
                self._more.clear()
                await self._more.wait()


@contextlib.asynccontextmanager
async def watching(client: AsyncClient, *kinds: str) -> AsyncGenerator[Events]:
    """The events of these kinds over the WebSocket, from now on."""
    events = Events()
    watch = await client.watch_events(kinds=kinds).open()

    async def read() -> None:
        async for batch in watch.batches():
            events.put(batch)

    reading = asyncio.create_task(read())
    try:
        yield events
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await watch.close()
