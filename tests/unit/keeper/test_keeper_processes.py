"""What is read from /proc, on real processes."""

import os
import signal
import subprocess
import sys

import pytest

from omnitide.node.keeper import linux, processes


@pytest.fixture
def sleeper():
    """With a name that is hard to read past."""
    script = (
        "import ctypes, os, time\n"
        "ctypes.CDLL(None).prctl(15, b') S 1 (x y', 0, 0, 0)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", script],
        stdout=subprocess.PIPE,
        env={"OMNITIDE_RUN_ID": "keeper/web-1/1", "OTHER": "x"},
        start_new_session=True,
    )
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_process_is_described(sleeper):
    process = processes.look_up(sleeper.pid)
    assert (process.pid, process.parent, process.session) == (sleeper.pid, os.getpid(), sleeper.pid)
    assert process.started > 0
    assert process.threads == 1
    assert process.memory_pages > 100
    assert processes.marker(sleeper.pid) == "keeper/web-1/1"
    assert sleeper.pid in processes.all_processes()


def test_what_is_not_there_is_none():
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    assert processes.look_up(gone.pid) is None
    assert processes.marker(gone.pid) == ""
    assert processes.children(gone.pid) is None


def test_children_and_what_is_below(sleeper):
    assert sleeper.pid in processes.children(os.getpid())
    assert list(processes.below([sleeper.pid])) == [sleeper.pid]
    assert {os.getpid(), sleeper.pid} <= set(processes.below([os.getpid()]))


def test_a_process_is_killed_but_not_one_that_took_over_its_id(sleeper):
    process = processes.look_up(sleeper.pid)
    processes.kill_exactly(process._replace(started=process.started + 1))
    assert processes.look_up(sleeper.pid).state in "SR"
    processes.kill_exactly(process, signal.SIGTERM)
    assert sleeper.wait(30) == -signal.SIGTERM
    processes.kill_exactly(process)


def test_descendants_are_found_through_any_depth():
    def process(pid: int, parent: int) -> processes.Process:
        return processes.Process(pid, parent, 0, 0, "S", 0, 0, 1)

    tree = {pid: process(pid, parent) for pid, parent in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (9, 9)]}
    assert processes.with_descendants([2], tree) == {2, 3, 4}
    assert processes.with_descendants([5, 4], tree) == {4, 5, 6}
    assert processes.with_descendants([7], tree) == set()
    assert processes.with_descendants([9], tree) == {9}


def test_the_start_of_a_process_is_known_without_a_look_where_the_clock_leaves_but_one() -> None:
    """What two looks at the clock enclose is what `/proc` says, or nothing is said."""
    known = 0
    for _ in range(60):
        before = linux.since_boot_ns()
        pid = os.posix_spawn("/bin/true", ["true"], {})
        started = processes.started_between(before, linux.since_boot_ns())
        process = processes.look_up(pid)
        os.waitpid(pid, 0)
        assert process is not None
        assert started in (process.started, 0)
        known += started != 0
    assert processes.started_between(0, 10**9) == 0
    assert known, "most spawns take less than a tick"
