"""Every command that the panel shows to copy is one that the command line's own parser takes."""

import json
import re
import shlex
from pathlib import Path

import pytest

from omnitide.cli.globals import Globals
from omnitide.cli.root import make_root

ROOT = Path(__file__).parents[3]
ACTIONS = ROOT / "web" / "src" / "actions"
SHOWN = [(one["action"], one["command"]) for one in json.loads((ACTIONS / "commands.json").read_text())]
OTHERS = [
    ("editor", "omnitide apply -f web.yaml"),
    ("editor", "omnitide -n shop apply -f web.toml"),
    ("settings", "omnitide token create --uses 5 --ttl 1h --label zone=attic"),
    ("settings", "omnitide token create --api --ttl 7d --note 'the ci'\\''s'"),
    ("settings", "omnitide token create --metrics"),
    ("settings", "omnitide token list --purpose session"),
    ("settings", "omnitide token revoke n22p"),
    ("settings", "omnitide panel --ttl 1h"),
    ("settings", "omnitide status"),
    ("settings", "omnitide version"),
    ("settings", "omnitide metrics ls"),
    ("settings", "omnitide config show"),
    ("namespaces", "omnitide namespace create team"),
    ("namespaces", "omnitide namespace rm team"),
    ("namespaces", "omnitide namespace list"),
    ("join", "omnitide join https://nexus.example:7400 --token omt_x"),
    ("import", "omnitide -n shop import compose compose.yaml 'my file.yml' --name shop --profile '*' --apply"),
]


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


def parse(words: list[str]) -> str:
    """As far as the command would be called. Raises what the parser raises."""
    context = make_root().make_context("omnitide", list(words), obj=Globals())
    while hasattr(context.command, "resolve_command"):
        name, command, left = context.command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, left, parent=context)
    return context.command_path


@pytest.mark.parametrize(("action", "line"), [*SHOWN, *OTHERS], ids=lambda text: text)
def test_it_is_a_command(action: str, line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "omnitide"
    assert parse(words).startswith("omnitide ")


def test_every_action_of_the_panel_is_among_them() -> None:
    registry = "".join((ACTIONS / name).read_text() for name in ("agents.ts", "instances.ts", "nodes.ts"))
    known = set(re.findall(r'id: "((?:agent|instance|node)\.\w+)"', registry))
    assert known == {action for action, _ in SHOWN}
    assert len(known) > 10


def test_what_is_no_command_is_not_taken() -> None:
    for words in (["scale", "web"], ["nodes", "drain", "alpha", "--sideways"], ["rollout", "halt", "web"]):
        with pytest.raises(Exception, match=r"Missing|No such|requires"):
            parse(words)
