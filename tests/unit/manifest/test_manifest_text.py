"""An agent as text and the text as the agent again: nothing is lost; of what is so anyway what is reserved is said."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnitide.model.manifest import Source, read_manifest
from omnitide.model.manifest_text import Text, manifest_text
from omnitide.model.normalise import read
from omnitide.model.spec import AgentManifest

FORMS: tuple[Text, ...] = ("yaml", "toml")
WHOLE: dict[str, Any] = {
    "name": "web",
    "namespace": "shop",
    "replicas": 3,
    "command": ["sh", "-c", "echo '''\nexec sleep 1\n"],
    "environment": {"A": "x\ny\n", "B.c": "no", "D": "0x10", "E": "", "F": "~", "G": "1e3"},
    "resources": {"cpu": 0.25, "memory": "64MiB"},
    "labels": {"team": "a", "tier": "1.0"},
    "constraints": [{"label": "zone", "operator": "in", "values": ["a", "b"]}],
    "ports": {"http": {"port": 8080}},
    "update": {"max_unavailable": 2, "min_healthy": "90s"},
    "stop": {"grace": "1500ms"},
    "restart": {"attempts": 3, "backoff": "100ms"},
}


def again(text: str, form: Text) -> list[AgentManifest]:
    return [found.manifest for found in read_manifest(Source(f"a.{form}", text.encode(), form))]


@pytest.mark.parametrize("form", FORMS)
def test_a_manifest_is_the_same_when_it_is_read_again(form: Text) -> None:
    manifest = read(WHOLE, AgentManifest)
    text = manifest_text([manifest], form)
    assert again(text, form) == [manifest]


@pytest.mark.parametrize("form", FORMS)
def test_quantities_are_as_people_write_them_and_defaults_are_not_said(form: Text) -> None:
    text = manifest_text([read(WHOLE, AgentManifest)], form)
    for word in ("64MiB", "0.25", "90s", "1500ms", "100ms"):
        assert word in text
    assert "driver" not in text
    assert text.index("name") < text.index("command") < text.index("labels")


@pytest.mark.parametrize("resources", [{}, {"cpu": 0.1}, {"cpu": 0.1, "memory": "64MiB"}, {"memory": "32MiB"}])
def test_what_is_reserved_is_said_whole_even_where_it_is_so_by_default(resources: dict[str, Any]) -> None:
    """A file that asks for just what is the default is not shown as one that asks for nothing."""
    manifest = read({"name": "a", "command": ["x"], "resources": resources, "labels": {"b": "c"}}, AgentManifest)
    memory = resources.get("memory", "32MiB")
    yaml, toml = (manifest_text([manifest], form) for form in FORMS)
    assert f"resources:\n  cpu: 0.1\n  memory: {memory}\n" in yaml
    assert f'resources = {{ cpu = 0.1, memory = "{memory}" }}' in toml
    assert yaml.index("command") < yaml.index("resources") < yaml.index("labels"), "where a person would write it"
    assert again(yaml, "yaml") == again(toml, "toml") == [manifest]


def test_lines_of_a_script_stand_one_below_the_other() -> None:
    manifest = read({"name": "a", "command": ["sh", "-c", "set -e\nexec sleep 1\n"]}, AgentManifest)
    assert "  - |\n    set -e\n    exec sleep 1\n" in manifest_text([manifest], "yaml")
    assert "'''\nset -e\nexec sleep 1\n'''" in manifest_text([manifest], "toml")


def test_several_are_documents_of_one_yaml_text_and_no_toml() -> None:
    two = [read({"name": name, "command": ["x"]}, AgentManifest) for name in ("a", "b")]
    assert again(manifest_text(two, "yaml"), "yaml") == two
    with pytest.raises(ValueError, match="one agent"):
        manifest_text(two, "toml")


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@settings(max_examples=60, deadline=None)
@given(words=st.lists(WORDS, min_size=1, max_size=3), form=st.sampled_from(FORMS))
@example(words=["'", "a'\n'", "''' \n \t", "\x7f\x85\u2028\ufeff", "\r\n", "--- x\n...\n"], form="yaml")
@example(words=["'", "a'\n'", "''' \n \t", "\x7f\x85\u2028\ufeff", "\r\n", "\n\n x"], form="toml")
def test_any_text_comes_back_as_it_was(words: list[str], form: Text) -> None:
    manifest = read({"name": "a", "command": ["x", *words]}, AgentManifest)
    assert again(manifest_text([manifest], form), form) == [manifest]
