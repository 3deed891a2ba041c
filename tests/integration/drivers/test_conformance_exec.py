"""Further programs in a run, and its files."""

import asyncio
import io
import tarfile

import pytest

from omnitide.drivers.protocol import DriverError
from support.driver_kit import Kit, all_of, pieces


def packed(**files: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


async def test_a_further_program_says_what_it_says_and_how_it_ended(kit: Kit) -> None:
    kit.needs("exec")
    await kit.start("a", "run")
    program = await kit.exec("a", "say", "hello", "world")
    assert (await all_of(program))[0] == b"hello\nworld\n"
    await program.close()
    program = await kit.exec("a", "exit", "7")
    assert (await all_of(program))[2].code == 7
    await program.close()


async def test_streams_are_apart_but_on_a_terminal(kit: Kit) -> None:
    kit.needs("exec")
    await kit.start("a", "run")
    program = await kit.exec("a", "order", "4")
    out, err, _ = await all_of(program)
    await program.close()
    assert (out, err) == (b"line 0\nline 2\n", b"line 1\nline 3\n")
    program = await kit.exec("a", "order", "4", terminal=True)
    out, err, _ = await all_of(program)
    await program.close()
    assert (out.replace(b"\r", b""), err) == (b"line 0\nline 1\nline 2\nline 3\n", b"")


async def test_input_arrives_and_ends(kit: Kit) -> None:
    kit.needs("exec")
    await kit.start("a", "run")
    program = await kit.exec("a", "copy")
    data = bytes(range(256)) * 1024

    async def give() -> None:
        await program.write(data)
        await program.end_input()

    # Side by side: what nobody reads holds up what is written.
    (out, _, ended), _ = await asyncio.gather(all_of(program), give())
    await program.close()
    assert (out == data, ended.code) == (True, 0)


async def test_it_has_the_environment_of_the_run_and_its_own(kit: Kit) -> None:
    kit.needs("exec")
    await kit.start("a", "run", environment={"OURS": "1", "BOTH": "run"})
    program = await kit.exec("a", "environment", environment={"BOTH": "exec"})
    out, _, _ = await all_of(program)
    await program.close()
    assert {b"OURS=1", b"BOTH=exec"} <= set(out.splitlines())


async def test_a_program_is_signalled_and_ends_with_its_talk(kit: Kit) -> None:
    kit.needs("exec")
    await kit.start("a", "run")
    program = await kit.exec("a", "heed")
    first = await program.receive()
    assert getattr(first, "data", b"") == b"ready\n"
    await program.signal(15)
    out, _, ended = await all_of(program)
    await program.close()
    assert (out, ended.code) == (b"signal 15\n", 0)
    program = await kit.exec("a", "stubborn")
    await program.receive()
    await program.close()
    await program.close()


async def test_what_is_not_there_is_refused(kit: Kit) -> None:
    kit.needs("exec")
    with pytest.raises(DriverError) as refused:
        await kit.exec("nobody", "say", "x")
    assert refused.value.cause in ("not-running", "not-found")
    await kit.start("a", "run")
    kit.program = ("/no/such/program",)
    with pytest.raises(DriverError) as refused:
        await kit.exec("a")
    assert refused.value.cause == "command-not-found"


async def test_what_is_there_and_no_program_is_refused_as_that(kit: Kit) -> None:
    kit.needs("exec")
    await kit.start("a", "run")
    for name, cause, code in (
        ("nosuch", "command-not-found", 127),
        ("", "command-not-found", 127),
        ("/proc/version", "permission", 126),
        ("/proc", "permission", 126),
        ("/proc/nosuch", "command-not-found", 127),
    ):
        for terminal in (False, True):
            kit.program = (name,)
            # What goes into a sandbox to execute a program says it as a shell does, by its exit code.
            assert await outcome(kit, terminal) in ((cause, True), code), name


async def outcome(kit: Kit, terminal: bool) -> tuple[str, bool] | int | None:
    try:
        program = await kit.exec("a", terminal=terminal)
    except DriverError as refused:
        return refused.cause, refused.permanent
    ended = (await all_of(program))[2]
    await program.close()
    return ended.code


async def test_files_go_in_and_come_out(kit: Kit) -> None:
    kit.needs("files")
    await kit.start("a", "run")
    await kit.driver.extract("a", ".", pieces(packed(**{"one.txt": "first", "two.txt": "x" * 100_000})))
    packed_again = b"".join([piece async for piece in kit.driver.archive("a", "two.txt")])
    with tarfile.open(fileobj=io.BytesIO(packed_again)) as tar:
        (member,) = tar.getmembers()
        file = tar.extractfile(member)
        assert file is not None
        assert (member.name, file.read()) == ("two.txt", b"x" * 100_000)
    with pytest.raises(DriverError) as refused:
        _ = [piece async for piece in kit.driver.archive("a", "no-such-file")]
    assert refused.value.cause == "no-such-file"


async def test_what_has_no_size_before_it_is_read_is_not_copied_as_nothing(kit: Kit) -> None:
    kit.needs("files")
    await kit.start("a", "run")
    for path in ("/proc/self/environ", "/proc/../proc/1/status", "/proc/self/net", "/sys/kernel", "/proc"):
        with pytest.raises(DriverError) as refused:
            _ = [piece async for piece in kit.driver.archive("a", path)]
        assert (refused.value.cause, refused.value.permanent) == ("archive", True), path
        assert path.rpartition("/")[2] in str(refused.value)


async def test_no_path_leads_out(kit: Kit) -> None:
    await kit.start("a", "run")
    with pytest.raises(DriverError):
        _ = [piece async for piece in kit.driver.archive("a", "../../../../../../../etc/hostname-of-the-node")]


async def test_what_a_driver_cannot_is_refused_as_such(kit: Kit) -> None:
    if not {"exec", "files"} <= kit.lacks:
        pytest.skip("this driver can")
    await kit.start("a", "run")
    with pytest.raises(DriverError) as refused:
        await kit.exec("a", "say", "x")
    assert (refused.value.cause, refused.value.permanent) == ("unsupported", True)
    with pytest.raises(DriverError) as refused:
        _ = [piece async for piece in kit.driver.archive("a", ".")]
    assert (refused.value.cause, refused.value.permanent) == ("unsupported", True)


async def test_a_home_is_where_the_spec_says_and_else_there_is_one(kit: Kit) -> None:
    kit.needs("exec")
    for instance, given in (("a", {}), ("b", {"HOME": "/tmp"})):
        await kit.start(instance, "run", environment=given)
        program = await kit.exec(instance, "environment")
        out, _, _ = await all_of(program)
        await program.close()
        homes = [line.removeprefix("HOME=") for line in out.decode().splitlines() if line.startswith("HOME=")]
        assert len(homes) == 1
        assert homes[0].startswith("/") if not given else homes == ["/tmp"]
