"""What `drain` says while it waits, as a program reads it through a pipe."""

import re
import time

from tests.integration.cli.fabric import MemoryFabric
from tests.integration.cli.test_cli_rollouts import until
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.exits import Exit
from omnitide.fabric import commands as cm
from omnitide.fabric.state import Health

DEADLINE_S = 30.0


def deploy(fabric: MemoryFabric, name: str, *words: str, extra: str = "") -> None:
    path = fabric.folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\ncommand = ["x"]\n{extra}')
    fabric.cli("deploy", str(path), *words)


def crash_or_start(runtime: MemoryRuntime) -> None:
    runs = [
        one.id
        for one in runtime.state.instances.values()
        if one.name.startswith("loops") and one.status.value == "running"
    ]
    for identifier in runs:
        runtime.exit(identifier, code=4)
    if not runs:
        runtime.tick(1_000)
        runtime.settle(in_no_time=True)


def test_only_what_changes_is_told_again_and_replicas_share_a_line(fabric: MemoryFabric) -> None:
    fabric.cli("nodes", "cordon", "beta")
    deploy(fabric, "pinned", "--replicas", "3")
    deploy(fabric, "loops", extra="[restart]\nattempts = 1000\n")
    fabric.settling = False
    with fabric.process("drain", "alpha", "--timeout", "9s") as draining:
        deadline = time.monotonic() + DEADLINE_S
        while draining.poll() is None:
            assert time.monotonic() < deadline, "its time is over"
            fabric.call(crash_or_start)
            time.sleep(0.4)
        _, err = draining.communicate(timeout=30)
    assert draining.returncode == Exit.TIMEOUT, err
    assert re.search(r"pinned-1\.1 running for .*, and 2 more of pinned: stays as it fits nowhere else", err), err
    assert err.count("pinned-1.1") == 1, err
    assert not re.search(r"pinned-[23]\.1", err)
    assert re.search(r"    loops-1\.\d+ ends again and again", err), err
    assert err.count("waiting for") <= 4, err
    assert err.count("    loops-1.") <= 2, err


def test_what_is_lost_there_is_not_waited_for(fabric: MemoryFabric) -> None:
    deploy(fabric, "bound", extra='constraints = [{ label = "node", operator = "=", values = ["alpha"] }]\n')

    def lose(runtime: MemoryRuntime) -> None:
        session = runtime.nodes["alpha"].session
        runtime.silence("alpha")
        runtime.apply(cm.DeclareLost(node="n-alpha", session=session, silent_ms=60_000, default_lost_after_ms=30_000))

    fabric.call(lose)
    told = fabric.cli("drain", "alpha", "--timeout", "9s").stderr
    assert "still runs" not in told
    (alpha,) = [one for one in fabric.call(lambda runtime: list(runtime.state.nodes.values())) if one.name == "alpha"]
    assert alpha.instances, "it is still known of, as nobody has said that it is over"
    assert alpha.scheduling.value == "drained"


def test_what_waits_for_another_replica_is_not_said_to_have_nowhere_to_go(fabric: MemoryFabric) -> None:
    deploy(
        fabric,
        "hello",
        "--replicas",
        "2",
        "--no-wait",
        extra='[ports.http]\n[health.readiness]\ntype = "tcp"\nport = "http"\n',
    )
    until(fabric, lambda runtime: [one.status for one in runtime.state.instances.values()] == ["running"] * 2)

    def unwell(runtime: MemoryRuntime) -> str:
        one, other = sorted(runtime.state.instances.values(), key=lambda one: one.slot)
        assert one.node == other.node
        for instance, health in ((one, Health.UNHEALTHY), (other, Health.HEALTHY)):
            runtime.nodes[runtime.state.nodes[one.node].name].set_health(instance.id, health)
        runtime.settle()
        return runtime.state.nodes[one.node].name

    err = fabric.cli("drain", fabric.call(unwell), "--timeout", "3s", code=Exit.TIMEOUT).stderr
    assert "is available: it is not ready; 1 of 2 replicas may be away at once" in err
    assert "nowhere else to go" not in err
    assert "    it goes on once that is so; Ctrl-C or --no-wait: it goes on being drained" in err
