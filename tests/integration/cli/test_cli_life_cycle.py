"""`up`, `down`, `status`, `leave`, `drain`: again, with other settings, after deaths, and what they say meanwhile."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from omnitide.config.emptying import mark_used
from omnitide.sdk import Client
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

    engine = {"DOCKER_HOST": f"unix://{lone.folder}/no.sock"}
    assert f"-> {engine['DOCKER_HOST']}" in lone.cli("up", environment=engine).stdout
    assert lone.proxy_pid() != proxy, "it would still ask the other engine"
    assert "already up" in lone.cli("up", environment=engine).stdout
    assert "already up" in lone.cli("up").stdout, "what is not told stays as it was"

    telemetry = {"OTEL_EXPORTER_OTLP_HEADERS": "key=hush", "OMNITIDE_OTEL_TRACES_PER_SECOND": "3"}
    told = lone.cli("up", environment=telemetry).stdout
    assert told.count("OTEL_EXPORTER_OTLP_HEADERS (none) -> (as set now)") == 1, told
    assert told.count("otel.traces_per_second 10.0 -> 3.0") == 1, told
    assert "hush" not in told
    assert "already up" in lone.cli("up", environment=telemetry).stdout
    assert alive(replica)


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


def test_another_file_of_settings_is_taken_over_whole_and_each_change_told_once(lone: Fabric) -> None:
    lone.data().mkdir()
    config = lone.folder / "settings.toml"
    config.write_text('[lease]\nlost_after_ms = "7s"\n[log]\nlevel = "debug"\nformat = "json"\n')
    lone.up()
    told = lone.cli("up", "--config", str(config)).stdout
    for change in ("log.format console -> json", "log.level info -> debug", "lease.lost_after_ms 1500 -> 7000"):
        assert told.count(change) == 1, told
    assert "already up" in lone.cli("up", "--config", str(config)).stdout


@pytest.mark.parametrize("kind", ["api", "node", "grpc"])
def test_a_port_that_is_taken_is_named_with_what_to_do(lone: Fabric, kind: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        words = [word for word in FREE if word != "0"]
        ports = [part for flag in words for part in (flag, str(port) if flag == f"--{kind}-port" else "0")]
        began = time.monotonic()
        ran = lone.cli("up", *ports, "--name", "alpha", code=1)
        print(f"refused after {time.monotonic() - began:.1f} s")
    assert f"127.0.0.1:{port} is taken by process {os.getpid()}" in ran.stderr
    assert f"--{kind}-port" in ran.stderr
    assert f"nexus.{kind}_port" in ran.stderr
    assert "GRPC_VERBOSITY" not in ran.stderr
    assert ran.stderr.count("is taken") == 1
    starts = (lone.data() / "supervisor.log").read_text().count("nexus: started as process")
    assert starts <= 2, "no try follows on a try that cannot help"
    assert lone.processes() == []


def test_ports_that_it_had_and_are_taken_now_are_let_go_and_the_log_is_json_to_the_last_line(lone: Fabric) -> None:
    lone.data().mkdir()
    config = lone.folder / "settings.toml"
    config.write_text('[log]\nformat = "json"\n')
    lone.cli("up", *FREE, "--nexus-only", "--config", str(config))
    before = json.loads((lone.data() / "nexus" / "ports.json").read_text())
    lone.cli("down")
    with contextlib.ExitStack() as stack:
        for port in before.values():
            other = stack.enter_context(socket.socket())
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
        lone.cli("up", *FREE, "--nexus-only", "--config", str(config))
        after = json.loads((lone.data() / "nexus" / "ports.json").read_text())
        assert not set(before.values()) & set(after.values())
        lone.cli("status")
        lone.cli("down")
        lone.cli("up", *FREE, "--nexus-only", "--config", str(config), "--grpc-port", str(before["grpc"]), code=1)
    lines = (lone.data() / "nexus.log").read_text().splitlines()
    assert [line for line in lines if not line.startswith("{")] == []
    assert any("is taken" in json.loads(line).get("reason", "") for line in lines)


# -- where data lies ---------------------------------------------------------------------------------------------------


def test_data_folders_are_where_the_settings_say(lone: Fabric) -> None:
    lone.data().mkdir()
    places = {part: lone.folder / f"{part}-elsewhere" for part in ("nexus", "node")}
    told = {f"OMNITIDE_{part.upper()}_DATA_DIR": str(place) for part, place in places.items()}
    told |= {"OMNITIDE_DATA": str(lone.data())}

    def cli(*words: str, code: int = 0, **more: str) -> str:
        # Without --data, which would be the stronger.
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


def test_a_link_to_the_data_folder_is_the_same_fabric(lone: Fabric) -> None:
    lone.up()
    before = pids(lone)
    (lone.folder / "link").symlink_to(lone.data())
    # Another folder's node has another range of ports, else.
    same = {"OMNITIDE_NODE_PORT_RANGE": lone.environment()["OMNITIDE_NODE_PORT_RANGE"]}
    told = json.loads(lone.cli("up", "-o", "json", name="link", environment=same).stdout)
    assert (told["started"], told["data"]) == (False, str(lone.data()))
    assert pids(lone) == before
    assert "already up" in lone.cli("up").stdout
    assert lone.json("status", name="link")["fabric_id"] == lone.ready()["fabric_id"]
    # Through the link a Nexus was started, which is found by the folder's own name.
    lone.cli("down", name="link")
    lone.cli("up", *FREE, name="link", environment=same)
    nexus = lone.nexus_pid()
    assert "already up" in lone.cli("up").stdout
    assert lone.nexus_pid() == nexus


def test_what_a_live_nexus_wrote_is_not_taken_away(lone: Fabric) -> None:
    lone.up()
    other = lone.data("other")
    (other / "nexus").mkdir(parents=True)
    ready = other / "nexus" / "nexus.json"
    ready.write_text((lone.data() / "nexus" / "nexus.json").read_text())
    ran = lone.cli("up", "--nexus-only", *FREE, name="other", code=4)
    assert f"process {lone.nexus_pid()}" in ran.stderr
    assert ready.exists()


def test_nexus_and_node_may_open_as_many_files_as_the_machine_allows(lone: Fabric) -> None:
    with_few = [*("prlimit", "--nofile=1024:4096"), *lone.words("up", *FREE, "--name", "alpha")]
    subprocess.run(with_few, check=True, env=lone.environment(), timeout=100, capture_output=True)
    for pid in (lone.nexus_pid(), lone.proxy_pid()):
        assert psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE) == (4096, 4096)
    assert psutil.Process(deploy(lone, SLEEPER)).rlimit(psutil.RLIMIT_NOFILE) == (1024, 4096), "as it was given"


def test_logs_are_bounded_while_their_process_runs(lone: Fabric) -> None:
    told = {"OMNITIDE_LOG_MAX_BYTES": "64KiB", "OMNITIDE_LOG_KEEP": "2", "OMNITIDE_LOG_LEVEL": "debug"}
    lone.cli("up", *FREE, "--nexus-only", environment=told)
    folder, nexus = lone.data(), lone.nexus_pid()
    target = lone.target()

    def turned() -> bool:
        with Client(target) as client:
            for _ in range(100):
                client.list_tokens()
        return (folder / "nexus.log.2").exists()

    until(turned, "the log is begun anew twice")
    assert lone.nexus_pid() == nexus
    assert alive(nexus)
    found = sorted(path.name for path in folder.glob("nexus.log*"))
    assert found == ["nexus.log", "nexus.log.1", "nexus.log.2"]
    for name in found:
        assert (folder / name).stat().st_size < (64 << 10) + 4096
        assert (folder / name).stat().st_mode & 0o077 == 0


# -- deaths ------------------------------------------------------------------------------------------------------------


def test_a_configuration_that_went_wrong_is_waited_for(lone: Fabric) -> None:
    lone.data().mkdir()
    config = lone.folder / "settings.toml"
    config.write_text('[lease]\nlost_after_ms = "7s"\n')
    lone.cli("up", *FREE, "--nexus-only", "--config", str(config))
    nexus = lone.nexus_pid()
    config.write_text('[lease]\nlost_after = "7s"\n')
    os.kill(nexus, signal.SIGKILL)
    until(lambda: "its configuration" in lone.cli("status", code=5).stderr, "status tells why it is down")
    assert "until one of its files changes" in lone.cli("status", code=5).stderr
    assert "did you mean lost_after_ms" in lone.cli("up", "--nexus-only", code=2).stderr
    config.write_text('[lease]\nlost_after_ms = "8s"\n')
    assert lone.new_nexus(nexus) != nexus, "nobody has to start it"
    assert "restart" in lone.cli("status").stdout


def test_status_says_that_the_supervisor_is_dead_and_up_repairs_it(lone: Fabric) -> None:
    lone.up()
    before = pids(lone)
    os.kill(before[2], signal.SIGKILL)
    until(lambda: not alive(before[2]), "it is dead")
    told = lone.cli("status").stdout
    assert f"supervisor: it is gone (it was process {before[2]})" in told
    assert "Nexus and node proxy would not be started again" in told
    assert lone.json("status")["concerns"][0]["subject"] == "supervisor"  # type: ignore[index]
    os.kill(before[0], signal.SIGKILL)
    until(lambda: not alive(before[0]), "Nexus is dead too")
    assert "the supervisor that would start it again is gone" in lone.cli("status", code=5).stderr
    lone.cli("up")
    assert "supervisor" not in lone.cli("status").stdout
    assert lone.proxy_pid() == before[1]


def test_a_machine_that_has_joined_starts_no_second_fabric_and_knows_how_it_is(lone: Fabric) -> None:
    lone.up()
    lone.join("beta")
    node = lone.client.get_node("beta")
    ran = lone.cli("up", *FREE, name="beta", code=4)
    assert "this machine is a node of fabric" in ran.stderr
    assert "omnitide up --node-only" in ran.stderr
    assert not (lone.data("beta") / "nexus").exists()
    lone.cli("nodes", "cordon", "alpha")
    replica = deploy(lone, SLEEPER)
    told: dict[str, object] = lone.json("status", name="beta")["node"]  # type: ignore[assignment] # JSON
    assert (told["node_id"], told["name"], told["connected"]) == (node.id, "beta", True)
    assert told["endpoint"] == lone.ready()["node_endpoint"]
    assert told["pid"] == lone.proxy_pid("beta")
    assert str(told["instances"]).startswith("['sleeper-1")
    assert "connected for" in lone.cli("status", name="beta").stdout

    lone.cli("down", "--keep-agents")
    until(lambda: "not connected for" in lone.cli("status", name="beta").stdout, "it says that it is alone")
    lone.cli("down", "--keep-agents", name="beta")
    assert "not started: omnitide up --node-only" in lone.cli("status", name="beta").stdout
    told_alone = lone.cli("up", "--node-only", name="beta").stdout
    assert "Nexus not reached yet" in told_alone
    assert "ready" not in told_alone
    assert lone.json("up", "--node-only", name="beta")["connected"] is False
    assert alive(replica)

    lone.up()
    lone.until_live("beta")
    assert lone.json("up", "--node-only", name="beta")["connected"] is True
    lone.cli("down", name="beta")
    lone.cli("nodes", "rm", "beta", "--force")
    ran = lone.cli("up", "--node-only", name="beta", code=1)
    assert "this node was removed from its fabric" in ran.stderr
    assert "--replace" in ran.stderr
    assert "ready" not in ran.stdout
    assert "not started again" in lone.cli("status", name="beta").stdout
    told = lone.cli("join", lone.url, "--token", lone.token(), name="beta", code=4).stderr
    assert "this machine was node beta of fabric" in told
    assert "which has removed it" in told
    assert f"hint:  omnitide join {lone.url} --token - --replace" in told


def test_a_join_tells_each_hop_as_it_is_and_the_reason_once(lone: Fabric) -> None:
    lone.cli("up", *FREE, "--nexus-only")
    token = lone.token()

    def hops(*words: str, code: int, name: str = "beta") -> tuple[list[tuple[str, str]], str]:
        ran = lone.cli("join", *words, "--token", "-", "--no-start", name=name, stdin=f"{token}\n", code=code)
        lines = [line.split() for line in ran.stdout.splitlines()]
        found = [(line[0], line[1]) for line in lines if line[0] in ("ok", "FAIL")]
        return found, ran.stdout + ran.stderr

    passed = ["name", "route", "port", "fingerprint", "clock", "tls", "token", "identity"]
    assert hops("http://127.0.0.1:7400", code=2)[0] == [("FAIL", "tls")]
    wrong, _ = hops(f"https://{lone.ready()['node_endpoint']}", code=5)
    assert wrong == [("ok", "name"), ("ok", "route"), ("FAIL", "port")]
    good, told = hops(lone.url, code=0)
    assert good == [("ok", hop) for hop in passed]
    (node,) = lone.client.nodes()
    assert f"as node {node.name} ({node.id})" in told
    used, told = hops(lone.url, code=6, name="gamma")
    assert used == [*(("ok", hop) for hop in passed[:6]), ("FAIL", "token")]
    assert told.count("used up") == 1
    # Without a name of its own each is told apart by Nexus, and called so from the first word on.
    token = lone.token()
    _, told = hops(lone.url, code=0, name="gamma")
    (second,) = [one for one in lone.client.nodes() if one.id != node.id]
    assert second.name != node.name
    assert f"as node {second.name} ({second.id})" in told


def test_a_machine_that_has_joined_is_told_as_which_node_and_how_it_runs_a_second_one(lone: Fabric) -> None:
    lone.up()
    lone.join("beta")
    fabric = lone.ready()["fabric_id"]

    def refused() -> list[str]:
        return lone.cli("join", lone.url, "--token", lone.token(), name="beta", code=4).stderr.splitlines()

    hint = (
        f"a second node of this machine has a folder of its own: omnitide --data DIR join {lone.url} --token - "
        "--name NAME; in place of beta, which loses what it runs: --replace"
    )
    assert refused() == [f"error: this machine is node beta of fabric {fabric} already, and up", f"hint:  {hint}"]
    lone.cli("down", name="beta")
    assert refused() == [
        f"error: this machine is node beta of fabric {fabric} already, and down",
        f"hint:  start it: omnitide up --node-only; {hint}",
    ]
    lone.cli("up", "--node-only", name="beta")
    lone.cli("join", lone.url, "--token", lone.token(), "--name", "gamma", name="gamma")
    for name in ("beta", "gamma"):
        lone.until_live(name)


def test_a_join_token_is_in_no_process_that_stays(lone: Fabric) -> None:
    lone.cli("up", *FREE, "--nexus-only")
    token = lone.token()
    lone.cli("join", lone.url, "--name", "beta", name="beta", environment={"OMNITIDE_JOIN_TOKEN": token})
    lone.until_live("beta")
    left = lone.processes("beta")
    assert len(left) >= 3, "supervisor, node proxy and keeper"
    for process in left:
        assert token not in f"{process.cmdline()} {process.environ()}"


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
    assert re.search(r"^beta +left ", lone.cli("nodes").stdout, re.MULTILINE), "it was not stopped"
    assert "node beta said goodbye: left the fabric" in lone.cli("events").stdout
    lone.cli("nodes", "rm", first, "--force")
    told = lone.cli("join", lone.url, "--token", lone.token(), "--name", "beta", "--no-start", name="beta")
    assert "omnitide up --node-only" in told.stdout
    lone.cli("up", "--node-only", name="beta")
    second = lone.until_live("beta").id
    assert second != first

    # Where the engine that it has used does not answer, what that may run goes on; it leaves all the same.
    mark_used(lone.data("beta") / "node", "docker")
    engine = {"DOCKER_HOST": f"unix://{lone.folder}/no.sock"}
    told = lone.cli("leave", "--yes", name="beta", code=1, environment=engine)
    assert "not everything could be ended: docker" in told.stderr
    assert f"omnitide nodes rm {second}" in told.stdout
    assert "no node" in lone.cli("leave", "--yes", name="beta", code=3).stderr


def test_a_drain_that_cannot_end_says_what_stays_and_what_would_do(lone: Fabric) -> None:
    lone.up()
    manifest = lone.folder / "agent.toml"
    manifest.write_text(SLEEPER)
    lone.cli("deploy", str(manifest), "--replicas", "2")
    ran = lone.cli("drain", "alpha", "--timeout", "3s", code=7)
    assert "waiting for 2 instances on alpha" in ran.stderr
    assert re.search(r"sleeper-1\.1 running for .*: stays as it fits nowhere else: there is no other node", ran.stderr)
    assert [one.status for one in lone.instances()] == ["running", "running"], "none of it was stopped"
    assert "add a node (omnitide token create)" in ran.stderr
    assert "omnitide nodes rm alpha --force" in ran.stderr
    assert ran.stderr.count("waiting for") <= 2, "the same is not told again and again"
    assert lone.cli("drain", "alpha", "--no-wait").stderr == ""
    with lone.beside("drain", "alpha") as draining:
        until(lambda: "waiting for" in draining.err, "it says that it waits")
        lone.join("beta")
        assert draining.process.wait(60) == 0, "there is room now"
        assert "alpha drained in" in draining.out
