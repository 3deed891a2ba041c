"""Into instances with the installed CLI: programs under a real terminal, files, ports; and what goes wrong."""

import contextlib
import fcntl
import hashlib
import http.client
import io
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import termios
import time
import urllib.request
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from omnitide.cli.exits import Failure
from omnitide.cli.instances.unpacking import unpack
from omnitide.model.objects import Instance
from support.fabric_processes import DEADLINE_S, Fabric, until

SLEEPER = """
name = "sleeper"
command = ["sleep", "100000"]
"""
SERVER = """
name = "web"
command = ["{python}", "-m", "http.server", "--bind", "127.0.0.1", "${{PORT_HTTP}}"]
[ports.http]
"""


@pytest.fixture
def sleeper(fabric: Fabric) -> Instance:
    (fabric.folder / "sleeper.toml").write_text(SLEEPER)
    fabric.cli("deploy", "sleeper.toml")
    (one,) = fabric.running("sleeper", 1)
    return one


class Terminal:
    """A command with a terminal of its own, as a person has it."""

    def __init__(self, fabric: Fabric, *words: str, rows: int = 30, columns: int = 100) -> None:
        self.master, slave = pty.openpty()
        self.slave = os.dup(slave)
        self.resize(rows, columns, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            fabric.words(*words),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=fabric.folder,
            env={**fabric.environment(), "TERM": "xterm"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.seen = b""

    def resize(self, rows: int, columns: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def until(self, text: bytes) -> None:
        """What is seen up to and with `text` is then forgotten."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} was not seen: {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)
        self.seen = self.seen[self.seen.index(text) + len(text) :]

    def end(self) -> int:
        """The exit code; what it still said is read, as a terminal would."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        return self.process.returncode

    @property
    def restored(self) -> bool:
        return termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def terminal(fabric: Fabric, *words: str) -> Generator[Terminal]:
    made = Terminal(fabric, *words)
    try:
        yield made
    finally:
        made.close()


def test_a_command_runs_in_an_instance_and_its_exit_code_is_ours(fabric: Fabric, sleeper: Instance) -> None:
    ran = fabric.cli("exec", sleeper.name, "--", "sh", "-c", "echo $OMNITIDE_INSTANCE; echo oh >&2; exit 7", code=7)
    assert (ran.stdout, ran.stderr) == (f"{sleeper.name}\n", "oh\n")
    assert (
        fabric.cli("exec", "-e", "A=b c", "-w", "/", "sleeper", "--", "sh", "-c", "echo $A; pwd").stdout == "b c\n/\n"
    )
    assert fabric.cli("exec", "-i", "sleeper", "--", "tr", "a-z", "A-Z", stdin="hello\n").stdout == "HELLO\n"
    fabric.cli("exec", "sleeper", "--", "sh", "-c", "kill -9 $$", code=128 + 9)


def test_what_cannot_be_executed_ends_as_in_a_shell(fabric: Fabric, sleeper: Instance) -> None:
    """127: there is no such program. 126: it is there, and cannot be executed. 125 stays for the fabric's troubles."""
    for tty in ((), ("-t",)):
        assert "no-such-program" in fabric.cli("exec", *tty, "sleeper", "--", "no-such-program", code=127).stderr
        assert "/no/such/program" in fabric.cli("exec", *tty, "sleeper", "--", "/no/such/program", code=127).stderr
    fabric.cli("exec", "sleeper", "--", "/etc/passwd", code=126)
    fabric.cli("exec", "sleeper", "--", "/etc", code=126)
    fabric.cli("exec", "-w", "/no/such/folder", "sleeper", "--", "true", code=125)
    told = fabric.cli("-o", "json", "exec", sleeper.name, "--", "no-such-program", code=127).stderr
    assert '"command-not-found"' in told


def test_a_shell_has_a_real_terminal(fabric: Fabric, sleeper: Instance) -> None:
    with terminal(fabric, "exec", "-it", "sleeper", "--", "sh") as shell:
        shell.type(b"stty size; echo r''eady\n")
        shell.until(b"30 100")
        shell.until(b"ready")
        shell.resize(41, 123)
        shell.type(b"sleep 0.3; stty size\n")
        shell.until(b"41 123")
        shell.type(b"echo w''aits; sleep 1000\n")
        shell.until(b"waits")
        time.sleep(0.3)
        shell.type(b"\x03")
        shell.type(b"echo b''ack $?\n")
        shell.until(b"back 130")
        shell.type(b"exit 9\n")
        assert shell.end() == 9
        assert shell.restored


def test_every_key_reaches_a_program_that_wants_it_raw(fabric: Fabric, sleeper: Instance) -> None:
    script = "stty raw -echo; printf on; dd bs=1 count=6 2>/dev/null | od -An -tx1"
    with terminal(fabric, "exec", "-it", sleeper.name, "--", "sh", "-c", script) as editor:
        editor.until(b"on")
        editor.type(b"\x03\x1b[A\x1a\x11")
        editor.until(b"03 1b 5b 41 1a 11")
        assert editor.end() == 0
        assert editor.restored


def test_ctrl_c_without_a_terminal_interrupts_the_program(fabric: Fabric, sleeper: Instance) -> None:
    script = "trap 'echo caught; exit 3' INT; echo on; while :; do sleep 0.05; done"
    with fabric.beside("exec", sleeper.name, "--", "sh", "-c", script) as command:
        command.until(lambda out: "on" in out, "it runs")
        command.process.send_signal(signal.SIGINT)
        assert command.process.wait(DEADLINE_S) == 3
        assert "caught" in command.out


def test_a_kill_gives_the_terminal_back_and_ends_the_program(fabric: Fabric, sleeper: Instance) -> None:
    with terminal(fabric, "exec", "-it", sleeper.name, "--", "sh", "-c", "echo pid $$ .; exec sleep 4242") as shell:
        shell.until(b" .")
        shell.process.terminate()
        assert shell.end() == 128 + signal.SIGTERM
        assert shell.restored
    until(lambda: subprocess.run(["pgrep", "-f", "^sleep 4242"], check=False).returncode == 1, "the program has ended")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("mebibytes", [12, pytest.param(50, marks=pytest.mark.soak)])
def test_large_files_go_both_ways_whole_and_with_their_modes(fabric: Fabric, sleeper: Instance, mebibytes: int) -> None:
    for left in ("tree", "back", "into"):
        shutil.rmtree(fabric.folder / left, ignore_errors=True)
    tree = fabric.folder / "tree"
    (tree / "deep").mkdir(parents=True)
    big = tree / "deep" / "big"
    big.write_bytes(os.urandom(mebibytes << 20))
    big.chmod(0o640)
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o755)
    (tree / "link").symlink_to("deep/big")
    fabric.cli("cp", "tree", f"{sleeper.name}:")
    there = fabric.cli(
        "exec", sleeper.name, "--", "sh", "-c", "sha256sum < tree/link; stat -c %a tree/run tree/deep/big"
    )
    assert there.stdout.split() == [digest(big), "-", "755", "640"]
    fabric.cli("cp", f"{sleeper.name}:tree", "back")
    assert digest(fabric.folder / "back" / "deep" / "big") == digest(big)
    assert (fabric.folder / "back" / "run").stat().st_mode & 0o777 == 0o755
    assert os.readlink(fabric.folder / "back" / "link") == "deep/big"
    fabric.cli("cp", f"{sleeper.name}:tree/run", "renamed")
    assert (fabric.folder / "renamed").read_text() == "#!/bin/sh\n"
    fabric.cli("cp", "renamed", f"{sleeper.name}:tree/deep")
    assert "renamed" in fabric.cli("exec", sleeper.name, "--", "ls", "tree/deep").stdout
    # A program is told under which name it is there now.
    told = {"instance": sleeper.id, "name": sleeper.name}
    there = f"{sleeper.name}:tree/renamed"
    assert fabric.json("cp", "renamed", f"{sleeper.name}:tree") == told | {"source": "renamed", "destination": there}
    (fabric.folder / "into").mkdir()
    here = str(fabric.folder / "into" / "renamed")
    assert fabric.json("cp", there, "into") == told | {"source": there, "destination": here}


def test_tar_streams_are_taken_and_given(fabric: Fabric, sleeper: Instance) -> None:
    (fabric.folder / "one.txt").write_text("one")
    made = subprocess.run(["tar", "c", "one.txt"], cwd=fabric.folder, capture_output=True, check=True).stdout
    words = fabric.words("cp", "-", f"{sleeper.name}:.")
    subprocess.run(words, input=made, check=True, env=fabric.environment(), cwd=fabric.folder, timeout=DEADLINE_S)
    words = fabric.words("cp", f"{sleeper.name}:one.txt", "-")
    got = subprocess.run(
        words, capture_output=True, check=True, env=fabric.environment(), cwd=fabric.folder, timeout=DEADLINE_S
    )
    assert b"one.txt" in got.stdout


def test_copies_say_what_is_not_there(fabric: Fabric, sleeper: Instance) -> None:
    assert "absent" in fabric.cli("cp", f"{sleeper.name}:absent", ".", code=3).stderr
    (fabric.folder / "x").write_text("x")
    assert "no/where" in fabric.cli("cp", "x", f"{sleeper.name}:no/where/x", code=3).stderr
    assert "no file" in fabric.cli("cp", "gone", f"{sleeper.name}:", code=3).stderr
    fabric.cli("cp", "x", "y", code=2)
    assert ".." in fabric.cli("cp", f"{sleeper.name}:../../x", ".", code=2).stderr
    fabric.cli("exec", sleeper.name, "--", "mkfifo", "pipe")
    told = fabric.cli("cp", f"{sleeper.name}:pipe", "pipe", code=1)
    assert "nothing was copied: pipe" in told.stderr
    assert "->" not in told.stdout
    os.mkfifo(fabric.folder / "own-pipe")
    told = fabric.cli("cp", "own-pipe", f"{sleeper.name}:", code=1)
    assert "nothing was copied: own-pipe" in told.stderr
    assert "->" not in told.stdout


HOSTILE = r"""
import io, sys, tarfile
out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
def add(name, kind=tarfile.REGTYPE, link="", data=b"evil"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    member.size = len(data) if kind == tarfile.REGTYPE else 0
    out.addfile(member, io.BytesIO(data))
add("d", tarfile.DIRTYPE)
{members}
out.close()
"""
ATTACKS = {
    "dots": 'add("d/../../escaped")',
    "absolute": 'add("{outside}/escaped")',
    "link": 'add("d/l", tarfile.SYMTYPE, "{outside}"); add("d/l/escaped")',
    "relative link": 'add("d/l", tarfile.SYMTYPE, "../.."); add("d/l/escaped")',
    "hard link": 'add("d/h", tarfile.LNKTYPE, "d/../../secret"); add("d/h")',
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_instance_writes_nothing_outside_of_the_destination(
    fabric: Fabric, sleeper: Instance, attack: str
) -> None:
    """Its `tar` is another program, as that of an image may be."""
    place = fabric.folder / "victim" / attack.replace(" ", "-")
    (place / "in").mkdir(parents=True)
    secret = place / "secret"
    secret.write_text("kept")
    script = HOSTILE.replace("{members}", ATTACKS[attack].replace("{outside}", str(place)))
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    with contextlib.suppress(Failure, OSError, tarfile.TarError):
        unpack(io.BytesIO(made), str(place / "in" / "d"), lambda _: None)  # type: ignore[arg-type]
    assert sorted(one.name for one in place.iterdir()) == ["in", "secret"]
    assert secret.read_text() == "kept"


@pytest.fixture
def web(fabric: Fabric) -> Instance:
    (fabric.folder / "web.toml").write_text(SERVER.format(python=sys.executable))
    fabric.cli("deploy", "web.toml")
    (one,) = fabric.running("web", 1)
    return one


def test_ports_are_forwarded_for_many_at_once(fabric: Fabric, web: Instance) -> None:
    data = os.urandom(300_000)
    (fabric.folder / "page").write_bytes(data)
    fabric.cli("cp", "page", f"{web.name}:page")
    with fabric.beside("port-forward", "web", "http") as forward:
        forward.until(lambda out: " -> web port http" in out, "it listens")
        place = forward.out.split()[0]

        def get(_: int) -> bytes:
            with urllib.request.urlopen(f"http://{place}/page", timeout=DEADLINE_S) as answer:
                return answer.read()

        def first() -> bool:
            with contextlib.suppress(OSError):
                return get(0) == data
            return False

        until(first, "the server answers")
        with ThreadPoolExecutor(20) as pool:
            assert all(got == data for got in pool.map(get, range(40)))


def test_the_registry_names_what_serves_a_port(fabric: Fabric, web: Instance) -> None:
    service = fabric.client.get_service("web")
    (one,) = service.endpoints
    assert (one.instance, one.port_name, one.port, one.ready) == (web.id, "http", web.ports["http"], True)
    assert [found.name for found in fabric.client.services()] == ["web"]
    assert web.name in fabric.cli("services").stdout
    fabric.cli("stop", "web")
    until(lambda: not any(found.ready for found in fabric.client.get_service("web").endpoints), "none is ready")


def test_a_port_that_is_not_the_instances_is_refused_and_the_forward_goes_on(fabric: Fabric, web: Instance) -> None:
    with fabric.beside("port-forward", web.name, ":22", "http") as forward:
        forward.until(lambda out: out.count(" -> ") == 2, "it listens")
        other, good = [line.split()[0] for line in forward.out.splitlines()]
        with pytest.raises((OSError, http.client.HTTPException)):
            urllib.request.urlopen(f"http://{other}/", timeout=DEADLINE_S).read()
        until(lambda: "no port '22'" in forward.err, "why it failed is told")

        def served() -> bool:
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"http://{good}/", timeout=DEADLINE_S).status == 200
            return False

        until(served, "the other port is served")


def test_a_reader_that_does_not_read_holds_a_fast_writer_and_nobody_keeps_its_output(
    fabric: Fabric, sleeper: Instance
) -> None:
    """It waits in the pipes on the way: no process of the fabric grows with what has been written."""
    whole, room = 2 << 30, 96 << 20

    def resident() -> dict[int, int]:
        found: dict[int, int] = {}
        for one in fabric.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if one.name() != "head":
                    found[one.pid] = one.memory_info().rss
        return found

    before = resident()
    command = fabric.words("exec", sleeper.name, "--", "head", "-c", str(whole), "/dev/zero")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=fabric.folder, env=fabric.environment()
    ) as reader:
        try:
            writer = until(lambda: next((one for one in fabric.processes() if one.name() == "head"), None), "it writes")
            written, since = 0, time.monotonic()

            def held() -> bool:
                """It has written something, and nothing more for a while."""
                nonlocal written, since
                now = writer.io_counters().write_chars
                if now != written:
                    written, since = now, time.monotonic()
                return bool(written) and time.monotonic() - since > 3

            until(held, "the writer is held")
            assert written < room
            grown = {pid: rss - before[pid] for pid, rss in resident().items() if pid in before}
            assert max(grown.values()) < room, grown
        finally:
            reader.kill()
            reader.wait()
    until(lambda: not writer.is_running(), "the writer ends with who asked for it")


def test_what_does_not_run_cannot_be_reached(fabric: Fabric, sleeper: Instance) -> None:
    fabric.cli("scale", "sleeper", "0")
    until(lambda: not list(fabric.client.instances(agent="sleeper")), "nothing of it is left")
    assert "run" in fabric.cli("exec", "sleeper", "--", "true", code=125).stderr
    assert "run" in fabric.cli("cp", "sleeper:x", ".", code=4).stderr
    fabric.cli("exec", "nobody", "--", "true", code=125)


def test_a_node_that_dies_on_the_way_is_told_and_the_terminal_given_back(lone: Fabric) -> None:
    lone.up("--nexus-only")
    lone.join("beta")
    (lone.folder / "sleeper.toml").write_text(SLEEPER)
    lone.cli("deploy", "sleeper.toml")
    (one,) = lone.running("sleeper", 1)
    with terminal(lone, "exec", "-it", one.name, "--", "sh") as shell:
        shell.type(b"echo r''eady\n")
        shell.until(b"ready")
        os.kill(lone.proxy_pid("beta"), signal.SIGKILL)
        assert shell.end() == 125
        assert b"stream from the node broke" in shell.seen
        assert shell.restored
