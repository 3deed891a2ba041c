"""A sandboxed process: its own view of the machine, and everything else as for any run."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from integration.keeper.conftest import Home, eventually
from omnitide.drivers import process_sandbox
from omnitide.drivers.protocol import DriverError, Exit, Launch, Limit, Mount, RunKey, RunState
from omnitide.drivers.streams import Exec, ExecOutput, ExecRequest
from omnitide.model.container import Sandbox
from omnitide.node.keeper import enter, processes, sandbox, words
from omnitide.node.keeper.launch import upgrade_keeper

pytestmark = pytest.mark.skipif(not process_sandbox.works(), reason="bubblewrap does not work here")

BOX = {"isolation": "sandbox"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start as another user")


async def said(home: Home, script: str, **more: object) -> str:
    """What a script in a sandbox prints."""
    await home.run("box", script, **{**BOX, **more})
    return (await home.output("box")).decode() + (await home.output("box", "stderr")).decode()


def ending(end: Exit | None) -> tuple[int | None, int | None, str]:
    assert end is not None
    return end.code, end.signal, end.reason


def there(*parts: str) -> bool:
    return Path(*parts).exists()


def core_pattern() -> str:
    return Path("/proc/sys/kernel/core_pattern").read_text()


async def test_the_driver_says_that_it_can(home: Home) -> None:
    assert "sandbox" in (await home.driver.probe()).enforces


async def test_it_sees_its_own_processes_alone(home: Home) -> None:
    numbers = await said(home, "cd /proc; echo [0-9]*; hostname > /dev/null; echo $$")
    assert numbers.split()[-1] == "2"
    assert len(numbers.split()) <= 4


async def test_it_has_no_rights_and_gets_none(home: Home) -> None:
    status = await said(home, "cat /proc/self/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


async def test_the_machine_is_read_only_but_for_its_directory_and_its_own_tmp(home: Home) -> None:
    mark = f"mark-{os.getpid()}"
    script = f"for d in . /tmp /var/tmp /usr /etc /srv; do touch $d/{mark} 2>/dev/null && echo $d; done; true"
    assert (await said(home, script)).split() == [".", "/tmp", "/var/tmp"]
    assert there(home.directory, "work/box", mark)
    assert not there("/tmp", mark)


async def test_the_kernel_s_settings_are_read_only_to_its_root_too(home: Home) -> None:
    before = core_pattern()
    text = await said(home, "cat /proc/sys/kernel/core_pattern > now; cat now > /proc/sys/kernel/core_pattern")
    assert "Read-only" in text
    assert core_pattern() == before


async def test_people_s_files_services_sockets_and_the_node_s_own_are_empty(home: Home) -> None:
    listed = await said(home, f"ls -A /root /home /run; ls -A {home.directory}; cat /etc/shadow")
    assert "keeper.sock" not in listed
    assert "root:*" not in listed
    assert "work" in listed  # the way to its own directory


async def test_what_the_spec_hides_is_empty_and_what_it_opens_can_be_written(home: Home, tmp_path: Path) -> None:
    secret, shared = tmp_path / "secret", tmp_path / "shared"
    secret.mkdir()
    (secret / "key").write_text("k")
    shared.mkdir()
    box = Sandbox(writable=(str(shared),), hidden=(str(secret),))
    text = await said(home, f"ls {secret}; touch {shared}/new && echo done", sandbox=box)
    assert text.split() == ["done"]
    assert (shared / "new").exists()


class Permitted:
    """A path of the machine that was permitted, below a directory to which somebody else may write."""

    def __init__(self, folder: Path) -> None:
        self.forbidden, self.shared = folder / "forbidden", folder / "shared"
        self.forbidden.mkdir()
        (self.forbidden / "key").write_text("k")
        self.path = self.shared / "data" / "inner"
        self.path.mkdir(parents=True)
        self._aside = self.shared / "aside"

    def swap(self, place: Path) -> None:
        """A link to what was not permitted, in the place of a part of the path."""
        place.rename(self._aside)
        place.symlink_to(self.forbidden)
        if place != self.path:
            (self.forbidden / self.path.name).mkdir(exist_ok=True)


async def refused(home: Home, **more: object) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await home.start("box", "/bin/sh", "-c", "ls /mnt/data; touch /mnt/data/new", isolation="sandbox", **more)
    assert await home.find("box") is None
    return caught.value


@pytest.mark.parametrize("part", ["data/inner", "data"])
@pytest.mark.parametrize("how", ["writable", "read-write", "read-only"])
async def test_a_link_that_is_put_into_a_path_after_it_was_permitted_is_not_followed(
    one_home: Home, tmp_path: Path, part: str, how: str
) -> None:
    permitted = Permitted(tmp_path)
    path = str(permitted.path)
    permitted.swap(permitted.shared / part)
    if how == "writable":
        error = await refused(one_home, sandbox=Sandbox(writable=(path,)), real={path: path})
    else:
        mount = Mount(path, "/mnt/data", read_only=how == "read-only", firm=True)
        error = await refused(one_home, mounts=[mount])
    assert (error.cause, error.permanent) == ("sandbox", True)
    assert f"{path}: there is a link in it, which was not there when it was permitted" in str(error)
    assert one_home.processes() == []
    assert not there(str(permitted.forbidden), "new")


async def test_a_link_that_comes_and_goes_never_leads_a_sandbox_elsewhere(one_home: Home, tmp_path: Path) -> None:
    permitted = Permitted(tmp_path)
    (permitted.path / "mine").touch()
    path, link, rest = permitted.path, permitted.shared / "link", permitted.shared / "rest"
    link.symlink_to(permitted.forbidden)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            path.rename(rest)
            link.rename(path)
            path.rename(link)
            rest.rename(path)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for number in range(12):
            box = f"box-{number}"
            with contextlib.suppress(DriverError):
                await one_home.shell(
                    box, "ls /mnt/data", isolation="sandbox", mounts=[Mount(str(path), "/mnt/data", firm=True)]
                )
                await one_home.end_of(box)
                assert await one_home.output(box) == b"mine\n"
    finally:
        over.set()
        swapping.join()


async def test_a_path_is_opened_as_what_it_was_found_to_be_and_nothing_open_is_left_inside(
    home: Home, tmp_path: Path
) -> None:
    """The spec may name it by a link, as long as what that leads to is permitted."""
    real, named = tmp_path / "real", tmp_path / "named"
    real.mkdir()
    named.symlink_to(real)
    (tmp_path / "file").write_text("a file")
    script = (
        f"touch {named}/new; cat /mnt/file; echo; ls -l /proc/self/fd | grep -c {tmp_path}; grep SigI /proc/self/status"
    )
    text = await said(
        home,
        script,
        sandbox=Sandbox(writable=(str(named),)),
        real={str(named): str(real)},
        mounts=[Mount(str(tmp_path / "file"), "/mnt/file", read_only=True, firm=True)],
        environment={"TMPDIR": "--bind-fd", "A": "@0"},
    )
    assert there(str(real), "new")
    *told, ignored = text.split()
    assert told == ["a", "file", "0", "SigIgn:"]
    assert not int(ignored, 16) & (1 << 31) - 1, "what Python ignores is not ignored in there"


async def test_a_bubblewrap_that_cannot_be_given_what_is_open_gets_no_path_of_the_machine(
    one_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "tools" / "bwrap"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho '    --bind SRC DEST'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    error = await refused(one_home, mounts=[Mount(str(tmp_path), "/mnt/data", firm=True)])
    assert (error.cause, error.permanent) == ("sandbox", True)
    assert "bubblewrap 0.10 has it" in str(error)


async def test_without_network_it_has_a_loopback_alone(home: Home) -> None:
    devices = await said(home, "tail -n +3 /proc/net/dev | cut -d: -f1", sandbox=Sandbox(network=False))
    assert devices.split() == ["lo"]


async def test_mounts_are_found_at_their_targets(home: Home, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / "file").write_text("content")
    mounts = [Mount(str(source), "/mnt/data", read_only=True), Mount(str(source), "inner/place")]
    text = await said(
        home, "cat /mnt/data/file inner/place/file; touch inner/place/x; touch /mnt/data/y", mounts=mounts
    )
    assert text.startswith("contentcontent")
    assert "Read-only" in text
    assert sorted(os.listdir(source)) == ["file", "x"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 7", (7, None, "exited")),
        ("kill -SEGV $$", (None, int(signal.SIGSEGV), "signal")),
        ("exit 0", (0, None, "exited")),
    ],
)
async def test_how_it_ends_is_told(home: Home, script: str, expected: tuple[int | None, int | None, str]) -> None:
    assert ending((await home.run("box", script, **BOX)).exit) == expected


async def test_the_stop_signal_reaches_the_program_which_has_its_grace(home: Home) -> None:
    await home.shell("box", "trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.05; done", **BOX)
    await home.says("box", b"up")
    await home.driver.stop(RunKey("box", 1))
    end = await home.end_of("box")
    assert ending(end.exit) == (3, None, "stopped")
    assert b"asked" in await home.output("box")


async def test_what_does_not_end_in_its_grace_is_killed_with_all_below_it(home: Home) -> None:
    await home.shell("box", "trap '' TERM; (setsid sleep 1000 &) ; echo up; sleep 1000; sleep 1000", **BOX)
    await home.says("box", b"up")
    await home.driver.stop(RunKey("box", 1), grace_ms=100)
    assert ending((await home.end_of("box")).exit)[2] == "killed"
    await eventually(lambda: not home.processes(), "the end of the whole tree")


async def test_a_signal_goes_to_the_program_alone(home: Home) -> None:
    await home.shell("box", "trap 'echo usr' USR1; echo up; while :; do sleep 0.05; done", **BOX)
    await home.says("box", b"up")
    await home.driver.signal(RunKey("box", 1), signal.SIGUSR1)
    await home.says("box", b"usr")
    run = await home.find("box")
    assert run is not None
    assert run.state is RunState.RUNNING


async def test_a_program_that_is_not_in_its_view_is_refused_with_the_reason(home: Home, tmp_path: Path) -> None:
    program = tmp_path / "hidden" / "program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    with pytest.raises(DriverError, match="No such file") as refused:
        await home.start("box", str(program), isolation="sandbox", sandbox=Sandbox(hidden=(str(program.parent),)))
    assert (refused.value.cause, refused.value.permanent) == ("command-not-found", True)
    assert await home.find("box") is None


async def test_a_start_is_refused_when_nothing_of_it_is_left(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What bubblewrap leaves behind takes its time to die, the longer the more memory it has."""
    bubblewrap = tmp_path / "tools" / "bwrap"
    bubblewrap.parent.mkdir()
    left = "import os; held = b'x' * (64 << 20); open('up', 'w'); os.read(os.pipe()[0], 1)"
    bubblewrap.write_text(
        f'#!/bin/sh\n{sys.executable} -ISc "{left}" & while ! [ -e up ]; do sleep 0.01; done; echo broken >&2; exit 1\n'
    )
    bubblewrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bubblewrap.parent}:{os.environ['PATH']}")
    with pytest.raises(DriverError, match="broken"):
        await home.start("box", "/bin/true", **BOX)
    assert home.processes() == []
    assert [group for group in home.groups() if there(group, "instances/run-box")] == []
    assert await home.find("box") is None


@pytest.fixture
def restless_mounts(tmp_path: Path) -> Iterator[None]:
    """File systems that come and go on this machine, as those of containers do."""
    place, over = tmp_path / "mounts", threading.Event()
    place.mkdir()
    subprocess.run(["mount", "--bind", place, place], check=True)
    # What systemd does to "/".
    subprocess.run(["mount", "--make-shared", place], check=True)

    def come_and_go(at: Path) -> None:
        at.mkdir()
        while not over.is_set():
            subprocess.run(["mount", "-t", "tmpfs", "one", at], check=True)
            subprocess.run(["umount", "--lazy", at], check=True)

    going = [threading.Thread(target=come_and_go, args=(place / name,)) for name in ("one", "two", "three", "four")]
    for each in going:
        each.start()
    yield
    over.set()
    for each in going:
        each.join()
    subprocess.run(["umount", "--lazy", place], check=True)


@as_root
@pytest.mark.root
@pytest.mark.usefixtures("restless_mounts")
async def test_mounts_that_end_meanwhile_keep_no_sandbox_from_starting(one_home: Home) -> None:
    """Of bubblewrap's tries some in a hundred fail then."""
    for number in range(60):
        assert ending((await one_home.run(f"box-{number}", "exit 7", **BOX)).exit) == (7, None, "exited")


async def test_a_mount_that_ended_meanwhile_is_no_reason_for_good_and_the_start_is_tried_again(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bubblewrap = tmp_path / "tools" / "bwrap"
    bubblewrap.parent.mkdir()
    bubblewrap.write_text(
        f"#!/bin/sh\necho >> {tmp_path}/tries\n"
        "echo 'bwrap: Unable to apply mount flags: remount \"/newroot/mnt\": Invalid argument' >&2; exit 1\n"
    )
    bubblewrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bubblewrap.parent}:{os.environ['PATH']}")
    with pytest.raises(DriverError, match="a mount of this machine ended") as refused:
        await home.start("box", "/bin/true", **BOX)
    assert (refused.value.cause, refused.value.permanent) == ("sandbox", False)
    assert (tmp_path / "tries").read_text() == "\n" * 8
    assert await home.find("box") is None


async def test_a_path_that_shall_be_writable_must_be_there(home: Home) -> None:
    with pytest.raises(DriverError, match="not there") as refused:
        await home.start("box", "/bin/true", isolation="sandbox", sandbox=Sandbox(writable=("/no/such/place",)))
    assert refused.value.cause == "sandbox"


async def test_without_bubblewrap_it_is_refused_for_good(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "sandbox" not in (await home.driver.probe()).enforces
    with pytest.raises(DriverError, match="no bubblewrap") as refused:
        await home.start("box", "/bin/true", isolation="sandbox")
    assert (refused.value.cause, refused.value.permanent) == ("sandbox", True)


async def test_it_survives_the_keeper_s_upgrade_and_is_heard_to_its_end(home: Home) -> None:
    await home.shell("box", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done", **BOX)
    await home.says("box", b"up")
    upgrade_keeper(home.directory)
    await eventually(lambda: Path(home.directory, "keeper.sock").exists())
    driver = home.another_driver()
    await driver.stop(RunKey("box", 1))
    assert ending((await home.end_of("box", driver=driver)).exit) == (5, None, "stopped")


async def inside(home: Home, *command: str, **more: object) -> tuple[int | None, str]:
    """How a further program in the box ends, and what it prints."""
    talk = await home.driver.exec(RunKey("box", 1), ExecRequest(command, **more))  # type: ignore[arg-type]
    said = b""
    while isinstance(piece := await talk.receive(), ExecOutput):
        said += piece.data
    await talk.close()
    return piece.code, said.decode()


@as_root
async def test_nothing_that_the_spec_puts_into_its_sandbox_is_executed_with_rights(home: Home, open_path: Path) -> None:
    false = open_path / "false"
    false.write_text('#!/bin/sh\ngrep CapEff /proc/self/status >> caught\nwhile [ "$1" != -- ]; do shift; done; "$@"\n')
    false.chmod(0o755)
    mounts = [Mount(str(false), f"/usr/bin/{name}") for name in ("setpriv", "nsenter", "python3")]
    script = "grep CapEff /proc/self/status; echo up; trap 'exit 0' TERM; while :; do sleep 0.05; done"
    await home.shell("box", script, user="nobody:nogroup", mounts=mounts, pre_stop=("/bin/cat", "caught"), **BOX)
    await home.says("box", b"up")
    code, said = await inside(home, "/bin/sh", "-c", "id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status")
    none = "0" * 16
    assert (code, said.split()) == (0, ["65534", "CapEff:", none, "CapBnd:", none, "NoNewPrivs:", "1"])
    await home.driver.stop(RunKey("box", 1))
    await home.end_of("box")
    assert not there(home.directory, "work/box/caught")
    assert "CapEff:\t0000000000000000" in (await home.output("box")).decode()


@as_root
async def test_who_may_not_reach_its_directory_gets_no_sandbox_there(home: Home) -> None:
    os.chmod(os.path.dirname(home.directory), 0o700)
    with pytest.raises(DriverError, match="Permission denied") as refused:
        await home.start("box", "/bin/true", user="nobody:nogroup", **BOX)
    assert (refused.value.cause, refused.value.permanent) == ("sandbox", True)


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -TERM $$", None)])
async def test_how_a_further_program_ends_is_told_from_within(one_home: Home, script: str, code: int | None) -> None:
    await one_home.shell("box", "echo up; exec sleep 1000", **BOX)
    await one_home.says("box", b"up")
    assert (await inside(one_home, "/bin/sh", "-c", script))[0] == code


@as_root
async def test_another_user_s_sandbox_is_that_user_s(home: Home) -> None:
    text = await said(
        home, "id -u; touch mine && echo done; cat /proc/self/status | grep CapEff", user="nobody:nogroup"
    )
    assert text.split()[:2] == ["65534", "done"]
    assert "0000000000000000" in text


async def test_a_fork_bomb_is_held_by_its_limit(one_home: Home) -> None:
    home = one_home
    info = await home.driver.probe()
    if "pids" not in info.enforces:
        pytest.skip(f"this machine enforces {list(info.enforces)}: {info.detail}")
    bomb = "echo up; f() { f | f & }; f 2>/dev/null; sleep 1000"
    await home.shell("box", bomb, isolation="sandbox", limits=Limit(pids=20))
    await home.says("box", b"up")
    assert len(processes.all_processes()) < 2000
    await home.driver.stop(RunKey("box", 1), grace_ms=0)
    await home.end_of("box")
    await eventually(lambda: not home.processes())


async def test_a_command_before_the_stop_runs_in_the_sandbox(home: Home) -> None:
    hook = ("/bin/sh", "-c", "cat /proc/1/comm; grep CapEff /proc/self/status; touch stopping")
    await home.shell(
        "box", "trap '[ -e stopping ] && exit 4' TERM; echo up; while :; do sleep 0.05; done", pre_stop=hook, **BOX
    )
    await home.says("box", b"up")
    await home.driver.stop(RunKey("box", 1))
    assert ending((await home.end_of("box")).exit) == (4, None, "stopped")
    text = await home.output("box")
    assert b"bwrap" in text
    assert b"0000000000000000" in text


async def test_a_further_program_is_executed_inside_with_no_more_rights(home: Home, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    mounts = [Mount(str(tmp_path / "inner"), "/srv/only-inside")]
    await home.shell("box", "echo up; exec sleep 1000", mounts=mounts, **BOX)
    await home.says("box", b"up")
    script = "cat /proc/1/comm; grep CapEff /proc/self/status; pwd; ls -A /root"
    request = ExecRequest(["/bin/sh", "-c", script], working_directory="/srv/only-inside")
    inside = await home.driver.exec(RunKey("box", 1), request)
    said = b""
    while isinstance(piece := await inside.receive(), ExecOutput):
        said += piece.data
    await inside.close()
    assert piece.code == 0, said
    assert said.split() == [b"bwrap", b"CapEff:", b"0000000000000000", b"/srv/only-inside"]


# Seconds that no other test sleeps, here or in a process beside this one.
FIRST, SECOND, THIRD = (f"100{number}.{os.getpid()}".encode() for number in (1, 2, 3))


async def test_a_shell_in_it_has_the_terminal_and_jobs_and_is_killed_with_the_talk(home: Home) -> None:
    await home.shell("box", "echo up; exec sleep 1000", **BOX)
    await home.says("box", b"up")

    async def shell() -> tuple[Exec, Callable[[bytes], Awaitable[None]]]:
        talk = await home.driver.exec(RunKey("box", 1), ExecRequest(["/bin/sh"], terminal=True))
        seen = b""

        async def until(text: bytes) -> None:
            nonlocal seen
            while text not in seen:
                piece = await asyncio.wait_for(talk.receive(), 30)
                assert isinstance(piece, ExecOutput), seen
                seen += piece.data
            assert b"tty" not in seen, "neither the access to it nor its process group fails"
            seen = b""

        return talk, until

    talk, until = await shell()
    await talk.write(b"echo be''gun; sleep " + FIRST + b"\n")
    await until(b"begun")
    await eventually(lambda: sleeping(FIRST), "the job in the foreground")
    await talk.write(b"\x03")
    await eventually(lambda: not sleeping(FIRST), "the end of the job alone")
    await talk.write(b"echo go''ing on\n")
    await until(b"going on")
    await talk.write(b"exit 5\n")
    while isinstance(piece := await asyncio.wait_for(talk.receive(), 30), ExecOutput):
        assert b"Cannot set" not in piece.data
    assert piece.code == 5
    await talk.close()

    talk, until = await shell()
    await talk.write(b"sleep " + SECOND + b" & sleep " + THIRD + b"\n")
    await eventually(lambda: sleeping(SECOND) and sleeping(THIRD), "both jobs")
    await talk.close()
    await eventually(lambda: not (sleeping(SECOND) or sleeping(THIRD)), "the end of all of it")


def sleeping(seconds: bytes) -> bool:
    def line(pid: int) -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    return any(line(pid) == b"sleep\0" + seconds + b"\0" for pid in processes.all_processes())


@as_root
@pytest.mark.parametrize("user", ["", "nobody:nogroup", "root"])
async def test_its_environment_is_that_of_its_spec(one_home: Home, user: str) -> None:
    names = ("TMPDIR", "TZDIR", "LOCPATH", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "OWN")
    environment = {name: "1" if name == "MALLOC_ARENA_MAX" else f"/{name}" for name in names} | {"PATH": "/bin"}
    text = await said(one_home, "env", user=user, environment=environment)
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert {name: found.get(name) for name in environment} == environment


@as_root
@pytest.mark.parametrize("user", ["", "nobody:nogroup"])
async def test_a_fenced_one_dies_with_its_keeper(one_home: Home, user: str) -> None:
    await one_home.shell("box", "echo up; sleep 1000 & sleep 1000", user=user, fence_ms=3_600_000, **BOX)
    await one_home.says("box", b"up")
    assert one_home.processes()
    await one_home.kill_keeper()
    await eventually(lambda: not one_home.processes(), "the end of all that is in it")


ENTER = """\
import os, sys
sys.path.insert(0, sys.argv[1])
import enter
uid, before = int(sys.argv[2]), sys.argv[3]
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
exec(before)
enter.main(sys.argv[4:])
"""
"""A process of its own, as the keeper executes it: a fork of this one would have the threads that gRPC makes again in
each child, and the kernel lets no process of several threads into a user namespace."""


def entering(uid: int, *words: str, before: str = "") -> "subprocess.CompletedProcess[bytes]":
    """`enter` as a user who may not read its file; `before`: what is done before it begins."""
    command = [sys.executable, "-I", "-S", "-c", ENTER, str(Path(enter.__file__).parent), str(uid), before, *words]
    return subprocess.run(command, capture_output=True, timeout=30, check=False)


@as_root
async def test_one_that_ends_while_a_program_comes_in_is_said_to_have_ended(one_home: Home) -> None:
    run = await one_home.shell("box", "echo up; exec sleep 1000", **BOX)
    await one_home.says("box", b"up")
    (first,) = processes.children(int(run.handle)) or ()
    kill = f"""
import signal, time
def end():
    os.kill({first}, signal.SIGKILL)
    while os.path.exists("/proc/{first}/ns/net") and os.path.lexists("/proc/{first}/exe"):
        time.sleep(0.01)
    return False
enter._give_terminal = end
"""
    ended = entering(0, str(first), "0", "/", "", "", "", "", "/bin/true", before=kill)
    assert (ended.returncode, ended.stderr) == (125, b"the sandbox: it has ended\n")


@as_root
def test_without_root_a_program_comes_in_as_well(tmp_path: Path) -> None:
    """bubblewrap of an ordinary user makes two user namespaces, one in the other; `enter` goes through both."""
    status, writer = os.pipe()
    box = process_sandbox.wrapper(Launch(RunKey("box", 1), "box", ["x"], {}), "/", ())
    command = [*box, "--unshare-user", "--unshare-net", "--json-status-fd", str(writer), "--", "/bin/sleep", "1000"]
    made = subprocess.Popen(command, pass_fds=[writer], user=65534, group=65534, extra_groups=[])
    os.close(writer)
    try:
        said = b""
        while not words.of_sandbox(said).first:
            said += os.read(status, 4096) or pytest.fail("bubblewrap has ended")
        first = words.of_sandbox(said).first
        deadline = time.monotonic() + 30
        while not sandbox.program(first, made.pid):
            assert time.monotonic() < deadline, "its program is never executed"
            time.sleep(0.01)
        script = "id -u; grep CapEff /proc/self/status; ls -d /proc/[0-9]* | wc -l; exit 5"
        ended = entering(65534, str(first), "1", "/", "", "", "", "", "/bin/sh", "-c", script)
        assert (ended.returncode, ended.stderr) == (5, b"")
        uid, _, rights, count = ended.stdout.split()
        assert (uid, rights) == (b"65534", b"0" * 16)
        assert int(count) < 8, "it sees the processes of the sandbox alone"
    finally:
        made.kill()
        made.wait()
        os.close(status)
