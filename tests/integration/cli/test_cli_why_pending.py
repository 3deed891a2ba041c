"""Why something waits for a node, in the list of what runs and in the answer for the whole agent."""

import json

from tests.integration.cli.fabric import MemoryFabric


def deployed(fabric: MemoryFabric, replicas: int) -> None:
    """16 fit on both nodes."""
    path = fabric.folder / "web.toml"
    path.write_text('name = "web"\ncommand = ["x"]\n[resources]\ncpu = 0.5\n')
    fabric.cli("deploy", str(path), "--replicas", str(replicas), "--no-wait")
    fabric.call(lambda runtime: runtime.settle())


def test_each_row_that_waits_says_for_what(fabric: MemoryFabric) -> None:
    deployed(fabric, 18)
    rows = [line for line in fabric.cli("ps", "web").stdout.splitlines() if " pending " in line]
    assert len(rows) == 2
    for row in rows:
        assert "needs 0.5 cpu; 0 of 2 nodes have it" in row
    running = [line for line in fabric.cli("ps", "web").stdout.splitlines() if " running " in line]
    assert not any("needs" in line for line in running)


def test_programs_get_the_objects_as_they_are(fabric: MemoryFabric) -> None:
    deployed(fabric, 17)
    found = json.loads(fabric.cli("ps", "web", "-o", "json").stdout)
    assert {one["status"] for one in found["items"]} == {"running", "pending"}


def test_an_explanation_says_how_many_more_are_alike(fabric: MemoryFabric) -> None:
    deployed(fabric, 20)
    told = fabric.cli("explain", "web").stdout
    assert " and 3 more  pending for " in told, told


def test_and_nothing_of_one_alone(fabric: MemoryFabric) -> None:
    deployed(fabric, 17)
    told = fabric.cli("explain", "web").stdout
    assert "pending for " in told
    assert "more" not in told
