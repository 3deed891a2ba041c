"""A fabric in memory behind a real server, and an environment without anybody's own settings."""

from collections.abc import Generator
from pathlib import Path

import pytest
from tests.integration.cli.fabric import MemoryFabric


@pytest.fixture(autouse=True)
def no_settings_of_anybody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def fabric(tmp_path: Path) -> Generator[MemoryFabric]:
    with MemoryFabric(tmp_path) as made:
        yield made
