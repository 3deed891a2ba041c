"""The committed stubs are what `make proto` makes of proto/ today, and load with the oldest libraries that we allow."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
WIRE = ROOT / "src/omnitide/wire"
STUBS = sorted(path.name for path in [*WIRE.glob("*_pb2*.py"), *WIRE.glob("*_pb2*.pyi")])


def test_the_stubs_are_up_to_date_and_those_of_a_proto_that_is_gone_are_removed(tmp_path: Path) -> None:
    (tmp_path / "gone_pb2.py").write_text("")
    subprocess.run([sys.executable, "scripts/proto.py", str(tmp_path)], cwd=ROOT, check=True, timeout=100)
    assert sorted(path.name for path in tmp_path.iterdir()) == STUBS
    stale = [name for name in STUBS if (tmp_path / name).read_text() != (WIRE / name).read_text()]
    assert stale == [], "run make proto"


@pytest.mark.parametrize("name", [name for name in STUBS if name.endswith(".py")])
def test_a_stub_is_a_module_of_the_wire_package_under_its_proto_name(name: str) -> None:
    """In a process of its own: a file is registered once, whoever imported it first."""
    module = name.removesuffix(".py")
    program = (
        f"from omnitide.wire import {module}; d = getattr({module}, 'DESCRIPTOR', None); print(d.package if d else '')"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == ("" if name.endswith("_grpc.py") else "omnitide.v1")


def test_the_least_versions_that_we_allow_can_load_the_stubs() -> None:
    """Generated code refuses a runtime older than its generator."""
    needed: dict[str, str] = {}
    for name in STUBS:
        text = (WIRE / name).read_text()
        if match := re.search(r"^# Protobuf Python Version: (\S+)", text, re.MULTILINE):
            needed["protobuf"] = match[1]
        if match := re.search(r"^GRPC_GENERATED_VERSION = '(\S+)'", text, re.MULTILINE):
            needed["grpcio"] = match[1]
    assert needed.keys() == {"protobuf", "grpcio"}
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for text in dependencies:
        requirement = Requirement(text)
        if requirement.name in needed:
            version = needed[requirement.name]
            (bound,) = (part for part in requirement.specifier if part.operator == ">=")
            assert not Requirement(f"x<{version}").specifier.contains(bound.version), (
                f"{text}: the stubs need {requirement.name}>={version}"
            )
