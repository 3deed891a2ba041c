"""One fabric of two nodes for all tests here, each of which leaves it empty; or a fabric for one test alone."""

from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support.fabric_fixtures import bytecode, fabric, lone
from support.fabric_processes import Fabric
from support.panel_browser import chromium
from support.passable import passable_folder

__all__ = ["bytecode", "fabric", "lone"]


@pytest.fixture(scope="session")
def shared(bytecode: Path) -> Generator[Fabric]:
    with passable_folder() as folder, Fabric(folder, bytecode=bytecode) as made:
        made.up()
        made.join("beta")
        yield made


@pytest.fixture(scope="session")
def renew_snapshots(request: pytest.FixtureRequest) -> bool:
    """Whether pictures of pages are made anew, instead of compared: `make snapshots`."""
    return bool(request.config.getoption("--renew-snapshots"))


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Of one file: a started Playwright holds the thread's event loop, which tests of other files need."""
    with chromium() as made:
        yield made
