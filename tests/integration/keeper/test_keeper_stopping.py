"""Stopping: within the grace or killed after it, and always the whole tree."""

import asyncio
import signal

import pytest

from omnitide.drivers.protocol import RunKey, RunState
from support.fabric_processes import freeze

WEB = RunKey("web-1", 1)

IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


class TestGrace:
    async def test_one_that_obeys_is_stopped(self, home):
        await home.shell("web-1", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
        await home.says("web-1", b"ready")
        await home.driver.stop(WEB, grace_ms=30_000)
        run = await home.end_of("web-1")
        assert (run.exit.reason, run.exit.code) == ("stopped", 0)
        assert await home.output("web-1") == b"ready\nbye\n"

    async def test_one_that_does_not_care_to_handle_the_signal_is_stopped_by_it(self, home):
        await home.start("web-1", "/bin/sleep", "60")
        await home.driver.stop(WEB)
        run = await home.end_of("web-1")
        assert (run.exit.reason, run.exit.signal) == ("stopped", signal.SIGTERM)

    async def test_one_that_ignores_it_is_killed_after_the_grace(self, home):
        await home.shell("web-1", IGNORES_TERM)
        await home.says("web-1", b"ready")
        begin = asyncio.get_running_loop().time()
        watch = home.driver.watch()
        await home.driver.stop(WEB, grace_ms=300)
        run = await home.end_of("web-1")
        assert (run.exit.reason, run.exit.signal) == ("killed", signal.SIGKILL)
        assert asyncio.get_running_loop().time() - begin >= 0.29
        assert [(await anext(watch)).state for _ in range(2)] == [RunState.STOPPING, RunState.EXITED]

    async def test_the_grace_of_the_spec_is_used(self, one_home):
        await one_home.shell("web-1", IGNORES_TERM, stop_grace_ms=100)
        await one_home.says("web-1", b"ready")
        await one_home.driver.stop(WEB)
        assert (await one_home.end_of("web-1")).exit.reason == "killed"

    async def test_no_grace_kills_at_once(self, home):
        await home.shell("web-1", "trap 'exit 0' TERM; while :; do sleep 0.05; done")
        await home.driver.stop(WEB, grace_ms=0)
        assert (await home.end_of("web-1")).exit.reason == "killed"

    async def test_a_second_stop_may_shorten_the_grace_but_not_lengthen_it(self, one_home):
        await one_home.shell("web-1", IGNORES_TERM)
        await one_home.says("web-1", b"ready")
        await one_home.driver.stop(WEB, grace_ms=3_600_000)
        await one_home.driver.stop(WEB, grace_ms=50)
        await one_home.driver.stop(WEB, grace_ms=3_600_000)
        assert (await one_home.end_of("web-1")).exit.reason == "killed"

    async def test_the_stop_signal_can_be_chosen(self, one_home):
        script = "trap 'exit 21' INT; trap 'exit 99' TERM; echo ready; while :; do sleep 0.05; done"
        await one_home.shell("web-1", script, stop_signal="SIGINT")
        await one_home.says("web-1", b"ready")
        await one_home.driver.stop(WEB)
        run = await one_home.end_of("web-1")
        assert (run.exit.reason, run.exit.code) == ("stopped", 21)

    async def test_a_suspended_run_can_be_stopped(self, one_home):
        run = await one_home.shell("web-1", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
        await one_home.says("web-1", b"ready")
        freeze(int(run.handle))
        await one_home.driver.stop(WEB, grace_ms=30_000)
        assert (await one_home.end_of("web-1")).exit.reason == "stopped"

    async def test_stopping_what_is_not_there_or_over_is_no_error(self, one_home):
        await one_home.driver.stop(RunKey("nobody", 1))
        await one_home.run("web-1", "exit 3")
        await one_home.driver.stop(WEB)
        assert (await one_home.find("web-1")).exit.code == 3

    async def test_a_stop_right_behind_a_start_is_not_lost(self, home):
        for number in range(10):
            name = f"web-{number}"
            start = asyncio.create_task(home.start(name, "/bin/sleep", "60"))
            await asyncio.sleep(0)
            await home.driver.stop(RunKey(name, 1), grace_ms=30_000)
            await start
            run = await home.find(name)
            if run.state is RunState.RUNNING:  # the stop came before the start
                await home.driver.stop(RunKey(name, 1), grace_ms=30_000)
            assert (await home.end_of(name)).exit.reason == "stopped"


# A grandchild in a session of its own that ignores SIGTERM, and one that has become a daemon by a double fork.
FAMILY = """
import os, signal, sys, time
def stay(name):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout.write(f"{name} {os.getpid()}\\n"); sys.stdout.flush()
    while True: time.sleep(60)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: stay("grandchild")
    stay("child")
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0: os._exit(0)
    stay("daemon")
"""
UNTIL_TOLD = "while not os.path.exists('go'): time.sleep(0.01)\n"
# As the daemon above, but it also clears its environment, so that nothing shows where it comes from.
STRANGER = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0: os._exit(0)
    os.execve("/bin/sh", ["sh", "-c", "trap '' TERM; echo stranger $$; while sleep 0.1; do echo; done"], {})
"""


async def family(home, count: int) -> list[int]:
    """Process ids of the members once all have reported."""
    found: dict[bytes, int] = {}
    text = b""
    async with asyncio.timeout(30):
        async for chunk in home.driver.logs("web-1", follow=True):
            text += chunk.data
            for line in text.splitlines(keepends=True):
                if line.endswith(b"\n") and len(line.split()) == 2:
                    name, pid = line.split()
                    found[name] = int(pid)
            if len(found) >= count:
                break
    return list(found.values())


class TestTree:
    async def test_a_stop_takes_the_whole_tree(self, home, is_running):
        await home.python("web-1", FAMILY + "stay('main')")
        pids = await family(home, 4)
        assert len(pids) == 4
        assert all(map(is_running, pids))
        await home.driver.stop(WEB, grace_ms=200)
        run = await home.end_of("web-1")
        assert run.exit.reason == "killed"
        assert not any(map(is_running, pids))

    async def test_what_is_left_when_the_main_process_ends_by_itself_is_killed(self, home, is_running, wait_until):
        await home.python("web-1", FAMILY + UNTIL_TOLD + "sys.exit(5)")
        pids = await family(home, 3)
        assert len(pids) == 3
        home.tell("web-1")
        run = await home.end_of("web-1")
        assert (run.exit.code, run.exit.reason) == (5, "exited")
        if home.cgroup == "off":
            # One that a look at /proc missed while its parents ended is killed as a stray, in the same moment.
            await wait_until(lambda: not any(map(is_running, pids)), "the end of what was left")
        assert not any(map(is_running, pids))

    async def test_a_daemon_that_hides_where_it_comes_from_is_killed_too(self, home, is_running, wait_until):
        await home.python("web-1", STRANGER + UNTIL_TOLD)
        pids = await family(home, 1)
        assert len(pids) == 1
        home.tell("web-1")
        await home.end_of("web-1")
        await wait_until(lambda: not any(map(is_running, pids)), "the stranger's end")

    async def test_the_tree_of_another_run_is_spared(self, home, is_running):
        await home.python("web-1", FAMILY + "stay('main')")
        pids = await family(home, 4)
        await home.shell("web-2", "(sleep 60 & ) ; exit 0")
        await home.end_of("web-2")
        await home.shell("web-3", "sleep 60 & sleep 60")
        await home.driver.stop(RunKey("web-3", 1), grace_ms=0)
        await home.end_of("web-3")
        assert all(map(is_running, pids))

    async def test_a_hidden_daemon_is_spared_while_its_run_lives(self, home, is_running):
        await home.python("web-1", STRANGER + UNTIL_TOLD)
        pids = await family(home, 1)
        ended = (await home.run("web-2", "(sleep 60 &); exit 0")).exit.ended_at_ms
        async with asyncio.timeout(30):
            async for chunk in home.driver.logs("web-1", follow=True):
                if chunk.at_ms > ended + 500:
                    break  # it still talks, long after
        assert len(pids) == 1
        assert all(map(is_running, pids))

    async def test_a_tree_that_forks_without_end_is_killed(self, home):
        # The main process stays; its child runs away by forking and leaving, a thousand times a second.
        script = (
            "import os, time\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    while True:\n"
            "        if os.fork() > 0: os._exit(0)\n"
            "        time.sleep(0.0005)\n"
            "print('ready', flush=True)\n"
            "time.sleep(60)\n"
        )
        await home.python("web-1", script)
        await home.says("web-1", b"ready")
        await home.driver.stop(WEB, grace_ms=0)
        assert (await home.end_of("web-1")).exit.reason == "killed"


class TestFence:
    async def test_a_fenced_run_is_killed_at_its_deadline(self, home):
        begin = asyncio.get_running_loop().time()
        await home.start("web-1", "/bin/sleep", "60", fence_ms=400)
        run = await home.end_of("web-1")
        assert (run.exit.reason, run.exit.signal) == ("fenced", signal.SIGKILL)
        assert asyncio.get_running_loop().time() - begin >= 0.39

    async def test_a_renewed_fence_keeps_it_running(self, home):
        await home.start("web-1", "/bin/sleep", "60", fence_ms=20_000)
        await home.driver.fence([WEB], within_ms=3_600_000)
        await home.start("web-2", "/bin/sleep", "60", fence_ms=20_000)
        await home.driver.fence([WEB, RunKey("web-2", 1)], within_ms=500)
        await home.driver.fence([WEB], within_ms=3_600_000)
        assert (await home.end_of("web-2")).exit.reason == "fenced"
        assert (await home.find("web-1")).state is RunState.RUNNING

    async def test_a_fence_can_be_drawn_nearer(self, one_home):
        await one_home.start("web-1", "/bin/sleep", "60", fence_ms=3_600_000)
        await one_home.driver.fence([WEB], within_ms=100)
        assert (await one_home.end_of("web-1")).exit.reason == "fenced"

    async def test_runs_without_fence_are_not_concerned(self, one_home):
        await one_home.start("web-1", "/bin/sleep", "60")
        await one_home.start("web-2", "/bin/sleep", "60", fence_ms=3_600_000)
        await one_home.driver.fence([WEB, RunKey("nobody", 1), RunKey("web-2", 1)], within_ms=1)
        assert (await one_home.end_of("web-2")).exit.reason == "fenced"
        assert (await one_home.find("web-1")).state is RunState.RUNNING

    async def test_a_fenced_run_dies_with_its_keeper(self, one_home, is_running, wait_until):
        """Nobody would be left to kill it at the deadline."""
        fenced = await one_home.start("web-1", "/bin/sleep", "60", fence_ms=3_600_000)
        other = await one_home.start("web-2", "/bin/sleep", "60")
        await one_home.driver.close()
        await one_home.kill_keeper()
        await wait_until(lambda: not is_running(int(fenced.handle)), "the fenced run's end")
        assert is_running(int(other.handle))

    @pytest.mark.parametrize("grace_ms", [0, 50])
    async def test_a_fence_and_a_stop_at_once_end_it_once(self, one_home, grace_ms):
        await one_home.shell("web-1", IGNORES_TERM, fence_ms=400)
        await one_home.says("web-1", b"ready")  # before that it would end by the signal, as any other
        await one_home.driver.stop(WEB, grace_ms=grace_ms)
        assert (await one_home.end_of("web-1")).exit.reason in ("fenced", "killed")
