"""`up`, `join`, `deploy`, `run` and `down` with real processes; whatever fails, all that was started is ended."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from tests.support.whose import works_in

EXAMPLES = Path(__file__).parents[3] / "examples"
FREE = ("--api-port", "0", "--node-port", "0", "--grpc-port", "0")

pytestmark = pytest.mark.timeout(300)


class Machine:
    """A data folder and the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder

    def cli(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        cut = words.index("--") if "--" in words else len(words)
        command = [sys.executable, "-m", "omnitide.cli", *words[:cut], "--data", str(self.data), *words[cut:]]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        logs = "".join(log.read_text()[-3000:] for log in self.data.glob("*.log"))
        assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}\n{logs}"
        return ran

    def json(self, *words: str) -> dict[str, object]:
        return json.loads(self.cli(*words, "-o", "json").stdout)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on the folder: Nexus, node proxy, keeper, by their command lines."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if works_in(process.cmdline(), self.data):
                    found.append(process)
            except psutil.Error:
                continue
        return [one for one in found if one.pid != os.getpid()]

    def end(self) -> None:
        command = [sys.executable, "-m", "omnitide.cli", "down", "--grace", "1s", "--data", str(self.data)]
        subprocess.run(command, capture_output=True, timeout=120, check=False)
        for process in self.processes():
            for one in (*process.children(recursive=True), process):
                one.kill()


@pytest.fixture
def first(tmp_path: Path) -> Generator[Machine]:
    machine = Machine(tmp_path / "first")
    try:
        yield machine
    finally:
        machine.end()


@pytest.fixture
def second(tmp_path: Path) -> Generator[Machine]:
    machine = Machine(tmp_path / "second")
    try:
        yield machine
    finally:
        machine.end()


def test_a_fabric_from_nothing_to_nothing(first: Machine, second: Machine) -> None:
    up = first.cli("up", *FREE, "--name", "one")
    assert "Nexus and node one ready in" in up.stdout
    assert "already up" in first.cli("up", *FREE).stdout
    token_file = first.data / "nexus" / "admin-token"
    assert token_file.stat().st_mode & 0o777 == 0o600

    url = str(json.loads((first.data / "profile.json").read_text())["url"])
    told = first.cli("token", "create").stderr
    assert "; on this machine, as 127.0.0.1 leads each machine to itself, beside node one:" in told
    assert f"  omnitide --data DIR join {url} --token - --name NAME  " in told
    assert f"omnitide join {url}" not in told, "it would be refused here"
    token = first.cli("token", "create", "-q").stdout.strip()
    joined = second.cli("join", url, "--token", token, "--name", "two", "--label", "zone=b")
    assert "ok    fingerprint" in joined.stdout
    again = second.cli("join", url, "--token", token, "--replace", "--no-start", code=6)
    assert "error: join failed at token" in again.stderr

    deployed = first.cli("deploy", str(EXAMPLES / "hello.toml"), "--replicas", "2")
    assert "hello 2/2 running in" in deployed.stdout
    instances = first.json("ps", "hello")["items"]
    assert isinstance(instances, list)
    for instance in instances:
        with urllib.request.urlopen(next(iter(instance["urls"].values())), timeout=20) as answer:
            assert answer.status == 200

    ran = first.cli("run", "--where", "zone=b", "--", "sh", "-c", "echo $OMNITIDE_NODE; echo no >&2; exit 7", code=7)
    assert (ran.stdout, ran.stderr) == ("two\n", "no\n")

    os.kill(int(instances[0]["handle"].rpartition(" ")[2]), signal.SIGKILL)
    assert "hello 2/2 running" in first.cli("deploy", str(EXAMPLES / "hello.toml")).stdout

    second.cli("down")
    assert "ended" in first.cli("down", "--grace", "2s").stdout
    assert first.processes() == []
    assert second.processes() == []
    assert "nothing is up" in first.cli("down").stdout


def test_nexus_and_node_are_found_again_after_a_kill(first: Machine) -> None:
    first.cli("up", *FREE)
    first.cli("deploy", str(EXAMPLES / "hello.toml"))
    (before,) = first.json("ps", "hello")["items"]  # type: ignore[misc]
    for name in ("nexus/nexus.json", "node/node.json"):
        os.kill(int(json.loads((first.data / name).read_text())["pid"]), signal.SIGKILL)
    assert "already up" in first.cli("up", *FREE).stdout, "the supervisor was quicker, or up waits for it"
    (after,) = first.json("ps", "hello")["items"]  # type: ignore[misc]
    assert (after["id"], after["handle"]) == (before["id"], before["handle"])


def test_a_port_that_is_taken_is_the_reason_given(first: Machine) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = first.cli("up", "--nexus-only", "--api-port", port, "--node-port", "0", "--grpc-port", "0", code=1)
    assert ran.stderr.startswith("error: Nexus did not start: ")
    assert f"127.0.0.1:{port} is taken by process" in ran.stderr
