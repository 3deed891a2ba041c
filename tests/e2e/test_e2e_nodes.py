"""Nodes through the installed command: drained, opened, removed."""

import re

from support.fabric_processes import EXAMPLES, Fabric, alive, until

WORKER = str(EXAMPLES / "worker.yaml")
AT_ONCE_S = 10.0
"""A third of what Nexus waits for a proxy that is restarted."""


def test_a_drain_moves_the_work_and_uncordon_opens_again(fabric: Fabric) -> None:
    fabric.cli("deploy", WORKER, "--set", "resources.cpu=0.01")
    assert {one.node for one in fabric.running("worker", 2)} == {"alpha", "beta"}
    fabric.cli("drain", "beta", "--timeout", "60s")
    assert {one.node for one in fabric.running("worker", 2)} == {"alpha"}
    assert "before:" not in fabric.cli("ps", "worker").stdout, "it was moved, and nothing befell it"
    fabric.cli("scale", "worker", "3")
    assert {one.node for one in fabric.running("worker", 3)} == {"alpha"}
    fabric.cli("nodes", "uncordon", "beta")
    fabric.cli("scale", "worker", "4")
    assert "beta" in {one.node for one in fabric.running("worker", 4)}


def _removed(told: str) -> str:
    return told if "was removed from its fabric" in told else ""


def test_a_node_that_is_removed_is_out(fabric: Fabric) -> None:
    fabric.join("gamma")
    proxy = fabric.proxy_pid("gamma")
    assert "--force" in fabric.cli("nodes", "rm", "gamma", code=4).stderr, "not while it is live"
    fabric.cli("nodes", "rm", "gamma", "--force")
    until(lambda: not alive(proxy), "its proxy ends: it is of no fabric any more")
    assert "gamma" not in fabric.cli("nodes").stdout
    fabric.cli("nodes", "show", "gamma", code=3)
    endpoint = fabric.ready()["node_endpoint"]
    told = until(lambda: _removed(fabric.cli("status", name="gamma").stdout), "its machine says so")
    assert re.search(rf"^nexus +{re.escape(endpoint)}$", told, re.MULTILINE), told
    fabric.cli("leave", "--yes", name="gamma")
    fabric.data("gamma").rename(fabric.folder / "gamma-before")
    fabric.join("gamma")
    fabric.cli("nodes", "rm", "gamma", "--force")
    fabric.cli("down", name="gamma")
    fabric.data("gamma").rename(fabric.folder / "gamma-again")


def test_a_node_that_is_taken_down_is_replaced_at_once_and_is_a_node_again_later(fabric: Fabric) -> None:
    """It says goodbye for good: nobody waits for it, as for a proxy that is restarted, and it is found lost by `rm`."""
    fabric.join("gamma")
    for name in ("alpha", "beta"):
        fabric.cli("nodes", "cordon", name)
    fabric.cli("deploy", WORKER, "--replicas", "2", "--set", "resources.cpu=0.01")
    before = {one.id for one in fabric.running("worker", 2)}
    for name in ("alpha", "beta"):
        fabric.cli("nodes", "uncordon", name)
    told = fabric.cli("down", name="gamma").stdout
    assert "2 instances" in told
    assert fabric.processes("gamma") == []
    until(lambda: fabric.client.get_node("gamma").status == "lost", "it is lost", within_s=AT_ONCE_S)
    until(lambda: len(fabric.instances("worker", status="running")) == 2, "both run elsewhere")
    after = fabric.instances("worker", status="running")
    assert {one.node for one in after} <= {"alpha", "beta"}
    assert not before & {one.id for one in after}

    log = fabric.data("gamma") / "node.log"
    said = len(log.read_text())
    fabric.start_node("gamma")
    fabric.until_live("gamma")
    until(lambda: {one.node for one in fabric.instances("worker")} <= {"alpha", "beta"}, "gamma has none")
    assert {one.id for one in fabric.running("worker", 2)} == {one.id for one in after}, "those that run go on"
    assert "instance starting" not in log.read_text()[said:], "it started what it was not told to"

    fabric.cli("leave", "--yes", name="gamma")
    until(lambda: fabric.client.get_node("gamma").status == "lost", "it is lost", within_s=AT_ONCE_S)
    fabric.cli("nodes", "rm", "gamma")
    fabric.data("gamma").rename(fabric.folder / "gamma-left")
