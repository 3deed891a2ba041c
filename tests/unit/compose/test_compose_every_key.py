"""Nothing is dropped in silence: of every key that the specification knows, a file without it makes something else, or
the report names it."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omnitide.compose import document as reading
from omnitide.compose import importing
from omnitide.compose.keys import fate_of_pattern, pattern_of
from omnitide.compose.report import Imported
from omnitide.compose.schema import every_key
from omnitide.compose.tree import Map, Seq, copied, dotted, paths_of
from omnitide.compose.tree import Path as KeyPath
from omnitide.model.manifest import ManifestError

HERE = Path(__file__).parent / "every_key"
SAMPLES = sorted(HERE.glob("*.yaml"))
ENVIRONMENT = {"HOME": "/home/somebody"}
INHERITED = ("jobs.", "services.*.pre_start[].")
"""Lost as a whole: what is below has no sample of its own."""


def read(sample: Path) -> Map:
    (document,) = reading.read_documents(sample.read_bytes(), str(sample))
    return document


def without(document: Map, path: KeyPath) -> Map:
    made = copied(document)
    assert isinstance(made, Map)
    at: object = made
    for step in path[:-1]:
        at = at[step]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]
    if isinstance(at, Map):
        at.drop(str(path[-1]))
    else:
        assert isinstance(at, Seq)
        del at[path[-1]], at.places[path[-1]]  # pyright: ignore[reportArgumentType, reportCallIssue]
    return made


def made_of(document: Map, sample: Path, monkeypatch: pytest.MonkeyPatch) -> Imported | None:
    """None: refused."""
    original = reading.read_documents

    def instead(data: bytes, file: str) -> list[Map]:
        return [document] if file == str(sample) else original(data, file)

    with monkeypatch.context() as patch:
        patch.setattr("omnitide.compose.loading.read_documents", instead)
        try:
            return importing.import_compose([str(sample)], ENVIRONMENT)
        except ManifestError:
            return None


def cases() -> Iterator[Any]:
    for sample in SAMPLES:
        for path, _ in paths_of(read(sample)):
            if not isinstance(path[-1], int):
                yield pytest.param(sample, path, id=f"{sample.stem}:{dotted(path)}")


@functools.cache
def whole(sample: Path) -> Imported:
    return importing.import_compose([str(sample)], ENVIRONMENT)


def outcome(imported: Imported | None) -> object:
    """What an import makes, but for what it says."""
    if imported is None:
        return None
    return msgspec.to_builtins((imported.project, imported.agents, imported.create, imported.left_out))


def named(imported: Imported, path: KeyPath) -> bool:
    """Whether a remark is about the key, about what it is in as a whole, or about something below it."""
    key = dotted(path)
    for remark in (*imported.notes, *imported.losses):
        near, far = sorted((remark.key, key), key=len)
        if far == near or (far.startswith(near) and far[len(near)] in ".["):
            return True
    return False


@pytest.mark.parametrize(("sample", "path"), list(cases()))
def test_a_key_makes_a_difference_or_is_named(sample: Path, path: KeyPath, monkeypatch: pytest.MonkeyPatch) -> None:
    if any(str(step).startswith("x-") for step in path):
        return  # means nothing, by the specification
    if named(whole(sample), path):
        return
    same = outcome(made_of(without(read(sample), path), sample, monkeypatch)) == outcome(whole(sample))
    assert not same, f"{dotted(path)} changes nothing, and nothing is said of it"


def test_there_is_a_sample_of_every_key() -> None:
    found = {pattern_of(path) for sample in SAMPLES for path, _ in paths_of(read(sample))}
    missing = {key for key in every_key() if key not in found and not key.startswith(INHERITED)}
    assert missing == set()


def test_the_table_knows_every_key() -> None:
    assert [key for key in every_key() if fate_of_pattern(key) is None] == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_every_remark_says_where(sample: Path) -> None:
    imported = whole(sample)
    for remark in (*imported.notes, *imported.losses):
        assert remark.file.startswith(str(HERE))
        text = Path(remark.file).read_text().splitlines()[remark.line - 1]
        words = re.findall(r"[\w-]+", remark.key)
        assert any(word in text for word in words) or text.lstrip().startswith("- "), remark
