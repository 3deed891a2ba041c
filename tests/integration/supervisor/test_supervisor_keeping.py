"""The supervisor as a process: it starts again what dies, remembers, gives up, ends. The children are shell scripts."""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Generator
from pathlib import Path

import psutil
import pytest
from tests.support.whose import works_in

from omnitide.supervisor import client, identity
from omnitide.supervisor.child import MAX_LOG_BYTES
from omnitide.supervisor.client import Connection, SupervisorRefused, SupervisorUnavailable
from omnitide.supervisor.service import MAX_CLIENTS

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
        # Its working directory tells whose it is, whatever it becomes.
        text = f"cd {self.folder}; echo $$ >> {self.starts}; {script}"
        return {
            "name": "nexus",
            "argv": ["/bin/sh", "-c", text, "sh", str(self.folder / "data")],
            "folder": str(self.folder / "data"),
            "log": str(self.folder / "nexus.log"),
            "told": {"TOLD": "yes"},
            "settings": {},
            "environment": {"PATH": os.environ["PATH"], "SECRET": "not-for-disk"},
        }

    def start(self, script: str = "exec sleep 1000", **more: object) -> int:
        """Process id of the child."""
        client.ensure(self.place)
        assert client.ask(self.place, "start", {**self.spec(script), **more})
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
        """Whatever still works here, found by the folder that only it can name or work in."""
        for process in psutil.process_iter():
            try:
                ours = process.cwd() == self.place or works_in(process.cmdline(), self.place)
                if ours and process.pid != os.getpid():
                    process.kill()
            except (psutil.Error, OSError):
                continue


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


# -- where it is, and who it is ----------------------------------------------------------------------------------------


def test_a_link_to_its_directory_is_its_directory(home: Home, tmp_path: Path) -> None:
    pid, supervisor = home.start(), home.supervisor
    link = tmp_path / "link"
    link.symlink_to(home.folder)
    assert client.ensure(str(link))["pid"] == supervisor
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not identity.started(supervisor), "it is dead")
    state = client.ensure(str(link))
    assert state["pid"] != supervisor
    assert home.pid == pid, "what the last one kept is known by whatever name"


def test_a_number_that_is_another_process_by_now_is_left_alone(home: Home) -> None:
    pid, supervisor = home.start(), home.supervisor
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not identity.started(supervisor), "it is dead")
    path = home.folder / "processes.json"
    record = json.loads(path.read_text())
    record["children"]["nexus"]["mark"] += "1"
    path.write_text(json.dumps(record))
    client.ensure(home.place)
    assert home.again(pid) != pid
    assert identity.started(pid), "it is somebody else's"


def test_one_of_another_version_makes_room_and_its_child_notices_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, supervisor = home.start(), home.supervisor
    assert client.ensure(home.place)["pid"] == supervisor
    monkeypatch.setattr(client, "__version__", "0.0.0.of-another-time")
    assert client.ensure(home.place)["pid"] != supervisor
    assert not identity.started(supervisor)
    assert home.pid == pid
    assert "released" in home.log()


def test_the_node_is_ended_before_nexus(home: Home) -> None:
    goodbye = f"trap 'sleep 0.3; echo $NAME >> {home.starts}; exit 0' TERM; while :; do sleep 0.02; done"
    for name in ("nexus", "node"):
        told = {"NAME": name}
        home.start(goodbye, name=name, told=told)
    until(lambda: len(home.told().split()) == 2, "both have begun")
    supervisor = home.supervisor
    os.kill(supervisor, signal.SIGTERM)
    until(lambda: not identity.started(supervisor), "it has ended")
    assert home.told().split()[2:] == ["node", "nexus"]


# -- what is wrong and gets mended -------------------------------------------------------------------------------------


def test_a_wrong_configuration_is_waited_for_until_somebody_changes_it(home: Home) -> None:
    config = home.folder / "settings.toml"
    config.write_text("good")
    script = f"grep -q good {config} || exit 2; exec sleep 1000"
    first = home.start(script, files=[str(config), str(home.folder / "not-there.toml")])
    until(lambda: identity.arguments(first) == ["sleep", "1000"], "it has read its configuration")
    config.write_text("wrong")
    os.kill(first, signal.SIGKILL)
    until(lambda: home.child()["gave_up"], "it says why it is not started")
    assert "configuration" in str(home.child()["gave_up"])
    assert "until one of its files changes" in str(home.child()["gave_up"])
    config.write_text("good once more")
    between = home.again(first)
    assert not home.child()["gave_up"]
    until(lambda: identity.arguments(between) == ["sleep", "1000"], "it has read it too")
    config.write_text("wrong again")
    os.kill(between, signal.SIGKILL)
    until(lambda: home.child()["gave_up"], "it waits again")
    starts = len(home.told().split())
    supervisor = home.supervisor
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not identity.started(supervisor), "it is dead")
    client.ensure(home.place)
    assert len(home.told().split()) == starts, "the next one waits as well"
    config.write_text("good again")
    second = home.again(between)
    until(lambda: not home.child()["gave_up"], "all is well")
    assert identity.started(second)


def test_a_log_that_is_too_large_is_set_aside_when_its_process_is_started(home: Home) -> None:
    log = home.folder / "nexus.log"
    with log.open("wb") as file:
        file.truncate(MAX_LOG_BYTES + 1)
    home.start("echo hello; exec sleep 1000")
    until(lambda: log.read_bytes() == b"hello\n", "a new one")
    assert (home.folder / "nexus.log.1").stat().st_size == MAX_LOG_BYTES + 1


# -- who may ask, and what ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b'{"op": "stop", "name": "nexus", "seconds": 1e999}',
        b'{"op": "stop", "name": "nexus", "seconds": NaN}',
        b'{"op": "stop", "name": "nexus", "seconds": -1}',
        b'{"op": "stop", "name": "nexus", "seconds": true}',
        b'{"op": "stop", "name": "nexus", "seconds": ' + b"9" * 4000 + b"}",
        b"[" * 200_000,
        b'{"op": ' + b"[" * 200_000,
        b'{"op": "start", "name": "x", "argv": ["/bin/sh", "a\\u0000b"], "folder": "/tmp/x", "log": "/tmp/x.log"}',
        b'{"op": "start", "name": "x", "argv": ["/bin/sh"], "folder": "/tmp/\\u0000", "log": "/tmp/x.log"}',
        b'{"op": "start", "name": "x", "argv": ["/bin/sh", "\\ud800"], "folder": "/tmp/x", "log": "/tmp/x.log"}',
        b'{"op": "start", "name": "x", "argv": ["/bin/sh"], "folder": "/tmp/x", "log": "l"}',
        b'{"op": "start", "name": "x", "argv": ["a"], "folder": "/x", "log": "/x", "environment": {"A=": "b"}}',
        b'{"op": "start", "name": "x", "argv": ["a"], "folder": "/x", "log": "/x", "told": {"A": "\\u0000"}}',
        b'{"op": "start", "name": "\\ud800", "argv": ["a"], "folder": "/x", "log": "/x"}',
        b'{"op": "start", "name": [1], "argv": ["a"], "folder": "/x", "log": "/x"}',
        b'{"op": "adopt", "name": "x", "argv": ["a"], "folder": "/x", "log": "/x", "pid": 1e999}',
        b'{"op": "adopt", "name": "x", "argv": ["a"], "folder": "/x", "log": "/x", "pid": ' + b"9" * 40 + b"}",
        b'{"op": "adopt", "name": "x", "argv": ["a"], "folder": "/x", "log": "/x", "pid": -1}',
        b'{"op": "adopt", "name": "x", "argv": ["a"], "folder": "/x", "log": "/x", "pid": 4194303}',
        b"\xff\xfe",
    ],
)
def test_nothing_that_is_asked_ends_it(home: Home, line: bytes) -> None:
    pid, supervisor = home.start(), home.supervisor
    with Connection(home.place) as connection:
        connection._socket.sendall(line + b"\n")  # pyright: ignore[reportPrivateUsage] (the client says no such thing)
        assert "error" in connection._read()  # pyright: ignore[reportPrivateUsage]
        state = connection.ask("state")
    assert state["pid"] == supervisor
    assert list(state["children"]) == ["nexus"]  # type: ignore[call-overload] # an object of JSON
    assert home.pid == pid
    assert identity.started(pid)
    assert home.child()["wanted"] is True


def test_a_further_client_than_it_has_room_for_is_sent_away_and_room_comes_back(home: Home) -> None:
    home.start()
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CLIENTS):
            stack.enter_context(Connection(home.place)).ask("state")
        with Connection(home.place) as further, pytest.raises(SupervisorUnavailable):
            further.ask("state")
    until(lambda: _answers(home), "room again")


def _answers(home: Home) -> bool:
    with contextlib.suppress(SupervisorUnavailable):
        return client.ask(home.place, "state") is not None
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_sent_away_even_where_the_socket_lets_it_in(home: Home) -> None:
    home.start()
    (home.folder / "supervisor.sock").chmod(0o666)
    home.folder.chmod(0o711)
    folder = os.open(home.folder, os.O_PATH | os.O_DIRECTORY)
    asked, answered = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(65534, 65534, 65534)
            with socket.socket(socket.AF_UNIX) as mine:
                mine.settimeout(DEADLINE_S)
                mine.connect(f"/proc/self/fd/{folder}/supervisor.sock")
                os.write(answered, b"connected:")
                with contextlib.suppress(OSError):
                    mine.sendall(b'{"op": "state"}\n')
                    os.write(answered, mine.recv(100))
        finally:
            os._exit(0)
    os.close(answered)
    os.close(folder)
    os.waitpid(child, 0)
    with open(asked, "rb") as told:
        assert told.read() == b"connected:", "let in by the file, and told nothing"
    assert _answers(home)
