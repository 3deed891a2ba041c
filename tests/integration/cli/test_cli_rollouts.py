"""`deploy` and `apply`: measured times, a look whether what came up stays up, and nobody's change overwritten."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime
from tests.support.terminal import Terminal

from omnitide.cli.agents import follow
from omnitide.cli.agents.prune import Removal, Selector, no_longer_named, remove
from omnitide.cli.exits import Exit
from omnitide.cli.globals import Globals
from omnitide.cli.session import Session
from omnitide.model.spec import AgentSpec, Restart
from omnitide.operations.perform import REVISION_WAIT_S
from omnitide.sdk import Client, Target
from omnitide.sdk.errors import PreconditionFailed

DEADLINE_S = 20.0


def write(fabric: MemoryFabric, *names: str, label: str = "", extra: str = "") -> str:
    folder = fabric.folder / "agents"
    folder.mkdir(exist_ok=True)
    labels = f'[labels]\nset = "{label}"\n' if label else ""
    for name in names:
        (folder / f"{name}.toml").write_text(f'name = "{name}"\ncommand = ["x"]\n{extra}{labels}')
    return str(folder)


def until(fabric: MemoryFabric, look: Callable[[MemoryRuntime], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not fabric.call(look):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


def client_of(fabric: MemoryFabric) -> Client:
    return Client(Target(fabric.url, fabric.token.read_text()))


# -- times -------------------------------------------------------------------------------------------------------------


def test_what_runs_already_when_it_is_looked_at_is_not_waited_for(
    fabric: MemoryFabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is quiet by then: a wait for news would last as long as Nexus holds an answer back, and be told as time."""
    monkeypatch.setattr(follow, "EXPLAIN_EVERY_S", 60.0)
    began = time.monotonic()
    with client_of(fabric) as client:
        spec = AgentSpec(command=("x",))
        changes = [client.deploy_agent(name, spec) for name in ("one", "two", "three")]
        until(fabric, lambda runtime: all(one.counts.running == 1 for one in runtime.state.agents.values()))
        client.get_fabric()
        settled = list(follow.follow(Session(Globals(quiet=True)), client, changes, began, 60.0))
    assert [one.agent.name for one in settled] == ["one", "two", "three"]
    assert time.monotonic() - began < REVISION_WAIT_S - 0.5


def test_what_is_always_started_again_is_up_when_it_runs_whoever_waits_for_its_end(fabric: MemoryFabric) -> None:
    began = time.monotonic()
    with client_of(fabric) as client:
        endless = client.deploy_agent("endless", AgentSpec(command=("x",), restart=Restart(policy="always")))
        waits = client.deploy_agent("waits", AgentSpec(command=("x",), needs={"endless": "completed"}))
        following = follow.follow(Session(Globals(quiet=True)), client, [endless, waits], began, DEADLINE_S)
        assert next(following).agent.name == "endless"
        following.close()


def test_apply_of_several_tells_each(fabric: MemoryFabric) -> None:
    folder = write(fabric, *(f"a{number}" for number in range(8)))
    assert len(re.findall(r"a\d 1/1 running in \d+\.\d\d s", fabric.cli("apply", "-f", folder).stdout)) == 8


def test_an_agent_is_told_when_it_runs_and_not_when_one_before_it_does(fabric: MemoryFabric) -> None:
    folder = write(fabric, "first", extra="[resources]\ncpu = 3\n")
    write(fabric, "second")
    fabric.cli("deploy", folder + "/first.toml", "--replicas", "2")
    fabric.cli("deploy", folder + "/first.toml", "--replicas", "3", "--no-wait")
    write(fabric, "first", extra="replicas = 3\n[resources]\ncpu = 3\n[environment]\nNEW = '1'\n")
    with fabric.process("apply", "-f", folder) as applying:
        assert applying.stdout is not None
        for line in applying.stdout:
            if "running in" in line:
                assert line.startswith("  second 1/1 running in")
                break
        else:
            raise AssertionError("nothing was told")


def test_the_time_that_is_waited_for_is_not_overrun(fabric: MemoryFabric) -> None:
    """Nexus holds an answer back for up to 5 s."""
    fabric.settling = False
    began = time.monotonic()
    ran = fabric.cli("deploy", write(fabric, "slow") + "/slow.toml", "--timeout", "1s", code=Exit.TIMEOUT)
    assert "slow 0/1 after 1 s" in ran.stderr
    assert time.monotonic() - began < 5.0


# -- ways back ---------------------------------------------------------------------------------------------------------


def dies(fabric: MemoryFabric, path: str, version: int) -> str:
    """Deploy what ends for good as soon as it runs; what is then told."""
    fabric.settling = False
    with fabric.process("deploy", path, "--timeout", "20s") as deploying:

        def start_and_die(runtime: MemoryRuntime) -> bool:
            runtime.settle(in_no_time=True)
            new = [one.id for one in runtime.state.instances.values() if one.version == version and one.node]
            for identifier in new:
                runtime.exit(identifier, code=3)
            return bool(new)

        until(fabric, start_and_die)
        fabric.settling = True  # what comes of it may be waited for
        _, err = deploying.communicate(timeout=30)
    assert deploying.returncode == Exit.ROLLOUT, err
    return err


def of_version(fabric: MemoryFabric, value: str) -> str:
    once = f'[restart]\nattempts = 0\nreschedules = 0\n[environment]\nVALUE = "{value}"\n'
    return write(fabric, "hello", extra=once) + "/hello.toml"


def test_a_version_that_cannot_run_is_told_the_way_back_to_one_that_did(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", of_version(fabric, "one"))
    err = dies(fabric, of_version(fabric, "two"), 2)
    assert "it stays deployed, and goes back by: omnitide rollback hello\n" in err
    told = fabric.cli("rollout", "status", "hello", code=Exit.ROLLOUT).stdout
    assert "  to go back: omnitide rollback hello\n" in told
    fabric.settling = True
    fabric.cli("rollback", "hello")


def test_the_status_is_told_at_once_to_whoever_says_so_in_the_words_of_other_commands(fabric: MemoryFabric) -> None:
    fabric.cli("deploy", of_version(fabric, "one"))
    told = fabric.cli("rollout", "status", "hello").stdout
    for words in (["--no-wait"], ["--no-watch"]):
        assert fabric.cli("rollout", "status", "hello", *words).stdout == told
        refused = fabric.cli("rollout", "status", "hello", "--watch", *words, code=Exit.USAGE).stderr
        assert "--watch waits until it is over: leave out one of the two" in refused
    assert "--no-wa" not in fabric.cli("rollout", "status", "--help").stdout, "it is what happens without --watch"


def test_no_way_back_is_named_where_no_version_ever_ran_well(fabric: MemoryFabric) -> None:
    first = dies(fabric, of_version(fabric, "one"), 1)
    assert "nothing to go back to" not in first, "of a first version that goes without saying"
    err = dies(fabric, of_version(fabric, "two"), 2)
    never = "no earlier version of agent default/hello is known to work: never were all of its replicas available in 1"
    assert "goes back by" not in err
    assert f"it stays deployed; {never}; to go back to one all the same: omnitide rollback hello --to 1" in err
    told = fabric.cli("rollout", "status", "hello", code=Exit.ROLLOUT).stdout
    assert f"  {never}; to go back to one all the same: omnitide rollback hello --to 1\n" in told
    assert "  to go back: " not in told
    assert never in fabric.cli("rollback", "hello", code=Exit.CONFLICT).stderr, "in the same words"


def test_whoever_goes_back_to_a_version_that_failed_is_told_how_and_asked_at_a_terminal(fabric: MemoryFabric) -> None:
    by_itself = '[update]\non_failure = "rollback"\n'
    fabric.cli("deploy", of_version(fabric, "one"))
    failing = of_version(fabric, "two")
    Path(failing).write_text(Path(failing).read_text() + by_itself)
    dies(fabric, failing, 2)
    until(fabric, lambda runtime: next(iter(runtime.state.agents.values())).version == 3)
    known = "version 2 did not work: hello-1."

    def version() -> int:
        return fabric.call(lambda runtime: next(iter(runtime.state.agents.values())).version)

    def at_terminal(*more: str) -> Terminal:
        words = fabric.command("rollback", "hello", "--to", "2", *more)
        return Terminal(words, env=dict(os.environ), cwd=fabric.folder, columns=160)

    with at_terminal() as asked:
        shown = asked.until("roll hello back to version 2 all the same?")
        assert known in shown
        assert "failed for good: exit code 3" in shown
        asked.press("n", "enter")
        assert asked.ended() == 1
    assert version() == 3, "nothing was changed"
    assert known in fabric.cli("rollback", "hello", "--to", "2", "--dry-run").stderr
    ran = fabric.cli("rollback", "hello", "--to", "2", "--no-wait")
    assert f"warning: {known}" in ran.stderr, "nobody is there to answer, and a log is read later"
    assert version() == 4
    assert fabric.cli("rollback", "hello", "--to", "1", "--no-wait").stderr == "", "of what worked nothing is said"
    with at_terminal("--yes", "--no-wait") as unasked:
        assert unasked.ended() == 0
        assert "all the same?" not in unasked.text
        assert known in unasked.text


# -- staying up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["deploy", "apply"])
def test_what_runs_for_a_moment_only_fails_the_deployment(fabric: MemoryFabric, command: str) -> None:
    folder = write(fabric, "crasher")
    words = ["deploy", folder + "/crasher.toml"] if command == "deploy" else ["apply", "-f", folder]
    with fabric.process(*words, "--settle", "20s") as deploying:
        assert deploying.stdout is not None
        assert any("crasher 1/1 running in" in line for line in deploying.stdout), (
            "told at once, before it is looked at"
        )
        (identifier,) = fabric.call(lambda runtime: list(runtime.state.instances))
        fabric.call(lambda runtime: runtime.writes(identifier).write("Traceback: no such thing\n"))
        fabric.call(lambda runtime: setattr(runtime.writes(identifier), "ended", True))
        fabric.call(lambda runtime: runtime.exit(identifier, code=3))
        _, err = deploying.communicate(timeout=30)
    assert deploying.returncode == Exit.ROLLOUT, err
    assert "crasher does not stay up: crasher-1.1 ended within 20 s, with exit code 3" in err
    assert "Traceback: no such thing" in err


def test_what_goes_on_running_is_seen_doing_so_for_the_time_that_was_asked(fabric: MemoryFabric) -> None:
    path = write(fabric, "well") + "/well.toml"
    began = time.monotonic()
    ran = fabric.cli("deploy", path, "--settle", "1500ms")
    assert time.monotonic() - began > 1.5
    assert float(re.findall(r"running in (\d+\.\d\d) s", ran.stdout)[0]) < 1.5, "the time until it runs, no more"
    assert ran.stdout.splitlines()[-1] == "  seeing for 1.5 s whether it goes on running (--settle)", "why it waits"


def test_what_others_do_meanwhile_does_not_fail_a_deployment(fabric: MemoryFabric) -> None:
    """Another agent dies, and this one is scaled down: neither is a replica of this deployment that ended by itself."""
    folder = write(fabric, "mine", "other")
    fabric.cli("deploy", folder + "/other.toml")
    other = fabric.call(lambda runtime: min(runtime.state.instances))
    with fabric.process("deploy", folder + "/mine.toml", "--replicas", "2", "--settle", "2s") as deploying:
        assert deploying.stdout is not None
        assert any("mine 2/2 running in" in line for line in deploying.stdout)
        fabric.call(lambda runtime: runtime.exit(other, code=3))
        fabric.cli("scale", "mine", "1", "--no-wait")
        _, err = deploying.communicate(timeout=30)
    assert (deploying.returncode, err) == (0, "")


# -- others' changes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False], ids=["changed", "created"])
def test_apply_does_not_overwrite_what_somebody_did_after_the_plan(fabric: MemoryFabric, there: bool) -> None:
    import pty

    folder = write(fabric, "shared")
    if there:
        fabric.cli("deploy", folder + "/shared.toml")
        write(fabric, "shared", extra="[environment]\nMINE = '1'\n")
    master, slave = pty.openpty()
    import subprocess

    words = fabric.command("apply", "-f", folder)
    applying = subprocess.Popen(words, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert applying.stdout is not None
        for line in applying.stdout:
            if line.startswith("  plan:"):
                break
        theirs = fabric.folder / "theirs.toml"
        theirs.write_text('name = "shared"\ncommand = ["x"]\n[environment]\nTHEIRS = "1"\n')
        fabric.cli("deploy", str(theirs))
        os.write(master, b"y\n")
        _, err = applying.communicate(timeout=30)
    finally:
        applying.kill()
        applying.wait()
        os.close(master)
        os.close(slave)
    assert applying.returncode == Exit.CONFLICT, err
    assert "not done: shared" in err
    assert '"THEIRS": "1"' in fabric.cli("inspect", "shared", "-o", "json").stdout


# -- prune -------------------------------------------------------------------------------------------------------------


def removals(fabric: MemoryFabric, named: set[tuple[str, str]], namespace: str = "") -> list[Removal]:
    session = Session(Globals(namespace=namespace))
    with client_of(fabric) as client:
        return no_longer_named(session, client, Selector("set", "shop"), named)


def test_prune_compares_names_together_with_their_namespaces(fabric: MemoryFabric) -> None:
    """An agent of the same name elsewhere keeps nothing."""
    folder = write(fabric, "web", label="shop")
    fabric.cli("namespace", "create", "team")
    fabric.cli("deploy", folder + "/web.toml")
    fabric.cli("deploy", folder + "/web.toml", "-n", "team")
    found = removals(fabric, {("default", "web")})
    assert [(one.agent.namespace, one.agent.name) for one in found] == [("team", "web")]
    assert removals(fabric, {("default", "web"), ("team", "web")}) == []
    assert removals(fabric, {("default", "web")}, namespace="default") == []


def test_prune_leaves_what_is_being_removed_already(fabric: MemoryFabric) -> None:
    folder = write(fabric, "going", label="shop")
    fabric.cli("deploy", folder + "/going.toml")
    fabric.settling = False
    fabric.cli("rm", "going", "--no-wait")
    assert '"status": "removing"' in fabric.cli("inspect", "going", "-o", "json").stdout
    assert removals(fabric, set()) == []


def test_prune_does_not_remove_what_was_changed_after_the_plan(fabric: MemoryFabric) -> None:
    folder = write(fabric, "old", label="shop")
    fabric.cli("deploy", folder + "/old.toml")
    (planned,) = removals(fabric, set())
    fabric.cli("scale", "old", "2")
    with client_of(fabric) as client, pytest.raises(PreconditionFailed):
        remove(Session(Globals(quiet=True)), client, planned, None)
    assert '"replicas": 2' in fabric.cli("inspect", "old", "-o", "json").stdout
    (planned,) = removals(fabric, set())
    with client_of(fabric) as client:
        assert remove(Session(Globals(quiet=True)), client, planned, None).change == "deleted"


def test_rm_of_several_removes_none_if_one_is_not_there(fabric: MemoryFabric, tmp_path: Path) -> None:
    folder = write(fabric, "one", "two")
    fabric.cli("apply", "-f", folder)
    fabric.cli("rm", "one", "tow", "two", code=Exit.NOT_FOUND)
    assert fabric.cli("agents").stdout.count("running") == 2
    fabric.cli("rm", "one", "two")
    del tmp_path
