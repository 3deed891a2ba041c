"""The witness remembers the newest note, and a torn write costs one note at most."""

import os
from pathlib import Path

import pytest

from omnitide.store.witness import Witness, Witnessed


def state(position: int) -> Witnessed:
    return Witnessed(log_id="ab" * 16, epoch=2, position=position, link=bytes([position]) * 16)


def written(path: Path, *positions: int) -> None:
    witness = Witness(path)
    for position in positions:
        witness.note(state(position))
    witness.close()


def test_a_new_witness_saw_nothing(tmp_path: Path) -> None:
    assert Witness(tmp_path / "witness").last is None


@pytest.mark.parametrize("positions", [[1], [1, 2], [1, 2, 3], list(range(100))])
def test_the_newest_note_is_found_again(tmp_path: Path, positions: list[int]) -> None:
    written(tmp_path / "witness", *positions)
    assert Witness(tmp_path / "witness").last == state(positions[-1])


def test_notes_go_on_over_reopening(tmp_path: Path) -> None:
    for position in range(5):
        written(tmp_path / "witness", position)
        assert Witness(tmp_path / "witness").last == state(position)


@pytest.mark.parametrize("torn_at", range(0, 64, 7))
def test_a_torn_note_leaves_the_one_before_it(tmp_path: Path, torn_at: int) -> None:
    path = tmp_path / "witness"
    written(path, 1, 2)
    before = path.read_bytes()
    written(path, 3)
    after = path.read_bytes()
    changed = [at for at in range(len(after)) if before[at : at + 1] != after[at : at + 1]]
    cut = changed[0] + torn_at
    path.write_bytes(after[:cut] + before[cut:] if cut < changed[-1] else after[: changed[-1]] + before[changed[-1] :])
    assert Witness(path).last == state(2)


@pytest.mark.parametrize("contents", [b"", b"x", os.urandom(576), bytes(4096)])
def test_a_file_that_is_no_witness_saw_nothing(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "witness").write_bytes(contents)
    assert Witness(tmp_path / "witness").last is None
