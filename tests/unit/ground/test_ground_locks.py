"""The locks: what is installed is pinned by hash, comes from anywhere, and is what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
LOCKS = ("runtime", "dev", "bench")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = re.compile(r"([a-z0-9][a-z0-9-]*)==([^ ;]+)( ; [^\\]+?)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def lines(lock: str) -> list[str]:
    return (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()


def pins(lock: str) -> dict[str, str]:
    return {match[1]: match[2] for line in lines(lock) if (match := PINNED.fullmatch(line))}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_pins_and_hashes_and_nothing_else(lock: str) -> None:
    """So no address of an index, no folder of wheels and no path of the machine that made it."""
    head, *rest = lines(lock)
    assert head == "# Made by `make lock` from pyproject.toml; not edited."
    strange = [line for line in rest if not PINNED.fullmatch(line) and not HASH.fullmatch(line)]
    assert strange == []
    for line, following in zip(rest, [*rest[1:], ""], strict=True):
        if PINNED.fullmatch(line):
            assert HASH.fullmatch(following), f"{line} has no hash"


@pytest.mark.parametrize(
    ("lock", "extras"), [("runtime", ()), ("dev", ("dev",)), ("bench", ("dev", "bench"))], ids=LOCKS
)
def test_a_lock_has_all_that_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    pinned = pins(lock)
    asked = [*PROJECT["dependencies"]]
    for extra in extras:
        asked += PROJECT["optional-dependencies"][extra]
    asked += (line for line in (ROOT / "requirements/build.in").read_text().splitlines() if not line.startswith("#"))
    wrong = []
    for text in asked:
        requirement = Requirement(text)
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{text}, locked {version}")
    assert wrong == [], "run make lock"


@pytest.mark.parametrize(("smaller", "larger"), [("runtime", "dev"), ("dev", "bench")])
def test_a_larger_lock_holds_the_smaller_one(smaller: str, larger: str) -> None:
    assert pins(smaller).items() <= pins(larger).items()


def test_the_user_installs_no_tools() -> None:
    assert not {"pytest", "hypothesis", "ruff", "uv", "grpcio-tools", "matplotlib"} & pins("runtime").keys()
