"""What a container's engine says of a program that was never executed, as engines were seen to answer.

Which pieces a line comes in depends on when the engine reads it; the suite of drivers tries the rest with real ones.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import pytest

from omnitide.drivers.docker import never_ran
from omnitide.drivers.docker.answers import Config, Container, State
from omnitide.drivers.docker.engine import Engine

STAMP = b"2026-11-26T12:36:43Z "


def frame(text: bytes) -> bytes:
    said = STAMP + text
    return b"\x02\x00\x00\x00" + len(said).to_bytes(4) + said


class Answering:
    """An engine's answer to a question for output; `tail` leaves out what Podman leaves out of it."""

    def __init__(self, *entries: bytes) -> None:
        self._entries = entries

    @contextlib.asynccontextmanager
    async def stream(self, *_: object, params: dict[str, str]) -> AsyncGenerator["Answering"]:
        if params["tail"] != "all":
            self._entries = tuple(entry for entry in self._entries if entry.endswith(b"\n"))
        yield self

    async def iter_any(self) -> AsyncIterator[bytes]:
        for entry in self._entries:
            yield frame(entry)


ENDED = Container(
    id="c",
    name="/c",
    state=State(exit_code=1),
    config=Config(),
    path="/run/podman-init",
    args=("--", "no-such-program", "b"),
)
SAID = b"failed to exec pid1: No such file or directory\n"


@pytest.mark.parametrize(
    "entries",
    [(b"ERROR (catatonit:6): " + SAID,), (b"ERROR (catatonit:6): ", SAID)],
    ids=["one entry", "two entries"],
)
async def test_an_init_that_could_not_execute_its_program_is_heard_however_its_line_was_read(
    entries: tuple[bytes, ...],
) -> None:
    found = await never_ran.why(cast("Engine", Answering(*entries)), ENDED)
    assert found is not None
    assert (found.reason, found.cause, found.permanent) == ("start-failed", "command-not-found", True)


@pytest.mark.parametrize(
    "entries",
    [(SAID,), (b"ready\n", b"ERROR (catatonit:6): " + SAID), (), (b"x" * 9000,)],
    ids=["a program's own words", "a program that ran", "nothing", "much"],
)
async def test_what_a_program_says_is_not_taken_for_its_inits(entries: tuple[bytes, ...]) -> None:
    assert await never_ran.why(cast("Engine", Answering(*entries)), ENDED) is None
