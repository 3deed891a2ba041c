"""A Nexus that hangs keeps its connections: what follows something says that nothing is heard, and that it is again."""

import contextlib
import select
import signal
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from support.fabric_processes import DEADLINE_S, OMNITIDE, Fabric, freeze, send, until
from support.terminal import Terminal

TALKER = """
name = "talker"
command = ["sh", "-c", "while sleep 0.2; do echo tick; done"]
[ports.http]
"""
EXEC = ("exec", "talker", "--", "sh", "-c", "while sleep 0.2; do echo tick; done")
SILENT = "nothing is heard from Nexus at https://"
BACK = "Nexus is heard again, after"


@pytest.fixture
def lone(tmp_path: Path) -> Generator[Fabric]:
    with Fabric(tmp_path) as fabric:
        fabric.up()
        manifest = tmp_path / "talker.toml"
        manifest.write_text(TALKER)
        fabric.cli("deploy", str(manifest))
        yield fabric


def terminal(fabric: Fabric, *words: str) -> Terminal:
    environment = fabric.environment()
    del environment["COLUMNS"]
    return Terminal(fabric.words(*words), env=environment, cwd=fabric.folder)


@contextlib.contextmanager
def hanging(fabric: Fabric) -> Generator[None]:
    pids = (fabric.supervisor_pid(), fabric.nexus_pid())
    freeze(*pids)
    try:
        yield
    finally:
        send(pids, signal.SIGCONT)


def test_what_is_followed_says_that_nothing_is_heard_and_that_it_is_again(lone: Fabric) -> None:
    with contextlib.ExitStack() as stack:
        follows = {
            words: stack.enter_context(lone.beside(*words))
            for words in (
                ("logs", "-f", "talker"),
                ("logs", "-f", "talker-1"),
                ("logs", "-f", "talker", "--grep", "tick"),
                EXEC,
                ("run", "--", "sh", "-c", "while sleep 0.2; do echo tick; done"),
                ("port-forward", "talker", "http"),
                ("events", "-f"),
            )
        }
        for words, one in follows.items():
            one.until(lambda out: out, f"{words} has begun")
        with hanging(lone):
            for words, one in follows.items():
                until(lambda one=one: SILENT in one.err, f"{words} says so")
                assert BACK not in one.err
        for words, one in follows.items():
            until(lambda one=one: BACK in one.err, f"{words} says that it is again")
            assert one.err.count(SILENT) == one.err.count(BACK) == 1
            assert "Nexus" not in one.out
            if words[0] in ("logs", "run", "exec"):
                length = len(one.out)
                one.until(lambda out, length=length: len(out) > length, f"{words} goes on")


def test_a_terminal_is_told_once_and_left_to_its_program(lone: Fabric) -> None:
    with terminal(lone, "exec", "-it", "talker", "--", "sh") as shell, terminal(lone, "top") as top:
        shell.press("echo be''gun\r")
        shell.until("begun")
        top.until("live r")
        with hanging(lone):
            shell.until(SILENT)
            top.until("STALE for", "nothing is heard from Nexus")
        top.until("live r", without="STALE")
        assert shell.text.count(SILENT) == 1
        assert BACK not in shell.text
        top.press("q")
        assert top.ended() == 0


@pytest.mark.parametrize("words", [("status",), ("exec", "talker", "--", "true"), ("blob", "put", "file")])
def test_what_asks_once_says_after_some_seconds_that_it_waits(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "token").write_text("omt_x_y\n")
    (tmp_path / "file").write_text("text")
    told = ""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        flags = ("--url", f"http://127.0.0.1:{silent.getsockname()[1]}", "--token-file", "token")
        command = [str(OMNITIDE), words[0], *flags, *words[1:]]
        asking = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        try:
            assert asking.stderr is not None
            assert select.select([asking.stderr], [], [], DEADLINE_S)[0], "nothing is said"
            told = asking.stderr.readline()
            assert asking.poll() is None, "and goes on to"
        finally:
            asking.kill()
            asking.communicate()
    assert "has not answered for 3 s, and is waited for" in told or SILENT.replace("https", "http") in told
