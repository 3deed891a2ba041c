"""Runs: started once, as they were described, and their ends told exactly."""

import asyncio
import os
import pwd
import signal
import sys
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverError, RunKey, RunState


async def refusal(awaitable) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await awaitable
    return caught.value


class TestEnds:
    @pytest.mark.parametrize("code", [0, 1, 7, 255])
    async def test_an_exit_code_is_told_exactly(self, home, code):
        run = await home.run("web-1", f"exit {code}")
        assert run.state is RunState.EXITED
        assert run.exit.code == code
        assert run.exit.signal is None
        assert run.exit.reason == "exited"
        assert not run.exit.out_of_memory
        assert run.exit.ended_at_ms >= run.started_at_ms > 0

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGUSR1])
    async def test_an_end_by_signal_names_the_signal(self, home, number):
        run = await home.run("web-1", f"kill -{int(number)} $$")
        assert run.exit.code is None
        assert run.exit.signal == number
        assert run.exit.reason == "signal"
        assert number.name in run.exit.message

    async def test_the_watch_tells_start_and_end_in_order(self, one_home):
        watch = one_home.driver.watch()
        await one_home.shell("web-1", "exit 3")
        async with asyncio.timeout(30):
            states = []
            async for run in watch:
                states.append(run.state)
                if run.state is RunState.EXITED:
                    break
        assert states == [RunState.RUNNING, RunState.EXITED]

    async def test_a_signal_on_request_reaches_the_main_process(self, one_home):
        await one_home.shell("web-1", "trap 'echo heard; exit 9' USR1; echo ready; while :; do sleep 0.05; done")
        await one_home.says("web-1", b"ready")
        await one_home.driver.signal(RunKey("web-1", 1), signal.SIGUSR1)
        assert (await one_home.end_of("web-1")).exit.code == 9
        error = await refusal(one_home.driver.signal(RunKey("web-1", 1), signal.SIGUSR1))
        assert error.cause == "not-running"


class TestSurroundings:
    async def test_the_environment_is_the_one_given_with_path_home_and_marker(self, home):
        await home.start("web-1", "/usr/bin/env", environment={"GREETING": "grüß dich", "EMPTY": ""})
        await home.end_of("web-1")
        lines = set((await home.output("web-1")).decode().splitlines())
        assert lines == {
            "GREETING=grüß dich",
            "EMPTY=",
            f"HOME={pwd.getpwuid(os.geteuid()).pw_dir}",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            f"OMNITIDE_RUN_ID={home.keeper_id}/web-1/1",
        }

    async def test_a_given_path_is_kept_and_used(self, one_home, tmp_path):
        tool = tmp_path / "bin" / "greet"
        tool.parent.mkdir()
        tool.write_text("#!/bin/sh\necho $PATH\n")
        tool.chmod(0o755)
        await one_home.start("web-1", "greet", environment={"PATH": f"{tool.parent}:/bin"})
        await one_home.end_of("web-1")
        assert await one_home.output("web-1") == f"{tool.parent}:/bin\n".encode()

    async def test_a_run_gets_a_private_directory_or_the_one_it_names(self, home, tmp_path):
        await home.run("web-1", "pwd; touch here")
        private = (await home.output("web-1")).decode().strip()
        assert sorted(os.listdir(private)) == ["here"]
        assert os.stat(private).st_mode & 0o777 == 0o700
        await home.run("web-2", "pwd", working_directory=str(tmp_path))
        assert (await home.output("web-2")).decode().strip() == str(tmp_path)

    async def test_nothing_of_the_keeper_leaks_into_a_run(self, home):
        script = (
            "import os, signal, resource, sys\n"
            "print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])\n"
            "print(os.getsid(0) == os.getpid() == os.getpgid(0))\n"
            "print(oct(os.umask(0)))\n"
            "fields = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
            "print([int(fields[name], 16) for name in ('SigBlk', 'SigPnd')])\n"
            "print(repr(sys.stdin.read()))\n"
        )
        await home.python("web-1", script)
        assert (await home.end_of("web-1")).exit.code == 0
        fds, session, umask, masks, stdin = (await home.output("web-1")).decode().splitlines()
        assert fds == "[0, 1, 2]"
        assert session == "True"
        assert umask == "0o22"
        assert masks == "[0, 0]"
        assert stdin == "''"

    async def test_no_signal_is_ignored_by_inheritance(self, home):
        await home.start("web-1", "/bin/cat", "/proc/self/status")
        await home.end_of("web-1")
        fields = dict(line.split(":", 1) for line in (await home.output("web-1")).decode().splitlines())
        internal_to_libc = 1 << 31 | 1 << 32  # every posix_spawn of glibc leaves these two ignored
        assert int(fields["SigIgn"], 16) & ~internal_to_libc == 0

    async def test_the_limit_of_open_files_is_the_one_the_keeper_was_started_with(self, home):
        import resource

        await home.run("web-1", "ulimit -n; ulimit -Hn")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert (await home.output("web-1")).split() == [str(soft).encode(), str(hard).encode()]

    async def test_ctrl_c_at_the_proxy_does_not_reach_runs(self, one_home, is_running):
        run = await one_home.start("web-1", "/bin/sleep", "60")
        assert os.getsid(int(run.handle)) not in (os.getsid(0), os.getsid(one_home.keeper_pid))
        assert os.getsid(one_home.keeper_pid) != os.getsid(0)
        os.kill(one_home.keeper_pid, signal.SIGINT)
        os.kill(one_home.keeper_pid, signal.SIGHUP)
        one_home.ask("info")
        assert is_running(int(run.handle))


class TestRefusals:
    """What cannot be started says why, as a class that a program can act on."""

    @pytest.mark.parametrize(
        ("command", "cause"),
        [
            (["no-such-program"], "command-not-found"),
            (["/no/such/program"], "command-not-found"),
            (["/etc/passwd"], "permission"),
            (["/tmp"], "permission"),
        ],
    )
    async def test_a_command_that_cannot_be_executed(self, home, command, cause):
        error = await refusal(home.start("web-1", *command))
        assert (error.cause, error.permanent) == (cause, True)
        assert command[0] in str(error)
        assert await home.driver.recover() == []

    async def test_a_script_whose_interpreter_is_missing(self, home, tmp_path):
        script = tmp_path / "script"
        script.write_text("#!/no/such/interpreter\n")
        script.chmod(0o755)
        error = await refusal(home.start("web-1", str(script)))
        assert (error.cause, error.permanent) == ("command-not-found", True)
        assert "interpreter" in str(error)

    async def test_a_file_that_is_no_program(self, home, tmp_path):
        script = tmp_path / "text"
        script.write_text("just words\n")
        script.chmod(0o755)
        error = await refusal(home.start("web-1", str(script)))
        assert (error.cause, error.permanent) == ("command-format", True)

    async def test_a_working_directory_that_is_missing(self, home, tmp_path):
        error = await refusal(home.start("web-1", "/bin/true", working_directory=str(tmp_path / "missing")))
        assert (error.cause, error.permanent) == ("working-directory", True)
        assert "missing" in str(error)
        error = await refusal(home.start("web-1", "/bin/true", working_directory="/etc/passwd"))
        assert error.cause == "working-directory"
        error = await refusal(home.start("web-1", "/bin/true", working_directory="relative"))
        assert error.cause == "working-directory"

    async def test_a_command_line_that_is_too_long(self, one_home):
        error = await refusal(one_home.start("web-1", "/bin/true", "x" * (200 << 10)))
        assert (error.cause, error.permanent) == ("command-size", True)
        error = await refusal(one_home.start("web-1", "/bin/true", "x" * (5 << 20)))
        assert (error.cause, error.permanent) == ("command-size", True)

    async def test_a_user_that_does_not_exist(self, one_home):
        error = await refusal(one_home.start("web-1", "/bin/true", user="no-such-user"))
        assert (error.cause, error.permanent) == ("user", True)
        error = await refusal(one_home.start("web-1", "/bin/true", user="4000000"))
        assert error.cause == "user"
        assert "group" in str(error)

    @pytest.mark.parametrize(
        "instance", ["", ".", "..", "../x", "a/b", "A", "a b", "-rf", ".hidden", "x" * 129, "a\0b", "ä", "a\n"]
    )
    async def test_a_hostile_instance_id(self, one_home, instance):
        error = await refusal(one_home.start(instance, "/bin/true"))
        assert (error.cause, error.permanent) == ("invalid", True)
        error = await refusal(one_home.driver.remove_instance(instance))
        assert error.cause == "invalid"
        error = await refusal(anext(one_home.driver.logs(instance)))
        assert error.cause == "invalid"

    @pytest.mark.parametrize("instance", ["tasks", "cgroup.procs", "memory.max", "cgroup.kill", "keeper", "probe"])
    async def test_an_instance_named_as_a_kernel_file_harms_nothing(self, home, instance):
        assert (await home.run(instance, "exit 4")).exit.code == 4
        await home.driver.remove_instance(instance)
        assert home.ask("info")

    async def test_bad_signals_and_environments(self, one_home):
        assert (await refusal(one_home.start("web-1", "/bin/true", stop_signal="SIGNOPE"))).cause == "invalid"
        assert (await refusal(one_home.start("web-1", "/bin/true", environment={"A=B": "x"}))).cause == "invalid"
        assert (await refusal(one_home.start("web-1", "/bin/true", environment={"A": "\0"}))).cause == "invalid"
        assert (await refusal(one_home.start("web-1"))).cause == "invalid"

    async def test_after_a_refusal_the_same_run_can_be_started(self, home, tmp_path):
        program = tmp_path / "late"
        await refusal(home.start("web-1", str(program)))
        program.write_text("#!/bin/sh\nexit 5\n")
        program.chmod(0o755)
        await home.start("web-1", str(program))
        assert (await home.end_of("web-1")).exit.code == 5


class TestOnce:
    async def test_a_start_that_is_repeated_starts_nothing(self, home):
        first = await home.shell("web-1", "echo once; sleep 60")
        again = await home.shell("web-1", "echo twice; sleep 60")
        assert again == first
        await home.says("web-1", b"once\n")
        await home.driver.stop(RunKey("web-1", 1), grace_ms=0)
        ended = await home.end_of("web-1")
        assert await home.shell("web-1", "echo thrice") == ended
        assert await home.output("web-1") == b"once\n"

    async def test_starts_at_the_same_time_start_one(self, home):
        runs = await asyncio.gather(*(home.shell("web-1", "echo once; sleep 60") for _ in range(20)))
        assert len({run.handle for run in runs}) == 1
        await home.says("web-1", b"once\n")
        assert await home.output("web-1") == b"once\n"

    async def test_a_second_attempt_waits_for_the_end_of_the_first(self, home):
        await home.shell("web-1", "exec sleep 60")
        error = await refusal(home.shell("web-1", "exit 0", attempt=2))
        assert (error.cause, error.permanent) == ("busy", False)
        await home.driver.stop(RunKey("web-1", 1), grace_ms=0)
        await home.end_of("web-1")
        await home.shell("web-1", "exit 6", attempt=2)
        assert (await home.end_of("web-1", 2)).exit.code == 6

    async def test_an_attempt_that_is_over_does_not_come_back(self, one_home):
        await one_home.run("web-1", "exit 0", attempt=1)
        await one_home.shell("web-1", "exit 0", attempt=2)
        await one_home.end_of("web-1", 2)
        await one_home.driver.remove(RunKey("web-1", 1))
        error = await refusal(one_home.shell("web-1", "exit 0", attempt=1))
        assert (error.cause, error.permanent) == ("stale-attempt", True)

    async def test_more_runs_than_the_node_takes_are_refused(self, homes, tmp_path):
        home = homes("small")
        from omnitide.node.keeper.launch import ensure_keeper

        ensure_keeper(home.directory, max_runs=3)
        for number in range(3):
            await home.start(f"web-{number}", "/bin/sleep", "60")
        error = await refusal(home.start("web-4", "/bin/sleep", "60"))
        assert (error.cause, error.permanent) == ("resources", False)
        assert "3 runs" in str(error)


class TestForgetting:
    async def test_labels_come_back(self, one_home):
        await one_home.shell("web-1", "exit 0", labels={"generation": "7", "note": "päckchen"})
        await one_home.end_of("web-1")
        assert (await one_home.find("web-1")).labels == {"generation": "7", "note": "päckchen"}

    async def test_a_live_run_cannot_be_removed(self, one_home):
        await one_home.start("web-1", "/bin/sleep", "60")
        assert (await refusal(one_home.driver.remove(RunKey("web-1", 1)))).cause == "busy"
        assert (await refusal(one_home.driver.remove_instance("web-1"))).cause == "busy"

    async def test_removal_takes_everything_and_is_idempotent(self, home, wait_until):
        await home.run("web-1", "mkdir -p deep/er; echo x > deep/er/file; ln -s /etc link; echo said")
        await home.driver.remove(RunKey("web-1", 1))
        assert await home.driver.recover() == []
        assert await home.output("web-1") == b"said\n"
        await home.driver.remove_instance("web-1")
        await home.driver.remove_instance("web-1")
        await home.driver.remove(RunKey("web-1", 1))
        error = await refusal(anext(home.driver.logs("web-1")))
        assert error.cause == "not-found"
        keeper = Path(home.directory)
        await wait_until(lambda: not any(keeper.glob("*/*")), "an empty directory")
        assert os.listdir("/etc")

    async def test_500_runs_come_and_go(self, one_home):
        names = [f"job-{number}" for number in range(500)]
        watch = one_home.driver.watch()
        await asyncio.gather(*(one_home.start(name, "/bin/sleep", "0.01") for name in names))
        left = set(names)
        async with asyncio.timeout(60):
            async for run in watch:
                if run.state is RunState.EXITED:
                    assert run.exit.code == 0
                    left.discard(run.key.instance)
                if not left:
                    break
        assert len(await one_home.driver.recover()) == 500
        await asyncio.gather(*(one_home.driver.remove_instance(name) for name in names))
        assert await one_home.driver.recover() == []


def test_the_keeper_imports_the_standard_library_alone():
    import subprocess

    source = Path(__file__).parents[3] / "src"
    script = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "import omnitide.node.keeper.__main__, omnitide.node.keeper.launch, omnitide.node.keeper.log_reader\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))\n"
        "print([name for name in sys.modules if name.startswith('omnitide')\n"
        "       and name not in ('omnitide', 'omnitide.node') and not name.startswith('omnitide.node.keeper')])\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['__main__', 'omnitide']", "[]"]
