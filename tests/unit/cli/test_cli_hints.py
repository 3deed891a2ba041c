"""Every command line that a message, a hint or a help names is one: the command line's own parser takes it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from omnitide.cli.commands import COMMANDS
from omnitide.cli.globals import Globals
from omnitide.cli.root import load, make_root

SOURCES = Path(__file__).parents[3] / "src" / "omnitide"
NAMED = re.compile(r"(?<![\w./-])omnitide ((?:[^\s`\"'();,|]+ ?)+)")
"""`omnitide`, and words up to where a sentence or quotation ends."""
PROSE = {"command", "is", "reads", "word", "wrapped", "wrote"}
"""Words after the program's name where it is the subject of a sentence."""


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts of a module with what they hold of values replaced by a word."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module):
            inside |= {id(one.value) for one in node.body[:1] if isinstance(one, ast.Expr)}  # nobody is shown that
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            yield (
                node.lineno,
                "".join(str(one.value) if isinstance(one, ast.Constant) else "word" for one in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def named() -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        source = path.read_text()
        if "wire" in path.parts or not NAMED.search(source):
            continue
        for line, text in texts(ast.parse(source)):
            for match in NAMED.finditer(text):
                words = match[1].rstrip(" .:?")
                if re.match(r"[a-z]", words) and "\0" not in words and words.split()[0] not in PROSE:
                    found.setdefault(words, f"{path.relative_to(SOURCES)}:{line}")
    return sorted(found.items())


def parses(words: list[str], *, shortened: bool = False) -> bool:
    """`shortened`: more has to be given."""
    try:
        context = make_root().make_context("omnitide", list(words), obj=Globals())
        while hasattr(context.command, "resolve_command"):
            rest = [*context._protected_args, *context.args]
            if not rest:
                return True
            name, command, left = context.command.resolve_command(context, rest)
            context = command.make_context(name, left, parent=context)
    except (typer.TyperException, typer.Exit) as error:
        return shortened and type(error).__name__ == "MissingParameter"
    return True


def fault(text: str) -> str:
    """What is wrong with a command line that may be followed by prose; empty for nothing. What stands for a value may
    stand for a number."""
    found = _fault(text)
    return found and _fault(re.sub(r"(--[a-z-]+) word", r"\1 1", text)) and found


def _fault(text: str) -> str:
    words = text.replace("...", "word").split()
    if words[0] not in COMMANDS:
        return f"there is no command {words[0]}"
    below = getattr(load(words[0]), "commands", {})
    if below and len(words) > 1 and not words[1].startswith("-") and words[1] not in below:
        return f"{words[0]} has no command {words[1]}"
    # A command alone is named, not to be called so.
    shortened = "..." in text or len(words) == 1 or (len(words) == 2 and words[1] in below)
    longest = next((length for length in range(len(words), 0, -1) if parses(words[:length], shortened=shortened)), 0)
    if not longest:
        return "it does not parse"
    rest = words[longest:]
    return f"it has no flag {rest[0]}" if rest and rest[0].startswith("-") else ""


def test_the_check_finds_what_is_wrong() -> None:
    assert "has no command" in fault("nodes vm")
    assert "no flag" in fault("rm hello --take_over")
    assert fault("scale hello") == "it does not parse"
    assert "no command" in fault("frobnicate")
    assert fault("up starts one") == ""
    assert len(named()) > 60


@pytest.mark.parametrize(("text", "place"), named(), ids=lambda value: str(value).replace(" ", "_"))
def test_what_is_named_as_a_command_is_one(text: str, place: str) -> None:
    assert fault(text) == "", f"{place}: omnitide {text}"
