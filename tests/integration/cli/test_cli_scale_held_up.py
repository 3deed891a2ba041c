"""`scale` while a rollout is halted or paused: it waits for what it asked for itself, in the version that works."""

import json
import re
import time
from collections.abc import Callable

from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.exits import Exit
from omnitide.fabric.state import Health

DEADLINE_S = 20.0


PROBE = '[health.readiness]\ntype = "exec"\ncommand = ["x"]\n'


def write(fabric: MemoryFabric, value: str, extra: str = "") -> str:
    path = fabric.folder / "web.toml"
    path.write_text(
        'name = "web"\ncommand = ["x"]\n[resources]\ncpu = 0.5\n'
        f'[restart]\nattempts = 0\nreschedules = 0\n[environment]\nVALUE = "{value}"\n{extra}'
    )
    return str(path)


def heal(runtime: MemoryRuntime, *slots: int) -> bool:
    """What runs in these slots is ready; whether that is all of them."""
    runtime.settle(in_no_time=True)
    found = [one for one in runtime.state.instances.values() if one.slot in slots and one.status.value == "running"]
    for one in found:
        (node,) = [node for node in runtime.nodes.values() if one.id in node.runs]
        node.set_health(one.id, Health.HEALTHY)
    runtime.settle(in_no_time=True)
    return len(found) == len(slots)


def until(fabric: MemoryFabric, look: Callable[[MemoryRuntime], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not fabric.call(look):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


def halted(fabric: MemoryFabric, replicas: int = 4, extra: str = "") -> None:
    """One replica of version 2 has failed for good, the others run in version 1."""
    if extra:
        fabric.settling = False
        fabric.cli("deploy", write(fabric, "one", extra), "--replicas", str(replicas), "--no-wait")
        until(fabric, lambda runtime: heal(runtime, *range(1, replicas + 1)))
        fabric.call(lambda runtime: runtime.tick(2_000))
    else:
        fabric.cli("deploy", write(fabric, "one"), "--replicas", str(replicas))
    fabric.settling = False
    fabric.cli("deploy", write(fabric, "two"), "--no-wait")

    def fail(runtime: MemoryRuntime) -> bool:
        runtime.settle(in_no_time=True)
        for one in list(runtime.state.instances.values()):
            if one.version == 2 and one.status.value == "running":
                runtime.exit(one.id, code=3)
        (agent,) = runtime.state.agents.values()
        return bool(agent.failed)

    until(fabric, fail)
    assert fabric.call(lambda runtime: next(iter(runtime.state.agents.values())).counts.running) == replicas - 1
    fabric.settling = True


def test_what_it_adds_runs_in_the_version_that_works_and_that_is_all_it_waits_for(fabric: MemoryFabric) -> None:
    halted(fabric)
    ran = fabric.cli("scale", "web", "6")
    assert re.search(r"^  web scaled to 6 in \d+\.\d\d s: 5 of 6 run, in version 1$", ran.stdout, re.MULTILINE), (
        ran.stdout
    )
    stays = r"^  web-1\.\d+ has failed \(exit code 3\), and stays so: the rollout to version 2 is halted$"
    assert re.search(stays, ran.stdout, re.MULTILINE), ran.stdout
    assert ran.stderr == ""


def test_programs_get_the_agent_as_it_is_then(fabric: MemoryFabric) -> None:
    halted(fabric)
    told = json.loads(fabric.cli("scale", "web", "6", "-o", "json").stdout)
    assert (told["name"], told["replicas"], told["running"]) == ("web", 6, 5)


def test_it_is_waited_for_that_what_it_adds_runs(fabric: MemoryFabric) -> None:
    halted(fabric)
    fabric.settling = False
    ran = fabric.cli("scale", "web", "5", "--timeout", "1s", code=Exit.TIMEOUT)
    assert "web was scaled to 5, and web-5.1 does not run after 1 s" in ran.stderr


def test_what_it_adds_and_fits_nowhere_is_told(fabric: MemoryFabric) -> None:
    halted(fabric)
    ran = fabric.cli("scale", "web", "40", code=Exit.ROLLOUT)
    assert re.search(r"web was scaled to 40, and at most \d+ of 40 fit at once .*: each needs 0\.5 cpu", ran.stderr)


def test_what_it_adds_and_fails_for_good_is_told(fabric: MemoryFabric) -> None:
    halted(fabric)
    fabric.settling = False

    def fail(runtime: MemoryRuntime) -> bool:
        runtime.settle(in_no_time=True)
        new = [one for one in runtime.state.instances.values() if one.slot == 5 and one.status.value == "running"]
        for one in new:
            runtime.exit(one.id, code=9)
        return bool(new)

    with fabric.process("scale", "web", "5") as scaling:
        until(fabric, fail)
        _, err = scaling.communicate(timeout=30)
    assert scaling.returncode == Exit.ROLLOUT, err
    assert "error: web was scaled to 5, and web-5.1 has failed: exit code 9\n" in err


def test_what_it_adds_is_waited_for_until_it_is_ready(fabric: MemoryFabric) -> None:
    """By the probes of the version that it runs: the newest here has none."""
    halted(fabric, extra=PROBE)
    ran = fabric.cli("scale", "web", "5", "--timeout", "1s", code=Exit.TIMEOUT)
    assert "web was scaled to 5, and web-5.1 does not run after 1 s" in ran.stderr
    until(fabric, lambda runtime: heal(runtime, 5))
    with fabric.process("scale", "web", "6") as scaling:
        until(fabric, lambda runtime: heal(runtime, 6))
        out, err = scaling.communicate(timeout=30)
    assert (scaling.returncode, err) == (0, "")
    assert "web scaled to 6 in" in out


def test_fewer_are_fewer_though_it_is_halted(fabric: MemoryFabric) -> None:
    halted(fabric)
    ran = fabric.cli("scale", "web", "3")
    assert re.search(r"^  web scaled to 3 in \d+\.\d\d s: 2 of 3 run, in version 1$", ran.stdout, re.MULTILINE), (
        ran.stdout
    )


def test_while_it_is_paused_too(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", write(fabric, "one"), "--replicas", "3")
    fabric.settling = False
    fabric.cli("deploy", write(fabric, "two"), "--no-wait")
    fabric.cli("rollout", "pause", "web")
    fabric.settling = True
    ran = fabric.cli("scale", "web", "5")
    assert "  the rollout to version 2 is paused; to go on: omnitide rollout resume web\n" in ran.stdout
    assert re.search(r"^  web scaled to 5 in \d+\.\d\d s: \d of 5 run, .*in version 1", ran.stdout, re.MULTILINE), (
        ran.stdout
    )


def test_a_pause_hides_no_halt(fabric: MemoryFabric) -> None:
    halted(fabric)
    fabric.cli("rollout", "pause", "web")
    told = fabric.cli("rollout", "status", "web", code=Exit.ROLLOUT).stdout
    assert "web version 2 (updated): halted" in told
    assert "has failed for good (exit code 3)" in told
    assert "; it is paused too: once that is mended, to go on: omnitide rollout resume web\n" in told
    assert "  to go back: omnitide rollback web\n" in told
    shown = json.loads(fabric.cli("explain", "web", "-o", "json").stdout)
    assert "the rollout of version 2 is halted: web-1" in shown["text"]
    assert "it is paused too" in shown["text"]
