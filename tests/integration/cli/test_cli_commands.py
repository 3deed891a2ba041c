"""Commands as processes of their own against a real API server: what they print, what they change, how they end."""

import json
import re
import signal
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
    before = fabric.runtime.state
    ran = fabric.cli("deploy", path)
    assert "= agent default/hello   unchanged, version 1" in ran.stdout
    assert "hello 1/1 running already" in ran.stdout
    after = fabric.runtime.state
    assert (after.agents, after.instances) == (before.agents, before.instances)
    # All that is in the log of it is the answer under the request's idempotency key.
    assert [entry.events for entry in fabric.runtime.log[before.revision :]] == [()]


def test_an_update_shows_each_field_that_changes(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric))
    ran = fabric.cli("deploy", manifest(fabric), "--set", "resources.memory=64MiB", "--set", "environment.LEVEL=1")
    assert "~ agent default/hello" in ran.stdout
    assert "resources.memory: 32 MiB -> 64 MiB" in ran.stdout
    assert "environment.LEVEL: (none) -> 1" in ran.stdout
    assert "version 1 -> 2" in ran.stdout


def test_who_did_it_is_said_with_what_ends_it(fabric: MemoryFabric) -> None:
    """In events and in an agent's history, with the id that `token list` has and `token revoke` takes."""
    fabric.cli("deploy", manifest(fabric))
    (token,) = json.loads(fabric.cli("token", "list", "--purpose", "api", "-o", "json").stdout)["items"]
    version = fabric.cli("history", "hello").stdout.splitlines()[1]
    assert re.search(rf"deployed +token {token['id']}$", version), version
    (told,) = fabric.cli("events", "--kind", "agent.created").stdout.splitlines()
    assert re.search(rf"agent hello created, 1 replica +by token {token['id']}$", told), told
    fabric.cli("scale", "hello", "3")
    (told,) = fabric.cli("events", "--kind", "agent.scaled").stdout.splitlines()
    assert re.search(rf"agent hello scaled to 3 +by token {token['id']}$", told), told


def test_history_marks_the_versions_that_are_not_known_to_work(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric))
    fabric.runtime.tick(5_000)
    fabric.cli("deploy", manifest(fabric), "--set", 'command=["gone"]', "--no-wait")
    fabric.runtime.settle()
    fabric.settling = False
    fabric.cli("deploy", manifest(fabric), "--set", 'command=["gone", "2"]', "--no-wait")
    lines = fabric.cli("history", "hello").stdout.splitlines()
    assert [re.split(r" {2,}", line.strip())[2] for line in lines] == ["WORKS", "not yet", "no", "yes"]
    items = json.loads(fabric.cli("history", "hello", "-o", "json").stdout)["items"]
    assert [one["proven"] for one in items] == [False, False, True]
    newest, replaced, first = (one["fault"] for one in items)
    assert (newest, first) == ("", "")
    assert re.fullmatch(r"hello-1\.\d+ had failed for good: .+", replaced)
    fabric.runtime.settle()
    newest = fabric.cli("history", "hello").stdout.splitlines()[1]
    assert re.search(r" no +updated .*; did not work: hello-1\.\d+ has failed for good$", newest), newest


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
    told = json.loads(fabric.cli("apply", "-f", str(folder), "-o", "json").stdout)
    assert [(one["agent"]["name"], one["change"], one["dry_run"]) for one in told] == [
        ("hello", "unchanged", False),
        ("one", "unchanged", False),
        ("two", "unchanged", False),
    ]


def labelled(name: str, value: str = "shop") -> str:
    return f'name = "{name}"\ncommand = ["x"]\n[labels]\nset = "{value}"\n'


def agents_of(fabric: MemoryFabric) -> list[str]:
    return [one["name"] for one in json.loads(fabric.cli("agents", "-o", "json").stdout)["items"]]


def test_apply_with_prune_removes_what_the_files_no_longer_name_and_nothing_else(fabric: MemoryFabric) -> None:
    """Whose an agent is, its label says: not one of another set, not one that somebody deployed by hand."""
    folder = fabric.folder / "agents"
    folder.mkdir()
    (folder / "a.toml").write_text(labelled("kept"))
    (folder / "b.toml").write_text(labelled("dropped"))
    fabric.cli("apply", "-f", str(folder))
    fabric.cli("deploy", manifest(fabric, labelled("other", "bank"), "other.toml"))
    fabric.cli("deploy", manifest(fabric))
    (folder / "b.toml").unlink()
    assert "remove" not in fabric.cli("apply", "-f", str(folder)).stdout
    ran = fabric.cli("apply", "-f", str(folder), "--prune", "set=shop", "--dry-run")
    assert "  - agent default/dropped   removed, 1 replica stopped\n" in ran.stdout
    assert "  plan: 0 to create, 0 to change, 1 unchanged, 1 to remove\n" in ran.stdout
    assert agents_of(fabric) == ["dropped", "hello", "kept", "other"]
    plans = json.loads(fabric.cli("apply", "-f", str(folder), "--prune", "set=shop", "--dry-run", "-o", "json").stdout)
    assert [(one["agent"]["name"], one["change"]) for one in plans] == [("kept", "unchanged"), ("dropped", "deleted")]
    assert "  dropped removed in" in fabric.cli("apply", "-f", str(folder), "--prune", "set=shop").stdout
    assert agents_of(fabric) == ["hello", "kept", "other"]
    assert "remove" not in fabric.cli("apply", "-f", str(folder), "--prune", "set=shop").stdout


def test_prune_wants_the_label_in_every_file(fabric: MemoryFabric) -> None:
    """Else what was applied with it now would not be found by the run that should remove it."""
    path = manifest(fabric)
    ran = fabric.cli("apply", "-f", path, "--prune", "set=shop", code=2)
    assert f"error: {path}" in ran.stderr
    assert "hello does not have the label set=shop" in ran.stderr
    assert 'hint:  give it to every agent of these files: [labels] set = "shop"' in ran.stderr
    assert agents_of(fabric) == []
    assert "is not LABEL=VALUE" in fabric.cli("apply", "-f", path, "--prune", "shop", code=2).stderr


def test_several_things_for_programs_are_one_document(fabric: MemoryFabric) -> None:
    (fabric.folder / "two.yaml").write_text("name: one\ncommand: [x]\n---\nname: two\ncommand: [x]\n")
    made = json.loads(fabric.cli("deploy", "two.yaml", "-o", "json").stdout)
    assert [one["name"] for one in made] == ["one", "two"]
    assert [one["change"] for one in json.loads(fabric.cli("rm", "one", "two", "-o", "json").stdout)] == ["deleted"] * 2


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
    ran = fabric.cli("events", "--tail", "50")
    assert re.search(r"agent hello created, 1 replica +by token \w+\n", ran.stdout)
    assert re.search(r"  r\d+ .+  instance hello-1\.1 running  pid-1 +on node alpha\n", ran.stdout)
    lines = fabric.cli("events", "--tail", "3", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["specversion"] for line in lines] == ["1.0"] * 3


def test_events_follow_without_a_gap(fabric: MemoryFabric) -> None:
    with fabric.process("events", "-f", "--tail", "1", "-o", "json") as following:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        fabric.cli("namespace", "create", "team")
        second = json.loads(following.stdout.readline())
    assert second["revision"] == first["revision"] + 1
    assert second["type"] == "omnitide.namespace.created.v1"


@pytest.mark.parametrize("words", [["events", "-f"], ["events"]])
def test_events_after_a_revision_that_has_never_been_are_refused(fabric: MemoryFabric, words: list[str]) -> None:
    """Not waited for without end and without a word."""
    ran = fabric.cli(*words, "--after", "100000", code=4)
    newest = fabric.call(lambda runtime: runtime.state.revision)
    assert f"error: the fabric is at revision {newest} and has never had revision 100000" in ran.stderr
    assert "hint:" in ran.stderr


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


def test_ctrl_c_cancels_a_task_and_goes_on_with_what_it_says_until_it_ends(fabric: MemoryFabric) -> None:
    """A task may take its time to stop: its output is shown to the end, and no part of it twice."""
    with fabric.process("run", "--name", "stubborn", "--", "prog") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        identifier = wait_running(fabric, "stubborn")
        fabric.settling = False
        fabric.call(lambda runtime: runtime.writes(identifier).write("one\n"))
        assert running.stdout.readline() == "one\n"
        running.send_signal(signal.SIGINT)
        assert running.stderr.readline() == "  cancelling stubborn ...\n"
        wait_for(lambda: fabric.call(lambda runtime: any(job.cancelling for job in runtime.state.jobs.values())))

        def end(runtime: MemoryRuntime) -> None:
            output = runtime.writes(identifier)
            output.write("two\n")
            output.ended = True
            output.write("three\n")

        fabric.call(end)
        fabric.settling = True
        out, err = running.communicate(timeout=30)
    assert out == "two\nthree\n"
    assert err == "  stubborn was cancelled\n"
    assert running.returncode == 130


def test_run_shows_each_byte_once_when_the_stream_breaks(fabric: MemoryFabric) -> None:
    """All within one millisecond: what tells them apart is their place, not their time."""
    with fabric.process("run", "--name", "once", "--", "prog") as running:
        assert running.stdout is not None
        identifier = wait_running(fabric, "once")
        for number in range(5):
            fabric.call(lambda runtime: (runtime.log_cut.set(), runtime.writes(identifier).write(f"{number} a\n")))  # noqa: B023
            assert running.stdout.readline() == f"{number} a\n"
            fabric.call(lambda runtime: (runtime.log_cut.clear(), runtime.writes(identifier).write(f"{number} b\n")))  # noqa: B023
            assert running.stdout.readline() == f"{number} b\n"

        def end(runtime: MemoryRuntime) -> None:
            output = runtime.writes(identifier)
            output.ended = True
            output.write("last\n")
            runtime.exit(identifier, code=3)

        fabric.call(end)
        out, _ = running.communicate(timeout=30)
    assert (out, running.returncode) == ("last\n", 3)


def test_logs_follow_several_instances_through_broken_streams_with_each_byte_once(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric), "--replicas", "2")
    one, two = fabric.call(lambda runtime: sorted(runtime.state.instances))
    with fabric.process("logs", "-f", "hello", "--tail", "0") as following:
        assert following.stdout is not None
        wait_for(lambda: fabric.call(lambda runtime: runtime.log_streams == 2))
        for number in range(3):

            def write(runtime: MemoryRuntime, number: int = number) -> None:
                runtime.log_cut.set()
                for identifier in (one, two):
                    runtime.writes(identifier).write(f"{number} ")
                    runtime.writes(identifier).write(f"of {identifier}\n")

            fabric.call(write)
            shown = {following.stdout.readline() for _ in range(2)}
            assert shown == {f"hello-1.1 | {number} of {one}\n", f"hello-2.1 | {number} of {two}\n"}
            fabric.call(lambda runtime: runtime.log_cut.clear())
        following.send_signal(signal.SIGINT)
        out, err = following.communicate(timeout=30)
    assert (out, following.returncode) == ("", 130)
    assert "Traceback" not in err


def test_logs_follow_a_job_from_before_it_begins_to_its_end(fabric: MemoryFabric) -> None:
    fabric.settling = False
    fabric.cli("run", "-d", "--name", "later", "--", "prog")
    with fabric.process("logs", "-f", "later") as following:
        wait_for(lambda: fabric.call(lambda runtime: runtime.watches > 0))
        fabric.settling = True
        identifier = wait_running(fabric, "later")

        def end(runtime: MemoryRuntime) -> None:
            output = runtime.writes(identifier)
            output.ended = True
            output.write("done\n")
            runtime.exit(identifier, code=0)

        fabric.call(end)
        out, _ = following.communicate(timeout=30)
    assert (out, following.returncode) == ("done\n", 0)


@pytest.mark.parametrize("words", [["events", "-f"], ["ps", "--watch"], ["logs", "-f", "hello"], ["nodes", "-w"]])
def test_ctrl_c_ends_whatever_follows_with_its_code_and_without_a_trace(fabric: MemoryFabric, words: list[str]) -> None:
    fabric.cli("deploy", manifest(fabric))
    fabric.call(lambda runtime: runtime.writes(min(runtime.state.instances)).write("line\n"))
    with fabric.process(*words) as following:
        assert following.stdout is not None
        assert following.stdout.readline()
        following.send_signal(signal.SIGINT)
        _, err = following.communicate(timeout=30)
    assert (following.returncode, err) == (130, "")


def test_run_passes_its_words_on_as_they_are(fabric: MemoryFabric) -> None:
    """What a manifest would replace belongs to the shell that is run: `$$` stays its own process id."""
    fabric.cli("run", "-d", "--name", "words", "--", "sh", "-c", "echo $$ ${HOME} $1")
    command = json.loads(fabric.cli("inspect", "words", "-o", "json").stdout)["spec"]["command"]
    assert command == ["sh", "-c", "echo $$$$ $${HOME} $$1"]  # `$$` is a dollar in a spec


@pytest.mark.parametrize("words", [["events", "--tail", "1000"], ["events", "-f"], ["ps", "--help"], ["ps", "-w"]])
def test_a_reader_that_has_enough_is_no_error(fabric: MemoryFabric, words: list[str]) -> None:
    """As `| head -1`: no trace, no complaint."""
    with fabric.process(*words) as writing:
        assert writing.stdout is not None
        assert writing.stdout.readline()
        writing.stdout.close()
        for number in range(200):
            if writing.poll() is not None:
                break
            fabric.call(lambda runtime: runtime.add_node(f"more-{number}"))  # noqa: B023
            time.sleep(0.05)
        assert writing.stderr is not None
        assert (writing.wait(30), writing.stderr.read()) == (0, "")


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
    made = fabric.cli("token", "create", "--data", str(fabric.folder / "data"), "--note", "for bob", "--uses", "3")
    text = made.stdout.strip()
    assert text.startswith("omt_")
    assert f"omnitide join {fabric.url} --token -" in made.stderr
    listed = fabric.cli("token", "list")
    assert "for bob" in listed.stdout
    assert text not in listed.stdout
    identifier = text.split("_")[1]
    fabric.cli("token", "revoke", identifier)
    assert "revoked" in fabric.cli("token", "list").stdout
    assert fabric.cli("token", "create", "--api", "-q").stdout.startswith("oma_")


def test_nodes_are_cordoned_drained_and_opened_again(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", manifest(fabric), "--replicas", "2")
    told = fabric.cli("drain", "alpha").stdout
    assert "alpha drained in" in told
    assert "omnitide nodes uncordon alpha\n" in told
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


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["logs", "helo"], "did you mean 'hello'? else: omnitide agents"),
        (["scale", "hullo", "2"], "did you mean 'hello'? else: omnitide agents"),
        (["ps", "helo"], "did you mean 'hello'? else: omnitide agents"),
        (["cancel", "helo"], "did you mean the agent 'hello'? else: omnitide jobs"),
        (["explain", "zzz"], "omnitide agents"),
        (["drain", "alhpa"], "did you mean 'alpha'? else: omnitide nodes"),
        (["ps", "--node", "betta"], "did you mean 'beta'? else: omnitide nodes"),
        (["agents", "-n", "tema"], "did you mean 'team'?"),
        (["ps", "-n", "tema"], "did you mean 'team'?"),
        (["inspect", "tema/x"], "did you mean the namespace 'team'? else: omnitide agents"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_name_that_is_not_there_is_met_with_the_nearest(fabric: MemoryFabric, words: list[str], hint: str) -> None:
    fabric.cli("deploy", manifest(fabric))
    fabric.cli("namespace", "create", "team")
    ran = fabric.cli(*words, code=3)
    assert ran.stderr.splitlines()[1] == f"hint:  {hint}"
    assert ran.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "hello"],
        ["logs", "hello"],
        ["exec", "hello", "--", "true"],
        ["scale", "hello", "2"],
        ["restart", "hello"],
        ["stop", "hello"],
        ["history", "hello"],
        ["inspect", "hello"],
        ["ps", "hello"],
    ],
    ids=lambda words: words[0],
)
def test_a_name_that_another_namespace_has_is_told_with_how_to_say_it(fabric: MemoryFabric, words: list[str]) -> None:
    fabric.cli("namespace", "create", "team")
    fabric.cli("deploy", manifest(fabric), "-n", "team")
    ran = fabric.cli(*words, code=125 if words[0] == "exec" else 3)
    assert ran.stderr.splitlines()[1] == "hint:  it is in another namespace: say team/hello"
    fabric.cli("inspect", "team/hello")


def test_what_is_in_the_default_namespace_is_told_so_to_who_asks_for_another(fabric: MemoryFabric) -> None:
    fabric.cli("namespace", "create", "team")
    fabric.cli("deploy", manifest(fabric))
    ran = fabric.cli("explain", "hello", "-n", "team", code=3)
    assert ran.stderr.splitlines()[1] == "hint:  it is in another namespace: say default/hello"
    fabric.cli("explain", "default/hello", "-n", "team")


@pytest.mark.parametrize("words", [["explain", "hello-1.1"], ["explain", "hello-1"], ["logs", "hello-1.1"]])
def test_an_instance_of_another_namespace_is_told_so_too(fabric: MemoryFabric, words: list[str]) -> None:
    fabric.cli("namespace", "create", "team")
    fabric.cli("deploy", manifest(fabric), "-n", "team")
    ran = fabric.cli(*words, code=3)
    assert ran.stderr.splitlines()[1] == f"hint:  it is in another namespace: say team/{words[1]}"
    fabric.cli("explain", f"team/{words[1]}")


@pytest.mark.parametrize("kind", ["secret", "config"])
def test_a_secret_or_config_of_another_namespace_or_a_near_name_is_told_so(
    fabric: MemoryFabric, tmp_path: Path, kind: str
) -> None:
    fabric.cli("namespace", "create", "team")
    value = tmp_path / "value"
    value.write_text("x")
    fabric.cli(kind, "set", "team/token", "--from-file", str(value))
    hint = fabric.cli(kind, "rm", "token", code=3).stderr.splitlines()[1]
    assert hint == "hint:  it is in another namespace: say team/token"
    hint = fabric.cli(kind, "rm", "team/tokne", code=3).stderr.splitlines()[1]
    assert hint == f"hint:  did you mean 'token'? else: omnitide {kind} ls"


@pytest.mark.parametrize("wait", [(), ("--no-wait",)], ids=["waits", "does not"])
@pytest.mark.parametrize("name", ["hello-1", "hello-1.1"])
def test_an_instance_that_is_to_be_scaled_is_told_with_its_agent(
    fabric: MemoryFabric, name: str, wait: tuple[str, ...]
) -> None:
    fabric.cli("namespace", "create", "team")
    fabric.cli("deploy", manifest(fabric), "-n", "team")
    for asked in (f"team/{name}", name):
        assert fabric.cli("scale", asked, "2", *wait, code=3).stderr.splitlines() == [
            f"error: {name} is an instance of the agent team/hello: an agent is what can be scaled",
            "hint:  omnitide scale team/hello 2",
        ]


@pytest.mark.parametrize("name", ["hello-1", "hello-1.1"])
def test_of_a_namespace_that_was_said_an_agent_of_another_one_is_a_guess(fabric: MemoryFabric, name: str) -> None:
    for namespace in ("team", "west"):
        fabric.cli("namespace", "create", namespace)
    fabric.cli("deploy", manifest(fabric), "-n", "team")
    for asked in ([f"west/{name}"], [name, "-n", "west"]):
        said = fabric.cli("scale", *asked, "2", code=3 if name == "hello-1" else 2).stderr.splitlines()
        assert "is an instance of" not in said[0]
        assert said[1:] == [f"hint:  team/{name} is an instance of the agent team/hello: omnitide scale team/hello 2"]


def test_of_instances_of_one_name_each_is_told(fabric: MemoryFabric) -> None:
    for namespace in ("team", "west"):
        fabric.cli("namespace", "create", namespace)
        fabric.cli("deploy", manifest(fabric), "-n", namespace)
    assert fabric.cli("scale", "hello-1", "2", code=3).stderr.splitlines() == [
        "error: there is no agent default/hello-1",
        (
            "hint:  team/hello-1 and west/hello-1 are instances of the agents team/hello and west/hello: "
            "omnitide scale team/hello 2"
        ),
    ]


def test_an_agent_of_just_that_name_is_told_before_an_instance(fabric: MemoryFabric) -> None:
    for namespace in ("east", "team"):
        fabric.cli("namespace", "create", namespace)
    fabric.cli("deploy", manifest(fabric), "-n", "east")
    fabric.cli("deploy", manifest(fabric, HELLO.replace('"hello"', '"hello-1"')), "-n", "team")
    said = fabric.cli("scale", "hello-1", "2", code=3).stderr.splitlines()
    assert said == ["error: there is no agent default/hello-1", "hint:  it is in another namespace: say team/hello-1"]


@pytest.mark.parametrize("name", ["hello-1.99", "hello-2.1", "hello-2"])
def test_an_instance_that_never_was_is_not_told_as_one(fabric: MemoryFabric, name: str) -> None:
    fabric.cli("deploy", manifest(fabric))
    assert "is an instance of" not in fabric.cli("scale", name, "2", code=3 if name == "hello-2" else 2).stderr


def test_a_name_that_many_namespaces_have_is_told_with_some_of_them(fabric: MemoryFabric) -> None:
    for name in ("east", "north", "south", "team", "west"):
        fabric.cli("namespace", "create", name)
        fabric.cli("deploy", manifest(fabric), "-n", name)
    ran = fabric.cli("explain", "hello", code=3)
    assert ran.stderr.splitlines()[1] == (
        "hint:  it is in other namespaces: say east/hello, north/hello, south/hello; 2 more namespaces have it"
    )


def test_a_wrong_choice_is_told_once_with_what_there_is(fabric: MemoryFabric) -> None:
    ran = fabric.cli("ps", "--status", "runing", code=2)
    assert ran.stderr == (
        "error: status: must be one of away, failed, failing, lost, pending, placed, running, starting, stopped, "
        "stopping, succeeded, unhealthy, unknown, waiting, not 'runing'\nhint:  did you mean 'running'?\n"
    )
    ran = fabric.cli("nodes", "--status", "stoped", code=2)
    assert ran.stderr == (
        "error: status: must be one of away, joined, left, live, lost, stalled, stopped, unreachable, not 'stoped'\n"
        "hint:  did you mean 'stopped'?\n"
    )
    assert "alpha" in fabric.cli("nodes", "--status", "live").stdout
    assert fabric.cli("nodes", "--status", "stopped").stdout == "no nodes are stopped; all: omnitide nodes\n"


@pytest.mark.parametrize("words", [["ps"], ["agents"], ["jobs"], ["events", "-k", "job"]])
def test_a_list_of_nothing_says_so_and_is_no_error(fabric: MemoryFabric, words: list[str]) -> None:
    ran = fabric.cli(*words)
    assert (ran.stdout + ran.stderr).startswith("no ")
    if words[0] != "events":
        assert json.loads(fabric.cli(*words, "-o", "json").stdout)["items"] == []


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
