"""What can never come about is not waited for: whatever the command, it ends soon and says why."""

import pytest
from tests.integration.cli.fabric import MemoryFabric
from tests.support import memory_runtime

from omnitide.cli.exits import Exit
from omnitide.fabric import commands as cm
from omnitide.fabric.state import FabricState


def manifest(fabric: MemoryFabric, more: str = "", cpu: str = "0.5") -> str:
    path = fabric.folder / "web.toml"
    path.write_text(f'name = "web"\ncommand = ["x"]\n[resources]\ncpu = {cpu}\n{more}')
    return str(path)


def place_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The placement of the fabric in memory knows no labels."""

    def nothing(state: FabricState, time_ms: int) -> cm.PlaceInstances:
        del time_ms
        return cm.PlaceInstances(seen_revision=state.revision, choices=())

    monkeypatch.setattr(memory_runtime, "first_fit", nothing)


MOON = '[[constraints]]\nlabel = "zone"\nvalues = ["moon"]\n'


def test_more_replicas_than_all_nodes_hold_are_not_waited_for(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric))
    ran = fabric.cli("scale", "web", "200", code=Exit.ROLLOUT)
    assert "web cannot come up (" in ran.stderr
    assert "at most 16 of 200 fit at once on the 2 nodes there are, were nothing else there: each needs 0.5 cpu" in (
        ran.stderr
    )
    assert "fewer: omnitide scale web 16" in ran.stderr


def test_nor_are_they_where_a_deployment_asks_for_them(fabric: MemoryFabric) -> None:
    ran = fabric.cli("deploy", manifest(fabric), "--replicas", "17", code=Exit.ROLLOUT)
    assert "at most 16 of 17 fit at once" in ran.stderr


def test_of_a_port_that_is_fixed_there_is_one_a_node(fabric: MemoryFabric) -> None:
    text = manifest(fabric, "[ports.http]\nport = 30000\n", cpu="0.1")
    ran = fabric.cli("deploy", text, "--replicas", "3", code=Exit.ROLLOUT)
    assert "at most 2 of 3 fit at once on the 2 nodes there are, were nothing else there: each needs port 30000" in (
        ran.stderr
    )


def test_only_nodes_that_can_ever_take_one_count(fabric: MemoryFabric, monkeypatch: pytest.MonkeyPatch) -> None:
    place_nothing(monkeypatch)
    text = manifest(fabric, '[[constraints]]\nlabel = "node"\nvalues = ["alpha"]\n')
    ran = fabric.cli("deploy", text, "--replicas", "9", code=Exit.ROLLOUT)
    assert "at most 8 of 9 fit at once on the only node that can ever take one" in ran.stderr


def test_what_others_hold_is_waited_for(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric), "--replicas", "10")
    other = fabric.folder / "other.toml"
    other.write_text('name = "other"\ncommand = ["x"]\n[resources]\ncpu = 0.5\n')
    ran = fabric.cli("deploy", str(other), "--replicas", "7", "--timeout", "3s", code=Exit.TIMEOUT)
    assert "needs 0.5 cpu" in ran.stderr


def test_what_ends_by_itself_makes_room_for_the_rest(fabric: MemoryFabric) -> None:
    text = manifest(fabric, '[restart]\npolicy = "on-failure"\n')
    ran = fabric.cli("deploy", text, "--replicas", "17", "--timeout", "2s", code=Exit.TIMEOUT)
    assert "at most" not in ran.stderr


def test_while_a_rollout_is_paused_the_same_holds(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric), "--replicas", "3")
    fabric.settling = False
    fabric.cli("deploy", manifest(fabric, '[environment]\nVALUE = "two"\n'), "--no-wait")
    fabric.cli("rollout", "pause", "web")
    fabric.settling = True
    ran = fabric.cli("scale", "web", "200", code=Exit.ROLLOUT)
    assert "web was scaled to 200, and at most 16 of 200 fit at once" in ran.stderr


@pytest.mark.parametrize("command", ["restart", "scale"])
def test_what_no_node_can_take_any_more_is_told_at_once(
    fabric: MemoryFabric, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    fabric.cli("nodes", "label", "alpha", "zone=moon")
    fabric.cli("deploy", manifest(fabric, MOON))
    fabric.cli("nodes", "label", "alpha", "zone-")
    place_nothing(monkeypatch)
    words = ("restart", "web-1") if command == "restart" else ("scale", "web", "2")
    ran = fabric.cli(*words, code=Exit.ROLLOUT)
    assert "zone" in ran.stderr
    assert "omnitide explain web" in ran.stderr
