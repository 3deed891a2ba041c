"""A limit is a limit: seen from inside the run or its control group, or the node refuses it. And: who a run runs as.

Control groups of version 1 (and the unified hierarchy beside them) are those of the kernel; what is special to a pure
version 2 is tested against a tree of plain files, in the unit tests.
"""

import asyncio
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnitide.drivers import process_sandbox
from omnitide.drivers.protocol import DriverError, Limit, RunKey
from omnitide.node.keeper import cgroup_mounts
from omnitide.node.keeper.launch import ensure_keeper, stop_keeper

pytestmark = pytest.mark.root

MEBI = 1 << 20
HOG = "data = []\nprint('eating', flush=True)\nfor n in range(400): data.append(bytearray(1 << 20))\nprint('full')\n"


@pytest.fixture
async def limited(one_home):
    """A keeper that enforces what these tests are about; elsewhere they have nothing to say."""
    info = await one_home.driver.probe()
    if not {"cpu", "memory", "pids"} <= set(info.enforces):
        pytest.skip(f"this machine enforces {list(info.enforces)}: {info.detail}")
    return one_home


async def refusal(awaitable) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await awaitable
    return caught.value


class TestMemory:
    async def test_a_run_that_takes_too_much_is_killed_and_the_reason_told(self, limited):
        await limited.python("web-1", HOG, limits=Limit(memory_bytes=64 * MEBI), limits_required=True)
        run = await limited.end_of("web-1")
        assert run.exit.reason == "out-of-memory"
        assert run.exit.out_of_memory
        assert run.exit.signal == signal.SIGKILL
        assert await limited.output("web-1") == b"eating\n"
        assert run.unenforced == ()

    async def test_the_same_run_with_room_succeeds(self, limited):
        await limited.python("web-1", HOG, limits=Limit(memory_bytes=600 * MEBI), limits_required=True)
        run = await limited.end_of("web-1")
        assert (run.exit.code, run.exit.out_of_memory) == (0, False)
        assert await limited.output("web-1") == b"eating\nfull\n"

    async def test_a_child_that_was_killed_for_memory_is_told_of(self, limited):
        script = f'{os.sys.executable} -I -S -c "b = bytearray(400 << 20)"; echo survived; exit 3'
        await limited.shell("web-1", script, limits=Limit(memory_bytes=64 * MEBI))
        run = await limited.end_of("web-1")
        assert run.exit.out_of_memory
        assert run.exit.code == 3
        assert run.exit.reason == "exited"
        assert "memory" in run.exit.message

    async def test_a_shell_that_passes_the_kill_on_counts_as_out_of_memory(self, limited):
        script = f'{os.sys.executable} -I -S -c "b = bytearray(400 << 20)"'
        await limited.shell("web-1", f"{script}; exit $?", limits=Limit(memory_bytes=64 * MEBI))
        run = await limited.end_of("web-1")
        assert (run.exit.reason, run.exit.code) == ("out-of-memory", 137)


class TestPids:
    async def test_no_more_processes_can_be_made_than_allowed(self, limited):
        script = (
            "import os, time\n"
            "made = 0\n"
            "try:\n"
            "    while made < 50:\n"
            "        if os.fork() == 0: time.sleep(60)\n"
            "        made += 1\n"
            "except OSError as error: print(made, error.errno, flush=True)\n"
            "time.sleep(60)\n"
        )
        await limited.python("web-1", script, limits=Limit(pids=10), limits_required=True)
        await limited.says("web-1", b"\n")
        assert await limited.output("web-1") == b"9 11\n"
        usage = await limited.driver.stats([RunKey("web-1", 1)])
        assert usage[RunKey("web-1", 1)].pids == 10
        await limited.driver.stop(RunKey("web-1", 1), grace_ms=0)
        await limited.end_of("web-1")

    async def test_a_fork_bomb_is_held_and_can_be_killed(self, limited):
        await limited.shell("web-1", "f() { f | f & f; }; echo ready; f", limits=Limit(pids=40))
        await limited.says("web-1", b"ready")
        await limited.driver.stop(RunKey("web-1", 1), grace_ms=0)
        assert (await limited.end_of("web-1")).exit.reason in ("killed", "signal", "exited", "stopped")
        assert limited.processes() == []

    @pytest.mark.parametrize("isolation", ["none", "sandbox"])
    async def test_who_ends_at_the_limit_is_told_to_have_reached_it(self, limited, isolation):
        if isolation == "sandbox" and not process_sandbox.works():
            pytest.skip("bubblewrap does not work here")
        await limited.shell("web-1", "while :; do sleep 1000 & done", limits=Limit(pids=10), isolation=isolation)
        end = (await limited.end_of("web-1")).exit
        assert (end.code, end.reason) == (2, "exited")
        assert end.message == "exited with code 2; it was refused a further process once, at its limit of them"

    async def test_who_copes_with_the_limit_ends_as_any_other(self, limited):
        await limited.shell("web-1", "(while :; do sleep 1000 & done); exit 0", limits=Limit(pids=10))
        end = (await limited.end_of("web-1")).exit
        assert (end.code, end.message) == (0, "exited with code 0")


class TestCpu:
    @pytest.mark.parametrize(
        ("milli", "quota", "period"), [(250, 25_000, 100_000), (3000, 300_000, 100_000), (5, 5_000, 1_000_000)]
    )
    async def test_the_quota_is_in_the_group(self, limited, milli, quota, period):
        await limited.start("web-1", "/bin/sleep", "60", limits=Limit(cpu_milli=milli), limits_required=True)
        group = groups_of(limited, "web-1")["cpu"]
        assert (group / "cpu.cfs_quota_us").read_text() == f"{quota}\n"
        assert (group / "cpu.cfs_period_us").read_text() == f"{period}\n"
        pid = (await limited.find("web-1")).handle
        assert (group / "cgroup.procs").read_text().split() == [pid]

    async def test_a_busy_run_gets_no_more_than_its_share(self, limited):
        await limited.shell("web-1", "while :; do :; done", limits=Limit(cpu_milli=100), limits_required=True)
        key = RunKey("web-1", 1)
        loop = asyncio.get_running_loop()
        first, begin = (await limited.driver.stats([key]))[key].cpu_ms, loop.time()
        used = 0
        async with asyncio.timeout(60):
            while used < 200:
                await asyncio.sleep(0.05)
                used = (await limited.driver.stats([key]))[key].cpu_ms - first
        elapsed_ms = (loop.time() - begin) * 1000
        assert used <= 0.1 * elapsed_ms + 30  # a period's quota may fall on either side


class TestRefusal:
    async def test_required_limits_are_refused_where_nothing_enforces_them(self, homes):
        home = homes("off", cgroup="off")
        assert not {"cpu", "memory", "pids"} & set((await home.driver.probe()).enforces)
        limits = Limit(memory_bytes=64 * MEBI, pids=10)
        error = await refusal(home.start("web-1", "/bin/true", limits=limits, limits_required=True))
        assert (error.cause, error.permanent) == ("limits", True)
        assert "memory, pids" in str(error)

    async def test_best_effort_limits_are_named_as_not_enforced(self, homes):
        home = homes("off", cgroup="off")
        run = await home.shell("web-1", "exit 0", limits=Limit(memory_bytes=64 * MEBI, pids=10))
        assert set(run.unenforced) == {"memory", "pids"}
        assert set((await home.end_of("web-1")).unenforced) == {"memory", "pids"}


class TestGroups:
    async def test_groups_are_gone_when_the_run_has_ended(self, limited):
        limits = Limit(cpu_milli=500, memory_bytes=64 * MEBI, pids=20)
        await limited.start("web-1", "/bin/sleep", "60", limits=limits)
        groups = groups_of(limited, "web-1")
        assert len(groups) >= 3
        await limited.driver.stop(RunKey("web-1", 1), grace_ms=0)
        await limited.end_of("web-1")
        assert not any(path.exists() for path in groups.values())

    async def test_a_run_that_made_groups_of_its_own_leaves_none(self, limited):
        if "unified" not in cgroup_mounts.discover_here():
            pytest.skip("no unified hierarchy here")
        script = (
            f"g=$(echo /sys/fs/cgroup/unified/omnitide-{limited.keeper_id}/instances/run-web-1)\n"
            "mkdir $g/own; echo $$ > $g/own/cgroup.procs\n"
            "cat /proc/self/cgroup; sleep 60 & sleep 60"
        )
        await limited.shell("web-1", script)
        await limited.says("web-1", b"run-web-1/own")
        await limited.driver.stop(RunKey("web-1", 1), grace_ms=0)
        await limited.end_of("web-1")
        assert not groups_of(limited, "web-1")

    async def test_the_keeper_sits_in_a_leaf_of_its_own(self, limited):
        await limited.run("web-1", "exit 0")
        lines = group_lines(limited.keeper_pid)
        assert f"/omnitide-{limited.keeper_id}/keeper\n" in lines
        assert "/instances/" not in lines

    async def test_two_keepers_on_a_machine_keep_apart(self, homes, is_running):
        one, two = homes("one"), homes("two")
        first = await one.start("web-1", "/bin/sleep", "60")
        second = await two.start("web-1", "/bin/sleep", "60")
        assert first.handle != second.handle
        await one.driver.stop(RunKey("web-1", 1), grace_ms=0)
        await one.end_of("web-1")
        assert is_running(int(second.handle))
        await one.driver.close()
        await one.kill_keeper()
        assert await one.another_driver().recover()
        assert is_running(int(second.handle))


class TestUsage:
    @pytest.mark.parametrize("cgroup", ["auto", "off"])
    async def test_use_is_measured(self, homes, cgroup):
        home = homes(cgroup, cgroup=cgroup)
        script = (
            "import time\n"
            "data = bytearray(50 << 20)\n"
            "end = time.process_time() + 0.3\n"
            "while time.process_time() < end: pass\n"
            "print('ready', flush=True)\n"
            "time.sleep(60)\n"
        )
        await home.python("web-1", script)
        await home.start("web-2", "/bin/sleep", "60")
        await home.says("web-1", b"ready")
        keys = [RunKey("web-1", 1), RunKey("web-2", 1), RunKey("nobody", 1)]
        usage = await home.driver.stats(keys)
        assert set(usage) == set(keys[:2])
        assert 300 <= usage[keys[0]].cpu_ms < 5000
        assert 50 * MEBI <= usage[keys[0]].memory_bytes < 150 * MEBI
        assert usage[keys[0]].pids == 1
        assert usage[keys[1]].memory_bytes < 20 * MEBI


class TestUsers:
    @pytest.mark.parametrize("user", ["nobody", "nobody:daemon", "65534", "4000123:4000456"])
    async def test_a_run_is_its_user(self, home, user):
        await home.shell(
            "web-1", "id -u; id -g; id -G; touch mine; stat -c %u mine; cat /proc/self/status | grep Uid", user=user
        )
        assert (await home.end_of("web-1")).exit.code == 0
        uid, gid, groups, owner, status = (await home.output("web-1")).decode().splitlines()
        if user == "4000123:4000456":
            assert (uid, gid, groups, owner) == ("4000123", "4000456", "4000456", "4000123")
        else:
            nobody = pwd.getpwnam("nobody")
            assert uid == owner == str(nobody.pw_uid)
            expected = "1" if user == "nobody:daemon" else str(nobody.pw_gid)
            assert gid == expected
            assert "0" not in groups.split()
        assert set(status.split()[1:]) == {uid}

    async def test_the_keepers_own_groups_do_not_stay_with_it(self, homes):
        before = os.getgroups()
        os.setgroups([0, 4242])
        try:
            home = homes("grouped")
            ensure_keeper(home.directory)
        finally:
            os.setgroups(before)
        await home.shell("web-1", "id -G", user="nobody:4000456")
        await home.end_of("web-1")
        assert set((await home.output("web-1")).split()) == {b"4000456"}

    async def test_its_private_directory_can_be_reached_by_its_path(self, one_home):
        for parent in Path(one_home.directory).parents:
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        await one_home.shell("web-1", "echo x > $(pwd)/file && cat $(pwd)/file", user="nobody")
        assert (await one_home.end_of("web-1")).exit.code == 0

    async def test_another_users_run_reads_neither_keeper_nor_output(self, one_home):
        await one_home.run("secret", "echo secret")
        keeper = one_home.directory
        places = ("", "logs", "runs.journal", "logs/secret/log-00000001", "work/secret")
        script = "; ".join(f"ls {keeper}/{place}/; cat {keeper}/{place}" for place in places)
        await one_home.shell("web-1", script, user="nobody")
        await one_home.end_of("web-1")
        assert await one_home.output("web-1") == b""

    async def test_a_directory_that_is_closed_to_the_user(self, one_home, tmp_path):
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        error = await refusal(one_home.start("web-1", "/bin/true", user="nobody", working_directory=str(closed)))
        assert (error.cause, error.permanent) == ("working-directory", True)

    async def test_a_program_that_is_closed_to_the_user(self, one_home, tmp_path):
        program = tmp_path / "tool"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o700)
        error = await refusal(one_home.start("web-1", str(program), user="nobody", working_directory="/"))
        assert (error.cause, error.permanent) == ("permission", True)

    async def test_a_run_of_another_user_can_be_stopped(self, home):
        await home.start("web-1", "/bin/sleep", "60", user="nobody")
        await home.driver.stop(RunKey("web-1", 1))
        assert (await home.end_of("web-1")).exit.reason == "stopped"


async def test_a_keeper_that_ends_leaves_no_group_although_something_in_its_own_is_just_dying(limited) -> None:
    assert limited.groups()
    end_with_a_dying_helper(limited)
    assert limited.groups() == []


def end_with_a_dying_helper(home) -> None:
    """The more memory it has, the longer it takes to die."""
    held = "import time; held = b'x' * (64 << 20); print('up', flush=True); time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-ISc", held], stdout=subprocess.PIPE) as helper:
        assert helper.stdout is not None
        assert helper.stdout.readline()
        for group in home.groups():
            Path(group, "keeper", "cgroup.procs").write_text(str(helper.pid))
        helper.kill()
        stop_keeper(home.directory, stop_runs=True, grace_ms=0)


def group_lines(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text()


def groups_of(home, instance: str) -> dict[str, Path]:
    """Existing group directories of a run, by hierarchy."""
    suffix = f"/omnitide-{home.keeper_id}/instances/run-{instance}"
    return {
        key: Path(path)
        for key, hierarchy in cgroup_mounts.discover_here().items()
        for path, _, _ in os.walk(hierarchy.mount)
        if path.endswith(suffix)
    }
