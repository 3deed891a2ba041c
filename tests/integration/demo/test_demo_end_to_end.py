"""`omnitide demo` as it is called: a fabric comes up, lives, and leaves nothing behind, however it ends."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from omnitide.cli.root import run
from omnitide.demo.stage import MARK
from omnitide.sdk import Client
from omnitide.sdk.target import find_target

DEADLINE_S = 90.0
"""Of a machine that is very busy; quiet, it takes a few seconds."""


class Demo(NamedTuple):
    process: "subprocess.Popen[str]"
    told: dict[str, str]
    pids: list[int]

    @property
    def data(self) -> Path:
        return Path(self.told["data"])

    def client(self) -> Client:
        return Client(find_target(environ={}, profile=self.data / "profile.json"))

    def gone(self) -> bool:
        self.process.poll()
        return not any(_lives(pid) for pid in self.pids)


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextlib.contextmanager
def played(folder: Path, *words: str) -> Generator[Demo]:
    """Temporary folders are made below `folder`; the home of whoever calls is there too."""
    environment = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder / "home"), "OMNITIDE_NEXUS_API_PORT": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "omnitide.cli", "demo", *words, "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("}"):
                break
        assert lines, process.stderr.read() if process.stderr else ""
        told = json.loads("".join(lines))
        yield Demo(process, told, [process.pid, told["nexus_pid"], told["machines_pid"]])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate(timeout=DEADLINE_S)


@pytest.mark.timeout(240)
def test_a_demo_lives_and_is_marked_and_killed_leaves_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with played(tmp_path, "--nodes", "20", "--agents", "5", "--seed", "3") as demo:
        with demo.client() as client:
            status = client.get_fabric()
            assert status.demo
            assert status.nodes.joined + sum(getattr(status.nodes, one) for one in ("live", "stalled")) >= 19
            nodes = list(client.nodes())
            assert len(nodes) == 20
            assert {(node.labels["simulated"], node.platform["simulated"]) for node in nodes} == {("true", "yes")}
            assert {driver.name for node in nodes for driver in node.drivers} == {"docker", "process", "wasm"}

            until(
                lambda: all(one.running for one in client.agents() if one.name != "legacy-sync"),
                "agents did not come to run",
            )

            def crashed() -> bool:
                (found,) = client.list_instances(namespace="office", agent="legacy-sync").items
                return found.attempt > 1 and found.exit is not None and found.exit.code == 78

            until(crashed, "the agent that crashes did not")

            (one, *_) = client.list_instances(namespace="shop", agent="storefront").items
            until(lambda: client.get_instance(one.id).health == "healthy", "its probe does not work")
            lines = b"".join(chunk.text.encode() for chunk in client.read_logs(one.id))
            assert b"storefront" in lines
            assert b"(simulated)" in lines
            volumes = client.list_volumes().items
            assert {(found.namespace, found.name) for found in volumes} == {("shop", "data")}
            assert run(["--data", str(demo.data), "exec", one.id, "sh"]) != 0
            assert f"{one.name} is simulated" in capsys.readouterr().err
        assert not (tmp_path / "home").exists(), "it touches nobody's settings"
        # As the worst that can happen to it; in order is the next test's.
        demo.process.kill()
        until(demo.gone, "something goes on")
        until(lambda: not demo.data.exists(), "its folder stays")


@pytest.mark.timeout(240)
def test_a_folder_that_is_named_stays_and_a_demo_goes_on_from_there(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    ids: list[set[str]] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with played(tmp_path, "--nodes", "2", "--agents", "0", "--data", str(kept)) as demo:
            with demo.client() as client:
                ids.append({node.id for node in client.nodes()})
            demo.process.send_signal(number)
            assert demo.process.wait(DEADLINE_S) == 0
            until(demo.gone, "something goes on")
    assert ids[0] == ids[1], "its machines came back as themselves"
    assert (kept / MARK).exists()


@pytest.mark.parametrize("words", [("--nodes", "0"), ("--nodes", "1000000000"), ("--speed", "0"), ("--agents", "-1")])
def test_nonsense_is_refused_before_anything_starts(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", *words]) == 2
    assert words[0] in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nexus").mkdir()
    (tmp_path / "nexus" / "mine").write_text("precious")
    assert run(["demo", "--nodes", "1", "--data", str(tmp_path)]) == 1
    assert "not by a demo" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["nexus", "mine"]
    shutil.rmtree(tmp_path / "nexus")


def test_a_folder_that_others_can_look_into_is_refused_before_anything_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o755)
    assert run(["demo", "--nodes", "1", "--data", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert f"{tmp_path}: a directory with secrets is open to others (mode 0755)" in told
    assert f"chmod 700 {tmp_path}" in told
    assert not list(tmp_path.iterdir())


def test_what_is_no_folder_is_refused_as_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    file.chmod(0o644)
    assert run(["demo", "--nodes", "1", "--data", str(file)]) == 1
    told = capsys.readouterr().err
    assert f"{file} is no folder" in told
    assert "chmod" not in told
