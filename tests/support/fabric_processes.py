"""A fabric as a user has it: the installed `omnitide` command, separate processes, data folders of its own.

    with Fabric(folder) as fabric:
        fabric.up()
        fabric.join("beta")
        fabric.cli("deploy", "hello.toml")

Nothing outlives the block: each data folder is taken down in order, and what then still works in the folder (by its
arguments or its working directory, which nobody else has) is killed.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import Node
from omnitide.model.objects import Instance
from omnitide.sdk import Client, Target
from omnitide.sdk.errors import FabricError
from support.warm_command import OMNITIDE, WARM
from support.whose import works_in

T = TypeVar("T")

EXAMPLES = Path(__file__).parents[2] / "examples"
DEADLINE_S = 60.0
"""Longest wait for anything. Long, because the machine may be busy; what never happens still fails."""
PORTS_EACH = 200


def until(condition: Callable[[], T | None], what: str, within_s: float = DEADLINE_S) -> T:
    """The first true value of `condition`, which is asked again and again; an error of Nexus is no value yet.

    Raises AssertionError after `within_s` seconds, with what was seen last.
    """
    deadline = time.monotonic() + within_s
    seen: object = None
    while True:
        try:
            found = condition()
            if found:
                return found
            seen = found
        except FabricError as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what}; seen last: {seen!r}")
        time.sleep(0.03)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def freeze(*pids: int) -> None:
    """Stops processes where they are. The signal comes to each thread in its own time, and until then it answers."""
    send(pids, signal.SIGSTOP)
    until(lambda: all(map(stands_still, pids)), f"{pids} stand still")


def stands_still(pid: int) -> bool:
    """Whether none of its threads can take another step; one that has ended can not."""
    return {_state(task) for task in Path(f"/proc/{pid}/task").glob("*/stat")} <= {"T", "Z", ""}


def _state(stat: Path) -> str:
    """Of a thread, as proc(5) has it; none where it is gone."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


@dataclass
class Fabric:
    """One Nexus and its nodes, each with a data folder below `folder`, named as the node."""

    folder: Path
    main: str = "alpha"
    """The node that `up` makes, and the name of its folder."""
    bytecode: Path | None = None
    """Where compiled modules are kept, as pip keeps them beside an installed package; without, each start compiles."""
    wrap: dict[str, Sequence[str]] = field(default_factory=dict)
    """Words before the command on a data folder, such as `ip netns exec NAME`; "": on the first node's."""
    _clients: list[Client] = field(default_factory=list)
    _spares: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    """Of the nodes, each of which has a range of ports of its own, the same at each of its starts."""

    def __enter__(self) -> "Fabric":
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- commands ----------------------------------------------------------------------------------------------------

    def data(self, name: str = "") -> Path:
        return self.folder / (name or self.main)

    def environment(self, name: str = "") -> dict[str, str]:
        told = {key: value for key, value in os.environ.items() if not key.startswith(("OMNITIDE_", "PYTHON", "XDG_"))}
        kept = {"PYTHONPYCACHEPREFIX": str(self.bytecode)} if self.bytecode else {}
        number = self._numbers.setdefault(name or self.main, len(self._numbers))
        first = 21000 + number * PORTS_EACH
        return {
            **told,
            **kept,
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "OMNITIDE_FABRICS": str(self.folder / "fabrics"),
            "OMNITIDE_NODE_PORT_RANGE": f"{first}-{first + PORTS_EACH - 1}",
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def words(self, *words: str, name: str = "") -> list[str]:
        cut = words.index("--") if "--" in words else len(words)
        # The data folder may hide the namespace's own tools: the command is named in full.
        return [*self.wrap.get(name, ()), str(OMNITIDE), *words[:cut], "--data", str(self.data(name)), *words[cut:]]

    def cli(
        self,
        *words: str,
        code: int | None = 0,
        name: str = "",
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; fails the test if its exit code is another. `name`: on whose data folder."""
        asked = self.words(*words, name=name)
        env = {**self.environment(name), **(environment or {})}
        patience_s = DEADLINE_S * 1.5
        if asked[0] == str(OMNITIDE):
            ran = WARM.run(asked[1:], input=stdin, cwd=self.folder, env=env, timeout=patience_s)
        else:
            given = {"input": stdin, "cwd": self.folder, "env": env, "timeout": patience_s}
            ran = subprocess.run(asked, capture_output=True, text=True, check=False, **given)
        assert code is None or ran.returncode == code, (
            f"{words}: code {ran.returncode}, not {code}\n{ran.stdout}\n{ran.stderr}"
        )
        return ran

    def json(self, *words: str, name: str = "") -> dict[str, object]:
        """What a command prints with `-o json`."""
        return json.loads(self.cli(*words, "-o", "json", name=name).stdout)

    @contextlib.contextmanager
    def beside(self, *words: str, name: str = "") -> "Generator[Beside]":
        """A command that runs beside the test, and is ended with the block."""
        number = self._spares = self._spares + 1
        out, err = self.folder / f"beside-{number}.out", self.folder / f"beside-{number}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                self.words(*words, name=name),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self.folder,
                env={**self.environment(name), "PYTHONUNBUFFERED": "1"},
            )
        try:
            yield Beside(process, out, err)
        finally:
            process.kill()
            process.wait()

    # -- life --------------------------------------------------------------------------------------------------------

    def up(self, *words: str) -> None:
        """Start Nexus and the first node, or what of them does not run, on the ports that it had before."""
        known = self.data() / "ports.json"
        ports = json.loads(known.read_text()) if known.exists() else {"api": 0, "node": 0, "grpc": 0}
        flags = [word for kind, port in ports.items() for word in (f"--{kind}-port", str(port))]
        self.cli("up", *flags, *(() if "--nexus-only" in words else ("--name", self.main)), *words)
        ready = self.ready()
        found = {"api": ready["url"], "node": ready["node_endpoint"], "grpc": ready["grpc_endpoint"]}
        known.write_text(json.dumps({kind: int(place.rpartition(":")[2]) for kind, place in found.items()}))

    def ready(self) -> dict[str, str]:
        return json.loads((self.data() / "nexus" / "nexus.json").read_text())

    @property
    def url(self) -> str:
        return self.ready()["url"]

    def token(self, *words: str) -> str:
        return self.cli("token", "create", "-q", *words).stdout.strip()

    def join(self, name: str, *words: str, url: str = "") -> None:
        """Make a further node, as another machine would, and wait until it is live."""
        self.data(name).mkdir()
        self.cli("join", url or self.url, "--token", self.token(), "--name", name, *words, name=name)
        self.until_live(name)

    def start_node(self, name: str = "") -> None:
        """Start the proxy of a node that has joined, as it was started the last time."""
        self.cli("up", "--node-only", name=name)

    def until_live(self, name: str = "", within_s: float = DEADLINE_S) -> Node:
        def live() -> Node | None:
            node = self.client.get_node(name or self.main)
            return node if node.status == "live" and node.session_address else None

        return until(live, f"{name or self.main} is live", within_s)

    def target(self) -> Target:
        nexus = self.data() / "nexus"
        return Target(self.url, (nexus / "admin-token").read_text().strip(), (nexus / "ca.pem").read_text())

    @property
    def client(self) -> Client:
        """Of the SDK, by the admin token."""
        if not self._clients:
            self._clients.append(Client(self.target()))
        return self._clients[-1]

    # -- what there is -----------------------------------------------------------------------------------------------

    def instances(self, agent: str = "", *, node: str = "", status: str = "") -> list[Instance]:
        found = self.client.instances()
        return [
            one
            for one in found
            if agent in ("", one.workload) and node in ("", one.node) and status in ("", one.status)
        ]

    def running(self, agent: str, count: int, within_s: float = DEADLINE_S) -> list[Instance]:
        """Once exactly so many run and nothing else of it is under way."""

        def so() -> list[Instance] | None:
            found = [one for one in self.instances(agent) if one.status not in ("succeeded", "failed", "stopped")]
            return found if len(found) == count and all(one.status == "running" for one in found) else None

        return until(so, f"{count} of {agent} run: {self._shown(agent)}", within_s) if count else []

    def _shown(self, agent: str) -> str:
        with contextlib.suppress(FabricError):
            return ", ".join(f"{one.name} {one.status} on {one.node or '-'}" for one in self.instances(agent))
        return "Nexus does not answer"

    def events(self, *kinds: str, subject: str = "", after: int = 0) -> list[CloudEvent]:
        """All of them, oldest first."""
        found: list[CloudEvent] = []
        skip = 0
        while True:
            page = self.client.list_events(after=after, skip=skip, kinds=kinds, subject=subject)
            found += page.items
            if not page.more:
                return found
            after, skip = page.next_after, page.next_skip

    # -- processes ---------------------------------------------------------------------------------------------------

    def nexus_pid(self) -> int:
        return int(self.ready()["pid"])

    def supervisor_pid(self, name: str = "") -> int:
        return json.loads((self.data(name) / "processes.json").read_text())["supervisor"]["pid"]

    def new_nexus(self, before: int) -> int:
        """The process of the next Nexus, once it serves; nobody but the supervisor starts it."""

        def so() -> int | None:
            with contextlib.suppress(OSError, ValueError):  # its file is being written, or is gone
                pid = self.nexus_pid()
                return pid if pid != before and alive(pid) and self.client.get_fabric() else None
            return None

        return until(so, "Nexus is back by itself")

    def new_proxy(self, before: int, name: str = "") -> int:
        """The process of the next node proxy, once its session stands; nobody but the supervisor starts it."""

        def so() -> int | None:
            with contextlib.suppress(OSError, ValueError):
                pid = self.proxy_pid(name)
                return pid if pid != before and alive(pid) else None
            return None

        found = until(so, "the node proxy is back by itself")
        self.until_live(name)
        return found

    def proxy_pid(self, name: str = "") -> int:
        return json.loads((self.data(name) / "node" / "node.json").read_text())["pid"]

    def keeper_pid(self, name: str = "") -> int:
        directory = str(self.data(name) / "node" / "keeper")
        found = {one.pid: one.ppid() for one in self.processes(name) if directory in one.cmdline()}
        # A child that has not become its program yet looks like its keeper.
        (pid,) = [pid for pid, parent in found.items() if parent not in found]
        return pid

    def processes(self, name: str | None = None) -> list[psutil.Process]:
        """Those that work in the folder (of one node), by what only they can have: its path as argument or place."""
        place = str(self.folder if name is None else self.data(name))
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if works_in(process.cmdline(), place) or f"{process.cwd()}/".startswith(f"{place}/"):
                    found.append(process)
        return found

    def node_processes(self, name: str) -> list[int]:
        """Supervisor, proxy, keeper and instances of a node: what goes with a machine that is switched off, first the
        one that would start others again."""
        nexus = self.nexus_pid() if name == self.main else 0
        first = self.supervisor_pid(name)
        found = [one.pid for one in self.processes(name) if one.pid != nexus]
        return sorted(found, key=lambda pid: pid != first)

    def close(self) -> None:
        """End everything, however it is; what had to be killed is no failure, what cannot be killed is."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        send([one.pid for one in self.processes()], signal.SIGCONT)
        folders = [path.name for path in self.folder.iterdir() if (path / "processes.json").exists()]
        for name in sorted(folders, key=lambda folder: folder == self.main):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.cli("down", "--grace", "0s", name=name, code=None)
        deadline = time.monotonic() + 10.0
        while left := self.processes():
            assert time.monotonic() < deadline, f"processes that do not end: {left}"
            send([one.pid for one in left], signal.SIGKILL)
            time.sleep(0.02)


@dataclass(frozen=True)
class Beside:
    """A command that runs beside the test."""

    process: "subprocess.Popen[bytes]"
    _out: Path
    _err: Path

    @property
    def out(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_text(errors="replace")

    def until(self, condition: Callable[[str], object], what: str) -> str:
        """Its output, once it is so."""

        def so() -> bool:
            assert self.process.poll() is None or condition(self.out), f"ended {self.process.returncode}: {self.err}"
            return bool(condition(self.out))

        until(so, what)
        return self.out
