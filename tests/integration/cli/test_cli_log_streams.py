"""`logs`: nothing is left out without a word, however many instances a node has and whoever else reads there."""

import signal
import time
from collections.abc import Callable

import pytest
from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.instances.following import PER_NODE

DEADLINE_S = 20.0


def deploy(fabric: MemoryFabric, replicas: int) -> list[str]:
    """Ids of its instances, all on alpha."""
    path = fabric.folder / "many.toml"
    path.write_text('name = "many"\ncommand = ["x"]\n[resources]\ncpu = 0.05\n[restart]\npolicy = "never"\n')
    fabric.cli("deploy", str(path), "--replicas", str(replicas))
    found = fabric.call(lambda runtime: sorted(runtime.state.instances.values(), key=lambda one: one.slot))
    assert {one.node for one in found} == {"n-alpha"}
    return [one.id for one in found]


def until(fabric: MemoryFabric, look: Callable[[MemoryRuntime], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not fabric.call(look):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


def test_output_that_was_rotated_away_is_said_without_follow_too(fabric: MemoryFabric) -> None:
    (identifier,) = deploy(fabric, 1)
    fabric.call(lambda runtime: runtime.writes(identifier).write("first that is left\n", gap=True))
    for words in (["logs", "many"], ["logs", "many", "-q"], ["logs", "many", "--stream", "stderr"]):
        ran = fabric.cli(*words)
        assert "warning: many-1.1: some output is not kept any more: it was rotated away\n" in ran.stderr
    assert '"gap":true' in fabric.cli("logs", "many", "-o", "json").stdout


def test_logs_of_more_instances_than_a_node_gives_at_a_time_are_complete_and_in_order(fabric: MemoryFabric) -> None:
    many = deploy(fabric, PER_NODE + 10)
    fabric.call(lambda runtime: setattr(runtime, "log_streams_most", 32))

    def write(runtime: MemoryRuntime) -> None:
        for number, identifier in enumerate([*many, *reversed(many)]):
            runtime.writes(identifier).write(f"{number}\n", at_ms=runtime.clock_ms + number)

    fabric.call(write)
    assert fabric.cli("logs", "many", "--no-prefix").stdout.split() == [str(number) for number in range(2 * len(many))]
    assert fabric.call(lambda runtime: runtime.log_streams_seen) <= 32


def test_what_is_followed_begins_in_order_of_time_and_goes_on_at_once(fabric: MemoryFabric) -> None:
    many = deploy(fabric, 4)

    def write(runtime: MemoryRuntime) -> None:
        for number in range(60):
            # In turns, and the first of them wrote last: what is read soonest is not what was written first.
            runtime.writes(many[2 - number // 5 % 3]).write(f"{number}\n", at_ms=runtime.clock_ms + number)

    fabric.call(write)
    with fabric.process("logs", "-f", "many", "--no-prefix") as following:
        assert following.stdout is not None
        assert [following.stdout.readline() for _ in range(60)] == [f"{number}\n" for number in range(60)]
        for number, identifier in enumerate(many):
            fabric.call(lambda runtime, one=identifier, text=f"now {number}\n": runtime.writes(one).write(text))
            assert following.stdout.readline() == f"now {number}\n"
        following.send_signal(signal.SIGINT)
        _, err = following.communicate(timeout=30)
    assert following.returncode == 130, err


def test_replicas_are_picked_and_lines_have_the_names_that_were_asked_for(fabric: MemoryFabric) -> None:
    """Of an agent each line is behind a name, of an instance none is; either can be had."""
    many = deploy(fabric, 3)

    def write(runtime: MemoryRuntime) -> None:
        for number, identifier in enumerate(many, start=1):
            runtime.writes(identifier).write(f"of {number}\n", at_ms=runtime.clock_ms + number)

    fabric.call(write)
    named = ["many-1.1 | of 1", "many-2.1 | of 2", "many-3.1 | of 3"]
    assert fabric.cli("logs", "many").stdout.splitlines() == named
    assert fabric.cli("logs", "many", "--replica", "3", "--replica", "1").stdout.splitlines() == [named[0], named[2]]
    assert fabric.cli("logs", "many", "--replica", "2", "--no-prefix").stdout == "of 2\n"
    assert fabric.cli("logs", "many-2.1").stdout == "of 2\n"
    assert fabric.cli("logs", "many-2.1", "--prefix").stdout == "many-2.1 | of 2\n"
    assert "there is no many-9" in fabric.cli("logs", "many", "--replica", "1", "--replica", "9", code=3).stderr
    assert "--replica picks from an agent's replicas" in fabric.cli("logs", "many-2.1", "--replica", "2", code=2).stderr


def test_following_says_which_it_does_not_follow_and_takes_them_in_their_turn(fabric: MemoryFabric) -> None:
    many = deploy(fabric, PER_NODE + 2)
    with fabric.process("logs", "-f", "many") as following:
        assert following.stdout is not None
        assert following.stderr is not None
        told = following.stderr.readline()
        left = [f"many-{PER_NODE + 1}.1", f"many-{PER_NODE + 2}.1"]
        assert told.startswith(f"warning: not followed: {', '.join(sorted(left))}. "), told
        assert f"omnitide logs -f {left[0]}" in told
        until(fabric, lambda runtime: runtime.log_streams == PER_NODE)

        def end_one(runtime: MemoryRuntime) -> None:
            runtime.writes(many[0]).ended = True
            runtime.writes(many[0]).write("farewell\n")
            runtime.writes(many[-2]).write("my turn\n")
            runtime.exit(many[0], code=0)

        fabric.call(end_one)
        assert following.stdout.readline() == "many-1.1 | farewell\n"
        assert following.stdout.readline() == f"{left[0]} | my turn\n"
        assert following.stderr.readline() == f"  now followed: {left[0]}\n"
        assert following.stderr.readline().startswith(f"warning: not followed: {left[1]}. ")
        following.send_signal(signal.SIGINT)
        _, err = following.communicate(timeout=30)
    assert following.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["logs", "many"], ["logs", "-f", "many"]])
def test_a_node_that_gives_no_more_now_is_asked_again(fabric: MemoryFabric, words: list[str]) -> None:
    """Others read there: that is no reason to lose what an instance has written."""
    one, two = deploy(fabric, 2)
    fabric.call(lambda runtime: runtime.writes(one).write("of one\n"))
    fabric.call(lambda runtime: runtime.writes(two).write("of two\n"))
    fabric.call(lambda runtime: setattr(runtime, "log_streams_most", 0))
    with fabric.process(*words) as reading:
        assert reading.stdout is not None
        if "-f" in words:
            assert reading.stderr is not None
            assert reading.stderr.readline().startswith("warning: not followed: many-1.1, many-2.1. ")
        else:
            time.sleep(1.0)  # however long it takes to begin: it is to find the node busy at first
        fabric.call(lambda runtime: setattr(runtime, "log_streams_most", 1000))
        shown = {reading.stdout.readline() for _ in range(2)}
    assert shown == {"many-1.1 | of one\n", "many-2.1 | of two\n"}
