"""`omnitide restart INSTANCE`: done when the old run has ended and what takes its place is up."""

import json

from tests.integration.cli.fabric import MemoryFabric

from support.fabric_processes import until

MANIFEST = 'name = "hello"\ncommand = ["x"]\nreplicas = 2\n[resources]\ncpu = 0.05\n'


def deployed(fabric: MemoryFabric) -> None:
    (fabric.folder / "hello.toml").write_text(MANIFEST)
    fabric.cli("deploy", "hello.toml")


def test_it_is_said_when_it_is_so(fabric: MemoryFabric) -> None:
    deployed(fabric)
    fabric.settling = False
    with fabric.process("restart", "hello-1") as restarting:
        until(lambda: "stopping" in statuses(fabric), "it is asked to")
        assert restarting.poll() is None, "its node has done nothing yet"
        fabric.settling = True
        out, err = restarting.communicate(timeout=60)
    assert restarting.returncode == 0, err
    assert "hello-1.1 restarted in" in out
    assert "hello-1.2 runs" in out


def statuses(fabric: MemoryFabric) -> set[str]:
    return {one.status.value for one in fabric.call(lambda runtime: list(runtime.state.instances.values()))}


def test_a_program_is_told_what_runs_now(fabric: MemoryFabric) -> None:
    deployed(fabric)
    now = json.loads(fabric.cli("restart", "hello-2.1", "-o", "json").stdout)
    assert (now["name"], now["status"]) == ("hello-2.2", "running")


def test_without_waiting_it_is_only_asked_for(fabric: MemoryFabric) -> None:
    deployed(fabric)
    fabric.settling = False
    assert "hello-1.1 is to restart, at revision" in fabric.cli("restart", "hello-1", "--no-wait").stdout
    ran = fabric.cli("restart", "hello-2", "--timeout", "200ms", code=7)
    assert "omnitide explain hello-2" in ran.stderr
    assert "restarted" not in ran.stdout


def test_one_that_is_not_wanted_any_more_is_not_waited_for(fabric: MemoryFabric) -> None:
    deployed(fabric)
    fabric.settling = False
    with fabric.process("restart", "hello-2") as restarting:
        until(lambda: "stopping" in statuses(fabric), "it is asked to")
        fabric.cli("scale", "hello", "1", "--no-wait")
        _, err = restarting.communicate(timeout=60)
    assert restarting.returncode == 4, err
    assert "was scaled to 1 meanwhile" in err
