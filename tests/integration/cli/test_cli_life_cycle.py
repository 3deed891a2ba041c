"""`up`, `down`, `status`, `leave`, `drain`: again, with other settings, after deaths, and what they say meanwhile."""

import fcntl
import json
import os
import re
import signal
import socket
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from support.fabric_processes import Fabric, alive, until

pytestmark = pytest.mark.timeout(300)

FREE = ("--api-port", "0", "--node-port", "0", "--grpc-port", "0")
SLEEPER = 'name = "sleeper"\ncommand = ["sleep", "100000"]\n[resources]\ncpu = 0.01\nmemory = "1MiB"\n'
STUBBORN = (
    'name = "stubborn"\ncommand = ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"]\n[stop]\ngrace = "2s"\n'
)


@pytest.fixture
def lone(tmp_path: Path) -> Generator[Fabric]:
    """Not started yet."""
    bytecode = Path(__file__).parents[3] / ".pytest_cache" / "bytecode"
    with Fabric(tmp_path / "fabric", bytecode=bytecode) as fabric:
        yield fabric


def deploy(fabric: Fabric, text: str) -> int:
    """Process id of the one replica, once it runs."""
    manifest = fabric.folder / "agent.toml"
    manifest.write_text(text)
    fabric.cli("deploy", str(manifest))
    (one,) = fabric.running(re.findall(r'name = "(\w+)"', text)[0], 1)
    return int(one.handle)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def pids(fabric: Fabric) -> tuple[int, int, int]:
    return fabric.nexus_pid(), fabric.proxy_pid(), fabric.supervisor_pid()


# -- up again ----------------------------------------------------------------------------------------------------------


def test_up_again_changes_what_is_told_to_change_and_nothing_else(lone: Fabric) -> None:
    lone.up()
    replica = deploy(lone, SLEEPER)
    before = pids(lone)
    for words in ((), ("--api-port", "0"), ("--node-port", lone.ready()["node_endpoint"].rpartition(":")[2])):
        again = lone.json("up", *words)
        assert (again["started"], again["changed"]) == (False, []), words
    assert "already up" in lone.cli("up").stdout
    assert pids(lone) == before

    port = free_port()
    changed = lone.json("up", "--node-port", port)["changed"]
    assert isinstance(changed, list)
    assert [change.rpartition(" -> ")[2] for change in changed] == [port, f"127.0.0.1:{port}"]
    assert lone.ready()["node_endpoint"] == f"127.0.0.1:{port}"
    lone.until_live()
    nexus, proxy, supervisor = pids(lone)
    assert nexus != before[0]
    assert proxy != before[1], "it would still dial where nobody listens"
    assert supervisor == before[2]
    assert alive(replica)

    api = free_port()
    assert "already up" not in lone.cli("up", "--api-port", api).stdout
    assert lone.url.endswith(f":{api}")
    assert lone.proxy_pid() == proxy, "its endpoint is as before"
    assert lone.ready()["node_endpoint"] == f"127.0.0.1:{port}", "a flag that is not given stays as it was"
    assert int(lone.json("ps", "sleeper")["items"][0]["handle"]) == replica  # type: ignore[index]


def test_settings_in_a_file_that_have_changed_restart_the_one_that_they_concern(lone: Fabric) -> None:
    lone.data().mkdir()
    config = lone.folder / "settings.toml"
    config.write_text('[node]\nlabels = { zone = "a" }\n')
    lone.up("--config", str(config))
    replica = deploy(lone, SLEEPER)
    nexus, proxy, _ = pids(lone)
    config.write_text('[node]\nlabels = { zone = "b" }\n[lease]\nlost_after_ms = "7s"\n')
    lone.cli("up", "--config", str(config))
    assert lone.nexus_pid() == nexus, "what is live needs no restart"
    assert lone.proxy_pid() != proxy
    until(lambda: lone.client.get_node("alpha").labels.get("zone") == "b", "the new label")
    assert alive(replica)


# -- where data lies ---------------------------------------------------------------------------------------------------


def test_data_folders_are_where_the_settings_say(lone: Fabric) -> None:
    lone.data().mkdir()
    places = {part: lone.folder / f"{part}-elsewhere" for part in ("nexus", "node")}
    told = {f"OMNITIDE_{part.upper()}_DATA_DIR": str(place) for part, place in places.items()}
    told |= {"OMNITIDE_DATA": str(lone.data())}

    def cli(*words: str, code: int = 0, **more: str) -> str:
        # Without --data, which would be the stronger.
        import subprocess

        command = lone.words(*words)
        place = command.index("--data")
        del command[place : place + 2]
        environment = {**lone.environment(), **told, **more}
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    shown = {row["key"]: row for row in json.loads(cli("config", "show", "-o", "json"))}
    for part, place in places.items():
        row = shown[f"{part}.data_dir"]
        assert row["value"] == str(place)
        assert row["source"] == f"environment OMNITIDE_{part.upper()}_DATA_DIR"
    cli("up", "--api-port", "0", "--node-port", "0", "--grpc-port", "0")
    assert (places["nexus"] / "nexus.json").exists()
    assert (places["node"] / "node.json").exists()
    assert not (lone.data() / "nexus").exists()
    assert not (lone.data() / "node").exists()
    said = cli("up", code=4, OMNITIDE_NODE_DATA_DIR=str(lone.folder / "third"))
    assert "the node proxy runs on" in said
    assert "node.data_dir is" in said
    assert "node proxy and Nexus" in cli("down", OMNITIDE_NODE_DATA_DIR=str(lone.folder / "third")), (
        "what runs is ended"
    )
    assert [one for one in lone.processes() if "omnitide" in " ".join(one.cmdline())] == []


# -- deaths ------------------------------------------------------------------------------------------------------------


def test_a_node_that_cannot_start_is_not_called_ready(lone: Fabric) -> None:
    lone.up()
    lone.join("beta")
    lone.cli("down", name="beta")
    with (lone.data("beta") / "node" / "node.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ran = lone.cli("up", "--node-only", name="beta", code=1)
        assert "the node proxy did not start" in ran.stderr
        assert "is in use" in ran.stderr
        assert "ready" not in ran.stdout
    assert [one for one in lone.processes("beta") if "omnitide.node" in one.cmdline()] == []
    assert "ready in" in lone.cli("up", "--node-only", name="beta").stdout
    assert alive(lone.proxy_pid("beta")), "ready is what it is"
    lone.until_live("beta")


def test_status_tells_restarts_and_what_is_given_up(lone: Fabric) -> None:
    lone.up()
    proxy = lone.proxy_pid()
    os.kill(proxy, signal.SIGKILL)
    proxy = lone.new_proxy(proxy)
    told = lone.cli("status").stdout
    assert re.search(rf"node proxy: process {proxy}, 1 restart, the last .* ago: killed by SIGKILL", told), told
    assert f"Nexus: process {lone.nexus_pid()}, 0 restarts" in told

    keyring = lone.data() / "nexus" / "keys" / "keyring.json"
    kept = keyring.read_bytes()
    keyring.write_bytes(b"damaged")
    nexus = lone.nexus_pid()
    os.kill(nexus, signal.SIGKILL)

    def given_up() -> str:
        return json.loads((lone.data() / "processes.json").read_text())["children"]["nexus"]["gave_up"]

    until(given_up, "the supervisor gives up")
    ran = lone.cli("status", code=5)
    assert "Nexus is not started again: exit code 5: its identity, its keys or its data cannot be used" in ran.stderr
    ran = lone.cli("up", code=1)
    assert "Nexus did not start" in ran.stderr
    assert "keyring" in ran.stderr
    assert alive(proxy), "the node goes on alone"
    keyring.write_bytes(kept)
    lone.up()
    assert lone.proxy_pid() == proxy
    lone.until_live()


def test_in_the_foreground_it_tells_what_happens_and_ends_with_a_signal(lone: Fabric) -> None:
    lone.up()
    replica = deploy(lone, SLEEPER)
    lone.cli("down", "--keep-agents")
    assert alive(replica)
    with lone.beside("up", "--foreground", *FREE) as beside:
        beside.until(lambda out: "Ctrl-C ends Nexus" in out, "it stays")
        proxy = lone.proxy_pid()
        os.kill(proxy, signal.SIGKILL)
        proxy = lone.new_proxy(proxy)
        until(lambda: "again, restart 1" in beside.err, "it tells of the restart")
        supervisor = lone.supervisor_pid()
        os.kill(supervisor, signal.SIGKILL)
        until(lambda: lone.supervisor_pid() != supervisor, "it starts another supervisor")
        assert lone.proxy_pid() == proxy
        nexus = lone.nexus_pid()
        beside.process.send_signal(signal.SIGINT)
        assert beside.process.wait(60) == 0
        assert not alive(proxy)
        assert not alive(nexus)
    assert alive(replica), "agents go on"
    lone.up()
    (one,) = lone.running("sleeper", 1)
    assert int(one.handle) == replica


def test_the_foreground_ends_when_somebody_else_ends_the_fabric(lone: Fabric) -> None:
    with lone.beside(
        "up", "--nexus-only", "--foreground", *(f"--{kind}-port=0" for kind in ("api", "node", "grpc"))
    ) as up:
        up.until(lambda out: "Ctrl-C ends Nexus" in out, "it stays")
        assert "Nexus" in lone.cli("down").stdout
        assert up.process.wait(60) == 0


# -- ending ------------------------------------------------------------------------------------------------------------


def test_down_is_quick_and_says_what_it_waits_for(lone: Fabric) -> None:
    lone.up()
    deploy(lone, SLEEPER)
    began = time.monotonic()
    ran = lone.cli("down")
    print(f"down took {time.monotonic() - began:.1f} s")
    assert "waiting" not in ran.stderr
    assert "1 instance, node proxy and Nexus" in ran.stdout
    assert lone.processes() == []
    lone.up()
    deploy(lone, STUBBORN)
    assert "waiting for " in (told := lone.cli("down").stderr)
    assert "stubborn-1" in told
    assert lone.processes() == []
    assert "nothing is up" in lone.cli("down").stdout


def test_leaving_ends_all_here_and_another_join_is_another_node(lone: Fabric) -> None:
    lone.up()
    lone.join("beta")
    lone.cli("nodes", "cordon", "alpha")
    replica = deploy(lone, STUBBORN)
    first = lone.client.get_node("beta").id
    assert "say so: --yes" in lone.cli("leave", name="beta", code=2).stderr
    assert alive(replica)
    told = lone.cli("leave", "--yes", name="beta")
    assert "waiting for 1 instance to end: stubborn-1" in told.stderr
    assert f"omnitide nodes rm {first}" in told.stdout
    assert lone.processes("beta") == []
    assert not alive(replica)
    assert "no node" in lone.cli("leave", "--yes", name="beta", code=3).stderr
    assert "has not joined" in lone.cli("up", "--node-only", name="beta", code=1).stderr
    until(lambda: lone.client.get_node(first).status in ("unreachable", "lost"), "it is missed")
    lone.cli("nodes", "rm", first, "--force")
    told = lone.cli("join", lone.url, "--token", lone.token(), "--name", "beta", "--no-start", name="beta")
    assert "omnitide up --node-only" in told.stdout
    lone.cli("up", "--node-only", name="beta")
    assert lone.until_live("beta").id != first


def test_a_drain_that_cannot_end_says_what_stays_and_what_would_do(lone: Fabric) -> None:
    lone.up()
    manifest = lone.folder / "agent.toml"
    manifest.write_text(SLEEPER)
    lone.cli("deploy", str(manifest), "--replicas", "2")
    ran = lone.cli("drain", "alpha", "--timeout", "3s", code=7)
    assert "waiting for 1 instance on alpha" in ran.stderr
    assert re.search(r"sleeper-\d\.1 running for .*: stays until sleeper-\d\.2 runs elsewhere: .*closed", ran.stderr)
    assert "add a node (omnitide token create)" in ran.stderr
    assert "omnitide nodes rm alpha --force" in ran.stderr
    assert ran.stderr.count("waiting for") <= 2, "the same is not told again and again"
    assert lone.cli("drain", "alpha", "--no-wait").stderr == ""
    with lone.beside("drain", "alpha") as draining:
        until(lambda: "waiting for" in draining.err, "it says that it waits")
        lone.join("beta")
        assert draining.process.wait(60) == 0, "there is room now"
        assert "alpha drained in" in draining.out
