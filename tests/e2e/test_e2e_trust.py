"""Who is let in: join tokens, API tokens, another fabric's token, a copied identity."""

import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest

from omnitide.sdk import Client
from support.fabric_processes import EXAMPLES, Fabric, until

WORKER = str(EXAMPLES / "worker.yaml")


def refused(fabric: Fabric, token: str, hop: str) -> str:
    """A join that must fail at a hop, and leave nothing behind that looks like a node."""
    folder = fabric.data("stranger")
    folder.mkdir(exist_ok=True)
    before = len(list(fabric.client.nodes()))
    ran = fabric.cli("join", fabric.url, "--token", token, "--name", "stranger", name="stranger", code=None)
    shutil.rmtree(folder)
    assert ran.returncode != 0
    assert f"join failed at {hop}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(list(fabric.client.nodes())) == before
    return ran.stderr


def test_a_join_token_that_does_not_open_says_why(fabric: Fabric) -> None:
    used = fabric.token()
    fabric.data("delta").mkdir()
    fabric.cli("join", fabric.url, "--token", used, "--name", "delta", "--no-start", name="delta")
    assert "used" in refused(fabric, used, "token")
    short = fabric.token("--ttl", "1s")
    identifier = short.split("_")[1]
    until(lambda: next(t for t in fabric.client.tokens() if t.id == identifier).state == "expired", "it has expired")
    assert "expired" in refused(fabric, short, "token")
    revoked = fabric.token()
    fabric.cli("token", "revoke", revoked.split("_")[1])
    assert "revoked" in refused(fabric, revoked, "token")
    wrong = fabric.token()
    refused(fabric, wrong[:-4] + ("aaaa" if not wrong.endswith("aaaa") else "bbbb"), "token")
    refused(fabric, "garbage", "token")
    fabric.cli("nodes", "rm", "delta", "--force")


def test_the_last_way_in_is_kept_and_made_anew_by_up(lone: Fabric) -> None:
    lone.up("--nexus-only")
    file = lone.data() / "nexus" / "admin-token"
    first = file.read_text().strip()
    own = first.split("_")[1]
    kept = lone.cli("token", "revoke", own, code=4)
    assert "last API token" in kept.stderr
    assert "omnitide token create --api" in kept.stderr
    second = lone.token("--api")
    revoked = lone.cli("token", "revoke", own)
    assert "by which this command got in" in revoked.stderr
    shut = lone.cli("status", code=6)
    assert "omnitide up, where Nexus runs" in shut.stderr
    told = lone.cli("up", "--nexus-only")
    assert "a new one is in" in told.stderr
    third = file.read_text().strip()
    assert third != first
    assert file.stat().st_mode & 0o077 == 0
    lone.cli("status")
    assert "new one" not in lone.cli("up", "--nexus-only").stderr
    # All of them, which needs to be said twice, and again from nothing.
    lone.cli("token", "revoke", second.split("_")[1])
    lone.cli("token", "revoke", third.split("_")[1], code=4)
    lone.cli("token", "revoke", third.split("_")[1], "--force")
    lone.cli("status", code=6)
    lone.cli("down")
    assert "a new one is in" in lone.cli("up", "--nexus-only").stderr
    lone.cli("status")
    states = {token.id: token.state for token in Client(lone.target()).tokens(purpose="api")}
    assert sorted(states.values()) == ["revoked", "revoked", "revoked", "valid"], states


def test_a_token_of_another_fabric_stops_at_the_fingerprint(fabric: Fabric, lone: Fabric) -> None:
    lone.up("--nexus-only")
    assert "CA" in refused(fabric, lone.token(), "fingerprint")


def test_a_place_where_no_nexus_is_stops_at_the_port(fabric: Fabric) -> None:
    fabric.data("lost").mkdir()
    ran = fabric.cli("join", "https://127.0.0.1:1", "--token", fabric.token(), name="lost", code=5)
    assert "join failed at port" in ran.stderr
    shutil.rmtree(fabric.data("lost"))


def test_the_api_is_never_open(fabric: Fabric) -> None:
    context = ssl.create_default_context(cafile=str(fabric.data() / "nexus" / "ca.pem"))
    context.check_hostname = False
    for headers in ({}, {"authorization": "Bearer wrong"}):
        request = urllib.request.Request(f"{fabric.url}/v1/nodes", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, context=context, timeout=30)
        assert error.value.code == 401
        assert json.loads(error.value.read())["status"] == 401
    bad = fabric.folder / "bad-token"
    bad.write_text("oma_nobody_0000")
    bad.chmod(0o600)
    assert "Traceback" not in fabric.cli("nodes", "--token-file", str(bad), code=6).stderr


def test_a_token_for_the_api_is_no_token_for_joining(fabric: Fabric) -> None:
    refused(fabric, fabric.cli("token", "create", "--api", "-q").stdout.strip(), "token")


def test_a_copied_identity_runs_nothing_twice(lone: Fabric) -> None:
    """Of two with the same identity one is shut out, says so, and starts nothing."""
    lone.up()
    lone.cli("deploy", WORKER, "--replicas", "2")
    before = {one.id: one.handle for one in lone.running("worker", 2)}
    copy = lone.data("copy") / "node"
    copy.mkdir(parents=True, mode=0o700)
    shutil.copytree(lone.data() / "node" / "identity", copy / "identity")
    start = lone.client.get_fabric().revision
    lone.cli("up", "--node-only", name="copy", code=None)

    def settled() -> bool:
        """It was told that its identity is in use, or it has connected and what it was told to run runs."""
        log = (lone.data("copy") / "node.log").read_text()
        return (
            "(in-use)" in log
            or log.count("the session ended") >= 3
            or not any("omnitide.node" in " ".join(one.cmdline()) for one in lone.processes("copy"))
        )

    until(settled, "the copy has been answered")
    assert not [one for one in lone.processes("copy") if one.name() == "sh"], "the copy runs what the node runs"
    assert len(lone.events("node.connected", after=start)) <= 1
    lone.cli("down", name="copy")
    lone.until_live()
    assert {one.id: one.handle for one in lone.running("worker", 2)} == before


def test_a_copied_data_folder_ends_nothing_and_runs_nothing_twice(lone: Fabric) -> None:
    """On the same machine, beside the original: its node does not start, and says why and what to do."""
    lone.up()
    lone.cli("deploy", WORKER, "--replicas", "2")
    before = {one.id: one.handle for one in lone.running("worker", 2)}
    keeper, proxy = lone.keeper_pid(), lone.proxy_pid()
    subprocess.run(["cp", "-a", str(lone.data()), str(lone.data("copy"))], check=True)
    (lone.data("copy") / "nexus" / "nexus.json").unlink()  # as for a copy that was made while nothing ran
    start = lone.client.get_fabric().revision
    ports = [word for kind in ("api", "node", "grpc") for word in (f"--{kind}-port", "0")]
    ran = lone.cli("up", *ports, name="copy", code=None)
    assert ran.returncode != 0
    assert f"is a copy of {lone.data()}/node, which is still there" in ran.stderr
    assert "omnitide join" in ran.stderr
    assert not [one for one in lone.processes("copy") if one.name() == "sh"], "the copy runs what the node runs"
    lone.cli("down", name="copy")
    assert (lone.keeper_pid(), lone.proxy_pid()) == (keeper, proxy)
    assert {one.id: one.handle for one in lone.running("worker", 2)} == before
    assert not lone.events("node.connected", "instance.exited", after=start)
