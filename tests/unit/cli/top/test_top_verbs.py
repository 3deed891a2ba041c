"""What can be done, by whatever it is called: the command line's words, plain synonyms, and letters in their order."""

import json
import re
from pathlib import Path

import pytest

from omnitide.cli.globals import Globals
from omnitide.cli.root import make_root
from omnitide.cli.top.action import Input
from omnitide.cli.top.actions import ACTIONS
from omnitide.cli.top.verbs import OPENINGS, Verb, verbs_before, verbs_like

PANEL = Path(__file__).parents[4] / "web" / "src" / "actions"
SAID = r'id: "((?:agent|instance|node)\.\w+)",\s*title: "[^"]+",\s*key: "\w",(?:\s*words: (\[[^\]]*\]),)?'


def words_of_panel(*files: str) -> dict[str, tuple[str, ...]]:
    text = "".join((PANEL / file).read_text() for file in files)
    return {name: tuple(json.loads(re.sub(r",\s*\]", "]", words or "[]"))) for name, words in re.findall(SAID, text)}


def test_the_panel_knows_the_same_words() -> None:
    assert {one.id: one.words for one in ACTIONS} == words_of_panel("agents.ts", "instances.ts", "nodes.ts")
    panel = words_of_panel("openings.ts")
    assert {one.id: one.words for one in OPENINGS} == {one.id: panel[one.id] for one in OPENINGS}
    assert len(panel) > len(OPENINGS) > 3


def test_the_words_of_a_command_are_those_of_its_action() -> None:
    for one in ACTIONS:
        verb = one.command("NAME", Input(replicas=1)).partition(" NAME")[0]
        assert verb in {one.title.lower(), *one.words}, one.id


@pytest.mark.parametrize("words", words_of_panel("openings.ts").values(), ids=lambda words: words[0])
def test_what_is_opened_is_called_first_as_the_command_that_does_it(words: tuple[str, ...]) -> None:
    root = make_root()
    context = root.make_context("omnitide", [words[0]], obj=Globals())
    assert root.get_command(context, words[0])


def ids(found: list[tuple[Verb, str]]) -> list[tuple[str, str]]:
    return [(verb.id, rest) for verb, rest in found]


@pytest.mark.parametrize(
    ("typed", "verb", "name"),
    [
        ("rollback hello", "agent.rollback", "hello"),
        ("roll back hello", "agent.rollback", "hello"),
        ("roll ba hello", "agent.rollback", "hello"),
        ("undo hello", "agent.rollback", "hello"),
        ("rollout pause shop/hello", "agent.pause", "shop/hello"),
        ("nodes cordon desk", "node.cordon", "desk"),
        ("dr desk", "node.drain", "desk"),
        ("exec cart", "instance.terminal", "cart"),
        ("shell cart", "instance.terminal", "cart"),
        ("logs cart", "agent.output", "cart"),
    ],
)
def test_a_verb_has_many_names(typed: str, verb: str, name: str) -> None:
    assert (verb, name) in ids(verbs_before(typed))


def test_a_beginning_of_a_verb_is_no_name() -> None:
    assert not verbs_before("roll ba")
    assert not verbs_like("roll ba")
    assert not verbs_before("roll")
    assert not verbs_before("hello")


@pytest.mark.parametrize(
    ("typed", "verb", "name"),
    [
        ("scl cart", "agent.scale", "cart"),
        ("drn desk", "node.drain", "desk"),
        ("rol bak hello", "agent.rollback", "hello"),
    ],
)
def test_letters_of_a_verb_in_their_order_are_enough_before_a_name(typed: str, verb: str, name: str) -> None:
    assert ids(verbs_like(typed))[0] == (verb, name)
    assert not verbs_like(name)
    assert not verbs_like(f"q{typed}")
