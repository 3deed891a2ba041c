"""`--dry-run` of `drain`, `restart`, `scale`: what would move where and what would not fit, and nothing is changed."""

import json
import os

from tests.integration.cli.fabric import MemoryFabric
from tests.integration.cli.test_cli_rollouts import until
from tests.support.memory_runtime import MemoryRuntime
from tests.support.terminal import Terminal

from omnitide.fabric.state import Health


def deployed(fabric: MemoryFabric, cpu: float) -> str:
    """The node of the first of two replicas."""
    (fabric.folder / "hello.toml").write_text(
        f'name = "hello"\ncommand = ["x"]\nreplicas = 2\n[resources]\ncpu = {cpu}\n'
    )
    fabric.cli("deploy", "hello.toml")
    return fabric.call(
        lambda runtime: next(
            runtime.state.nodes[one.node].name for one in runtime.state.instances.values() if one.slot == 1
        )
    )


def test_a_drain_says_what_would_move_where(fabric: MemoryFabric) -> None:
    node = deployed(fabric, 0.1)
    other = "beta" if node == "alpha" else "alpha"
    revision = fabric.call(lambda runtime: runtime.state.revision)
    told = fabric.cli("drain", node, "--dry-run").stdout
    assert ["hello-1", "move", node, other] in [line.split() for line in told.splitlines()]
    assert "would move\n" in told
    assert "nothing was changed" in told
    found = json.loads(fabric.cli("drain", node, "--dry-run", "-o", "json").stdout)
    assert found["counts"]["moves"] == len(found["replicas"])
    assert fabric.call(lambda runtime: runtime.state.revision) == revision
    assert "there is no node" in fabric.cli("drain", "nowhere", "--dry-run", code=3).stderr


def test_what_fits_on_no_other_node_is_said_with_the_reason(fabric: MemoryFabric) -> None:
    node = deployed(fabric, 3.0)
    other = "beta" if node == "alpha" else "alpha"
    fabric.cli("nodes", "cordon", other)
    told = fabric.cli("drain", node, "--dry-run").stdout
    assert "1 replica would fit on no other node and stay" in told
    (row,) = (line for line in told.splitlines() if line.startswith("hello-1"))
    assert "cordoned" in row


def test_what_its_update_keeps_is_told_apart_with_what_it_waits_for(fabric: MemoryFabric) -> None:
    """`hello-2` serves, and `hello-1` is not well."""
    (fabric.folder / "hello.toml").write_text(
        'name = "hello"\ncommand = ["x"]\nreplicas = 2\n[ports.http]\n[health.readiness]\ntype = "tcp"\nport = "http"\n'
    )

    def health(runtime: MemoryRuntime, slot: int, health: Health) -> None:
        one = next(one for one in runtime.state.instances.values() if one.slot == slot)
        runtime.nodes[runtime.state.nodes[one.node].name].set_health(one.id, health)
        runtime.settle()

    fabric.cli("deploy", "hello.toml", "--no-wait")
    until(fabric, lambda runtime: [one.status for one in runtime.state.instances.values()] == ["running"] * 2)
    for slot in (1, 2):
        fabric.call(lambda runtime, slot=slot: health(runtime, slot, Health.HEALTHY))
    fabric.call(lambda runtime: health(runtime, 1, Health.UNHEALTHY))
    there = fabric.call(lambda runtime: {one.slot: one.node for one in runtime.state.instances.values()})
    assert there[1] == there[2]
    told = fabric.cli("drain", there[1], "--dry-run").stdout
    assert "2 replicas would stay: the update lets no more be away at once" in told
    assert "fit on no other node" not in told
    assert "until hello-1 is available: it is not ready" in " ".join(told.split())


def test_a_restart_says_what_would_be_replaced(fabric: MemoryFabric) -> None:
    deployed(fabric, 0.1)
    revision = fabric.call(lambda runtime: runtime.state.revision)
    told = fabric.cli("restart", "hello", "--dry-run").stdout
    assert [line.split()[0] for line in told.splitlines() if line.startswith("hello-")] == ["hello-1", "hello-2"]
    assert "1 replica would" in fabric.cli("restart", "hello-1", "--dry-run").stdout
    counts = json.loads(fabric.cli("restart", "hello", "--dry-run", "-o", "json").stdout)["counts"]
    assert sum(counts.values()) == 2
    assert fabric.call(lambda runtime: runtime.state.revision) == revision


def _runs_version_3(runtime: MemoryRuntime) -> bool:
    return any(one.version == 3 and one.status == "running" for one in runtime.state.instances.values())


def test_a_rollback_says_what_is_kept_and_what_is_replaced_of_all_its_steps(fabric: MemoryFabric) -> None:
    deployed(fabric, 0.1)
    path, text = fabric.folder / "hello.toml", 'name = "hello"\nreplicas = 2\n[resources]\ncpu = 0.1\n'
    path.write_text(f'command = ["y"]\n{text}')
    fabric.cli("deploy", "hello.toml")
    revision = fabric.call(lambda runtime: runtime.state.revision)
    told = fabric.cli("rollback", "hello", "--dry-run").stdout.splitlines()
    assert any(line.startswith("  command: ") for line in told)
    assert [line.split()[0] for line in told if line.startswith("hello-")] == ["hello-1", "hello-2"]
    assert not any("kept" in line for line in told)
    assert told[-1] == "  nothing was changed"
    assert json.loads(fabric.cli("rollback", "hello", "--dry-run", "-o", "json").stdout)["change"] == "rolled-back"
    assert fabric.call(lambda runtime: runtime.state.revision) == revision

    path.write_text(f'command = ["z"]\n{text}[health.readiness]\ntype = "exec"\ncommand = ["never"]\n')
    fabric.cli("deploy", "hello.toml", "--no-wait")
    until(fabric, lambda runtime: [one.status for one in runtime.state.instances.values()] == ["running"] * 2)
    until(fabric, _runs_version_3)
    told = fabric.cli("rollback", "hello", "--dry-run").stdout.splitlines()
    assert [line.split()[0] for line in told if line.startswith("hello-")] == ["hello-1"]
    assert "  1 replica would be kept as it is" in told


def test_a_scale_says_what_would_start_and_what_would_wait(fabric: MemoryFabric) -> None:
    deployed(fabric, 0.1)
    revision = fabric.call(lambda runtime: runtime.state.revision)
    assert "1 replica would start" in fabric.cli("scale", "hello", "3", "--dry-run").stdout
    told = fabric.cli("scale", "hello", "500", "--dry-run").stdout
    assert "replicas would fit nowhere and wait" in told
    assert "nothing was changed" in told
    assert fabric.call(lambda runtime: runtime.state.revision) == revision


def test_whoever_sits_at_a_terminal_is_asked_before_far_more_replicas_than_fit(fabric: MemoryFabric) -> None:
    deployed(fabric, 0.1)

    def replicas() -> int:
        return fabric.call(lambda runtime: next(iter(runtime.state.agents.values())).replicas)

    def at_terminal(*words: str) -> Terminal:
        return Terminal(fabric.command(*words), env=dict(os.environ), cwd=fabric.folder, columns=160)

    with at_terminal("scale", "hello", "500", "--no-wait") as asked:
        shown = asked.until("scale hello to 500 all the same?")
        assert "replicas would fit nowhere and wait" in shown
        assert replicas() == 2
        asked.press("n", "enter")
        assert asked.ended() == 1
    assert replicas() == 2
    with at_terminal("scale", "hello", "500", "--no-wait") as asked:
        asked.until("all the same?")
        asked.press("y", "enter")
        assert asked.ended() == 0
    assert replicas() == 500
    fabric.cli("scale", "hello", "2", "--no-wait")
    for words in (("scale", "hello", "500", "--no-wait", "--yes"), ("scale", "hello", "3")):
        with at_terminal(*words) as unasked:
            assert unasked.ended() == 0
            assert "all the same?" not in unasked.text
        fabric.cli("scale", "hello", "2")
    fabric.cli("scale", "hello", "600", "--no-wait")
    assert replicas() == 600, "nobody is there to answer"
