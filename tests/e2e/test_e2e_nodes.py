"""Nodes through the installed command: drained, opened, removed."""

import re
import signal

from omnitide.cli.happenings.wording import text_of
from support.fabric_processes import EXAMPLES, Fabric, alive, send, until

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


PLACED = """
kind = "agent"
name = "placed"
command = ["sleep", "100000"]

[[constraints]]
label = "rack"
values = ["7"]
"""


def test_a_running_node_is_labelled_and_placement_follows(fabric: Fabric) -> None:
    (fabric.folder / "placed.toml").write_text(PLACED)
    fabric.cli("deploy", str(fabric.folder / "placed.toml"), "--no-wait")
    until(lambda: "rack" in fabric.cli("explain", "placed").stdout, "it is told what it waits for")
    assert "labelled: rack=7" in fabric.cli("nodes", "label", "beta", "rack=7", "--dry-run").stdout
    assert not fabric.client.get_node("beta").labels
    assert "beta labelled: rack=7, zone=attic" in fabric.cli("nodes", "label", "beta", "rack=7", "zone=attic").stdout
    (one,) = fabric.running("placed", 1)
    assert one.node == "beta"
    assert "rack: '7'" in fabric.cli("nodes", "show", "beta").stdout
    assert "unchanged" in fabric.cli("nodes", "label", "beta", "rack=7", "gone-").stdout
    (event,) = fabric.client.list_events(after=1, kinds=("node.labelled",)).items
    assert text_of(event) == "node beta labelled rack=7, zone=attic"

    pid = fabric.proxy_pid("beta")
    send([pid], signal.SIGKILL)
    fabric.new_proxy(pid, "beta")
    fabric.until_live("beta")
    assert fabric.client.get_node("beta").labels == {"rack": "7", "zone": "attic"}
    fabric.cli("nodes", "label", "beta", "rack-", "zone-")
    assert not fabric.client.get_node("beta").labels
    assert [one.id for one in fabric.running("placed", 1)] == [one.id], "what runs there stays"

    fabric.up("--label", "rack=8")
    assert fabric.client.get_node("alpha").labels == {"rack": "8"}
    fabric.up("--label", "rack-")
    assert not fabric.client.get_node("alpha").labels
    assert "nodes label" in fabric.cli("up", "--node-only", "--label", "a=b", code=2).stderr
    assert "KEY=VALUE" in fabric.cli("nodes", "label", "beta", "rack", code=2).stderr
    fabric.cli("nodes", "label", "nobody", "a=b", code=3)
    for wrong in ("node=x", "A B=x", f"a={'x' * 300}", "A B-"):
        fabric.cli("nodes", "label", "beta", wrong, code=2)


def test_a_node_that_is_removed_is_out(fabric: Fabric) -> None:
    fabric.join("gamma")
    proxy = fabric.proxy_pid("gamma")
    refused = fabric.cli("nodes", "rm", "gamma", code=4).stderr
    assert "omnitide drain gamma" in refused, "not while it is live and open"
    assert "--force" in refused
    fabric.cli("nodes", "rm", "gamma", "--force")
    until(lambda: not alive(proxy), "its proxy ends: it is of no fabric any more")
    assert "gamma" not in fabric.cli("nodes").stdout
    fabric.cli("nodes", "show", "gamma", code=3)
    endpoint = fabric.ready()["node_endpoint"]
    told = until(lambda: _removed(fabric.cli("status", name="gamma").stdout), "its machine says so")
    assert re.search(rf"^nexus +{re.escape(endpoint)}$", told, re.MULTILINE), told
    until(lambda: fabric.processes("gamma") == [], "its keeper holds nothing")
    left = fabric.cli("leave", "--yes", name="gamma").stdout
    assert "This node was removed there already" in left
    assert "nodes rm" not in left
    fabric.data("gamma").rename(fabric.folder / "gamma-before")
    fabric.join("gamma")
    proxy = fabric.proxy_pid("gamma")
    fabric.cli("drain", "gamma")
    fabric.cli("nodes", "rm", "gamma")
    until(lambda: not alive(proxy), "drained, it needs no force, and nobody has to stop its proxy")
    until(lambda: fabric.processes("gamma") == [], "nor its keeper and its supervisor")
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
