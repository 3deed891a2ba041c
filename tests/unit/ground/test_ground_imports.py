"""Which part may load what: the contracts of pyproject.toml, and what really gets loaded in a process of its own."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = sorted(path.parent.name for path in (ROOT / "src/omnitide").glob("*/__init__.py"))
MAY_IMPORT: dict[str, set[str]] = {
    "model": set(),
    "wire": set(),
    "telemetry": set(),
    "supervisor": set(),
    "fabric": {"model"},
    "scheduler": {"fabric", "model"},
    "store": {"fabric", "model"},
    "security": {"fabric", "model"},
    "config": {"model", "telemetry"},
    "operations": {"fabric", "model", "scheduler", "security", "telemetry"},
    "nexus": {"config", "fabric", "model", "operations", "scheduler", "security", "store", "telemetry", "wire"},
    "drivers": {"model"},
    "node": {"config", "drivers", "model", "security", "telemetry", "wire"},
    "sdk": {"model"},
    "compose": {"model"},
    "api": {"config", "model", "nexus", "operations", "security", "telemetry", "wire"},
    "demo": {"api", "config", "drivers", "model", "node", "sdk", "security", "telemetry", "wire"},
    "cli": {"compose", "config", "demo", "model", "sdk", "security", "supervisor"},
}
"""DESIGN, "Layout and import direction"; the few modules that are excepted stand in the contracts by name."""

PROGRAMS = tuple(
    f"omnitide.drivers.wasm.{name}"
    for name in ("child", "compiling", "components", "engine", "memory", "modules", "zygote")
)
"""Modules that run as programs of their own, with what they alone need: nothing else may load them."""

LOAD_ALL = f"""
import importlib, json, pkgutil, sys
before = set(sys.modules)
for package in sys.argv[1:]:
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, package + "."):
        if not found.name.endswith("__main__") and found.name not in {PROGRAMS}:
            importlib.import_module(found.name)
loaded = {{name: getattr(sys.modules[name], "__file__", None) or "" for name in set(sys.modules) - before}}
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


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_a_contract_that_forbids_all_that_it_may_not_import(package: str) -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["source_modules"] == [f"omnitide.{package}"]]
    forbidden = {
        name.removeprefix("omnitide.") for name in contract["forbidden_modules"] if name.startswith("omnitide.")
    }
    assert forbidden == set(PACKAGES) - MAY_IMPORT[package] - {package}


def test_a_node_loads_nothing_that_a_small_machine_need_not_hold() -> None:
    """Also not by way of a library: the contracts see only what our own files import. Of telemetry a node loads what it
    uses, and not the parts that hold what others sampled."""
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
    loaded = loaded_by("omnitide.node", "omnitide.drivers", "omnitide.config")
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
