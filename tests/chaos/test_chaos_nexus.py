"""Nexus is killed in the middle of work, so is the supervisor that starts it again, and its disk fills up."""

import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from omnitide.model.spec import AgentSpec, Resources
from omnitide.sdk import Client
from omnitide.sdk.errors import FabricError
from support.fabric_processes import Fabric, alive, freeze, send, until

STOOD_STILL_S = 6.0
"""Longer than a keepalive and its answer may take by default, in which nobody could have been heard."""
FULL_S = 11.0
"""Longer than the lease that a start grants by default (8.9 s): were it counted as silence, nodes would be lost."""
SMALL = Resources(cpu=1, memory=1 << 20)
SLEEPER = AgentSpec(command=("sleep", "100000"), resources=SMALL)


def test_what_was_acknowledged_survives_a_killed_nexus(fabric: Fabric) -> None:
    client = fabric.client
    client.deploy_agent("steady", SLEEPER, replicas=4)
    pids = {one.id: one.handle for one in fabric.running("steady", 4)}
    client.deploy_agent("moved", SLEEPER, replicas=0)
    acknowledged: list[tuple[int, int]] = []
    enough, stop = threading.Event(), threading.Event()

    def scale() -> None:
        with Client(fabric.target()) as own:
            for number in itertools.count():
                if stop.is_set():
                    return
                wanted = number % 3
                try:
                    acknowledged.append((own.scale_agent("moved", wanted).revision, wanted))
                except FabricError:
                    return
                if len(acknowledged) >= 40:
                    enough.set()

    stream = threading.Thread(target=scale)
    stream.start()
    assert enough.wait(60)
    nexus = fabric.nexus_pid()
    os.kill(nexus, signal.SIGKILL)
    until(lambda: not alive(nexus), "Nexus is dead")
    assert all(alive(int(pid)) for pid in pids.values())
    fabric.new_nexus(nexus)
    stop.set()
    stream.join(60)
    assert not stream.is_alive()
    for node in ("alpha", "beta"):
        fabric.until_live(node)
    events = {event.revision: event for event in fabric.events(subject="agent/default/moved")}
    changed = [pair for before, pair in itertools.pairwise(acknowledged) if before[0] != pair[0]]
    assert len(changed) >= 39
    missing = [revision for revision, _ in changed if revision not in events]
    assert not missing, f"acknowledged and gone: {missing}"
    assert {one.id: one.handle for one in fabric.running("steady", 4)} == pids
    assert client.get_fabric().revision >= acknowledged[-1][0]
    fabric.running("moved", client.get_agent("moved").replicas)


def kinds_since(fabric: Fabric, revision: int, *kinds: str) -> list[str]:
    found = [event.type for event in fabric.events(after=revision)]
    return [kind for kind in found if any(wanted in kind for wanted in kinds)]


@pytest.fixture
def impatient(lone: Fabric) -> Fabric:
    """Of two nodes, whose silence is forgiven for no moment: only what is granted can save them."""
    settings = lone.folder / "config" / "omnitide" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[lease]\nreconnect_grace_ms = 0\nlost_after_ms = 0\n")
    lone.up()
    lone.join("beta")
    return lone


def test_a_nexus_that_was_stopped_for_a_while_blames_no_node(impatient: Fabric) -> None:
    """Its pings go unanswered while it stands still, and every session is broken when it goes on."""
    fabric, client = impatient, impatient.client
    client.deploy_agent("steady", SLEEPER, replicas=4)
    before = {one.id: one.handle for one in fabric.running("steady", 4)}
    revision = client.get_fabric().revision
    nexus = fabric.nexus_pid()
    freeze(nexus)
    time.sleep(STOOD_STILL_S)
    os.kill(nexus, signal.SIGCONT)
    for node in ("alpha", "beta"):
        fabric.until_live(node)
    until(lambda: len(kinds_since(fabric, revision, "node.connected")) >= 2, "both nodes have come back")
    assert not kinds_since(fabric, revision, "node.unreachable", "node.lost")
    assert fabric.nexus_pid() == nexus
    assert {one.id: one.handle for one in fabric.running("steady", 4)} == before


def test_nexus_comes_back_where_its_nodes_know_it(fabric: Fabric) -> None:
    """Also with ports that nobody chose, and as often as it is killed."""
    fabric.client.deploy_agent("steady", SLEEPER, replicas=2)
    before = {one.id: one.handle for one in fabric.running("steady", 2)}
    addresses = {name: fabric.ready()[name] for name in ("url", "node_endpoint", "grpc_endpoint")}
    for _ in range(3):
        nexus = fabric.nexus_pid()
        os.kill(nexus, signal.SIGKILL)
        fabric.new_nexus(nexus)
        assert {name: fabric.ready()[name] for name in addresses} == addresses
    for node in ("alpha", "beta"):
        fabric.until_live(node)
    assert {one.id: one.handle for one in fabric.running("steady", 2)} == before


def test_a_killed_supervisor_takes_nobody_along_and_the_next_up_goes_on(fabric: Fabric) -> None:
    fabric.client.deploy_agent("steady", SLEEPER, replicas=2)
    before = {one.id: one.handle for one in fabric.running("steady", 2)}
    supervisor, nexus, proxy = fabric.supervisor_pid(), fabric.nexus_pid(), fabric.proxy_pid()
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not alive(supervisor), "the supervisor is dead")
    assert alive(nexus)
    assert alive(proxy)
    assert "already up" in fabric.cli("up").stdout
    assert (fabric.nexus_pid(), fabric.proxy_pid()) == (nexus, proxy), "what runs is taken over as it is"
    second = fabric.supervisor_pid()
    assert second != supervisor
    os.kill(nexus, signal.SIGKILL)
    nexus = fabric.new_nexus(nexus)
    send([second, nexus], signal.SIGKILL)
    until(lambda: not alive(nexus), "both are dead")
    fabric.up()
    assert fabric.nexus_pid() != nexus
    assert fabric.proxy_pid() == proxy
    running = [one for one in fabric.processes("alpha") if "omnitide.api" in one.cmdline()]
    assert [one.pid for one in running] == [fabric.nexus_pid()], "never two on one data directory"
    for node in ("alpha", "beta"):
        fabric.until_live(node)
    assert {one.id: one.handle for one in fabric.running("steady", 2)} == before


@pytest.fixture
def small_disk(lone: Fabric) -> Generator[Path]:
    place = lone.folder / lone.main
    place.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    lone.close()
    subprocess.run(["umount", str(place)], check=True)


def fill(filler: Path) -> None:
    with filler.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            pass


def refusal(fabric: Fabric) -> FabricError:
    """Of a write, once the log has used up what its files still had room for."""

    def refused() -> FabricError | None:
        # Each a little larger than a page of what may still be free in files that are there already.
        labels = {f"k{n}": "x" * 60 for n in range(60)}
        try:
            for number in range(300):
                wide = AgentSpec(command=("sleep", str(number)), labels=labels, resources=SMALL)
                fabric.client.deploy_agent("filling", wide, replicas=0)
        except FabricError as error:
            return error
        return None

    return until(refused, "a write is refused")


@pytest.mark.root
def test_a_full_disk_refuses_writes_and_nothing_else(lone: Fabric, small_disk: Path) -> None:
    lone.up("--nexus-only")
    assert lone.client.deploy_agent("before", SLEEPER, replicas=0).change == "created"
    filler = small_disk / "filler"
    fill(filler)
    error = refusal(lone)
    assert "disk" in str(error).lower() or "space" in str(error).lower(), error
    ran = lone.cli("namespace", "create", "more", code=5)
    assert "disk" in ran.stderr.lower() or "space" in ran.stderr.lower(), ran.stderr
    assert "before" in lone.cli("agents").stdout
    filler.unlink()
    until(lambda: lone.client.deploy_agent("after", SLEEPER, replicas=0).revision, "writes go on")
    assert {"before", "after"} <= {agent.name for agent in lone.client.agents()}


@pytest.mark.root
@pytest.mark.timeout(240)
def test_a_nexus_that_dies_while_its_disk_is_full_blames_no_node(lone: Fabric, small_disk: Path) -> None:
    """No node can connect until there is room, for longer than the lease that a start grants."""
    lone.up("--nexus-only")
    for node in ("beta", "gamma"):
        lone.join(node)
    lone.client.deploy_agent("steady", SLEEPER, replicas=6)
    before = {one.id: one.handle for one in lone.running("steady", 6)}
    filler = small_disk / "filler"
    fill(filler)
    refusal(lone)
    revision = lone.client.get_fabric().revision
    nexus = lone.nexus_pid()
    os.kill(nexus, signal.SIGKILL)
    until(lambda: not alive(nexus), "Nexus is dead")
    until(lambda: lone.client.get_fabric().revision == revision, "the next Nexus answers, and writes nothing")
    time.sleep(FULL_S)
    filler.unlink()
    for node in ("beta", "gamma"):
        lone.until_live(node)
    assert lone.nexus_pid() != nexus
    # Well before this a node would have been declared whatever there was to declare of it.
    lone.client.deploy_agent("after", SLEEPER, replicas=1)
    lone.running("after", 1)
    assert not kinds_since(lone, revision, "node.unreachable", "node.lost", "instance.lost")
    assert {one.id: one.handle for one in lone.running("steady", 6)} == before
