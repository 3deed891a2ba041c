"""Where data lies: one decision out of flag, variable, file and default, shown with its source."""

import os
from pathlib import Path

import pytest

from omnitide.config import Origin, load
from omnitide.config.folders import default_root, root_of
from omnitide.config.report import rows

KEYS = ("nexus.data_dir", "node.data_dir")


def file(tmp_path: Path) -> Path:
    path = tmp_path / "omnitide.toml"
    path.write_text('[nexus]\ndata_dir = "/file/nexus"\n[node]\ndata_dir = "/file/node"\n')
    return path


def told(tmp_path: Path, environ: dict[str, str], *, data: str = "", with_file: bool = True) -> list[tuple[str, str]]:
    """Folder and source of Nexus and of the node."""
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    loaded = load(config=file(tmp_path) if with_file else empty, environ=environ, data=data)
    shown = {row.key: (row.value, row.source.removeprefix(str(tmp_path))) for row in rows(loaded)}
    return [shown[key] for key in KEYS]


def test_each_source_is_stronger_than_the_next(tmp_path: Path) -> None:
    both = {"OMNITIDE_DATA": "/root", "OMNITIDE_NODE_DATA_DIR": "/special"}
    assert told(tmp_path, both, data="/flag") == [("/flag/nexus", "flag --data"), ("/flag/node", "flag --data")]
    assert told(tmp_path, both) == [
        ("/root/nexus", "environment OMNITIDE_DATA"),
        ("/special", "environment OMNITIDE_NODE_DATA_DIR"),
    ]
    assert told(tmp_path, {}) == [("/file/nexus", "/omnitide.toml:2"), ("/file/node", "/omnitide.toml:4")]
    default = str(default_root(os.environ))
    assert told(tmp_path, {}, with_file=False) == [(f"{default}/{part}", "default") for part in ("nexus", "node")]


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    assert told(tmp_path, {"OMNITIDE_DATA": ""})[0] == ("/file/nexus", "/omnitide.toml:2")


def test_a_flag_of_one_part_is_stronger_than_that_of_the_root(tmp_path: Path) -> None:
    loaded = load({"nexus.data_dir": "/one"}, config=file(tmp_path), environ={}, data="/flag")
    assert (loaded.settings.nexus.data_dir, loaded.settings.node.data_dir) == ("/one", "/flag/node")
    assert loaded.origins["nexus.data_dir"] == Origin("flag")


def test_a_relative_root_is_read_from_here_and_a_reload_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(environ={}, config=file(tmp_path), data="fabric")
    monkeypatch.chdir("/")
    for one in (loaded, loaded.again()):
        assert one.settings.node.data_dir == str(tmp_path / "fabric" / "node")


def test_the_root_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert root_of("/given", {"OMNITIDE_DATA": "/variable"}) == Path("/given")
    assert root_of("", {"OMNITIDE_DATA": "/variable"}) == Path("/variable")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert root_of("", {"HOME": "/home/x"}) == Path("/var/lib/omnitide")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert root_of("", {"HOME": "/home/x"}) == Path("/home/x/.local/state/omnitide")
    assert root_of("", {"HOME": "/home/x", "XDG_STATE_HOME": "/state"}) == Path("/state/omnitide")


def test_every_spelling_of_a_root_is_the_same_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fabric").mkdir()
    (tmp_path / "link").symlink_to("fabric")
    monkeypatch.chdir(tmp_path)
    for spelling in ("link", "fabric/", "./fabric", "link/../fabric", str(tmp_path / "link")):
        assert root_of(spelling, {}) == tmp_path / "fabric"
    assert root_of("", {"OMNITIDE_DATA": "link/not-there-yet"}) == tmp_path / "fabric" / "not-there-yet"
