"""Fabrics of one user know where the others of the same machine are."""

import os
from pathlib import Path

import pytest

from omnitide.config.folders import default_root
from omnitide.config.neighbours import MOST, REGISTER_VARIABLE, Neighbours, whole
from omnitide.node.own_places import OwnPlaces


@pytest.fixture
def register(tmp_path: Path) -> Neighbours:
    return Neighbours(tmp_path / "state" / "fabrics")


def test_what_is_noted_is_known_until_it_is_gone(register: Neighbours, tmp_path: Path) -> None:
    assert register.known() == ()
    one, other = tmp_path / "one", tmp_path / "ä other\udcff"
    for folder in (one, other):
        folder.mkdir()
        register.note(folder)
        register.note(folder)
    assert set(register.known()) == {str(one), str(other)}
    one.rmdir()
    assert register.known() == (str(other),)
    register.note(other)
    assert len(os.listdir(tmp_path / "state" / "fabrics")) == 1, "what is gone is let go of"


def test_the_register_is_where_the_variable_says(tmp_path: Path) -> None:
    Neighbours.of({"HOME": str(tmp_path), "OMNITIDE_FABRICS": str(tmp_path / "apart")}).note(tmp_path)
    assert Neighbours(tmp_path / "apart").known() == (str(tmp_path),)


def test_the_tests_leave_the_users_own_register_alone() -> None:
    """Each of theirs that is a fabric would stay there for as long as its folder does."""
    assert not Path(os.environ[REGISTER_VARIABLE]).is_relative_to(default_root(os.environ))


def test_what_cannot_be_read_or_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        Neighbours(folder).note(tmp_path)
        assert Neighbours(folder).known() == ()
    register = Neighbours(tmp_path / "fabrics")
    (tmp_path / "fabrics" / "a-folder").mkdir(parents=True)
    (tmp_path / "fabrics" / "relative").write_text("etc")
    (tmp_path / "fabrics" / "empty").touch()
    assert register.known() == ()


def test_so_many_are_looked_at_and_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "fabrics"
    folder.mkdir()
    for number in range(MOST + 5):
        (folder / f"{number:05}").write_text(str(tmp_path))
    assert len(Neighbours(folder).known()) == MOST


def test_the_whole_folder_is_noted_where_up_made_it(tmp_path: Path) -> None:
    for part in ("fabric/nexus", "fabric/node", "lonely/node", "plain"):
        (tmp_path / part).mkdir(parents=True)
    assert whole(tmp_path / "fabric/node") == whole(tmp_path / "fabric/nexus") == tmp_path / "fabric"
    assert whole(tmp_path / "lonely/node") == tmp_path / "lonely/node"
    assert whole(tmp_path / "plain") == tmp_path / "plain"


def test_a_node_gives_nobody_what_a_neighbour_keeps(register: Neighbours, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    own = OwnPlaces(tmp_path / "mine", {"HOME": str(tmp_path)}, neighbours=register)
    assert str(tmp_path / "other") not in own()
    register.note(tmp_path / "other")
    assert str(tmp_path / "other") in own(), "one that came later too"
