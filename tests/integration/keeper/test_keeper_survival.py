"""Deaths and upgrades: of the proxy, of the keeper; and that there is one keeper to a directory."""

import asyncio
import concurrent.futures
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverError, LogPolicy, RunKey, RunState
from omnitide.node.keeper.launch import (
    KeeperUnavailable,
    command,
    connect,
    ensure_keeper,
    stop_keeper,
    upgrade_keeper,
)

FIVE_MB = 5_000_000


def spawn(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


class TestProxyDeath:
    async def test_what_happens_while_the_proxy_is_dead_is_known_exactly(self, home, tmp_path, is_running):
        """One prints 5 MB and exits 7, one is killed by a signal, a third lives on. The proxy is a killed process."""
        proxy = spawn(sys.executable, "-c", PROXY, home.directory, home.cgroup)
        assert await asyncio.to_thread(proxy.stdout.readline) == "started\n"
        third = (await home.find("third")).handle
        proxy.kill()
        proxy.wait()
        proxy.stdout.close()
        await home.driver.close()  # nobody is connected any more
        for instance in ("first", "second"):
            home.tell(instance)
        await until_ended(home, 2)

        after = home.another_driver()
        runs = {run.key.instance: run for run in await after.recover()}
        assert set(runs) == {"first", "second", "third"}
        assert (runs["first"].exit.code, runs["first"].exit.reason) == (7, "exited")
        assert (runs["second"].exit.signal, runs["second"].exit.reason) == (signal.SIGUSR2, "signal")
        assert runs["third"].state is RunState.RUNNING
        assert runs["third"].handle == third
        assert is_running(int(third))
        output = b"".join([chunk.data async for chunk in after.logs("first")])
        assert output == b"started once\n" + b"0123456789" * (FIVE_MB // 10)
        # What is started again by a proxy that has forgotten is not started twice.
        assert (await home.shell("third", "echo twice", driver=after)).handle == third
        assert (await home.shell("first", "echo twice", driver=after)).exit.code == 7
        assert b"".join([chunk.data async for chunk in after.logs("third")]) == b"started once\n"


PROXY = """
import asyncio, sys
from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.protocol import Launch, LogPolicy, RunKey

async def main():
    driver = ProcessDriver(sys.argv[1], cgroup=sys.argv[2])
    wait = "echo started once; while [ ! -e go ]; do sleep 0.02; done; "
    endings = {
        "first": "yes 0123456789 | tr -d '\\\\n' | head -c 5000000; exit 7",
        "second": "kill -USR2 $$",
        "third": "",
    }
    for name, ending in endings.items():
        policy = LogPolicy(max_file_bytes=8 << 20, max_files=3)
        command = ["/bin/sh", "-c", wait + ending]
        await driver.start(Launch(RunKey(name, 1), name, command, {}, log_policy=policy))
    print("started", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


async def until_ended(home, count: int) -> None:
    """Until so many runs have ended, asked of the keeper by a connection that is gone at once."""
    for _ in range(3000):
        runs = home.ask("list")["runs"]
        if sum(run["state"] == "exited" for run in runs) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not {count} runs ended")


class TestKeeperDeath:
    async def test_runs_become_unknown_and_nothing_of_them_is_left(self, home, is_running):
        script = "(setsid sh -c \"trap '' TERM; echo deep; sleep 60; sleep 60\" &); sleep 60"
        live = await home.shell("live", script, labels={"generation": "3"})
        await home.says("live", b"deep")
        await home.run("over", "echo words; exit 4")
        before = home.processes()
        assert len(before) >= 3
        watch = home.driver.watch()
        await home.kill_keeper()
        with pytest.raises(DriverError) as caught:
            async with asyncio.timeout(30):
                async for _ in watch:
                    pass
        assert (caught.value.cause, caught.value.permanent) == ("driver-unavailable", False)

        runs = {run.key.instance: run for run in await home.driver.recover()}  # starts the next keeper
        assert runs["live"].state is RunState.UNKNOWN
        assert (runs["live"].exit.reason, runs["live"].exit.code) == ("unknown", None)
        assert runs["live"].labels == {"generation": "3"}
        assert runs["live"].handle == live.handle
        assert (runs["over"].exit.code, runs["over"].state) == (4, RunState.EXITED)
        assert not any(map(is_running, before))
        assert home.processes() == []
        assert await home.output("over") == b"words\n"

        # It stays so, and the instance goes on with its next attempt.
        await home.kill_keeper()
        assert (await home.find("live")).state is RunState.UNKNOWN
        await home.shell("live", "echo again", attempt=2)
        assert (await home.end_of("live", 2)).exit.code == 0
        assert (await home.output("live")).endswith(b"again\n")

    async def test_an_exit_that_was_recorded_before_the_death_is_kept(self, home):
        """The record is written before the process is reaped: an end that anyone has heard of is never lost."""
        for number in range(5):
            await home.run(f"job-{number}", f"exit {number}")
        await home.kill_keeper()
        runs = await home.driver.recover()
        assert [run.exit.code for run in runs] == [0, 1, 2, 3, 4]

    async def test_a_journal_that_was_cut_is_read_as_far_as_it_goes(self, one_home):
        await one_home.run("over", "exit 4")
        await one_home.driver.close()
        await one_home.kill_keeper()
        append(one_home, b'{"run":{"instance":"half')
        runs = await one_home.another_driver().recover()
        assert [(run.key.instance, run.exit.code) for run in runs] == [("over", 4)]

    async def test_a_process_that_was_never_recorded_is_killed_too(self, one_home, is_running, wait_until):
        """As if the keeper had died between the fork and the record."""
        run = await one_home.start("web-1", "/bin/sleep", "60")
        await one_home.driver.close()
        await one_home.kill_keeper()
        erase_journal(one_home)
        assert await one_home.another_driver().recover() == []
        assert not is_running(int(run.handle))

    async def test_a_start_when_the_keeper_is_gone_starts_a_keeper(self, one_home):
        await one_home.kill_keeper()
        assert (await one_home.run("web-1", "exit 2")).exit.code == 2

    async def test_after_a_restart_of_the_machine_nobody_else_is_killed(self, one_home, is_running):
        """The process ids of another boot belong to others now."""
        await one_home.start("web-1", "/bin/sleep", "60")
        await one_home.driver.close()
        await one_home.kill_keeper()
        bystander = spawn("/bin/sleep", "60")
        try:
            blame(one_home, bystander.pid)
            runs = await one_home.another_driver().recover()
            assert runs[0].state is RunState.UNKNOWN
            assert "restarted" in runs[0].exit.message
            assert is_running(bystander.pid)
        finally:
            bystander.kill()
            bystander.wait()
            bystander.stdout.close()


def journal(home) -> Path:
    return Path(home.directory, "runs.journal")


def append(home, data: bytes) -> None:
    with journal(home).open("ab") as file:
        file.write(data)


def erase_journal(home) -> None:
    journal(home).unlink()


def blame(home, pid: int) -> None:
    """Make the journal tell of an earlier boot, in which the run had a process id that now is somebody else's."""
    import json

    line = json.loads(journal(home).read_text().splitlines()[-1])
    line["run"].update(boot="another-boot", pid=pid)
    journal(home).write_text(json.dumps(line) + "\n")


class TestUpgrade:
    async def test_runs_pipes_deadlines_and_exits_pass_over(self, home, is_running):
        wait = "while [ ! -e go ]; do sleep 0.02; done; "
        await home.shell("talker", f"echo before; {wait} echo after; exit 7")
        await home.shell("quiet", f"{wait} kill -USR2 $$")
        await home.shell("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
        await home.shell("fenced", "sleep 60", fence_ms=5000)
        await home.run("over", "exit 4")
        await home.says("stubborn", b"ready")
        await home.driver.stop(RunKey("stubborn", 1), grace_ms=4000)
        before = {run.key.instance: run.handle for run in await home.driver.recover()}
        pid = home.keeper_pid

        about = await asyncio.to_thread(upgrade_keeper, home.directory)
        assert (about["pid"], about["upgrades"]) == (pid, 1)
        runs = {run.key.instance: run for run in await home.driver.recover()}
        assert {name: run.handle for name, run in runs.items()} == before
        assert runs["over"].exit.code == 4
        assert runs["stubborn"].state is RunState.STOPPING
        assert (await home.end_of("stubborn")).exit.reason == "killed"
        assert (await home.end_of("fenced")).exit.reason == "fenced"

        home.tell("talker")
        home.tell("quiet")
        assert (await home.end_of("talker")).exit.code == 7
        assert (await home.end_of("quiet")).exit.signal == signal.SIGUSR2
        assert await home.output("talker") == b"before\nafter\n"
        assert len(os.listdir(f"{home.directory}/logs/talker")) == 1
        await home.run("new", "exit 0")

    async def test_output_flows_through_an_upgrade_without_a_gap(self, one_home):
        script = "import os, time\nfor n in range(3000):\n    os.write(1, b'%05d\\n' % n)\n    time.sleep(0.0005)\n"
        await one_home.python("web-1", script, log_policy=LogPolicy(max_file_bytes=1 << 20))
        await one_home.says("web-1", b"00010\n")
        for count in range(1, 4):
            about = await asyncio.to_thread(upgrade_keeper, one_home.directory)
            assert about["upgrades"] == count
        run = await one_home.end_of("web-1")
        assert run.exit.code == 0
        assert await one_home.output("web-1") == b"".join(b"%05d\n" % n for n in range(3000))

    async def test_an_exit_during_the_upgrade_is_heard(self, one_home):
        """Held between the two programs: the new one starts only when the run has ended."""
        names = [f"job-{number}" for number in range(20)]
        for number, name in enumerate(names):
            await one_home.shell(name, f"sleep 0.{number:02d}; exit {number}")
        await asyncio.to_thread(upgrade_keeper, one_home.directory)
        for number, name in enumerate(names):
            assert (await one_home.end_of(name)).exit.code == number

    async def test_following_goes_on_over_an_upgrade(self, one_home):
        await one_home.shell("web-1", "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two")
        seen = b""
        async with asyncio.timeout(60):
            async for chunk in one_home.driver.logs("web-1", follow=True):
                seen += chunk.data
                if seen == b"one\n":
                    await asyncio.to_thread(upgrade_keeper, one_home.directory)
                    one_home.tell("web-1")
        assert seen == b"one\ntwo\n"

    async def test_a_program_that_does_not_start_is_refused_before_the_change(self, one_home, is_running):
        run = await one_home.start("web-1", "/bin/sleep", "60")
        pid = one_home.keeper_pid
        for python in ("/bin/false", "/no/such/python"):
            with pytest.raises(Exception, match="does not take over"):
                await asyncio.to_thread(upgrade_keeper, one_home.directory, python=python)
        assert one_home.ask("info")["upgrades"] == 0
        assert one_home.keeper_pid == pid
        assert is_running(int(run.handle))
        # And nothing that was to be handed over has leaked into later runs.
        await one_home.start("web-2", "/bin/ls", "/proc/self/fd")
        await one_home.end_of("web-2")
        assert (await one_home.output("web-2")).split() == [b"0", b"1", b"2", b"3"]

    async def test_after_an_upgrade_nothing_leaks_into_runs(self, one_home):
        await one_home.start("web-1", "/bin/sleep", "60")
        await asyncio.to_thread(upgrade_keeper, one_home.directory)
        await one_home.start("web-2", "/bin/ls", "/proc/self/fd")
        await one_home.end_of("web-2")
        assert (await one_home.output("web-2")).split() == [b"0", b"1", b"2", b"3"]


class TestOneKeeper:
    async def test_starters_at_once_make_one(self, homes):
        home = homes("fresh")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            tasks = [pool.submit(ensure_keeper, home.directory) for _ in range(8)]
            pids = {await asyncio.to_thread(lambda task=task: task.result()["pid"]) for task in tasks}
        assert len(pids) == 1

    async def test_a_second_keeper_of_a_directory_is_turned_away(self, one_home):
        done = await asyncio.to_thread(
            subprocess.run, [*command(one_home.directory), "--daemon"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 3
        assert "already" in done.stderr
        assert one_home.ask("info")

    async def test_the_directory_and_the_socket_are_private(self, one_home):
        assert os.stat(one_home.directory).st_mode & 0o777 == 0o700
        assert os.stat(f"{one_home.directory}/keeper.sock").st_mode & 0o777 == 0o600

    async def test_a_directory_with_a_long_path_works(self, homes):
        home = homes("/".join(["a-rather-long-name-for-a-directory"] * 6))
        assert len(home.directory) > 150
        assert (await home.run("web-1", "exit 0")).exit.code == 0

    async def test_a_keeper_in_the_foreground_says_when_it_serves(self, homes):
        home = homes("fresh")
        keeper = spawn(sys.executable, "-m", "omnitide.node.keeper", "--directory", home.directory)
        try:
            assert await asyncio.to_thread(keeper.stdout.readline) == "ready\n"
            assert home.ask("info")["pid"] == keeper.pid
        finally:
            keeper.terminate()
            keeper.wait()
            keeper.stdout.close()
        assert keeper.returncode == 0

    async def test_a_wrong_command_line_is_refused(self):
        for arguments in (["--directory"], [], ["--nonsense"], ["--directory", "x", "--max-runs", "many"]):
            done = await asyncio.to_thread(
                subprocess.run, [*command("unused")[:5], *arguments], capture_output=True, text=True, check=False
            )
            assert done.returncode == 2
            assert done.stderr

    async def test_sigterm_stops_the_runs_and_then_the_keeper(self, one_home, is_running, wait_until):
        pid = one_home.keeper_pid
        await one_home.shell("web-1", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
        await one_home.says("web-1", b"ready")
        os.kill(pid, signal.SIGTERM)
        await wait_until(lambda: not is_running(pid), "the keeper's end")
        run = await one_home.find("web-1")  # told by the next keeper
        assert (run.exit.reason, run.exit.code) == ("stopped", 3)
        assert await one_home.output("web-1") == b"ready\nbye\n"

    async def test_a_keeper_with_live_runs_does_not_end_unasked(self, one_home):
        await one_home.start("web-1", "/bin/sleep", "60")
        with pytest.raises(Exception, match="1 runs are live"):
            await asyncio.to_thread(stop_keeper, one_home.directory, stop_runs=False)
        assert (await one_home.find("web-1")).state is RunState.RUNNING

    async def test_there_is_no_keeper_where_none_was_started(self, tmp_path):
        with pytest.raises(KeeperUnavailable):
            connect(str(tmp_path / "nothing"))
        await asyncio.to_thread(stop_keeper, str(tmp_path / "nothing"), stop_runs=True)
