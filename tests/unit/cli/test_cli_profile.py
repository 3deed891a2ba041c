"""Which fabric is meant where nothing is said: by the user's own profile, else by that in the default data folder."""

import os
from pathlib import Path

import pytest

from omnitide.cli.globals import Globals
from omnitide.cli.session import Session
from omnitide.sdk.target import NoFabric, Profile, write_profile


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The default data folder of a user whose home is another one than that of whoever began the fabric."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("XDG_CONFIG_HOME", "OMNITIDE_DATA", "OMNITIDE_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "state" / "omnitide"


def test_a_fabric_in_the_default_folder_is_found_from_any_home(state: Path) -> None:
    write_profile(state / "profile.json", Profile(url="http://127.0.0.1:7411"))
    assert Session(Globals()).target.url == "http://127.0.0.1:7411"


def test_the_users_own_profile_comes_first_and_up_writes_that_one(state: Path, tmp_path: Path) -> None:
    own = tmp_path / "home" / ".config" / "omnitide" / "profile.json"
    write_profile(state / "profile.json", Profile(url="http://127.0.0.1:7411"))
    assert Session(Globals()).own_profile == own
    write_profile(own, Profile(url="http://127.0.0.1:7422"))
    assert Session(Globals()).target.url == "http://127.0.0.1:7422"


def test_without_either_the_users_own_is_named(state: Path) -> None:
    with pytest.raises(NoFabric, match=r"no profile .*/home/\.config/omnitide/profile\.json"):
        _ = Session(Globals()).target


def test_a_folder_that_is_named_is_not_looked_for_elsewhere(state: Path, tmp_path: Path) -> None:
    write_profile(state / "profile.json", Profile(url="http://127.0.0.1:7411"))
    with pytest.raises(NoFabric, match=r"other/profile\.json"):
        _ = Session(Globals(data=str(tmp_path / "other"))).target
