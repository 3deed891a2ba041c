"""What a program writes or dies of is text on a terminal and nothing else: no cursor moves, no line is forged, nothing
reaches the window's title or the clipboard, and no direction of writing turns."""

import os
import re

import pytest
from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime
from tests.support.terminal import Terminal

from omnitide.fabric import commands as cm
from omnitide.fabric.state import TokenPurpose
from omnitide.model.spec import AgentSpec

TITLE = "\x1b]0;mine\x07"
CLIPBOARD = "\x1b]52;c;ZXZpbA==\x07"
HOSTILE = f"{TITLE}{CLIPBOARD}\x1b[2J\x1b[1A\x9b1A\rall is well \u202egnp.exe\u202c"
COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
MARKS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def hostile(fabric: MemoryFabric) -> MemoryFabric:
    """An instance that wrote such things, and died of one."""
    path = fabric.folder / "web.toml"
    path.write_text('name = "web"\ncommand = ["x"]\n[restart]\npolicy = "never"\n')
    fabric.cli("deploy", str(path))

    def harm(runtime: MemoryRuntime) -> None:
        (identifier,) = runtime.state.instances
        runtime.writes(identifier).write(f"before\n{HOSTILE}\r\n\x1b[31mred\n")
        runtime.exit(identifier, code=None, cause="start-failed", message=HOSTILE)

    fabric.call(harm)
    return fabric


def on_a_terminal(fabric: MemoryFabric, *words: str) -> bytes:
    env = {**os.environ, "COLUMNS": "200"}
    with Terminal(fabric.command(*words), env=env, cwd=fabric.folder, columns=200, rows=50) as terminal:
        terminal.ended()
        return terminal.raw


def test_a_terminal_is_given_nothing_to_obey(hostile: MemoryFabric) -> None:
    for words in (
        ["logs", "web", "--prefix"],
        ["logs", "web", "--grep", "well"],
        ["ps"],
        ["explain", "web"],
        ["events"],
    ):
        raw = on_a_terminal(hostile, *words)
        seen = COLOURS.sub(b"", raw).decode().replace("\r\n", "\n")
        assert MARKS.findall(seen) == [], words
        assert "\\u001b]0;mine\\u0007" in seen, f"{words}: it is shown as what it is"
        if words == ["logs", "web", "--prefix"]:
            assert b"\x1b[31mred\x1b[0m" in raw, "a colour ends with its line"


def test_whoever_reads_by_a_pipe_has_what_was_written(hostile: MemoryFabric) -> None:
    assert hostile.cli("logs", "web", "--no-prefix").stdout.encode().count(TITLE.encode()) == 1


OURS = "\x1b[31mforged\x1b[0m"
"""In the very colours that the commands use."""


@pytest.fixture
def noted(fabric: MemoryFabric) -> MemoryFabric:
    """A token whose note is painted, and an agent that was deployed by it."""

    def issue(runtime: MemoryRuntime) -> None:
        runtime.apply(cm.IssueToken(id="painter", purpose=TokenPurpose.API, digest="d", note=OURS))
        spec = AgentSpec(command=("x",), environment={"GREETING": OURS})
        agent = cm.DeployAgent(agent="web", namespace="default", name="web", spec=spec)
        runtime.apply(agent, principal="token:painter")

    fabric.call(issue)
    return fabric


def test_nobody_paints_with_the_colours_of_the_commands(noted: MemoryFabric) -> None:
    path = noted.folder / "web.toml"
    path.write_text('name = "web"\ncommand = ["x"]\n[environment]\nGREETING = "\\u001b[32mother\\u001b[0m"\n')
    for words, shown in (
        (["events", "--kind", "token"], "issued to api: \\u001b[31mforged\\u001b[0m"),
        (["events", "--kind", "agent"], "by \\u001b[31mforged\\u001b[0m (token painter)"),
        (["history", "web"], "\\u001b[31mforged\\u001b[0m (token painter)"),
        (["token", "list"], "\\u001b[31mforged\\u001b[0m"),
        (["deploy", str(path), "--dry-run"], "\\u001b[31mforged\\u001b[0m"),
    ):
        piped = noted.cli(*words).stdout
        assert "\x1b" not in piped, words
        assert shown in piped, words
        raw = on_a_terminal(noted, *words).decode()
        assert "\x1b[31mforged" not in raw, words
        assert shown in COLOURS.sub(b"", raw.encode()).decode(), words
