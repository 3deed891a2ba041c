"""Output: every byte, in order, with its time; bounded on disk and in memory; readable while it is written."""

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverError, LogPolicy, RunKey, RunState
from omnitide.node.keeper import log_format
from omnitide.node.keeper.instance import MAX_FOLLOWERS

SMALL = LogPolicy(max_file_bytes=128 << 10, max_files=3)
MEASURED_S = 1.5
"""How long what is to cost nothing is looked at."""


def kept(home, instance: str) -> list[Path]:
    return sorted(Path(home.directory, "logs", instance).glob("log-*"))


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class Progress:
    """A number in a file `seen` in an instance's directory, by which its program knows how far its reader is."""

    def __init__(self, home) -> None:
        self._path = Path(home.directory, "work/web-1/seen")
        self._path.parent.mkdir(parents=True)
        self._path.write_text("0")

    def says(self, number: int) -> None:
        self._path.with_name("new").write_text(str(number))
        self._path.with_name("new").rename(self._path)


class TestExactness:
    async def test_bytes_are_kept_as_they_are(self, home):
        script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000); sys.stderr.buffer.write(b'\\0\\xff')"
        await home.python("web-1", script)
        await home.end_of("web-1")
        assert await home.output("web-1") == bytes(range(256)) * 1000
        assert await home.output("web-1", "stderr") == b"\0\xff"

    async def test_the_order_of_both_streams_is_kept(self, home):
        """Whichever pipe was written to first is read first. (Two pipes that both hold several writes tell no more.)"""
        script = (
            "import array, fcntl, os, termios, time\n"
            "def waits(fd):\n"
            "    left = array.array('i', [0]); fcntl.ioctl(fd, termios.FIONREAD, left); return left[0]\n"
            "for n in range(200):\n"
            "    first = 1 if n * n % 7 < 3 else 2\n"
            "    os.write(first, b'%d\\n' % (2 * n))\n"
            "    os.write(3 - first, b'%d\\n' % (2 * n + 1))\n"
            "    while waits(1) or waits(2): time.sleep(0.001)\n"
        )
        await home.python("web-1", script)
        await home.end_of("web-1")
        chunks = await home.chunks("web-1")
        assert b"".join(chunk.data for chunk in chunks) == b"".join(b"%d\n" % n for n in range(400))

    async def test_times_are_those_of_the_output(self, one_home, tmp_path):
        before = time.time_ns() // 1_000_000
        go = tmp_path / "go"
        await one_home.shell("web-1", f"echo a; while [ ! -e {go} ]; do sleep 0.01; done; echo b")
        await one_home.says("web-1", b"a")
        between = time.time_ns() // 1_000_000
        go.touch()
        await one_home.end_of("web-1")
        first, second = await one_home.chunks("web-1")
        assert before <= first.at_ms <= between <= second.at_ms <= time.time_ns() // 1_000_000

    async def test_attempts_follow_one_another_in_one_log(self, one_home):
        await one_home.run("web-1", "echo first")
        await one_home.shell("web-1", "echo second >&2", attempt=2)
        await one_home.end_of("web-1", 2)
        chunks = await one_home.chunks("web-1")
        assert [(chunk.attempt, chunk.data, chunk.stream) for chunk in chunks] == [
            (1, b"first\n", "stdout"),
            (2, b"second\n", "stderr"),
        ]
        assert len(kept(one_home, "web-1")) == 1

    async def test_the_last_words_before_a_crash_are_kept(self, home):
        await home.shell("web-1", "head -c 60000 /dev/zero; kill -9 $$")
        await home.end_of("web-1")
        assert len(await home.output("web-1")) == 60_000

    async def test_no_output_is_no_error(self, one_home):
        await one_home.run("web-1", "exit 0")
        assert await one_home.chunks("web-1") == []
        await one_home.run("web-2", "exit 0", working_directory="/")
        assert await one_home.chunks("web-2") == []


class TestBounds:
    async def test_a_flood_keeps_the_newest_and_stays_within_its_bounds(self, home):
        policy = LogPolicy(max_file_bytes=1 << 20, max_files=3)
        script = (
            "import sys\n"
            "line = b'x' * 92\n"
            "for n in range(1_048_576): sys.stdout.buffer.write(b'%07d ' % n + line[:91] + b'\\n')\n"
        )
        pid = home.keeper_pid
        await home.start("other", "/bin/sleep", "60")
        before = resident_kib(pid)
        await home.python("web-1", script, log_policy=policy)
        assert (await home.end_of("web-1")).exit.code == 0
        files = kept(home, "web-1")
        assert len(files) == 3
        assert all(file.stat().st_size <= 1 << 20 for file in files)
        lines = (await home.output("web-1")).split(b"\n")
        numbers = [int(line[:7]) for line in lines[1:-1]]  # the first may be cut, where rotation cut
        assert numbers == list(range(numbers[0], 1_048_576))
        assert len(numbers) > 20_000 - 700
        assert resident_kib(pid) - before < 2048

    async def test_a_flood_does_not_hold_up_the_others(self, one_home):
        for number in range(3):
            await one_home.start(f"flood-{number}", "/bin/cat", "/dev/zero", log_policy=SMALL)
        for number in range(20):
            await one_home.run(f"job-{number}", "echo done")  # within the deadline that every wait here has
            assert await one_home.output(f"job-{number}") == b"done\n"
        assert {run.state for run in await one_home.driver.recover() if "flood" in run.key.instance} == {
            RunState.RUNNING
        }

    async def test_one_file_is_the_least_that_is_kept(self, one_home):
        policy = LogPolicy(max_file_bytes=1, max_files=1)
        await one_home.run("web-1", "head -c 1000000 /dev/zero; echo end", log_policy=policy)
        assert len(kept(one_home, "web-1")) == 1
        assert (await one_home.output("web-1")).endswith(b"end\n")


class TestFollow:
    async def test_following_sees_what_comes_and_ends_with_the_run(self, home):
        await home.shell("web-1", "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two")
        seen = b""
        async with asyncio.timeout(30):
            async for chunk in home.driver.logs("web-1", follow=True):
                seen += chunk.data
                if seen == b"one\n":
                    home.tell("web-1")
        assert seen == b"one\ntwo\n"

    async def test_every_byte_is_seen_across_rotation(self, home):
        """As long as the reader keeps up: what rotation deletes before it is read is gone."""
        script = (
            "import os, sys, time\n"
            "for n in range(2000):\n"
            "    os.write(1, b'%05d ' % n + b'x' * 994)\n"
            "    while n - int(open('seen').read() or 0) > 200: time.sleep(0.005)\n"
        )
        progress = Progress(home)
        await home.python("web-1", script, log_policy=SMALL)
        seen = bytearray()
        async with asyncio.timeout(60):
            async for chunk in home.driver.logs("web-1", follow=True):
                seen += chunk.data
                progress.says(len(seen) // 1000)
        assert bytes(seen) == b"".join(b"%05d " % n + b"x" * 994 for n in range(2000))
        assert int(kept(home, "web-1")[-1].name[4:]) > 10  # files there have been

    async def test_an_idle_follow_costs_nothing(self, one_home, wait_until):
        await one_home.shell("web-1", "echo ready; sleep 60")
        await one_home.says("web-1", b"ready")
        stream = one_home.driver.logs("web-1", follow=True)
        assert [(await anext(stream)).data for _ in range(2)] == [b"", b"ready\n"]
        waiting = asyncio.create_task(anext(stream))
        await wait_until(lambda: one_home.ask("info")["followers"] == 1, "the follower's wait")
        pid = one_home.keeper_pid
        keeper, own = cpu_ticks(pid), time.process_time()
        told, _ = await asyncio.wait({waiting}, timeout=MEASURED_S)
        assert not told
        assert cpu_ticks(pid) - keeper <= 1
        assert time.process_time() - own < 0.05
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting

    async def test_two_followers_both_see_everything(self, one_home):
        async def read() -> bytes:
            return b"".join([chunk.data async for chunk in one_home.driver.logs("web-1", follow=True)])

        await one_home.shell("web-1", "for n in 1 2 3 4 5; do echo $n; sleep 0.05; done")
        first, second = await asyncio.wait_for(asyncio.gather(read(), read()), 30)
        assert first == second == b"1\n2\n3\n4\n5\n"

    async def test_followers_that_have_left_are_not_counted(self, one_home, wait_until):
        await one_home.shell("web-1", "echo ready; while [ ! -e go ]; do sleep 0.02; done; echo end")
        await one_home.says("web-1", b"ready")
        count = MAX_FOLLOWERS - 10
        for _ in range(3):
            streams = [one_home.driver.logs("web-1", follow=True) for _ in range(count)]
            for _ in ("where it begins", "ready"):
                await asyncio.gather(*(anext(stream) for stream in streams))
            waiting = [asyncio.create_task(anext(stream)) for stream in streams]
            await wait_until(lambda: one_home.ask("info")["followers"] == count, "that all wait")
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        one_home.tell("web-1")
        assert await one_home.output("web-1", follow=True) == b"ready\nend\n"

    async def test_more_followers_than_the_bound_are_refused(self, one_home):
        await one_home.shell("web-1", "sleep 60")
        streams = [one_home.driver.logs("web-1", follow=True) for _ in range(MAX_FOLLOWERS + 1)]
        for stream in streams:
            await anext(stream)  # where it begins
        waiting = [asyncio.create_task(anext(stream)) for stream in streams]
        done, _ = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(DriverError, match="readers follow"):
            await done.pop()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def test_following_ends_when_the_instance_is_removed(self, one_home):
        await one_home.shell("web-1", "echo ready; sleep 60")
        stream = one_home.driver.logs("web-1", follow=True)
        assert [(await anext(stream)).data for _ in range(2)] == [b"", b"ready\n"]
        rest = asyncio.create_task(anext(stream, None))
        await one_home.driver.stop(RunKey("web-1", 1), grace_ms=0)
        await one_home.end_of("web-1")
        await one_home.driver.remove_instance("web-1")
        assert await asyncio.wait_for(rest, 30) is None

    async def test_following_goes_on_over_a_flood(self, one_home):
        """A reader that is slower than the writer loses what rotation takes, and no more than that."""
        await one_home.shell("web-1", "head -c 50000000 /dev/zero; echo end", log_policy=SMALL)
        last = b""
        async with asyncio.timeout(60):
            async for chunk in one_home.driver.logs("web-1", follow=True):
                last = chunk.data
        assert last.endswith(b"end\n")


class TestReading:
    async def test_the_last_lines(self, one_home):
        await one_home.run("web-1", "seq 1 1000; printf unfinished")
        assert await one_home.output("web-1", tail_lines=3) == b"999\n1000\nunfinished"
        assert await one_home.output("web-1", tail_lines=0) == b""
        assert (await one_home.output("web-1", tail_lines=5000)).startswith(b"1\n2\n")

    async def test_the_last_lines_over_several_files(self, one_home):
        await one_home.run("web-1", "seq -w 1 99999", log_policy=SMALL)
        assert len(kept(one_home, "web-1")) > 1
        expected = b"".join(b"%05d\n" % n for n in range(99999 - 30_000 + 1, 100_000))
        assert await one_home.output("web-1", tail_lines=30_000) == expected

    async def test_from_a_moment_on(self, one_home):
        await one_home.run("web-1", "echo a; sleep 0.1; echo b; sleep 0.1; echo c")
        moments = [chunk.at_ms for chunk in await one_home.chunks("web-1")]
        assert await one_home.output("web-1", since_ms=moments[1]) == b"b\nc\n"
        assert await one_home.output("web-1", since_ms=moments[2] + 1) == b""

    async def test_the_last_lines_and_what_comes(self, one_home):
        await one_home.shell("web-1", "seq 1 100; echo ready; while [ ! -e go ]; do sleep 0.02; done; echo more")
        await one_home.says("web-1", b"ready")
        seen = b""
        async with asyncio.timeout(30):
            async for chunk in one_home.driver.logs("web-1", tail_lines=2, follow=True):
                seen += chunk.data
                one_home.tell("web-1")
        assert seen == b"100\nready\nmore\n"

    async def test_an_end_that_a_crash_cut_is_passed_over(self, one_home):
        await one_home.run("web-1", "echo whole")
        with kept(one_home, "web-1")[-1].open("ab") as file:
            file.write(log_format.header(1, 5000, 1, 1) + b"only this much")
        assert await one_home.output("web-1") == b"whole\n"
        assert await one_home.output("web-1", tail_lines=1) == b"whole\n"
        # The keeper goes on behind the last whole frame, not behind the damage.
        await one_home.shell("web-1", "echo again", attempt=2)
        await one_home.end_of("web-1", 2)
        assert await one_home.output("web-1") == b"whole\nagain\n"

    async def test_logs_are_read_without_a_keeper(self, one_home):
        await one_home.run("web-1", "echo said")
        await one_home.driver.close()
        await one_home.kill_keeper()
        assert await one_home.output("web-1") == b"said\n"

    async def test_chunks_are_at_most_64_kib(self, one_home):
        await one_home.run("web-1", "head -c 1000000 /dev/zero")
        sizes = [len(chunk.data) for chunk in await one_home.chunks("web-1")]
        assert sum(sizes) == 1_000_000
        assert max(sizes) <= 64 << 10

    @pytest.mark.root
    async def test_a_full_disk_loses_output_but_neither_the_run_nor_the_log(self, tiny_disk, homes, wait_until):
        home = homes(tiny_disk.name + "/keeper")
        filler = tiny_disk / "filler"
        filler.write_bytes(bytes(300_000))
        # Written, all but what the pipe holds: the keeper has taken it, and the disk has not.
        written = tiny_disk.with_name("written")
        script = f"head -c 3000000 /dev/zero; echo full; touch {written}; "
        script += "while [ ! -e go ]; do sleep 0.02; done; echo room; exit 7"
        await home.shell("web-1", script, log_policy=LogPolicy(max_file_bytes=10 << 20, max_files=2))
        await wait_until(written.exists, "that all is written")
        filler.unlink()
        home.tell("web-1")
        run = await home.end_of("web-1")
        assert run.exit.code == 7
        assert (await home.output("web-1")).endswith(b"room\n")
        assert len(await home.output("web-1")) < 1 << 20


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    place = tmp_path / "tiny"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"tmpfs", str(place).encode(), b"tmpfs", 0, b"size=1m") == 0, os.strerror(ctypes.get_errno())
    yield place
    assert libc.umount2(str(place).encode(), 2) == 0
