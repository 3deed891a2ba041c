"""A container whose program cannot be executed: with the engine's init in front of it only that knows."""

import asyncio
import os
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverError, Exit, Mount
from omnitide.model.container import Container
from support.driver_kit import Kit

IMAGE = "conform:1"
TINI = "[FATAL tini (7)] exec {} failed: No such file or directory"
CATATONIT = "ERROR (catatonit:2): failed to exec pid1: No such file or directory"


async def ending(kit: Kit, instance: str, *words: str, **more: object) -> Exit | DriverError:
    try:
        await kit.start(instance, *words, **more)
    except DriverError as error:
        return error
    found = (await kit.end_of(instance)).exit
    assert found is not None
    return found


@pytest.fixture
def files(tmp_path: Path) -> list[Mount]:
    """What cannot be executed, at /given."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "plain").write_text("text")
    (given / "script").write_text("#!/no/such/interpreter\n")
    (given / "script").chmod(0o755)
    (given / "foreign").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(64))
    os.chmod(given / "foreign", 0o755)
    return [Mount(str(given), "/given", read_only=True)]


@pytest.mark.parametrize(
    ("named", "init", "cause"),
    [
        ("nosuch", True, "command-not-found"),
        ("/conform/x", True, "command-not-found"),
        ("/conform/x", False, "command-not-found"),
        ("/given/script", True, "command-not-found"),
        ("/given/script", False, "command-not-found"),
        ("/given/plain", True, "permission"),
        # The C library of the engine's init tries the shell, which the image does not have.
        ("/given/foreign", True, "command-not-found"),
        ("/given/foreign", False, "command-format"),
    ],
)
async def test_what_cannot_be_executed_is_named_and_final(
    docker: Kit, files: list[Mount], named: str, init: bool, cause: str
) -> None:
    part = Container(image=IMAGE, entrypoint=(named,), init=init)
    found = await ending(docker, "a", "b", container=part, mounts=files)
    assert (found.cause, found.permanent) == (cause, True), found
    assert named in (found.message if isinstance(found, Exit) else str(found))
    if isinstance(found, Exit):
        assert (found.code, found.signal, found.reason) == (None, None, "start-failed")
        # The next node proxy says the same.
        docker.another()
        (again,) = await docker.driver.recover()
        assert again.exit == found


async def test_a_terminal_hides_nothing(docker: Kit) -> None:
    found = await ending(docker, "a", container=Container(image=IMAGE, entrypoint=("nosuch",), tty=True))
    assert found.cause == "command-not-found"


async def test_a_program_that_ends_so_by_itself_has_run(docker: Kit) -> None:
    cases: list[tuple[int, tuple[str, ...]]] = [
        (127, ()),
        (127, ("sh: 1: nosuch: not found",)),
        (127, (TINI.format("nosuch"),)),  # an init of the image's own, which the engine's has executed
        (127, (TINI.format("/conform"), "and more")),
        (127, ("more", TINI.format("/conform"))),
        (3, (TINI.format("/conform"),)),
        (1, (CATATONIT,)),
        (126, ("exec /conform: permission denied",)),
    ]
    endings = await asyncio.gather(
        *(ending(docker, f"a{index}", "fail", str(code), *said) for index, (code, said) in enumerate(cases))
    )
    for (code, said), found in zip(cases, endings, strict=True):
        assert isinstance(found, Exit), said
        assert (found.code, found.reason, found.cause, found.permanent) == (code, "exited", "", False), said
