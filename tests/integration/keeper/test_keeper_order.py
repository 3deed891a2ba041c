"""The order that makes ends exact: recorded, then reaped. Seen from inside: the keeper's parts in this process."""

import gc
import os
import re
import resource
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from omnitide.node.keeper import linux, spec
from omnitide.node.keeper.ending import Exit
from omnitide.node.keeper.journal import Journal
from omnitide.node.keeper.log_reader import LogReader
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.processes import look_up
from omnitide.node.keeper.protocol import Refused
from omnitide.node.keeper.run import EXITED, RUNNING, Run
from omnitide.node.keeper.starting import Starter
from omnitide.node.keeper.supervisor import Supervisor
from omnitide.node.keeper.zygotes import Zygotes


class WatchingJournal(Journal):
    """Notes in what state a main process is when its end is recorded; can fail."""

    def __init__(self, path: str) -> None:
        super().__init__(path, linux.boot_id())
        self.states: list[str] = []
        self.failures = 0
        self.refuse_starts = False

    def started(self, run: Run) -> None:
        if self.refuse_starts:
            raise OSError(28, "No space left on device")
        super().started(run)

    def ended(self, run: Run, how: Exit) -> None:
        process = look_up(run.pid)
        self.states.append(process.state if process else "reaped")
        if self.failures:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        super().ended(run, how)


class Bench:
    """A supervisor without a service, its loop run until a condition holds."""

    def __init__(self, directory: str) -> None:
        paths = Paths(directory)
        paths.prepare()
        self.loop = Loop()
        self.journal = WatchingJournal(paths.journal)
        self.changes: list[tuple[str, str]] = []
        self.supervisor = Supervisor(
            loop=self.loop,
            paths=paths,
            starter=Starter(
                paths=paths,
                journal=self.journal,
                cgroups=None,
                keeper_id="test",
                open_files=resource.getrlimit(resource.RLIMIT_NOFILE),
                zygotes=Zygotes(self.loop),
            ),
            journal=self.journal,
            keeper_id="test",
            max_runs=10,
            changed=lambda run: self.changes.append((run.instance, run.state)),
            idle=lambda: None,
        )
        self.outcomes: list[Run | Refused] = []

    def start(self, instance: str, *command: str, **more: object) -> None:
        fields = {"instance": instance, "attempt": 1, "command": list(command), **more}
        self.supervisor.start(spec.parse(fields), self.outcomes.append)

    def until(self, condition) -> None:
        """Run the loop, with children looked after each few milliseconds, as SIGCHLD would have it."""
        end = linux.monotonic_ms() + 30_000

        def look() -> None:
            self.supervisor.bury_children()
            if condition() or linux.monotonic_ms() > end:
                self.loop.stop()
            else:
                self.loop.after(2, look)

        self.loop._stopped = False
        self.loop.after(0, look)
        self.loop.run()
        assert condition()

    def close(self) -> None:
        for run in list(self.supervisor.live.values()):
            self.supervisor.stopper.stop(run, 0)
        self.until(lambda: not self.supervisor.live)
        self.loop.close()


@pytest.fixture
def bench(tmp_path):
    here = os.getcwd()
    umask = os.umask(0o022)
    bench = Bench(str(tmp_path / "keeper"))
    yield bench
    bench.close()
    os.chdir(here)
    os.umask(umask)


@pytest.mark.parametrize("fence_ms", [0, 3_600_000])
def test_an_end_is_recorded_while_the_process_is_not_yet_reaped(bench, fence_ms):
    for number in range(5):
        bench.start(f"job-{number}", "/bin/true", fence_ms=fence_ms)
    bench.until(lambda: not bench.supervisor.live)
    assert bench.journal.states == ["Z"] * 5
    for number in range(5):
        assert [state for name, state in bench.changes if name == f"job-{number}"] == [RUNNING, EXITED]


@pytest.mark.parametrize("fence_ms", [0, 3_600_000])
def test_what_was_printed_before_an_end_is_kept_even_if_the_end_is_heard_first(bench, fence_ms):
    bench.start("job", "/bin/sh", "-c", "printf last; printf words >&2", fence_ms=fence_ms)
    run = bench.supervisor.find("job", 1)
    os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT)
    bench.supervisor.bury_children()  # before the loop had a chance to look at the pipes
    bench.until(lambda: not bench.supervisor.live)
    reader = LogReader(bench.supervisor.instances["job"].logs)
    assert [frame.data for frame in reader.read()] == [b"last", b"words"]
    reader.close()


def test_a_record_that_fails_is_tried_again_and_the_end_is_told_meanwhile(bench):
    bench.journal.failures = 1
    bench.start("job", "/bin/sh", "-c", "exit 7")
    bench.until(lambda: not bench.supervisor.live)
    run = bench.supervisor.find("job", 1)
    assert run.exit.code == 7
    bench.until(lambda: len(bench.journal.states) == 2)
    from omnitide.node.keeper.journal import read

    assert read(bench.supervisor._paths.journal)["job", 1].exit.code == 7


@pytest.mark.parametrize("fence_ms", [0, 3_600_000])
def test_a_start_that_cannot_be_recorded_is_not_acknowledged_and_leaves_nothing(bench, fence_ms):
    before = children()
    bench.journal.refuse_starts = True
    bench.start("job", "/bin/sleep", "60", fence_ms=fence_ms)
    bench.until(lambda: bench.outcomes)
    assert isinstance(bench.outcomes[0], Refused)
    assert not bench.outcomes[0].permanent
    assert bench.supervisor.find("job", 1) is None
    assert bench.supervisor.live == {}
    assert children() <= before, "ended and reaped"
    bench.journal.refuse_starts = False
    bench.start("job", "/bin/sleep", "60", fence_ms=fence_ms)
    bench.until(lambda: len(bench.outcomes) == 2)
    assert isinstance(bench.outcomes[1], Run)


def children() -> set[int]:
    """Of this process, ended ones that nobody has reaped too; those of other tests, such as a browser, among them."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found


def kept_open() -> Counter[str]:
    """How many descriptors of each kind are open. By number, threads of earlier tests would be seen too."""
    gc.collect()
    kinds: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            kinds[re.sub(r":\[\d+\]$", "", os.readlink(f"/proc/self/fd/{name}"))] += 1
    return kinds


def test_a_start_that_fails_opens_nothing_for_good(bench):
    before = kept_open()
    for number in range(8):
        with pytest.raises(Refused):
            bench.start(f"job-{number}", "/no/such/program")
        with pytest.raises(Refused):
            bench.start(f"job-{number}", "/etc/passwd")
        bench.start(f"job-{number}", "/etc/passwd", fence_ms=3_600_000)
    bench.until(lambda: len(bench.outcomes) == 8)
    assert all(isinstance(outcome, Refused) for outcome in bench.outcomes)
    bench.until(lambda: not bench.supervisor.live)
    assert kept_open() - before == Counter()
    assert list(bench.supervisor.runs()) == []


class TestBlind:
    """Where a file server may be dead the keeper does not look itself; what it would have said, the child says."""

    @pytest.fixture
    def blind(self, bench):
        bench.supervisor._starter._mounts._places = ["", "/"]
        return bench

    @pytest.mark.parametrize(
        ("command", "more", "cause"),
        [
            (["/no/such/program"], {}, "command-not-found"),
            (["no-such-program"], {}, "command-not-found"),
            (["/etc/passwd"], {}, "permission"),
            (["/bin/true"], {"working_directory": "/no/such/place"}, "working-directory"),
        ],
    )
    def test_refusals_are_the_same(self, blind, command, more, cause):
        blind.start("job", *command, **more)
        blind.until(lambda: blind.outcomes)
        assert blind.outcomes[0].cause == cause

    def test_runs_are_the_same(self, blind):
        blind.start("job", "sh", "-c", "exit 7")
        blind.until(lambda: not blind.supervisor.live)
        assert blind.supervisor.find("job", 1).exit.code == 7


def test_no_descriptor_is_left_of_runs_that_ended(bench):
    before = kept_open()
    for number in range(10):
        bench.start(f"job-{number}", "/bin/sh", "-c", "echo out; echo err >&2", fence_ms=3_600_000 * (number % 2))
    bench.until(lambda: not bench.supervisor.live)
    assert kept_open() - before == Counter()


def test_the_keeper_keeps_its_own_directory_and_limits_while_it_lends_itself(bench, tmp_path):
    umask = os.umask(0o077)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    bench.start("job", "/bin/true", working_directory=str(tmp_path))
    with pytest.raises(Refused):
        bench.start("other", "/bin/true", working_directory=str(tmp_path / "missing"))
    assert os.getcwd() == "/"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
    assert os.umask(umask) == 0o077
    assert signal.getsignal(signal.SIGCHLD) is not signal.SIG_IGN
