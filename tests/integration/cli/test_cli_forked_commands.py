"""Of the process that the suite forks its commands from: whatever becomes of one command, the next one runs."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.warm_command import WarmCommand


@pytest.fixture
def warm() -> Iterator[WarmCommand]:
    """One of its own, that ends with the test."""
    with WarmCommand() as command:
        yield command


def version(warm: WarmCommand, folder: Path) -> "subprocess.CompletedProcess[str]":
    return warm.run(["--version"], input="", cwd=folder, env=os.environ, timeout=60)


def test_a_command_that_takes_too_long_is_given_up_and_the_next_one_runs(warm: WarmCommand, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        words = ["nodes", "--url", f"http://127.0.0.1:{silent.getsockname()[1]}", "--token-file", "token"]
        with pytest.raises(subprocess.TimeoutExpired):
            warm.run(words, input="", cwd=tmp_path, env=os.environ, timeout=2)
    assert version(warm, tmp_path).returncode == 0
    assert version(warm, tmp_path).returncode == 0


def test_where_the_process_is_killed_one_command_says_so_and_the_next_one_runs(
    warm: WarmCommand, tmp_path: Path
) -> None:
    assert version(warm, tmp_path).returncode == 0
    first = psutil.Process(warm.pid)
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    with pytest.raises(AssertionError, match="is gone: by a signal"):
        version(warm, tmp_path)
    assert version(warm, tmp_path).returncode == 0
