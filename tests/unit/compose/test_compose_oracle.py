"""Loading against compose-go, the library of `docker compose`: scripts/compose-oracle writes what that makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from omnitide.compose.importing import import_compose
from omnitide.model.manifest import ManifestError
from support.compose_oracle import differences

HERE = Path(__file__).parent
CASES = HERE / "oracle"
EXPECTED: dict[str, dict[str, Any]] = json.loads(
    (HERE / "oracle_expected.json").read_text().replace("/ORACLE", str(CASES))
)
TAKEN = sorted(name for name, one in EXPECTED.items() if "project" in one)
REFUSED = sorted(name for name, one in EXPECTED.items() if "error" in one)
MISSING_FILE = "refused-missingenv.yaml"
"""The one case in which we go further than Compose: see docs/how-to/import-compose.md."""


def files(name: str) -> list[str]:
    case = CASES / name
    return [str(file) for file in sorted(case.glob("compose*.yaml"))] if case.is_dir() else [str(case)]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("HOME", "/home/oracle")
    return {"HOME": "/home/oracle"}


@pytest.mark.parametrize("name", TAKEN)
def test_a_case_means_the_same_as_to_compose(name: str, home: dict[str, str]) -> None:
    assert differences(files(name), home, EXPECTED[name]["project"]) == []


@pytest.mark.parametrize("name", [name for name in REFUSED if name != MISSING_FILE])
def test_what_compose_refuses_is_refused_with_its_place(name: str, home: dict[str, str]) -> None:
    with pytest.raises(ManifestError) as refused:
        import_compose(files(name), home)
    for fault in refused.value.faults:
        assert f"oracle/{name}" in fault.file
        assert fault.line >= 1


def test_a_file_of_variables_that_is_not_there_is_a_loss(home: dict[str, str]) -> None:
    (loss,) = import_compose(files(MISSING_FILE), home).losses
    assert loss.key == "services.a.env_file[0].path"
    assert "nope.env is not there" in loss.message


def test_every_case_has_an_expectation() -> None:
    assert set(EXPECTED) == {case.name for case in CASES.iterdir()}
