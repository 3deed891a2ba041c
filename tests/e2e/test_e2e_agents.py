"""An agent's life through the installed command: examples/hello.toml over two nodes, from deploy to rm."""

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from omnitide.model.happenings import CloudEvent
from omnitide.model.objects import Instance
from support.fabric_processes import EXAMPLES, Fabric, alive, until

HELLO = str(EXAMPLES / "hello.toml")


def kind(event: CloudEvent) -> str:
    return event.type.removeprefix("omnitide.instance.").removesuffix(".v1")


def answers(url: str) -> bool:
    """Running is what its process is: a service without a readiness probe may need a moment until it listens."""

    def so() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status == 200
        except urllib.error.URLError:
            return False

    return until(so, f"{url} answers")


def test_hello_from_deploy_to_rm(fabric: Fabric) -> None:
    status = fabric.cli("status").stdout
    assert "2 live" in status
    told = fabric.cli("deploy", HELLO, "--replicas", "3").stdout
    assert "+ agent default/hello" in told
    assert "hello 3/3 running" in told
    urls = re.findall(r"http://127\.0\.0\.1:\d+", told)
    assert len(set(urls)) == 3
    for url in urls:
        assert answers(url)
    first = fabric.instances("hello")
    assert {one.node for one in first} == {"alpha", "beta"}
    fabric.cli("scale", "hello", "5")
    five = fabric.running("hello", 5)
    assert {one.id for one in first} < {one.id for one in five}, "those that ran go on"
    fabric.cli("scale", "hello", "1")
    (one,) = fabric.running("hello", 1)
    assert answers(one.urls["http"])
    fabric.cli("stop", "hello")
    assert not fabric.instances("hello", status="running")
    assert fabric.client.get_agent("hello").status == "stopped"
    fabric.cli("start", "hello")
    (one,) = fabric.running("hello", 1)
    assert answers(one.urls["http"])
    fabric.cli("restart", "hello")
    (again,) = fabric.running("hello", 1)
    assert again.handle != one.handle
    fabric.cli("rm", "hello")
    fabric.cli("inspect", "hello", code=3)
    assert "hello" not in fabric.cli("agents").stdout


SLOW = """
name = "slow"
command = ["sh", "-c", "trap 'sleep 1; exit' TERM; sleep 1; touch up; while :; do sleep 0.05; done"]
[health.readiness]
type = "exec"
command = ["test", "-e", "up"]
interval = "100ms"
timeout = "100ms"
failure_threshold = 1000
"""


def test_one_instance_is_restarted_when_the_old_has_ended_and_the_new_is_ready(fabric: Fabric, tmp_path: Path) -> None:
    manifest = tmp_path / "slow.toml"
    manifest.write_text(SLOW)
    fabric.cli("deploy", str(manifest))
    (old,) = fabric.running("slow", 1)
    assert "slow-1.1 restarted in" in fabric.cli("restart", "slow-1").stdout
    (new,) = fabric.instances("slow", status="running")
    assert (new.name, new.health) == ("slow-1.2", "healthy")
    assert not alive(int(old.handle))


def test_an_update_rolls_out_and_the_same_again_is_unchanged(fabric: Fabric, tmp_path: Path) -> None:
    manifest = tmp_path / "hello.toml"
    text = Path(HELLO).read_text() + "\n[environment]\nCOLOUR = 'blue'\n"
    manifest.write_text(text)
    fabric.cli("deploy", str(manifest), "--replicas", "2")
    old = {one.handle for one in fabric.running("hello", 2)}
    assert "unchanged" in fabric.cli("deploy", str(manifest)).stdout
    assert {one.handle for one in fabric.running("hello", 2)} == old
    manifest.write_text(text.replace("blue", "green"))
    dry = fabric.cli("deploy", str(manifest), "--dry-run").stdout
    assert "COLOUR" in dry
    assert fabric.client.get_agent("hello").version == 1
    fabric.cli("deploy", str(manifest))
    new = fabric.running("hello", 2)
    assert {one.version for one in new} == {2}
    assert not old & {one.handle for one in new}
    assert all(answers(one.urls["http"]) for one in new)


def test_a_folder_is_applied_with_a_plan_first(fabric: Fabric, tmp_path: Path) -> None:
    for name in ("hello.toml", "worker.yaml"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text())
    dry = fabric.cli("apply", "-f", str(tmp_path), "--dry-run").stdout
    assert "+ agent default/hello" in dry
    assert "+ agent default/worker" in dry
    assert not list(fabric.client.agents())
    fabric.cli("apply", "-f", str(tmp_path), "--yes")
    assert len(fabric.running("worker", 2)) == 2
    fabric.running("hello", 1)
    seen = fabric.client.get_fabric().revision
    assert fabric.cli("apply", "-f", str(tmp_path), "--yes").stdout.count("unchanged") >= 1
    assert not fabric.events("agent", after=seen)


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ('name = "x"\ncommand = ["true"]\nreplcas = 2\n', 3, "replcas"),
        ('name = "x"\ncommand = ["true"]\n[resources]\ncpu = "many"\n', 4, "resources.cpu"),
        ('name = "No Name"\ncommand = ["true"]\n', 1, "name"),
        ('name = "x"\ncommand = []\n', 2, "command"),
    ],
)
def test_a_wrong_manifest_is_refused_with_file_line_and_field(
    fabric: Fabric, tmp_path: Path, text: str, line: int, word: str
) -> None:
    manifest = tmp_path / "wrong.toml"
    manifest.write_text(text)
    error = fabric.cli("deploy", str(manifest), code=2).stderr
    assert f"wrong.toml:{line}" in error
    assert word in error
    assert "Traceback" not in error
    assert not list(fabric.client.agents())


def test_what_can_never_fit_is_refused_in_numbers(fabric: Fabric) -> None:
    ran = fabric.cli("deploy", HELLO, "--set", "resources.cpu=900", "--timeout", "5s", code=None)
    assert ran.returncode in (2, 8)
    assert "900" in ran.stdout + ran.stderr


def test_a_crashing_worker_backs_off_moves_and_is_explained(fabric: Fabric, tmp_path: Path) -> None:
    manifest = tmp_path / "crasher.toml"
    text = (EXAMPLES / "crasher.toml").read_text()
    # Two quick attempts a node, so that the test sees it move without waiting for the example's own patience.
    text = text.replace("attempts = 5", "attempts = 2").replace("500ms", "100ms").replace("sleep 0.5", "sleep 0.05")
    manifest.write_text(text)
    fabric.cli("deploy", str(manifest), "--no-wait")

    def later() -> Instance | None:
        return next((one for one in fabric.instances("crasher") if one.generation >= 2 and one.previous_exit), None)

    moved = until(later, "a next generation")
    assert moved.previous_exit is not None
    assert moved.previous_exit.code == 3
    # Between two deaths it runs, and there is nothing to say: the agent is asked until it is found waiting.
    until(lambda: "exit code 3" in fabric.cli("explain", "crasher").stdout, "explain tells the agent's trouble")
    first = [kind(event) for event in fabric.events("instance", subject="instance/default/crasher-1.1")]
    assert first[3:] == ["running", "exited", "starting", "running", "exited", "starting", "running", "ended"]
    assert '"code": 3' in fabric.cli("ps", "--all", "-o", "json").stdout
