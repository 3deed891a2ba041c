"""Every command has help and the global options, errors have codes and next steps, and starting is light."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omnitide.cli.commands import COMMANDS
from omnitide.cli.examples import EXAMPLES
from omnitide.cli.exits import Exit, code_of
from omnitide.cli.globals import Globals
from omnitide.cli.main import main
from omnitide.cli.root import load, make_root
from omnitide.model.problem import KINDS, problem
from omnitide.sdk.errors import from_problem

COMPLETING = {"_OMNITIDE_COMPLETE": "complete_bash", "COMP_WORDS": "omnitide p", "COMP_CWORD": "1"}
"""As a shell asks for what may follow."""
REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def paths() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        below: dict[str, Any] = getattr(load(name), "commands", {})
        found += [(name,), *((name, inner) for inner, command in below.items() if not command.hidden)]
    return found


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_every_command_has_help_with_the_global_options(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    told = capsys.readouterr().out
    assert "--output" in told
    assert "--token-file" in told
    assert "--install-completion" not in told


def words_of(example: str) -> list[str]:
    """What the shell gives the one `omnitide` of a line that may have a pipe to or from another program, or a `>`."""
    split = shlex.shlex(example, posix=True, punctuation_chars="|>")
    split.whitespace_split = True
    stages: list[list[str]] = [[]]
    for word in split:
        if word == "|":
            stages.append([])
        else:
            stages[-1].append(word)
    [(_, *words)] = [one for one in stages if one[0] == "omnitide"]
    return words[: words.index(">")] if ">" in words else words


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_every_command_shows_examples_that_its_own_parser_takes(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for example in EXAMPLES[" ".join(path)]:
        assert example in told
        words = words_of(example)
        assert tuple(words[: len(path)]) == path or len(path) == 1
        context = make_root().make_context("omnitide", list(words), obj=Globals())
        while hasattr(context.command, "resolve_command"):
            rest = [*context._protected_args, *context.args]
            if not rest:
                break
            name, command, left = context.command.resolve_command(context, rest)
            context = command.make_context(name, left, parent=context)
        assert context.command_path.split()[1] == path[0]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for name in COMMANDS:
        assert f" {name} " in told


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_with_the_beginning_of_its_own_help(name: str) -> None:
    assert COMMANDS[name].summary == load(name).help.split("\n\n")[0]


@pytest.mark.parametrize(("arguments", "environment"), [(["--help"], {}), ([], COMPLETING)])
def test_commands_are_listed_without_being_loaded(arguments: list[str], environment: dict[str, str]) -> None:
    program = (
        "import atexit, sys; atexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr));"
        f"from omnitide.cli.main import main; main({arguments!r})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert "port-forward" in ran.stdout
    loaded = next(line for line in ran.stderr.splitlines() if line.startswith("loaded")).split()
    targets = {f"omnitide.cli.{entry.target.partition(':')[0]}" for entry in COMMANDS.values()}
    assert targets & set(loaded) == set()


@pytest.mark.parametrize("group", sorted(name for name in COMMANDS if hasattr(load(name), "commands")))
def test_list_and_ls_are_one(group: str) -> None:
    below = load(group).commands
    named = [name for name in ("list", "ls") if name in below]
    assert len(named) in (0, 2)
    if named:
        assert below["list"].callback is below["ls"].callback
        assert sum(not below[name].hidden for name in named) == 1, "the help shows one"


@pytest.mark.parametrize(
    ("below", "named"), [("undo", "rollback"), ("rollback", "rollback"), ("history", "history"), ("restart", "restart")]
)
def test_rollout_takes_what_others_have_below_it_and_the_help_shows_it_once(below: str, named: str) -> None:
    alias = load("rollout").commands[below]
    assert alias.callback.__wrapped__ is load(named).callback.__wrapped__
    assert [one.name for one in alias.params] == [one.name for one in load(named).params]
    assert alias.hidden


@pytest.mark.parametrize("name", ["cordon", "uncordon", "drain"])
def test_a_node_is_closed_opened_and_emptied_by_commands_of_their_own_too(name: str) -> None:
    assert load(name).callback.__wrapped__ is load("nodes").commands[name].callback.__wrapped__


@pytest.mark.parametrize(
    ("word", "offered"),
    [
        ("dwon", "'down'"),
        ("stopp", "'stop'"),
        ("cordn", "'cordon'"),
        ("statsu", "'status'"),
        # Like the name of one that ends something, and not meant for it.
        ("countdown", ""),
        ("clean", ""),
        ("learn", ""),
        ("candle", ""),
    ],
)
def test_what_ends_something_is_not_offered_for_a_word_that_is_only_vaguely_like_it(
    word: str, offered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word, "alpha"]) == Exit.USAGE
    told = capsys.readouterr().err
    assert f"No such command '{word}'" in told
    assert offered in told
    for name in ("down", "leave", "cancel", "drain", "rm", "stop"):
        assert f"'{name}'" not in told or f"'{name}'" == offered


def test_n_is_the_namespace_wherever_it_is_taken() -> None:
    def options(command: Any) -> Iterator[tuple[str, str]]:
        for one in command.params:
            yield from ((name, one.name) for name in one.opts)
        for below in getattr(command, "commands", {}).values():
            yield from options(below)

    assert {one for name in COMMANDS for opt, one in options(load(name)) if opt == "-n"} == {"namespace"}


def test_a_time_beyond_all_bounds_is_refused_with_the_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create", "--ttl", "100000000000d"]) == Exit.USAGE
    assert "--ttl: '100000000000d' is larger than a duration can be: 104249991 d at most" in capsys.readouterr().err


def test_an_unknown_command_is_met_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokne"]) == Exit.USAGE
    assert "Did you mean 'token'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["ps", "-o", "xml"], ["deploy"], ["scale", "a", "many"], ["logs", "--nope", "x"], ["nodes", "frob"]]
)
def test_wrong_use_is_code_2_with_a_hint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == Exit.USAGE
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "\nhint:  omnitide " in told


@pytest.fixture
def no_fabric(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have brought one up on this machine."""
    monkeypatch.setenv("OMNITIDE_DATA", str(tmp_path))


def test_without_a_fabric_it_says_how_to_get_one(capsys: pytest.CaptureFixture[str], no_fabric: None) -> None:
    assert main(["status"]) == Exit.USAGE
    told = capsys.readouterr().err
    assert "no fabric is known here" in told
    assert "omnitide up" in told


def test_errors_are_problems_where_a_program_reads(capsys: pytest.CaptureFixture[str], no_fabric: None) -> None:
    assert main(["status", "-o", "json"]) == Exit.USAGE
    told = json.loads(capsys.readouterr().err)
    assert told["code"] == "invalid"
    assert told["hint"]


def test_a_global_option_is_taken_before_and_after_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-o", "json", "config", "show"]) == 0
    first = capsys.readouterr().out
    assert main(["config", "show", "-o", "json"]) == 0
    assert json.loads(first) == json.loads(capsys.readouterr().out)


def test_config_show_names_the_source_of_each_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "omnitide.toml"
    file.write_text("[nexus]\napi_port = 7500\n")
    monkeypatch.setenv("OMNITIDE_LOG_LEVEL", "debug")
    assert main(["config", "show", "--config", str(file), "-o", "json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["nexus.api_port"]["source"] == f"{file}:2"
    assert rows["log.level"]["source"] == "environment OMNITIDE_LOG_LEVEL"
    assert rows["nexus.listen"]["source"] == "default"


def test_a_bad_configuration_is_refused_with_file_line_and_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "omnitide.toml"
    file.write_text("[nexus]\napi_prot = 7500\n")
    assert main(["config", "show", "--config", str(file)]) == Exit.USAGE
    assert f"{file}:2: nexus.api_prot: unknown key; did you mean api_port?" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_the_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "show", shell]) == 0
    assert "_OMNITIDE_COMPLETE=complete_" + shell in capsys.readouterr().out


def test_completion_completes_commands() -> None:
    environment = {"_OMNITIDE_COMPLETE": "complete_bash", "COMP_WORDS": "omnitide de", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "omnitide.cli"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert "deploy" in ran.stdout.split(), ran.stderr


def test_every_problem_leads_to_a_documented_code() -> None:
    documented = (REFERENCE / "exit-codes.md").read_text()
    for code in Exit:
        assert f"| {code.value} |" in documented
    expected = {"not-found": 3, "conflict": 4, "not-serving": 5, "unauthenticated": 6, "invalid": 2, "internal": 1}
    for kind in KINDS:
        code = code_of(from_problem(problem(kind, "x")))
        assert code == expected.get(kind, code)


def test_version_loads_next_to_nothing() -> None:
    program = "import sys; from omnitide.cli.main import main; main(['--version']); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    version, modules = ran.stdout.splitlines()
    assert version.startswith("omnitide ")
    assert {"typer", "rich", "msgspec", "httpx", "asyncio", "json"} & set(modules.split()) == set()


def test_a_command_loads_no_more_than_it_needs() -> None:
    # (`status` looks for a node's identity on a machine that knows no fabric, and so needs more.)
    program = "import sys; from omnitide.cli.main import main; main(['ps']); print(*sys.modules)"
    environment = {"HOME": "/nonexistent"}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    heavy = {"rich", "pygments", "grpc", "numpy", "rocksdict", "starlette", "uvicorn", "cryptography", "ruamel"}
    heavy |= {"pydantic", "textual"}
    assert heavy & set(ran.stdout.split()) == set()
