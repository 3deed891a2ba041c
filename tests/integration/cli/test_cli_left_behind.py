"""What is said of what an agent has left behind: output of what is over, volumes of an agent that was removed."""

from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime

from omnitide.operations.runtime import NodeVolume

PLAIN = 'name = "left"\ncommand = ["sleep", "1000"]\n'
COMPOSE = """
name: shop
services:
  db: {image: "postgres:16", volumes: ["data:/var/lib/postgresql/data"]}
volumes: {data: {}}
"""


def write(fabric: MemoryFabric, text: str, name: str) -> str:
    path = fabric.folder / name
    path.write_text(text)
    return str(path)


def test_output_that_there_is_none_of_is_said(fabric: MemoryFabric) -> None:
    file = write(fabric, PLAIN, "left.toml")
    fabric.cli("deploy", file, "--replicas", "0")
    never = fabric.cli("logs", "left")
    assert (never.stdout, "nothing of left has run" in never.stderr) == ("", True)
    fabric.cli("scale", "left", "1")
    fabric.cli("stop", "left")
    fabric.call(lambda runtime: runtime.writes(last_of(runtime)))
    ended = fabric.cli("logs", "left", "--tail", "1")
    assert ended.stdout == ""
    assert "left has ended, and its node keeps no output of it to show: left-1.1 on " in ended.stderr
    fabric.call(lambda runtime: runtime.writes(last_of(runtime)).write("bye\n"))
    assert fabric.cli("logs", "left", "--replica", "1").stdout == "left-1.1 | bye\n"
    assert fabric.cli("logs", "left-1").stdout == "bye\n"


def last_of(runtime: MemoryRuntime) -> str:
    (agent,) = runtime.state.agents
    return f"{agent}.1.1"


def test_an_import_says_where_a_volume_of_its_names_is_kept(fabric: MemoryFabric) -> None:
    def keep(runtime: MemoryRuntime) -> None:
        runtime.volumes[runtime.state.node_names["alpha"]] = [NodeVolume("default", "data", 5)]

    fabric.call(keep)
    file = write(fabric, COMPOSE, "compose.yaml")
    told = fabric.cli("import", "compose", file, "--apply", "--no-wait")
    assert "is on node alpha, and no agent has it: placed elsewhere, db begins with an empty one" in told.stderr
    assert 'constraints = [{ label = "node", values = ["alpha"] }]' in told.stderr
