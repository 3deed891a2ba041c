"""Hints name what they are about so that they can be copied, whatever namespace a command was given."""

from pathlib import Path

from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm

HELLO = 'name = "hello"\ncommand = ["x"]\n'


def write(fabric: MemoryFabric, text: str = HELLO, name: str = "hello.toml") -> str:
    path = Path(fabric.folder / name)
    path.write_text(text)
    return str(path)


def deploy_in_shop(fabric: MemoryFabric) -> str:
    fabric.cli("namespace", "create", "shop")
    fabric.cli("deploy", write(fabric), "-n", "shop")
    return write(fabric)


def pause(fabric: MemoryFabric, namespace: str) -> None:
    """With an update of which nothing has been rolled out."""

    def begin(runtime: MemoryRuntime) -> None:
        agent = next(iter(runtime.state.agents.values()))
        runtime.apply(cm.RestartAgent(namespace=namespace, name=agent.name))
        runtime.apply(cm.PauseRollout(namespace=namespace, name=agent.name))

    fabric.call(begin)


def test_what_is_not_up_in_time(fabric: MemoryFabric) -> None:
    fabric.cli("namespace", "create", "shop")
    fabric.settling = False
    said = fabric.cli("deploy", write(fabric), "-n", "shop", "--timeout", "1s", code=7).stderr
    assert "hint:  omnitide explain shop/hello; it goes on being tried" in said
    assert "hello-1.1 waits: fits now" not in said, "it is about to be placed"


def test_what_nexus_refuses(fabric: MemoryFabric) -> None:
    deploy_in_shop(fabric)
    assert "hint:  omnitide rollout status shop/hello" in fabric.cli("rollout", "pause", "shop/hello", code=4).stderr
    assert "omnitide restart shop/hello" in fabric.cli("rollback", "hello", "-n", "shop", code=4).stderr


def test_a_deployment_whose_rollout_is_paused_says_so_at_once(fabric: MemoryFabric) -> None:
    file = deploy_in_shop(fabric)
    pause(fabric, "shop")
    said = fabric.cli("deploy", file, "-n", "shop", code=8).stderr
    assert "its rollout is paused" in said
    assert "hint:  to go on: omnitide rollout resume shop/hello" in said


def test_secrets_of_a_compose_file_are_made_where_its_agents_are(fabric: MemoryFabric) -> None:
    text = "services:\n  db:\n    image: busybox\n    secrets: [dbpw]\nsecrets:\n  dbpw:\n    external: true\n"
    file = write(fabric, text, "compose.yaml")
    assert "    omnitide secret set shop/dbpw" in fabric.cli("import", "compose", file, "-n", "shop").stdout
    assert "    omnitide secret set dbpw" in fabric.cli("import", "compose", file).stdout
