"""Further programs inside a run: exec, and the files that go in and out by it."""

import asyncio
import hashlib
import io
import os
import signal
import tarfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from omnitide.drivers import process_exec
from omnitide.drivers.protocol import DriverError, RunKey
from omnitide.drivers.streams import Exec, ExecEnded, ExecOutput, ExecRequest

KEY = RunKey("a.1.1", 1)


async def asleep(home, **more: object) -> None:
    await home.start(KEY.instance, "sleep", "1000", **more)  # type: ignore[arg-type]


async def outcome(talk: Exec) -> tuple[bytes, bytes, ExecEnded]:
    out: dict[str, bytes] = {"stdout": b"", "stderr": b""}
    try:
        async with asyncio.timeout(60):
            while isinstance(piece := await talk.receive(), ExecOutput):
                out[piece.stream] += piece.data
    finally:
        await talk.close()
    return out["stdout"], out["stderr"], piece


async def sh(home, script: str, **more: object) -> tuple[bytes, bytes, ExecEnded]:
    request = ExecRequest(command=["sh", "-c", script], **more)  # type: ignore[arg-type]
    return await outcome(await home.driver.exec(KEY, request))


async def test_a_program_runs_in_the_directory_and_environment_of_the_run(home) -> None:
    await asleep(home, environment={"COLOUR": "blue"})
    out, errors, ended = await sh(home, "pwd; echo $COLOUR $MORE; echo oh >&2; exit 7", environment={"MORE": "light"})
    assert out.decode().splitlines() == [os.path.join(home.directory, "work", KEY.instance), "blue light"]
    assert (errors, ended) == (b"oh\n", ExecEnded(7))


async def test_its_end_by_a_signal_is_told(home) -> None:
    await asleep(home)
    assert (await sh(home, "kill -9 $$"))[2] == ExecEnded(None, 9)


async def test_input_reaches_it_and_ends(one_home) -> None:
    await asleep(one_home)
    talk = await one_home.driver.exec(KEY, ExecRequest(command=["sha256sum"]))
    data = os.urandom(5 << 20)
    reading = asyncio.create_task(outcome(talk))
    for start in range(0, len(data), 64 << 10):
        await talk.write(data[start : start + (64 << 10)])
    await talk.end_input()
    assert (await reading)[0].split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_what_cannot_be_run_is_refused_with_its_cause(one_home) -> None:
    await asleep(one_home)
    with pytest.raises(DriverError) as absent:
        await one_home.driver.exec(KEY, ExecRequest(command=["no-such-program"]))
    assert absent.value.cause == "command-not-found"
    with pytest.raises(DriverError) as place:
        await one_home.driver.exec(KEY, ExecRequest(command=["true"], working_directory="/no/such/place"))
    assert place.value.cause == "working-directory"
    with pytest.raises(DriverError) as other:
        await one_home.driver.exec(RunKey("b.1.1", 1), ExecRequest(command=["true"]))
    assert other.value.cause == "not-running"


async def test_a_terminal_has_a_size_that_changes_and_takes_ctrl_c(one_home) -> None:
    await asleep(one_home)
    script = "trap 'stty size; exit 5' WINCH; stty size; while :; do sleep 0.05; done"
    request = ExecRequest(command=["sh", "-c", script], terminal=True, rows=33, columns=99)
    talk = await one_home.driver.exec(KEY, request)
    seen = b""
    while b"33 99" not in seen:
        piece = await asyncio.wait_for(talk.receive(), 30)
        assert isinstance(piece, ExecOutput)
        seen += piece.data
    await talk.resize(44, 120)
    out, _, ended = await outcome(talk)
    assert (out.strip(), ended) == (b"44 120", ExecEnded(5))

    talk = await one_home.driver.exec(KEY, ExecRequest(command=["sh", "-c", "echo on; exec sleep 1000"], terminal=True))
    assert isinstance(await asyncio.wait_for(talk.receive(), 30), ExecOutput)
    await talk.write(b"\x03")
    assert (await outcome(talk))[2] == ExecEnded(None, signal.SIGINT)


async def test_a_signal_reaches_it_and_what_it_runs(one_home) -> None:
    await asleep(one_home)
    talk = await one_home.driver.exec(KEY, ExecRequest(command=["sh", "-c", "echo on; sleep 1000; true"]))
    await talk.receive()
    await talk.signal(signal.SIGTERM)
    assert (await outcome(talk))[2] == ExecEnded(None, signal.SIGTERM)


async def test_closing_the_talk_kills_it(
    home, wait_until: Callable[..., Awaitable[None]], is_running: Callable[[int], bool]
) -> None:
    await asleep(home)
    talk = await home.driver.exec(KEY, ExecRequest(command=["sh", "-c", "echo $$; sleep 1000 & wait"]))
    piece = await talk.receive()
    assert isinstance(piece, ExecOutput)
    pid = int(piece.data)
    await talk.close()
    await wait_until(lambda: not is_running(pid), "the program has ended")
    assert (await home.driver.status(KEY)).exit is None  # type: ignore[union-attr]


async def test_it_ends_with_the_run(home) -> None:
    await asleep(home)
    talk = await home.driver.exec(KEY, ExecRequest(command=["sleep", "1000"]))
    await home.driver.stop(KEY)
    assert (await outcome(talk))[2].signal == signal.SIGKILL


async def settled(look: Callable[[], int]) -> int:
    """What is seen once it has not changed for half a second."""
    before, now = -1, look()
    while before != now:
        await asyncio.sleep(0.5)
        before, now = now, look()
    return now


async def test_a_writer_waits_for_who_does_not_read(one_home, wait_until) -> None:
    await asleep(one_home)
    script = "i=0; while [ $i -lt 400 ]; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > count; done"
    talk = await one_home.driver.exec(KEY, ExecRequest(command=["sh", "-c", script]))
    await talk.receive()
    count = Path(one_home.directory, "work", KEY.instance, "count")
    await wait_until(count.exists, "it has written something")
    written = await settled(lambda: int(count.read_text() or 0))
    assert written <= 3, "no more than a pipe holds"
    assert len((await outcome(talk))[0]) > 390 * 65536


def tar(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o751
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 64 << 10):
        yield data[start : start + (64 << 10)]


async def test_files_go_in_and_out_with_their_modes(home) -> None:
    await asleep(home)
    data = os.urandom(3 << 20)
    await home.driver.extract(KEY.instance, ".", pieces(tar(**{"d/one": data})))
    assert (await sh(home, "stat -c %a d/one; cat d/one | wc -c"))[0].split() == [b"751", str(len(data)).encode()]
    back = b"".join([piece async for piece in home.driver.archive(KEY.instance, "d")])
    with tarfile.open(fileobj=io.BytesIO(back)) as archive:
        member = archive.getmember("d/one")
        file = archive.extractfile(member)
        assert file is not None
        assert (member.mode, file.read()) == (0o751, data)


@pytest.mark.parametrize(
    ("path", "cause"), [("absent", "no-such-file"), ("../x", "path-escape"), ("a/../../x", "path-escape")]
)
async def test_paths_that_are_not_there_or_lead_out_are_refused(one_home, path: str, cause: str) -> None:
    await asleep(one_home)
    with pytest.raises(DriverError) as read:
        async for _ in one_home.driver.archive(KEY.instance, path):
            pass
    with pytest.raises(DriverError) as written:
        await one_home.driver.extract(KEY.instance, path, pieces(tar(x=b"1")))
    assert (read.value.cause, written.value.cause) == (cause, cause)


@pytest.mark.parametrize("name", ["../escaped", "link/escaped"])
async def test_a_hostile_archive_writes_nothing_outside(one_home, name: str) -> None:
    await asleep(one_home)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, ".."
        archive.addfile(link)
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    await sh(one_home, "mkdir inner")
    with pytest.raises(DriverError):
        await one_home.driver.extract(KEY.instance, "inner", pieces(made.getvalue()))
    escaped = Path(one_home.directory, "work", KEY.instance, "escaped")
    assert not escaped.exists()  # noqa: ASYNC240 - a look


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs instances of other users")
async def test_it_has_the_rights_of_the_runs_user_and_no_more(one_home) -> None:
    await asleep(one_home, user="nobody")
    assert (await sh(one_home, "id -un"))[0] == b"nobody\n"
    assert (await sh(one_home, "id -un", user="nobody"))[0] == b"nobody\n"
    with pytest.raises(DriverError):
        async for _ in one_home.driver.archive(KEY.instance, "/etc/shadow"):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs instances of other users")
@pytest.mark.parametrize("isolation", ["none", "sandbox"])
@pytest.mark.parametrize("user", ["root", "0:0", "daemon", "nobody:root", "65534:0"])
async def test_a_user_s_run_is_no_way_to_another_user(one_home, isolation: str, user: str) -> None:
    await asleep(one_home, user="nobody:nogroup", isolation=isolation)
    with pytest.raises(DriverError) as refused:
        await one_home.driver.exec(KEY, ExecRequest(command=["id"], user=user))
    assert (refused.value.cause, refused.value.permanent) == ("user", True)
    assert (await sh(one_home, "id -u", user="65534:65534"))[0] == b"65534\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs instances of other users")
async def test_from_the_rights_of_root_a_program_may_step_down(one_home) -> None:
    await asleep(one_home)
    assert (await sh(one_home, "id -un", user="daemon"))[0] == b"daemon\n"


def descriptors() -> list[str]:
    """Of this process, by what they are open on."""
    return sorted(os.readlink(link) for link in Path("/proc/self/fd").iterdir() if os.path.lexists(link))


@pytest.mark.parametrize("terminal", [False, True])
async def test_a_program_that_nobody_waits_for_any_more_is_ended_and_leaves_nothing_open(
    one_home, wait_until, is_running: Callable[[int], bool], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    """Called off while its request is with the keeper, whether before or after it was begun there."""
    await asleep(one_home)
    await outcome(await one_home.driver.exec(KEY, ExecRequest(command=["true"])))  # what is opened once is open by now
    before = descriptors()
    begun, go_on = threading.Event(), threading.Event()
    ask = process_exec._ask

    def slowly(directory: str, body: bytes, handed: list[int]) -> object:
        answer = ask(directory, body, handed)
        pids.append(answer[2])
        begun.set()
        go_on.wait(30)
        return answer

    pids: list[int] = []
    monkeypatch.setattr(process_exec, "_ask", slowly)
    request = ExecRequest(command=["sh", "-c", "sleep 1000 & wait"], terminal=terminal)
    task = asyncio.create_task(one_home.driver.exec(KEY, request))
    await asyncio.to_thread(begun.wait, 30)
    assert is_running(pids[0])  # not later: its terminal goes with the request, and the hang-up may end it at once
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await wait_until(lambda: not is_running(pids[0]), "its program has ended")
    await wait_until(lambda: descriptors() == before, "all that was opened for it is closed")
    assert (await one_home.driver.status(KEY)).exit is None
