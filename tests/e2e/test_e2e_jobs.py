"""`omnitide run`: the output, the errors and the exact exit code of a command that ran on some node."""

import os
import subprocess

import pytest

from support.fabric_processes import EXAMPLES, OMNITIDE, Fabric


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 1", 1), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)],
)
def test_the_exit_code_is_the_tasks(fabric: Fabric, script: str, code: int) -> None:
    ran = fabric.cli("run", "--cpu", "0.05", "--memory", "16MiB", "--", "sh", "-c", script, code=code)
    assert ran.stdout == ""


def test_output_and_errors_come_apart_and_whole(fabric: Fabric) -> None:
    script = "for n in $(seq 2000); do echo line $n; done; echo trouble >&2"
    ran = fabric.cli("run", "--", "sh", "-c", script)
    assert ran.stdout.splitlines() == [f"line {n}" for n in range(1, 2001)]
    assert "trouble" in ran.stderr.splitlines()


def test_output_is_followed_while_it_runs(fabric: Fabric) -> None:
    go = fabric.folder / "go"
    with fabric.beside(
        "run", "--name", "slow", "--", "sh", "-c", f"echo begun; while [ ! -e {go} ]; do sleep 0.05; done; exit 4"
    ) as run:
        run.until(lambda out: "begun" in out, "its first line is shown while it runs")
        assert run.process.poll() is None
        go.touch()
        assert run.process.wait(60) == 4


def test_what_cannot_start_is_trouble_of_its_own_and_is_named(fabric: Fabric) -> None:
    ran = fabric.cli("run", "--", "/no/such/program", code=127)
    assert "/no/such/program" in ran.stderr
    assert "command-not-found" in ran.stderr
    assert "/etc/passwd" in fabric.cli("run", "--", "/etc/passwd", code=126).stderr


def test_the_example_counts_words(fabric: Fabric) -> None:
    told = {
        **fabric.environment(),
        "OMNITIDE_DATA": str(fabric.data()),
        "PATH": f"{OMNITIDE.parent}:{os.environ['PATH']}",
    }
    ran = subprocess.run(
        ["sh", str(EXAMPLES / "batch.sh"), "a b a"], env=told, capture_output=True, text=True, timeout=90, check=True
    )
    assert [line.split() for line in ran.stdout.splitlines()] == [["2", "a"], ["1", "b"]]
