"""Commands as processes of their own against a real API server: what they print, what they change, how they end."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime

T = TypeVar("T")

HELLO = 'name = "hello"\ncommand = ["serve"]\n[ports.http]\n'


def manifest(fabric: MemoryFabric, text: str = HELLO, name: str = "hello.toml") -> str:
    path = fabric.folder / name
    path.write_text(text)
    return str(path)


def test_deploy_shows_the_plan_and_says_what_came_of_it(fabric: MemoryFabric) -> None:
    ran = fabric.cli("deploy", manifest(fabric), "--replicas", "3")
    plan, told = ran.stdout.splitlines()
    assert plan == "  plan  + agent default/hello   process   3 replicas   0.1 cpu  32 MiB each"
    assert re.fullmatch(r"  hello 3/3 running in \d+\.\d\d s  ( http://127\.0\.0\.1:\d+ ?){3}", told), told


def test_deploy_again_changes_nothing_and_says_so(fabric: MemoryFabric) -> None:
    path = manifest(fabric)
    fabric.cli("deploy", path)
    revision = fabric.runtime.state.revision
    ran = fabric.cli("deploy", path)
    assert "= agent default/hello   unchanged, version 1" in ran.stdout
    assert "hello 1/1 running already" in ran.stdout
    assert fabric.runtime.state.revision == revision


def test_an_update_shows_each_field_that_changes(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric))
    ran = fabric.cli("deploy", manifest(fabric), "--set", "resources.memory=64MiB", "--set", "environment.LEVEL=1")
    assert "~ agent default/hello" in ran.stdout
    assert "resources.memory: 32 MiB -> 64 MiB" in ran.stdout
    assert "environment.LEVEL: (none) -> 1" in ran.stdout
    assert "version 1 -> 2" in ran.stdout


def test_a_dry_run_changes_nothing(fabric: MemoryFabric) -> None:
    revision = fabric.runtime.state.revision
    fabric.cli("deploy", manifest(fabric), "--dry-run")
    fabric.cli("apply", "-f", manifest(fabric), "--dry-run")
    assert fabric.runtime.state.revision == revision


def test_what_no_node_can_ever_do_is_refused_with_the_numbers(fabric: MemoryFabric) -> None:
    ran = fabric.cli("deploy", manifest(fabric), "--set", "resources.cpu=64", code=2)
    assert "64 cpu" in ran.stderr
    assert "most cpu 4" in ran.stderr
    assert "hint:" in ran.stderr


def test_what_keeps_dying_fails_the_deployment_with_its_death(fabric: MemoryFabric) -> None:
    fabric.settling = False
    text = 'name = "hello"\ncommand = ["x"]\n[restart]\npolicy = "never"\n'
    with fabric.process("deploy", manifest(fabric, text), "--timeout", "20s") as deploying:

        def start_and_die(runtime: MemoryRuntime) -> bool:
            if not runtime.state.instances:
                return False
            runtime.settle()
            (identifier,) = runtime.state.instances
            runtime.exit(identifier, code=3, cause="image-missing")
            return True

        wait_for(lambda: fabric.call(start_and_die))
        _, err = deploying.communicate(timeout=30)
    assert deploying.returncode == 8, err
    assert "cannot come up" in err
    assert "exit code 3" in err


def test_what_does_not_come_about_in_time_ends_with_a_code_of_its_own(fabric: MemoryFabric) -> None:
    fabric.settling = False
    ran = fabric.cli("deploy", manifest(fabric), "--timeout", "1s", code=7)
    assert "hello 0/1 after 1 s" in ran.stderr


def test_a_bad_manifest_is_refused_with_file_line_and_field(fabric: MemoryFabric) -> None:
    path = manifest(fabric, 'name = "hello"\ncommand = ["x"]\nreplcas = 3\n')
    ran = fabric.cli("deploy", path, code=2)
    assert f"error: {path}:3: replcas: unknown field (did you mean 'replicas'?)" in ran.stderr
    told = json.loads(fabric.cli("deploy", path, "-o", "json", code=2).stderr)
    assert told["errors"][0]["line"] == 3


def test_apply_takes_a_folder_and_plans_all_of_it_first(fabric: MemoryFabric) -> None:
    folder = fabric.folder / "agents"
    folder.mkdir()
    (folder / "a.toml").write_text(HELLO)
    (folder / "b.yaml").write_text("name: one\ncommand: [x]\n---\nname: two\nreplicas: 2\ncommand: [x]\n")
    ran = fabric.cli("apply", "-f", str(folder))
    assert "  plan: 3 to create, 0 to change, 0 unchanged" in ran.stdout
    assert "two 2/2 running" in ran.stdout
    (folder / "b.yaml").write_text("name: one\ncommand: [y]\n---\nname: two\nreplicas: 2\ncommand: [x]\n")
    ran = fabric.cli("apply", "-f", str(folder), "-y")
    assert "plan: 0 to create, 1 to change, 2 unchanged" in ran.stdout
    assert 'command: ["x"] -> ["y"]' in ran.stdout


def test_scale_stop_start_restart_and_rm(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric))
    assert "hello 4/4 running" in fabric.cli("scale", "hello", "4").stdout
    assert "hello stopped in" in fabric.cli("stop", "hello").stdout
    assert json.loads(fabric.cli("inspect", "hello", "-o", "json").stdout)["status"] == "stopped"
    assert "hello 4/4 running" in fabric.cli("start", "hello").stdout
    assert "hello 4/4 running" in fabric.cli("restart", "hello").stdout
    fabric.cli("restart", "hello-1")
    assert "hello removed in" in fabric.cli("rm", "hello").stdout
    assert "there is no" in fabric.cli("rm", "hello", code=3).stderr


def test_lists_in_json_are_the_apis_own_objects(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric), "--replicas", "2")
    agents = json.loads(fabric.cli("agents", "-o", "json").stdout)
    assert agents["items"][0]["name"] == "hello"
    instances = json.loads(fabric.cli("ps", "hello", "-o", "json").stdout)
    assert [one["status"] for one in instances["items"]] == ["running", "running"]
    assert json.loads(fabric.cli("status", "-o", "json").stdout)["agents"] == 1
    nodes = json.loads(fabric.cli("nodes", "-o", "json").stdout)
    assert [one["name"] for one in nodes["items"]] == ["alpha", "beta"]


def test_tables_hold_names_in_full(fabric: MemoryFabric) -> None:
    name = "a-name-that-is-as-long-as-a-name-may-be"
    fabric.cli("deploy", manifest(fabric, f'name = "{name}"\ncommand = ["x"]\n'))
    assert name in fabric.cli("agents").stdout
    assert f"{name}-1.1" in fabric.cli("ps").stdout


def test_a_silent_node_is_unknown_in_every_view(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric))
    fabric.settling = False
    node = fabric.call(lambda runtime: next(iter(runtime.state.instances.values())).node.removeprefix("n-"))
    fabric.call(lambda runtime: runtime.silence(node))
    assert "unknown since" in fabric.cli("ps").stdout
    assert "unreachable since" in fabric.cli("nodes").stdout
    assert "unknown" in fabric.cli("agents").stdout
    assert "concern" in fabric.cli("status").stdout


def test_explain_gives_the_verdict_and_its_numbers(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric), "--set", "resources.cpu=3", "--replicas", "3", "--no-wait")
    ran = fabric.cli("explain", "hello-3", "--nodes", "5")
    assert "hello-3.1  pending for" in ran.stdout
    assert "3 cpu" in ran.stdout
    assert "alpha" in ran.stdout
    told = json.loads(fabric.cli("explain", "hello-3", "-o", "json").stdout)
    assert told["placement"]["verdict"] == "fits-when"


def test_events_are_told_in_words_and_in_json_one_a_line(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric))
    ran = fabric.cli("events", "-n", "50")
    assert "agent hello created, 1 replicas" in ran.stdout
    assert re.search(r"  r\d+ .+  instance hello-1\.1 running  pid-1 +on node alpha\n", ran.stdout)
    lines = fabric.cli("events", "-n", "3", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["specversion"] for line in lines] == ["1.0"] * 3


def test_events_follow_without_a_gap(fabric: MemoryFabric) -> None:
    with fabric.process("events", "-f", "-n", "1", "-o", "json") as following:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        fabric.cli("namespace", "create", "team")
        second = json.loads(following.stdout.readline())
    assert second["revision"] == first["revision"] + 1
    assert second["type"] == "omnitide.namespace.created.v1"


def test_run_gives_the_tasks_output_and_its_exit_code(fabric: MemoryFabric) -> None:
    with fabric.process("run", "--name", "once", "--", "prog", "-x", "--flag") as running:
        identifier = wait_running(fabric, "once")

        def end(runtime: MemoryRuntime) -> None:
            output = runtime.writes(identifier)
            output.write("to stdout\n")
            output.write("to stderr\n", stream="stderr")
            output.ended = True
            runtime.exit(identifier, code=42)

        fabric.call(end)
        out, err = running.communicate(timeout=30)
    assert (out, err) == ("to stdout\n", "to stderr\n")
    assert running.returncode == 42
    job = json.loads(fabric.cli("inspect", "once", "-o", "json").stdout)
    assert job["spec"]["command"] == ["prog", "-x", "--flag"]


def test_run_detached_prints_the_name_alone(fabric: MemoryFabric) -> None:
    assert fabric.cli("run", "-d", "--name", "later", "--", "sleep", "1").stdout == "later\n"
    assert "later" in fabric.cli("jobs").stdout
    assert "later cancelled" in fabric.cli("cancel", "later").stdout


def test_run_cancels_at_its_timeout(fabric: MemoryFabric) -> None:
    with fabric.process("run", "--name", "slow", "--timeout", "500ms", "--", "sleep", "60") as running:
        identifier = wait_running(fabric, "slow")

        def nothing_more(runtime: MemoryRuntime) -> None:
            output = runtime.writes(identifier)
            output.ended = True
            output.changed.set()

        fabric.call(nothing_more)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 124
    assert "its time was up" in err


def wait_running(fabric: MemoryFabric, job: str) -> str:
    def look(runtime: MemoryRuntime) -> str:
        for one in runtime.state.instances.values():
            if one.name.startswith(f"{job}-") and one.status.value == "running":
                return one.id
        return ""

    return wait_for(lambda: fabric.call(look))


def wait_for(look: "Callable[[], T]") -> T:
    """What `look` finds, within 20 s."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it does not come about")


def test_logs_of_an_agent_are_all_replicas_in_order_with_their_names(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric), "--replicas", "2")

    def write(runtime: MemoryRuntime) -> None:
        one, two = sorted(runtime.state.instances)
        runtime.writes(one).write("first\n", at_ms=runtime.clock_ms + 1)
        runtime.writes(two).write("second\nthi", at_ms=runtime.clock_ms + 2)
        runtime.writes(two).write("rd\n", at_ms=runtime.clock_ms + 3)
        runtime.writes(one).write("err\n", stream="stderr", at_ms=runtime.clock_ms + 4)

    fabric.call(write)
    assert fabric.cli("logs", "hello").stdout.splitlines() == [
        "hello-1.1 | first",
        "hello-2.1 | second",
        "hello-2.1 | third",
        "hello-1.1 | err",
    ]
    assert fabric.cli("logs", "hello", "--no-prefix", "--stream", "stderr").stdout == "err\n"
    ran = fabric.cli("logs", "hello-1.1")
    assert (ran.stdout, ran.stderr) == ("first\n", "err\n")


def test_tokens_are_shown_once_and_listed_without_their_text(fabric: MemoryFabric) -> None:
    made = fabric.cli("token", "create", "--note", "for bob", "--uses", "3")
    text = made.stdout.strip()
    assert text.startswith("omt_")
    assert f"omnitide join {fabric.url} --token {text}" in made.stderr
    listed = fabric.cli("token", "list")
    assert "for bob" in listed.stdout
    assert text not in listed.stdout
    identifier = text.split("_")[1]
    fabric.cli("token", "revoke", identifier)
    assert "revoked" in fabric.cli("token", "list").stdout
    assert fabric.cli("token", "create", "--api", "-q").stdout.startswith("oma_")


def test_nodes_are_cordoned_drained_and_opened_again(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric), "--replicas", "2")
    assert "alpha drained in" in fabric.cli("drain", "alpha").stdout
    assert json.loads(fabric.cli("ps", "--node", "alpha", "-o", "json").stdout)["items"] == []
    assert "drained" in fabric.cli("nodes").stdout
    assert "alpha uncordoned" in fabric.cli("nodes", "uncordon", "alpha").stdout
    assert "scheduling: open" in fabric.cli("nodes", "show", "alpha").stdout


def test_namespaces_keep_names_apart(fabric: MemoryFabric) -> None:
    fabric.cli("namespace", "create", "team")
    fabric.cli("deploy", manifest(fabric))
    fabric.cli("deploy", manifest(fabric), "-n", "team")
    assert "team" in fabric.cli("agents").stdout
    assert json.loads(fabric.cli("agents", "-n", "team", "-o", "json").stdout)["items"][0]["namespace"] == "team"
    fabric.cli("inspect", "team/hello")
    assert "error" in fabric.cli("namespace", "rm", "team", code=4).stderr


def test_errors_have_codes_and_say_what_to_do(fabric: MemoryFabric) -> None:
    assert "hint:" in fabric.cli("scale", "nobody", "2", code=3).stderr
    fabric.token.write_text("oma_wrong")
    assert fabric.cli("status", code=6).stderr.startswith("error: ")
    problem = json.loads(fabric.cli("status", "-o", "json", code=6).stderr)
    assert problem["code"] == "unauthenticated"


def test_a_fabric_that_is_not_there_is_unavailable(fabric: MemoryFabric) -> None:
    fabric.url = "http://127.0.0.1:1"
    ran = fabric.cli("status", code=5)
    assert "no Nexus answers at http://127.0.0.1:1" in ran.stderr
    assert fabric.cli("run", "--", "true", code=125)


@pytest.mark.parametrize("words", [["ps"], ["nodes"], ["status"], ["agents"]])
def test_watch_shows_it_anew_when_something_happens(fabric: MemoryFabric, words: list[str]) -> None:
    with fabric.process(*words, "--watch", "-o", "json") as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        fabric.call(lambda runtime: runtime.add_node("gamma"))
        second = json.loads(watching.stdout.readline())
    assert second["revision"] > first["revision"]


def test_quiet_says_nothing_when_all_is_well(fabric: MemoryFabric) -> None:
    ran = fabric.cli("deploy", manifest(fabric), "-q")
    assert (ran.stdout, ran.stderr) == ("", "")


def test_yaml_is_the_same_as_json(fabric: MemoryFabric, tmp_path: Path) -> None:
    from ruamel.yaml import YAML

    fabric.cli("deploy", manifest(fabric))
    text = fabric.cli("inspect", "hello", "-o", "yaml").stdout
    assert YAML(typ="safe", pure=True).load(text) == json.loads(fabric.cli("inspect", "hello", "-o", "json").stdout)
