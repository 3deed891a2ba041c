"""The supervisor as a process: it starts again what dies, remembers, gives up, ends. The children are shell scripts."""

import json
import os
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path

import psutil
import pytest

from omnitide.supervisor import client, identity
from omnitide.supervisor.client import Connection, SupervisorRefused, SupervisorUnavailable

DEADLINE_S = 30.0
MOST_BYTES = 12 << 20
"""Resident, as the brief of the supervisor says."""


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Home:
    """A data directory with a supervisor, and one child called nexus."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.place = str(folder)
        self.starts = folder / "starts"
        self.seen: set[int] = set()

    def spec(self, script: str) -> dict[str, object]:
        text = f"echo $$ >> {self.starts}; {script}"
        return {
            "name": "nexus",
            "argv": ["/bin/sh", "-c", text, "sh", str(self.folder / "data")],
            "folder": str(self.folder / "data"),
            "log": str(self.folder / "nexus.log"),
            "told": {"TOLD": "yes"},
            "settings": {},
            "environment": {"PATH": os.environ["PATH"], "SECRET": "not-for-disk"},
        }

    def start(self, script: str = "exec sleep 1000") -> int:
        """Process id of the child."""
        client.ensure(self.place)
        assert client.ask(self.place, "start", self.spec(script))
        return self.pid

    def child(self) -> dict[str, object]:
        return json.loads((self.folder / "processes.json").read_text())["children"]["nexus"]

    @property
    def pid(self) -> int:
        pid = self.child()["pid"]
        assert isinstance(pid, int)
        self.seen.add(pid)
        return pid

    @property
    def supervisor(self) -> int:
        pid = json.loads((self.folder / "processes.json").read_text())["supervisor"]["pid"]
        self.seen.add(pid)
        return pid

    def told(self) -> str:
        """What the children have written."""
        return self.starts.read_text() if self.starts.exists() else ""

    def log(self) -> str:
        return (self.folder / "supervisor.log").read_text()

    def again(self, before: int) -> int:
        until(lambda: self.pid not in (0, before), f"started again: {self.log()}")
        return self.pid

    def end(self) -> None:
        """Whatever still works here, found by the folder that only it can name."""
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if process.pid != os.getpid() and any(self.place in word for word in words):
                process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    made = Home(tmp_path / "home")
    try:
        yield made
    finally:
        for _ in range(3):  # one that was killed may just have been started again
            made.end()


@pytest.mark.parametrize("end", ["signal", "code", "clean"])
def test_one_that_ends_unasked_is_started_again(home: Home, end: str) -> None:
    first = home.start({"signal": "exec sleep 1000", "code": "sleep 1; exit 3", "clean": "sleep 1"}[end])
    if end == "signal":
        os.kill(first, signal.SIGKILL)
    home.again(first)
    child = home.child()
    assert child["restarts"] == 1
    assert child["last_end"] == {"signal": "killed by SIGKILL", "code": "exit code 3", "clean": "exit code 0"}[end]
    assert f"process {first} is gone" in home.log()


@pytest.mark.parametrize("code", [2, 4, 5, 6])
def test_what_a_restart_cannot_mend_is_not_tried_again_and_the_reason_stays(home: Home, code: int) -> None:
    home.start(f"exit {code}")
    until(lambda: not identity.started(home.supervisor), "with nothing left to keep the supervisor ends")
    assert f"exit code {code}: " in str(home.child()["gave_up"])
    assert "not started again" in home.log()
    assert len(home.told().split()) == 1
    home.start()
    assert not home.child()["gave_up"], "asked again, it is tried again"


def test_one_that_keeps_dying_is_started_ever_more_slowly(home: Home) -> None:
    home.start("exit 1")
    until(lambda: home.log().count("is gone") >= 5, "five deaths")
    told = [line.rpartition(" in ")[2] for line in home.log().splitlines() if "times in a row" in line]
    assert told[:4] == ["0.1 s", "0.2 s", "0.4 s", "0.8 s"]


def test_one_that_is_ended_on_request_stays_ended_and_the_supervisor_goes(home: Home) -> None:
    pid, supervisor = home.start(), home.supervisor
    assert client.ask(home.place, "stop", {"name": "nexus", "seconds": 10}) == {"orderly": True}
    until(lambda: not identity.started(supervisor), "the supervisor has ended")
    assert not identity.started(pid)
    assert client.ask(home.place, "state") is None
    assert home.child()["wanted"] is False
    client.ensure(home.place)
    assert home.pid == 0, "the next one does not start it either"


def test_one_that_does_not_end_is_killed(home: Home) -> None:
    pid = home.start("trap '' TERM; echo deaf >> $TMP; while :; do sleep 0.05; done".replace("$TMP", f"{home.starts}"))
    until(lambda: "deaf" in home.told(), "it hears no more")
    assert client.ask(home.place, "stop", {"name": "nexus", "seconds": 0.2}) == {"orderly": False}
    assert not identity.started(pid)


def test_a_killed_supervisor_leaves_its_child_to_the_next(home: Home) -> None:
    pid, supervisor = home.start(), home.supervisor
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not identity.started(supervisor), "it is dead")
    assert identity.started(pid)
    client.ensure(home.place)
    assert home.pid == pid
    os.kill(pid, signal.SIGKILL)
    second = home.again(pid)
    assert home.told().split() == [str(pid), str(second)]


def test_what_died_with_its_supervisor_is_started_by_the_next(home: Home) -> None:
    pid, supervisor = home.start(), home.supervisor
    for one in (supervisor, pid):
        os.kill(one, signal.SIGKILL)
    until(lambda: not identity.started(supervisor) and not identity.started(pid), "both are dead")
    client.ensure(home.place)
    assert home.again(pid) != pid


def test_a_signal_ends_all_in_order_and_the_next_supervisor_goes_on(home: Home) -> None:
    pid = home.start(f"trap 'echo goodbye >> {home.starts}; exit 0' TERM; while :; do sleep 0.05; done")
    until(home.told, "it has begun")
    supervisor = home.supervisor
    os.kill(supervisor, signal.SIGTERM)
    until(lambda: not identity.started(supervisor), "it has ended")
    assert not identity.started(pid)
    assert "goodbye" in home.told()
    client.ensure(home.place)
    assert home.again(pid)


def test_two_supervisors_are_one_too_many(home: Home) -> None:
    home.start()
    command = client.command(home.place)
    process = psutil.Popen(command, stderr=-1, cwd="/")
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 6
    assert b"another supervisor" in said


def test_a_copied_directory_starts_nothing_of_the_original(home: Home, tmp_path: Path) -> None:
    home.start()
    copy = Home(tmp_path / "copy")
    (copy.folder / "processes.json").write_text((home.folder / "processes.json").read_text())
    state = client.ensure(copy.place)
    assert state["children"] == {}
    copy.end()


def test_it_holds_no_more_than_it_must_and_sleeps_when_nothing_happens(home: Home) -> None:
    home.start()
    with Connection(home.place) as connection:
        connection.ask("follow")
        process = psutil.Process(home.supervisor)
        until(lambda: process.status() == psutil.STATUS_SLEEPING, "it has nothing to do")
        before = process.num_ctx_switches().voluntary
        time.sleep(1.5)  # a poll would be seen within it; there is no condition for "nothing happens"
        assert process.num_ctx_switches().voluntary - before <= 1
    assert process.memory_info().rss < MOST_BYTES * 1.1, "measured 10.6 to 11.6 MiB"
    assert process.num_threads() == 1


def test_the_environment_is_given_and_never_written_down(home: Home) -> None:
    home.start(f'echo "$TOLD-$SECRET" >> {home.starts}; exec sleep 1000')
    until(lambda: "yes-not-for-disk" in home.told(), "the child has both")
    assert not [path for path in home.folder.iterdir() if path.is_file() and path != home.starts and _holds(path)]
    assert (home.folder / "processes.json").stat().st_mode & 0o077 == 0


def _holds(path: Path) -> bool:
    return b"not-for-disk" in path.read_bytes()


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[]\n", b'{"op": "frob"}\n', b'{"op": "start", "name": "x"}\n', b'{"op": "start"}\n']
)
def test_what_makes_no_sense_is_refused_and_nothing_else_happens(home: Home, line: bytes) -> None:
    pid = home.start()
    with Connection(home.place) as connection:
        connection._socket.sendall(line)  # pyright: ignore[reportPrivateUsage] (the client says no such thing)
        assert "error" in connection._read()  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(SupervisorRefused):
            connection.ask("frob")
    assert home.pid == pid


def test_a_request_without_end_is_cut_off(home: Home) -> None:
    pid = home.start()
    with Connection(home.place) as connection, pytest.raises((SupervisorUnavailable, OSError)):
        for _ in range(200):
            connection._socket.sendall(b"x" * (1 << 16))  # pyright: ignore[reportPrivateUsage]
        connection._read()  # pyright: ignore[reportPrivateUsage]
    assert home.pid == pid
