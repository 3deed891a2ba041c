"""Fixtures of real fabrics for tests/e2e and tests/chaos, which each say how long a `shared` one lives."""

import contextlib
from collections.abc import Generator
from pathlib import Path

import pytest

from omnitide.sdk.errors import NotFound
from support.fabric_processes import Fabric, until


@pytest.fixture(scope="session")
def bytecode() -> Path:
    """Kept from run to run, as an installed package's is."""
    return Path(__file__).parents[2] / ".pytest_cache" / "bytecode"


@pytest.fixture
def fabric(shared: Fabric) -> Generator[Fabric]:
    """The shared fabric, with no agent before and after."""
    yield shared
    for node in shared.client.nodes():
        shared.client.uncordon_node(node.name)
    for job in shared.client.jobs():
        shared.client.delete_job(job.name)
    emptied(shared)


@pytest.fixture
def lone(tmp_path: Path, bytecode: Path) -> Generator[Fabric]:
    """A fabric of one's own, not started yet."""
    with Fabric(tmp_path / "fabric", bytecode=bytecode) as fabric:
        yield fabric


def emptied(fabric: Fabric) -> None:
    """Once no agent is left."""
    for agent in list(fabric.client.agents()):
        # A test may just have removed it.
        with contextlib.suppress(NotFound):
            fabric.client.delete_agent(agent.name, namespace=agent.namespace)
    until(lambda: not list(fabric.client.agents()), "no agent is left")


@contextlib.contextmanager
def deployed(fabric: Fabric, **manifests: str) -> Generator[Fabric]:
    """With agents that run, each by a file of its name; without any agent after the block."""
    try:
        for name, text in manifests.items():
            path = fabric.folder / f"{name}.toml"
            path.write_text(text)
            fabric.cli("deploy", str(path))
        yield fabric
    finally:
        emptied(fabric)
