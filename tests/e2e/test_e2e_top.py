"""`omnitide top` in a real terminal of 80x24, by a real fabric."""

import contextlib
import shlex
import signal
from collections.abc import Generator

import pytest

from support.fabric_processes import EXAMPLES, Fabric, freeze, send, until
from support.terminal import Terminal

WORKER = str(EXAMPLES / "worker.yaml")


@contextlib.contextmanager
def top(fabric: Fabric, *words: str, color: bool = False, errors: str = "") -> Generator[Terminal]:
    """`errors`: the file that standard error goes to, if not to the terminal."""
    environment = fabric.environment()
    del environment["COLUMNS"]
    if color:
        del environment["NO_COLOR"]
    command = fabric.words("top", *words)
    if errors:
        command = ["sh", "-c", f"exec {shlex.join(command)} 2>{shlex.quote(errors)}"]
    with Terminal(command, env=environment, cwd=fabric.folder) as terminal:
        yield terminal


def test_the_fabric_is_seen_filtered_scaled_and_drained(fabric: Fabric) -> None:
    fabric.cli("deploy", WORKER)
    fabric.running("worker", 2)
    with top(fabric) as terminal:
        terminal.until("All is well", "2 instances on 2 live nodes", "live r", "WHAT CHANGED", "% used")
        assert b"??" not in terminal.raw, "what is not known yet is being asked for, and says so"
        terminal.press("4")
        terminal.until("worker-1.1", "worker-2.1", "[4 Instances 2]")
        terminal.press("/", "node:beta", "enter")
        shown = terminal.until("1 instance of 2", "filter: node:beta")
        assert len([line for line in shown.splitlines() if "● running" in line]) == 1
        terminal.press("escape")
        terminal.until("2 instances", without="filter:")

        terminal.press("3", "s")
        asked = terminal.until("Scale agent worker?", "THE SAME AS A COMMAND")
        assert "omnitide scale worker 2 --data" in asked
        terminal.press("\x7f", "3", "enter")
        terminal.until("1 further replica will start", "1 replica would start")
        terminal.press("y")
        terminal.until("is to have 3 replicas")
        terminal.until("3/3")
        fabric.running("worker", 3)

        terminal.press("2")
        terminal.until("alpha", "beta")
        terminal.press("/", "beta", "enter")
        terminal.until("1 node of 2")
        terminal.press("d")
        terminal.until("Drain node beta?", "WHAT IS LOST", "does not move with it", "would move")
        terminal.press("n")
        terminal.until("1 node of 2", without="Drain node")
        assert fabric.client.get_node("beta").scheduling == "open", "a No does nothing"
        terminal.press("d", "y")
        terminal.until("beta is being drained")
        terminal.until("drained")
        until(lambda: {one.node for one in fabric.running("worker", 3)} == {"alpha"}, "all are on alpha")

        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.attributes == terminal.before, "keys and lines are as they were"
        assert terminal.raw.rfind(b"\x1b[?1049l") > terminal.raw.rfind(b"\x1b[?1049h") >= 0, "the screen before is back"
        assert terminal.raw.rfind(b"\x1b[?25h") > terminal.raw.rfind(b"\x1b[?25l"), "the cursor is seen again"
        assert terminal.raw.rfind(b"\x1b[?1000l") > terminal.raw.rfind(b"\x1b[?1000h"), "the mouse is let go"


def test_a_restart_of_nexus_is_seen_and_survived(lone: Fabric) -> None:
    lone.up()
    lone.cli("deploy", WORKER, "--replicas", "1")
    lone.running("worker", 1)
    with top(lone) as terminal:
        terminal.press("4")
        terminal.until("worker-1.1", "live r")
        supervisor = lone.supervisor_pid()
        freeze(supervisor)  # that it is not up again before it was missed
        send([lone.nexus_pid()], signal.SIGKILL)
        terminal.until("STALE for", "since", "trying again")
        assert "worker-1.1" in terminal.text, "what was known stays, marked as old"
        send([supervisor], signal.SIGCONT)
        lone.up()
        terminal.until("live r", "worker-1.1", without="STALE")
        lone.cli("scale", "worker", "2")
        terminal.until("worker-2.1")
        terminal.press("ctrl+c")
        assert terminal.ended() == 0


def test_output_and_a_terminal_are_a_key_away(fabric: Fabric) -> None:
    fabric.cli("deploy", WORKER, "--replicas", "1")
    fabric.running("worker", 1)
    with top(fabric) as terminal:
        terminal.press("4")
        terminal.until("worker-1.1")
        terminal.press("l")
        terminal.until("output of instance worker-1.1", "tick 2", "as it is written")
        terminal.press("escape")
        terminal.until("[4 Instances 1]")
        terminal.press("e")
        terminal.until("A terminal in instance worker-1.1?", "/bin/sh")
        terminal.press("sh -c 'echo be-$((1))gun; exec sh'", "enter", "y")
        terminal.until("be-1gun")
        terminal.press("echo in-$((40+2))\r")
        terminal.until("in-42")
        # What top had drawn would still stand there, and be taken for what it draws when it is back.
        terminal.press("printf '\\033[2J'; echo cl''eared\r")
        terminal.until("cleared", without="[4 Instances 1]")
        terminal.press("exit\r")
        terminal.until("[4 Instances 1]", "worker-1.1", "live r")
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.attributes == terminal.before


def test_it_draws_to_the_terminal_wherever_errors_go(fabric: Fabric) -> None:
    errors = fabric.folder / "errors.txt"
    with top(fabric, errors=str(errors)) as terminal:
        terminal.until("2 nodes", "live r")
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.attributes == terminal.before
    assert errors.read_text() == ""


def test_a_namespace_that_is_not_there_is_said_before_anything_is_drawn(fabric: Fabric) -> None:
    for form in (("--once",), ("--once", "-o", "json")):
        refused = fabric.cli("top", "-n", "nosuch", *form, code=3)
        assert "there is no namespace 'nosuch'" in refused.stderr
    with top(fabric, "-n", "nosuch") as terminal:
        assert terminal.ended() == 3
        assert "there is no namespace 'nosuch'" in terminal.text
        assert "there are: default" in terminal.text
        assert b"\x1b[?1049h" not in terminal.raw


@pytest.mark.parametrize("form", [(), ("-o", "json")])
def test_without_a_terminal_it_says_what_to_do(fabric: Fabric, form: tuple[str, ...]) -> None:
    refused = fabric.cli("top", *form, code=2)
    assert "omnitide top --once" in refused.stderr


def test_one_picture_needs_no_terminal(fabric: Fabric) -> None:
    fabric.cli("deploy", WORKER)
    fabric.running("worker", 2)
    shown = fabric.cli("top", "--once").stdout
    assert "\x1b" not in shown
    for part in ("All is well", "2 nodes", "worker-1.1", "● running"):
        assert part in shown
    until(lambda: fabric.json("top", "--once")["use"], "it is known how busy they are")
    found = fabric.json("top", "--once")
    assert [one["name"] for one in found["instances"]] == ["worker-1.1", "worker-2.1"]  # type: ignore[attr-defined,index]
    assert found["use"]
