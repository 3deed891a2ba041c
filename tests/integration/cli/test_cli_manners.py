"""What is refused says so, names what there is, and changes nothing; what is listed is in an order that helps."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.exits import Exit


def deploy(fabric: MemoryFabric, name: str, extra: str = "", *words: str) -> None:
    path = fabric.folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\ncommand = ["x"]\n{extra}')
    fabric.cli("deploy", str(path), *words)


def ended_job(fabric: MemoryFabric, name: str, code: int = 0) -> None:
    fabric.call(lambda runtime: runtime.tick(1000))
    fabric.cli("run", "-d", "--name", name, "--", "x")

    def end(runtime: MemoryRuntime) -> bool:
        runtime.settle()
        for one in runtime.state.instances.values():
            if one.name.startswith(f"{name}-") and one.status.value == "running":
                runtime.exit(one.id, code=code)
                return True
        return False

    assert fabric.call(end)


# -- a Nexus that does not answer --------------------------------------------------------------------------------------


def test_that_nexus_does_not_answer_is_said_while_it_is_waited_for(fabric: MemoryFabric) -> None:
    """One that hangs takes connections, and answers nothing."""
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        hanging.listen()
        fabric.url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        began = time.monotonic()
        with fabric.process("status") as process:
            assert process.stderr is not None
            told = process.stderr.readline()
            assert told.startswith(f"Nexus at {fabric.url} has not answered for 3 s, and is waited for"), told
            assert "nexus.log" in told
            assert process.poll() is None
            assert time.monotonic() - began < 15, "it is said long before it is given up"


# -- status ------------------------------------------------------------------------------------------------------------


def test_status_names_agents_that_failed_or_loop(fabric: MemoryFabric) -> None:
    deploy(fabric, "dead", '[restart]\npolicy = "never"\n')
    deploy(fabric, "loops")

    def kill(runtime: MemoryRuntime) -> None:
        for one in list(runtime.state.instances.values()):
            if one.name.startswith("dead"):
                runtime.exit(one.id, code=3)

    fabric.call(kill)

    def loop(runtime: MemoryRuntime) -> None:
        # What still waits for a node after so long would be told as that.
        for _ in range(6):
            runtime.tick(100_000)
            runtime.settle()
            for one in list(runtime.state.instances.values()):
                if one.name.startswith("loops") and one.status.value == "running":
                    runtime.exit(one.id, code=4)

    fabric.settling = False
    fabric.call(loop)
    told = fabric.cli("status").stdout
    assert "agent default/dead: 1 of 1 failed for good, such as dead-1.1: exit code 3\n" in told
    assert "\n    omnitide explain dead\n" in told
    assert "agent default/loops: 1 of 1 end again and again, such as loops-1.2 (6 times so far)" in told
    assert ", the last with exit code 4\n" in told
    assert "instances  1 failing, 1 failed\n" in told


def test_status_counts_what_fails_apart_from_what_runs_as_ps_does(fabric: MemoryFabric) -> None:
    deploy(fabric, "well")
    deploy(fabric, "loops")

    def loop(runtime: MemoryRuntime) -> None:
        for _ in range(4):
            runtime.settle()
            for one in list(runtime.state.instances.values()):
                if one.name.startswith("loops") and one.status.value == "running":
                    runtime.exit(one.id, code=4)
            runtime.tick(100_000)
        runtime.settle()

    fabric.settling = False
    fabric.call(loop)
    assert {one.status for one in fabric.call(lambda runtime: list(runtime.state.instances.values()))} >= {"running"}
    assert fabric.cli("ps", "--status", "failing", "-o", "json").stdout.count('"name"') == 1
    assert "instances  1 running, 1 failing\n" in fabric.cli("status").stdout
    fabric.call(lambda runtime: runtime.silence("alpha"))
    fabric.call(lambda runtime: runtime.silence("beta"))
    assert "instances  2 unknown\n" in fabric.cli("status").stdout, "what it does there nobody knows"


def test_status_counts_old_jobs_among_jobs_and_not_among_instances(fabric: MemoryFabric) -> None:
    for number in range(3):
        ended_job(fabric, f"old{number}", code=1)
    told = fabric.cli("status").stdout
    assert "0 active of 3, 3 failed" in told
    assert "instances  none" in told


def test_status_says_what_it_means_by_closed(fabric: MemoryFabric) -> None:
    fabric.cli("nodes", "cordon", "alpha")
    assert "2 live   1 of them cordoned, draining or drained" in fabric.cli("status").stdout


# -- lists -------------------------------------------------------------------------------------------------------------


def on_terminal(fabric: MemoryFabric, *words: str) -> str:
    """What a terminal of 80 columns shows."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    environment["NO_COLOR"] = "1"
    ran = subprocess.Popen(fabric.command(*words), stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    try:
        while True:
            more = os.read(master, 4096)
            if not more:
                break
            shown += more
    except OSError:
        pass  # the terminal's other end is closed: the command has ended
    finally:
        assert ran.wait(30) == 0
        os.close(master)
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_of_80_columns_shows_the_pid_and_how_a_job_ended(fabric: MemoryFabric) -> None:
    deploy(fabric, "hello-of-somebody", "[ports.http]\n[ports.admin]\n", "--replicas", "3")
    shown = on_terminal(fabric, "ps")
    assert "HANDLE" in shown
    assert "pid-1" in shown
    assert max(map(len, shown.splitlines())) <= 80
    ended_job(fabric, "a-job-with-quite-a-long-name-as-they-hav", code=7)
    shown = on_terminal(fabric, "jobs")
    assert "exit code 7" in shown


def test_ps_takes_every_status_that_it_shows(fabric: MemoryFabric) -> None:
    deploy(fabric, "hello")
    assert fabric.cli("ps", "--status", "waiting").stdout == "no instances\n"
    assert fabric.cli("ps", "--status", "failing").stdout == "no instances\n"
    assert fabric.cli("ps", "--status", "unhealthy").stdout == "no instances\n"
    assert "hello-1.1" in fabric.cli("ps", "--status", "running").stdout


def test_jobs_are_listed_newest_last_and_those_that_ended_are_cleared(fabric: MemoryFabric) -> None:
    for name in ("zebra", "ant", "mole"):
        ended_job(fabric, name)
    fabric.call(lambda runtime: runtime.tick(1000))
    fabric.cli("run", "-d", "--name", "active", "--", "x")
    listed = [line.split()[1] for line in fabric.cli("jobs").stdout.splitlines()[1:]]
    assert listed == ["zebra", "ant", "mole", "active"]
    fabric.cli("jobs", "rm", "ant", "nobody", code=Exit.NOT_FOUND)
    assert fabric.cli("jobs", "rm", "ant").stdout == "  job ant removed\n"
    assert fabric.cli("jobs", "rm", "--finished").stdout == "  2 jobs removed\n"
    listed = [line.split()[1] for line in fabric.cli("jobs", "list").stdout.splitlines()[1:]]
    assert listed == ["active"]
    assert "names of jobs, or --finished" in fabric.cli("jobs", "rm", code=Exit.USAGE).stderr


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["scale", "hello", "--", "-1"], 2, "'-1' is no number of replicas: 0 to 100000"),
        (["scale", "hello", "-1"], 2, "no number here is below 0"),
        (["rollback", "hello"], 4, "version 1 is the only one that is kept"),
        (["rollback", "hello", "--to", "77"], 3, "there is no version 77 of agent default/hello; there are 1"),
        (["events", "-k", "instanec"], 2, "instance"),
        (["events", "--subject", "agnet/default/hello"], 2, "did you mean agent/...?"),
        (["events", "--subject", "agent/hello"], 2, "is not agent/NAMESPACE/NAME"),
        (["events", "--subject", "agent/default/helo"], 3, "did you mean 'hello'?"),
        (["events", "--subject", "node/alhpa"], 3, "did you mean 'alpha'?"),
        (["apply", "-f", "/nonexistent"], 2, "/nonexistent: there is no such file or folder"),
        (["token", "create", "--api", "--uses", "3"], 2, "--uses is of join tokens"),
        (["token", "create", "--api", "--label", "a=b"], 2, "--label is of join tokens"),
        (["namespace", "rm", "nope"], 3, "hint:  omnitide namespace list"),
        (["run", "--name", "hello", "--", "x"], 125, "hello"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_slip_is_refused_with_what_would_be_right(
    fabric: MemoryFabric, words: list[str], code: int, told: str
) -> None:
    deploy(fabric, "hello")
    assert told in fabric.cli(*words, code=code).stderr


def test_a_setting_that_is_none_of_its_choices_names_them(fabric: MemoryFabric) -> None:
    file = fabric.folder / "omnitide.toml"
    file.write_text('[log]\nlevel = "debg"\n')
    err = fabric.cli("config", "show", "--config", str(file), code=2).stderr
    assert "log.level: must be one of " in err
    assert "not 'debg'; did you mean 'debug'?" in err


def test_an_https_port_that_is_spoken_to_in_the_clear_is_named_as_one(fabric: MemoryFabric) -> None:
    """A TLS server hangs up without a word when it is not greeted as it expects."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def hang_up() -> None:
            while True:
                try:
                    taken, _ = listening.accept()
                except OSError:
                    return
                with taken:
                    taken.recv(100)

        threading.Thread(target=hang_up, daemon=True).start()
        fabric.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        err = fabric.cli("status", code=Exit.UNAVAILABLE).stderr
        listening.shutdown(socket.SHUT_RDWR)
    assert f"--url https{fabric.url.removeprefix('http')}" in err


def test_run_for_programs_has_the_job_alone_on_standard_output(fabric: MemoryFabric) -> None:
    with fabric.process("run", "--name", "once", "-o", "json", "--", "x") as running:
        assert running.stderr is not None
        identifier = ""
        while not identifier:
            identifier = fabric.call(
                lambda runtime: next(
                    (one.id for one in runtime.state.instances.values() if one.status.value == "running"), ""
                )
            )

        def end(runtime: MemoryRuntime) -> None:
            runtime.writes(identifier).ended = True
            runtime.writes(identifier).write("of the task\n")
            runtime.exit(identifier, code=0)

        fabric.call(end)
        out, err = running.communicate(timeout=30)
    assert json.loads(out)["status"] == "succeeded"
    assert err == "of the task\n"


def test_a_drain_that_is_not_done_in_time_tells_its_list_once(fabric: MemoryFabric) -> None:
    deploy(fabric, "pinned", "[resources]\ncpu = 3\n", "--replicas", "2")
    ran = fabric.cli("drain", "alpha", "--timeout", "2s", code=Exit.TIMEOUT)
    assert "alpha still runs 1 instance after" in ran.stderr
    assert ran.stderr.count("pinned-1.1 running for") == 1


# -- completion --------------------------------------------------------------------------------------------------------


COMPLETER = """
import contextlib, io, json, os, sys
from omnitide.cli.main import main
found = []
for words in json.load(sys.stdin):
    os.environ |= {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main([])
    found.append(out.getvalue().split())
json.dump(found, sys.stdout)
"""
"""Asked for many lines, as a process takes longer to begin than to complete."""


def complete(fabric: MemoryFabric, *lines: str) -> list[list[str]]:
    """What a shell that calls the program for each of the lines is given."""
    before = f"omnitide --url {fabric.url} --token-file {fabric.token} "
    ran = subprocess.run(
        [sys.executable, "-c", COMPLETER],
        input=json.dumps([before + line for line in lines]),
        capture_output=True,
        text=True,
        env={**os.environ, "_OMNITIDE_COMPLETE": "complete_bash"},
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    return json.loads(ran.stdout)


def test_names_of_the_fabric_are_completed(fabric: MemoryFabric) -> None:
    fabric.cli("namespace", "create", "team")
    deploy(fabric, "hello")
    deploy(fabric, "other")
    fabric.cli("run", "-d", "--name", "heavy", "--", "x")
    wanted = {
        "scale h": ["hello"],
        "logs he": ["heavy", "heavy-1.1", "hello", "hello-1.1"],
        "logs other he": ["heavy", "heavy-1.1", "hello", "hello-1.1"],
        "logs node:a": ["node:alpha"],
        "logs hello node : a": ["alpha"],  # as bash splits it
        "restart hel": ["hello", "hello-1.1"],
        "explain hel": ["hello", "hello-1.1"],
        "inspect al": ["alpha"],
        "inspect default/he": ["default/heavy", "default/heavy-1.1", "default/hello", "default/hello-1.1"],
        "rm other he": ["heavy", "hello"],
        "rm he": ["heavy", "hello"],
        "cancel ": ["heavy"],
        "nodes cordon a": ["alpha"],
        "drain ": ["alpha", "beta"],
        "ps --node b": ["beta"],
        "ps --status un": ["unhealthy", "unknown"],
        "nodes --status st": ["stalled", "stopped"],
        "nodes list --status le": ["left"],
        "agents -n t": ["team"],
        "events -n t": ["team"],
        "scale default/h": ["default/hello"],
        "migrate hello-1.1 --to b": ["beta"],
    }
    of_instances = ("exec hel", "cp hel", "cp file hel", "port-forward hel", "migrate hel")
    wanted |= {line: ["hello", "hello-1.1"] for line in of_instances}
    of_agents = ("rollout status h", "rollout pause h", "rollout resume h", "rollback h", "history h", "services h")
    wanted |= {line: ["hello"] for line in of_agents}
    assert dict(zip(wanted, complete(fabric, *wanted), strict=True)) == wanted


def test_what_agents_are_given_is_completed_too(fabric: MemoryFabric) -> None:
    file = fabric.folder / "file"
    file.write_text("text")
    fabric.cli("secret", "set", "word", "--from-file", str(file))
    fabric.cli("config", "set", "proxy", "--from-file", str(file))
    bare = fabric.cli("blob", "put", str(file)).stdout.strip().removeprefix("sha256:")
    wanted = {f"secret {verb} w": ["word"] for verb in ("set", "inspect", "rm")}
    wanted |= {f"config {verb} default/p": ["default/proxy"] for verb in ("set", "get", "rm")}
    wanted |= {f"blob {verb} {begun}": [bare] for verb in ("get", "rm") for begun in ("", bare[:5])}
    assert dict(zip(wanted, complete(fabric, *wanted), strict=True)) == wanted


def test_completion_is_silent_and_quick_where_there_is_no_fabric(fabric: MemoryFabric) -> None:
    words = f"omnitide --url http://127.0.0.1:1 --token-file {fabric.token} scale h"
    environment = {**os.environ, "_OMNITIDE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "6"}
    command = [sys.executable, "-m", "omnitide.cli"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert (ran.stdout.split(), ran.stderr) == ([], "")
