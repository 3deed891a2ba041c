"""What is typed and must not be seen: join tokens and values of secrets, on a terminal."""

import fcntl
import json
import os
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

from tests.integration.cli.fabric import MemoryFabric

DEADLINE_S = 60.0


def typed(command: list[str], folder: Path, answer: bytes, prompt: bytes) -> tuple[int, bytes]:
    """A command on a terminal of its own, which is answered once it asks: its exit code, and all that was seen."""
    master, slave = os.openpty()
    seen = b""
    deadline = time.monotonic() + DEADLINE_S

    def read_until(reached: Callable[[], bool]) -> None:
        nonlocal seen
        while not reached():
            assert time.monotonic() < deadline, seen
            if select.select([master], [], [], 0.05)[0]:
                seen += os.read(master, 65536)

    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        read_until(lambda: prompt in seen and not termios.tcgetattr(slave)[3] & termios.ECHO)
        os.write(master, answer + b"\n")
        read_until(lambda: process.poll() is not None)
        while select.select([master], [], [], 0)[0]:
            seen += os.read(master, 65536)
        assert termios.tcgetattr(slave)[3] & termios.ECHO, "the terminal shows again what is typed"
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
    return process.returncode, seen


def test_a_join_token_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "omnitide.cli", "join", "https://127.0.0.1:1", "--token", "-"]
    code, seen = typed([*command, "--data", str(tmp_path / "node")], tmp_path, b"omj_not-a-token", b"token")
    assert code != 0
    assert b"error: " in seen
    assert b"not-a-token" not in seen


def test_a_secret_is_asked_for_and_not_shown(fabric: MemoryFabric) -> None:
    command = fabric.command("secret", "set", "word")
    code, seen = typed(command, fabric.folder, b"open-sesame", b"value of word (not shown)")
    assert code == 0, seen
    assert b"open-sesame" not in seen
    assert fabric.cli("secret", "ls").stdout.splitlines()[1].split()[:2] == ["default/word", "1"]
    (kept,) = json.loads(fabric.cli("secret", "ls", "-o", "json").stdout)["items"]
    assert kept["size_bytes"] == len(b"open-sesame")
