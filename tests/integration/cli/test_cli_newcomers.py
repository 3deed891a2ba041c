"""What a newcomer tries first: pipes, times without a unit, words that are none, and an agent that dies."""

import os
import subprocess
import sys
import time

import pytest
from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.exits import Exit

AGENT = 'name = "hello"\ncommand = ["x"]\n'


def deployed(fabric: MemoryFabric) -> str:
    path = fabric.folder / "hello.toml"
    path.write_text(AGENT)
    fabric.cli("deploy", str(path))
    return str(path)


# -- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("token", "create", "--ttl", "10"),
        ("run", "--timeout", "10", "--", "x"),
        ("logs", "hello", "--since", "10"),
        ("scale", "hello", "1", "--timeout", "1.5"),
        ("drain", "alpha", "--timeout", "10"),
        ("down", "--grace", "10"),
        ("leave", "--yes", "--grace", "10"),
    ],
    ids=" ".join,
)
def test_a_bare_number_is_no_time(fabric: MemoryFabric, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "omnitide.cli", *words]
    if words[0] not in ("down", "leave", "token"):
        command = fabric.command(*words)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=fabric.folder)
    assert ran.returncode == Exit.USAGE
    number = "1.5" if "1.5" in words else "10"
    assert f"write {number}s, {number}m or {number}ms" in ran.stderr
    assert fabric.call(lambda runtime: not runtime.state.jobs)


# -- run ---------------------------------------------------------------------------------------------------------------


def test_a_reader_that_goes_away_cancels_the_job(fabric: MemoryFabric) -> None:
    with fabric.process("run", "--name", "yes", "--", "x") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert write_forever(fabric, process) == 141
        assert process.stderr is not None
        told = process.stderr.read()
    assert "cancelling yes" in told
    assert "Traceback" not in told
    assert "BrokenPipe" not in told
    job = fabric.call(lambda runtime: next(iter(runtime.state.jobs.values())))
    assert job.cancelling or job.status.value == "cancelled"


def write_forever(fabric: MemoryFabric, process: "subprocess.Popen[str]") -> int:
    """Have the task write, as `yes` does, until the command ends; its exit code."""

    def write(runtime: MemoryRuntime) -> None:
        for one in runtime.state.instances.values():
            if one.status.value == "running":
                runtime.writes(one.id).write("y\n" * 100)

    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        fabric.call(write)
        time.sleep(0.05)
    return process.returncode


def test_input_that_nobody_reads_is_said(fabric: MemoryFabric) -> None:
    ran = fabric.cli("run", "-d", "--name", "one", "--", "x", stdin="hello\n")
    assert "standard input is not carried" in ran.stderr
    ran = fabric.cli("run", "-d", "--name", "two", "--", "x", stdin="")
    assert "standard input" not in ran.stderr


def test_a_label_that_no_node_has_is_said_at_once(fabric: MemoryFabric) -> None:
    ran = fabric.cli("run", "-d", "--name", "one", "--where", "zone=x", "--where", "node=alpha", "--", "x")
    assert "one waits: no node that is known has zone=x" in ran.stderr
    ran = fabric.cli("run", "-d", "--name", "two", "--where", "node=alpha", "--", "x")
    assert "no node" not in ran.stderr


# -- agents ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["deploy", "apply"])
def test_what_is_deployed_already_is_looked_at_too(fabric: MemoryFabric, command: str) -> None:
    path = deployed(fabric)
    words = ("deploy", path) if command == "deploy" else ("apply", "-f", path)
    fabric.cli(*words, "--settle", "100ms")

    def kill(runtime: MemoryRuntime) -> None:
        for one in list(runtime.state.instances.values()):
            if one.status.value == "running":
                runtime.exit(one.id, code=3)

    with fabric.process(*words, "--settle", "30s") as process:
        deadline = time.monotonic() + 60
        while process.poll() is None:
            assert time.monotonic() < deadline
            fabric.call(kill)
            time.sleep(0.5)
        assert process.returncode == Exit.ROLLOUT
        assert process.stderr is not None
        told = process.stderr.read()
    assert "hello" in told
    assert "exit code 3" in told


def test_no_is_an_answer_with_a_code_of_its_own(fabric: MemoryFabric) -> None:
    path = fabric.folder / "hello.toml"
    path.write_text(AGENT)
    master, slave = os.openpty()
    try:
        command = fabric.command("apply", "-f", str(path))
        with subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asked:
            os.write(master, b"n\n")
            _, told = asked.communicate(timeout=60)
    finally:
        os.close(master)
        os.close(slave)
    assert asked.returncode == Exit.FAILED
    assert "nothing was changed" in told
    assert fabric.call(lambda runtime: not runtime.state.agents)


# -- lists -------------------------------------------------------------------------------------------------------------


def test_a_status_that_is_none_is_met_with_all_that_there_are(fabric: MemoryFabric) -> None:
    told = fabric.cli("ps", "--status", "bogus", code=2).stderr
    for known in ("running", "unknown", "waiting", "unhealthy"):
        assert known in told


def test_each_column_of_a_list_is_one_word(fabric: MemoryFabric) -> None:
    deployed(fabric)
    fabric.call(lambda runtime: runtime.tick(65_000))
    titles, row = (line.split() for line in fabric.cli("ps").stdout.splitlines())
    assert row[titles.index("NODE")] in ("alpha", "beta")
    assert " " not in row[titles.index("FOR")]
    titles, row, _ = (line.split() for line in fabric.cli("nodes").stdout.splitlines())
    assert "/" in row[titles.index("MEMORY")]


def test_events_say_what_form_they_have(fabric: MemoryFabric) -> None:
    assert "JSON Lines" in fabric.cli("events", "--help").stdout


def test_a_token_is_offered_without_the_command_line_first(fabric: MemoryFabric) -> None:
    made = fabric.cli("token", "create", "--data", str(fabric.folder / "data"))
    lines = [line for line in made.stderr.splitlines() if "omnitide join" in line]
    assert "--token - " in lines[0]


def test_an_address_that_leads_each_machine_to_itself_is_offered_for_this_one_alone(fabric: MemoryFabric) -> None:
    told = fabric.cli("token", "create", "--data", str(fabric.folder / "data")).stderr
    assert "on the other machine" not in told
    assert "; on this machine, as 127.0.0.1 leads each machine to itself:" in told
    assert "other machines join once Nexus listens where they reach it: omnitide up --listen 0.0.0.0 --public-name" in (
        told
    )
