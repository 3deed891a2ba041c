"""Which fabric is meant: what is given, the environment, the profile; and a token never goes to another's address."""

from pathlib import Path

import pytest

from omnitide.sdk.errors import Invalid
from omnitide.sdk.target import NoFabric, Profile, Target, find_target, profile_path, read_profile, write_profile


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("oma_mine\n")
    (tmp_path / "ca.pem").write_text("CERTIFICATE\n")
    path = tmp_path / "profile.json"
    write_profile(
        path,
        Profile(url="https://127.0.0.1:7400", ca_file=str(tmp_path / "ca.pem"), token_file=str(tmp_path / "token")),
    )
    return path


def test_the_profile_alone_is_enough(profile: Path) -> None:
    assert find_target(environ={}, profile=profile) == Target("https://127.0.0.1:7400", "oma_mine", "CERTIFICATE")


def test_the_profiles_token_is_not_sent_to_another_address(profile: Path) -> None:
    target = find_target(url="https://elsewhere.example:7400", environ={}, profile=profile)
    assert (target.token, target.ca_pem) == ("", "")


def test_the_profiles_token_is_sent_to_its_own_address(profile: Path) -> None:
    assert find_target(url="https://127.0.0.1:7400/", environ={}, profile=profile).token == "oma_mine"


def test_arguments_win_over_the_environment_and_that_over_the_profile(profile: Path) -> None:
    environment = {"OMNITIDE_CLIENT_URL": "https://env.example", "OMNITIDE_CLIENT_TOKEN": "oma_env"}
    assert find_target(environ=environment, profile=profile) == Target("https://env.example", "oma_env")
    assert find_target(url="https://arg.example", token="oma_arg", environ=environment).url == "https://arg.example"


def test_without_anything_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoFabric) as caught:
        find_target(environ={}, profile=tmp_path / "profile.json")
    assert "omnitide up" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["http://nexus.example:7400", "ftp://127.0.0.1", "nexus", "https://", "https://h:99999"]
)
def test_an_address_that_cannot_be_right_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        Target(url)


def test_plaintext_is_for_loopback_only() -> None:
    assert Target("http://127.0.0.1:1").context() is None
    assert Target("http://[::1]:1").local


def test_a_ca_that_is_none_is_refused(profile: Path) -> None:
    with pytest.raises(Invalid):
        find_target(environ={}, profile=profile).context()


def test_a_token_does_not_show_in_a_representation() -> None:
    assert "oma_secret" not in repr(Target("https://h", "oma_secret"))


def test_profiles_are_private_and_found_where_they_belong(profile: Path, tmp_path: Path) -> None:
    assert profile.stat().st_mode & 0o777 == 0o600
    assert read_profile(tmp_path / "none.json") is None
    assert profile_path({"OMNITIDE_DATA": "/data"}) == Path("/data/profile.json")
    assert profile_path({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}) == Path("/c/omnitide/profile.json")
    assert profile_path({"HOME": "/h"}) == Path("/h/.config/omnitide/profile.json")


def test_a_profile_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text("{")
    with pytest.raises(Invalid):
        read_profile(tmp_path / "profile.json")
