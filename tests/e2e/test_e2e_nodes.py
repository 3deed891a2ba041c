"""Nodes through the installed command: drained, opened, removed."""

from support.fabric_processes import EXAMPLES, Fabric, alive, until

WORKER = str(EXAMPLES / "worker.yaml")


def test_a_drain_moves_the_work_and_uncordon_opens_again(fabric: Fabric) -> None:
    fabric.cli("deploy", WORKER, "--set", "resources.cpu=0.01")
    assert {one.node for one in fabric.running("worker", 2)} == {"alpha", "beta"}
    fabric.cli("drain", "beta", "--timeout", "60s")
    assert {one.node for one in fabric.running("worker", 2)} == {"alpha"}
    fabric.cli("scale", "worker", "3")
    assert {one.node for one in fabric.running("worker", 3)} == {"alpha"}
    fabric.cli("nodes", "uncordon", "beta")
    fabric.cli("scale", "worker", "4")
    assert "beta" in {one.node for one in fabric.running("worker", 4)}


def test_a_node_that_is_removed_is_out(fabric: Fabric) -> None:
    fabric.join("gamma")
    proxy = fabric.proxy_pid("gamma")
    assert "--force" in fabric.cli("nodes", "rm", "gamma", code=4).stderr, "not while it is live"
    fabric.cli("nodes", "rm", "gamma", "--force")
    until(lambda: not alive(proxy), "its proxy ends: it is of no fabric any more")
    assert "gamma" not in fabric.cli("nodes").stdout
    fabric.cli("nodes", "show", "gamma", code=3)
    fabric.cli("leave", "--yes", name="gamma")
    fabric.data("gamma").rename(fabric.folder / "gamma-before")
    fabric.join("gamma")
    fabric.cli("nodes", "rm", "gamma", "--force")
    fabric.cli("down", name="gamma")
    fabric.data("gamma").rename(fabric.folder / "gamma-again")
