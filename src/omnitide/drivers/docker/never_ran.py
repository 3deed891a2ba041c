"""Whether a container's program was executed at all.

An init that the engine puts before a program, and the engine's runtime once it has let go of a container, can say why
a program could not be executed only in the container's own output. It is taken for theirs if it is all that the
container ever said, in their very words, with their exit code and, where they name it, with the program's name: what
runs and ends with 127, as a shell does that does not find a command, says something else or nothing. An engine is
asked only about containers that ended with one of those codes, so that starts cost nothing.
"""

import contextlib
import re
from typing import Final, NamedTuple

from omnitide.drivers.docker.answers import Container
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.docker.logs import Kept, bursts
from omnitide.drivers.protocol import Exit

_CAUSES: Final = {
    "no such file or directory": (
        "command-not-found",
        " (if the file is there, its interpreter is not, or it is made for another machine)",
    ),
    "not a directory": ("command-not-found", ""),
    "permission denied": ("permission", ""),
    "exec format error": ("command-format", " (made for another machine, or no program)"),
}
_PODMAN_INIT: Final = "/podman-init"
MAX_SAID: Final = 8 << 10


class _Who(NamedTuple):
    """Who executes a program, and what it says and ends with if it cannot."""

    words: str
    codes: tuple[int, ...]


_TINI: Final = _Who(r"\[FATAL tini \(\d+\)\] exec {} failed: (.+)", (1, 126, 127))
_CATATONIT: Final = _Who(r"ERROR \(catatonit:\d+\): failed to exec pid1: (.+)", (1,))
_RUNC: Final = _Who(r"exec {}: (.+)", (1, 255))


async def why(engine: Engine, container: Container) -> Exit | None:
    """The end of one whose program was never executed, without its time; None for every other. Raises DriverError."""
    code = container.state.exit_code
    program, who = container.path, _TINI if container.host_config.init else _RUNC
    if program.endswith(_PODMAN_INIT):
        words = list(container.args)
        program, who = next(iter(words[words.index("--") + 1 :] if "--" in words else words), ""), _CATATONIT
    said = await _whole_output(engine, container) if code in who.codes else None
    found = re.fullmatch(who.words.format(re.escape(program)), said) if said is not None else None
    reason = found[1].lower() if found is not None else ""
    if reason not in _CAUSES:
        return None
    cause, more = _CAUSES[reason]
    hint = more if cause != "command-not-found" or "/" in program else ""
    return Exit(None, reason="start-failed", message=f"{program}: {reason}{hint}", cause=cause, permanent=True)


async def _whole_output(engine: Engine, container: Container) -> str | None:
    """Where it is one line, that; else None.

    Read from its beginning and not by `tail`: an init that writes its line in two pieces is kept by Podman as two
    entries where it reads between them, and its `tail` leaves the first out.
    """
    kept = Kept(0, container.id, container.config.tty)
    said = b""
    try:
        async with contextlib.aclosing(bursts(engine, kept)) as found:
            async for burst in found:
                said += b"".join(entry.data for entry in burst)
                if len(said) > MAX_SAID:
                    return None
    except EngineRefused:
        return None
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[0].decode(errors="replace") if len(lines) == 1 else None
