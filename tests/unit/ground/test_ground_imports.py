"""Which part may load what: the contracts of pyproject.toml, and what really gets loaded in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

LOAD_ALL = """
import importlib, json, pkgutil, sys
before = set(sys.modules)
for package in sys.argv[1:]:
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, package + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
loaded = {name: getattr(sys.modules[name], "__file__", None) or "" for name in set(sys.modules) - before}
print(json.dumps(loaded))
"""


def loaded_by(*packages: str) -> dict[str, str]:
    """Modules that loading every module of the packages loads, with their files."""
    command = [sys.executable, "-c", LOAD_ALL, *packages]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_import_contracts_hold() -> None:
    checker = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([checker], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_node_loads_nothing_that_a_small_machine_need_not_hold() -> None:
    """Also not by way of a library: the contracts see only what our own files import."""
    heavy = {
        "typer",
        "rich",
        "pydantic",
        "rocksdict",
        "wasmtime",
        "numpy",
        "starlette",
        "uvicorn",
        "httpx",
        "structlog",
    }
    loaded = loaded_by("omnitide.node", "omnitide.drivers", "omnitide.config", "omnitide.telemetry")
    assert heavy & {name.partition(".")[0] for name in loaded} == set()


def test_the_keeper_loads_the_standard_library_only() -> None:
    loaded = loaded_by("omnitide.node.keeper")
    ours = ("omnitide", "omnitide.node")
    foreign = {
        name
        for name, file in loaded.items()
        if "site-packages" in file or (name.startswith("omnitide.") and not name.startswith("omnitide.node.keeper"))
    }
    assert foreign - set(ours) == set()
