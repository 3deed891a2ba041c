"""`drain --dry-run`, `restart --dry-run`: what would move where and what would not fit, and nothing is changed."""

import json

from tests.integration.cli.fabric import MemoryFabric


def deployed(fabric: MemoryFabric, cpu: float) -> str:
    """The node of the first of two replicas."""
    (fabric.folder / "hello.toml").write_text(
        f'name = "hello"\ncommand = ["x"]\nreplicas = 2\n[resources]\ncpu = {cpu}\n'
    )
    fabric.cli("deploy", "hello.toml")
    return fabric.call(
        lambda runtime: next(
            runtime.state.nodes[one.node].name for one in runtime.state.instances.values() if one.slot == 1
        )
    )


def test_a_drain_says_what_would_move_where(fabric: MemoryFabric) -> None:
    node = deployed(fabric, 0.1)
    other = "beta" if node == "alpha" else "alpha"
    revision = fabric.call(lambda runtime: runtime.state.revision)
    told = fabric.cli("drain", node, "--dry-run").stdout
    assert ["hello-1", "move", node, other] in [line.split() for line in told.splitlines()]
    assert "would move\n" in told
    assert "nothing was changed" in told
    found = json.loads(fabric.cli("drain", node, "--dry-run", "-o", "json").stdout)
    assert found["counts"]["moves"] == len(found["replicas"])
    assert fabric.call(lambda runtime: runtime.state.revision) == revision
    assert "there is no node" in fabric.cli("drain", "nowhere", "--dry-run", code=3).stderr


def test_what_fits_on_no_other_node_is_said_with_the_reason(fabric: MemoryFabric) -> None:
    node = deployed(fabric, 3.0)
    other = "beta" if node == "alpha" else "alpha"
    fabric.cli("nodes", "cordon", other)
    told = fabric.cli("drain", node, "--dry-run").stdout
    assert "1 replica would fit on no other node and stay" in told
    (row,) = (line for line in told.splitlines() if line.startswith("hello-1"))
    assert "cordoned" in row


def test_a_restart_says_what_would_be_replaced(fabric: MemoryFabric) -> None:
    deployed(fabric, 0.1)
    revision = fabric.call(lambda runtime: runtime.state.revision)
    told = fabric.cli("restart", "hello", "--dry-run").stdout
    assert [line.split()[0] for line in told.splitlines() if line.startswith("hello-")] == ["hello-1", "hello-2"]
    assert "1 replica would" in fabric.cli("restart", "hello-1", "--dry-run").stdout
    counts = json.loads(fabric.cli("restart", "hello", "--dry-run", "-o", "json").stdout)["counts"]
    assert sum(counts.values()) == 2
    assert fabric.call(lambda runtime: runtime.state.revision) == revision
