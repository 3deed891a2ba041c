"""What the tests of the log on a real disk share."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

APPENDER = Path(__file__).with_name("appender.py")


@pytest.fixture(scope="session")
def appender() -> ModuleType:
    """The writer that tests kill; run as a program by its `__file__`."""
    spec = importlib.util.spec_from_file_location("store_appender", APPENDER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(source: str, place: Path) -> Path:
    """A library to preload, built from a C file in this directory."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    library = place / source.replace(".c", ".so")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library)]
    subprocess.run([*command, str(Path(__file__).with_name(source)), "-lpthread"], check=True)
    return library


@pytest.fixture
def failing_sync(tmp_path: Path) -> Path:
    """Makes syncs fail while the file that FAIL_SYNCS names is there."""
    return compiled("failing_sync.c", tmp_path)


@pytest.fixture(scope="session")
def mirror_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps what a power loss would leave of a directory."""
    return compiled("durable_mirror.c", tmp_path_factory.mktemp("mirror"))
