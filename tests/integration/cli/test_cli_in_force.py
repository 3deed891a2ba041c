"""What is in force here, flags that `up` keeps as well; and what a node keeps of instances that have ended."""

import re
from collections.abc import Generator
from pathlib import Path

import pytest

from support.fabric_processes import Fabric, until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def lone(tmp_path: Path) -> Generator[Fabric]:
    """Not started yet."""
    bytecode = Path(__file__).parents[3] / ".pytest_cache" / "bytecode"
    with Fabric(tmp_path / "fabric", bytecode=bytecode) as fabric:
        yield fabric


def shown(fabric: Fabric) -> dict[str, tuple[object, str]]:
    """Value and source of each setting."""
    rows: list[dict[str, object]] = fabric.json("config", "show")  # type: ignore[assignment]
    return {str(row["key"]): (row["value"], str(row["source"])) for row in rows}


def test_settings_are_shown_as_they_are_in_force_and_output_is_kept_as_they_say(lone: Fabric) -> None:
    assert shown(lone)["nexus.api_port"] == (7400, "default")
    flags = ("--listen", "127.0.0.2", "--api-port", "0", "--node-port", "0", "--grpc-port", "0", "--name", "alpha")
    lone.cli("up", *flags, environment={"OMNITIDE_NODE_KEEP_ENDED": "1"})
    found = shown(lone)
    assert found["nexus.listen"] == ("127.0.0.2", "flag --listen, kept by up")
    assert found["nexus.api_port"] == (0, "flag --api-port, kept by up")
    assert found["node.name"] == ("alpha", "environment OMNITIDE_NODE_NAME, kept by up")
    table = lone.cli("config", "show")
    port = lone.url.rpartition(":")[2]
    assert re.search(rf"nexus\.api_port +0 \({port} now\) +flag --api-port, kept by up", table.stdout)
    assert "not in force yet: node.keep_ended 1 -> 200. omnitide up takes it over" in table.stderr

    told = lone.cli("run", "--user", "nosuch", "--name", "never", "--", "true", code=None).stderr
    assert "nosuch" in told
    assert "output" not in told, "what has never been started has none that could be missing"
    for name in ("first", "second"):
        assert lone.cli("run", "--name", name, "--", "echo", name).stdout == f"{name}\n"
    assert lone.cli("logs", "second").stdout == "second\n"
    dropped = until(lambda: lone.cli("logs", "first", code=None).stderr, "its output is dropped")
    assert "the output of job first was dropped: its node keeps that of the last ended instance, for 1 d" in dropped

    lone.cli("down")
    assert shown(lone)["nexus.listen"] == ("127.0.0.2", "flag --listen, kept by up")
    assert "not in force" not in lone.cli("config", "show").stderr
