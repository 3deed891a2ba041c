"""The published schema is the one that the code makes, and takes what the reader takes."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from omnitide.model.manifest import FORMATS, Source, read_manifests
from omnitide.model.schema import agent_manifest_schema
from omnitide.sdk.manifests import load_manifests

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "reference" / "agent.schema.json"
EXAMPLES = sorted(file for file in (ROOT / "examples").iterdir() if file.suffix in FORMATS)


def test_the_published_schema_is_current() -> None:
    """If not: omnitide schema agent > docs/reference/agent.schema.json"""
    assert json.loads(PUBLISHED.read_text()) == json.loads(json.dumps(agent_manifest_schema()))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(agent_manifest_schema())


@pytest.mark.parametrize("value", ["64MiB", "1.5GB", 67108864])
def test_the_schema_takes_sizes_as_people_write_them(value: object) -> None:
    document = {"name": "a", "command": ["x"], "resources": {"memory": value}}
    jsonschema.validate(document, agent_manifest_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "wrong",
    [
        {"command": ["x"]},
        {"name": "A", "command": ["x"]},
        {"name": "a", "command": []},
        {"name": "a", "command": ["x"], "rescources": {}},
        {"name": "a", "command": ["x"], "replicas": "3"},
        {"name": "a", "command": ["x"], "resources": {"memory": "lots"}},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(wrong: object) -> None:
    from omnitide.model.manifest import ManifestError

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, agent_manifest_schema(), jsonschema.Draft202012Validator)
    with pytest.raises(ManifestError):
        read_manifests([Source("a.json", json.dumps(wrong).encode(), "json")])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_example_is_a_manifest_by_reader_and_schema(file: Path) -> None:
    assert load_manifests([file])
    if file.suffix == ".toml":
        document = tomllib.loads(file.read_text())
        jsonschema.validate(document, agent_manifest_schema(), jsonschema.Draft202012Validator)


def test_a_folder_is_read_in_order_and_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text('name = "b"\ncommand = ["x"]')
    (tmp_path / "a.yaml").write_text("name: a1\ncommand: [x]\n---\nname: a2\ncommand: [x]\n")
    (tmp_path / "c.json").write_text('{"name": "c", "command": ["x"]}')
    (tmp_path / "notes.txt").write_text("no manifest")
    assert [one.manifest.name for one in load_manifests([tmp_path])] == ["a1", "a2", "b", "c"]


def test_a_folder_without_manifests_and_a_file_that_is_not_there_are_faults(tmp_path: Path) -> None:
    from omnitide.model.manifest import ManifestError

    (tmp_path / "x.ini").touch()
    with pytest.raises(ManifestError) as caught:
        load_manifests([tmp_path, tmp_path / "none.toml", tmp_path / "none", tmp_path / "x.ini"])
    messages = [fault.message for fault in caught.value.faults]
    assert messages[0].startswith("holds no manifests")
    absent = "there is no such file or folder"
    assert messages[1:] == [absent, absent, "is of no format that is known here"]
