"""What a run's helper says of it through a pipe that its program never sees: bubblewrap, or the child of a zygote.

bubblewrap writes JSON: `{"child-pid": N, ...}` when the sandbox has its first process, and `{"exit-code": N}` at the
end if its program was executed. A zygote's child writes `reason message` before it ends for a cause that an exit code
cannot tell. Pure, but for `read`.
"""

import json
import os
from typing import NamedTuple, cast

MAX_WORDS = 8192
"""Bytes that are kept; what is said beyond is lost."""


class SandboxWords(NamedTuple):
    """What bubblewrap has said so far."""

    first: int = 0
    """The first process of the sandbox, in the keeper's numbering; 0: not told yet."""
    executed: bool = False
    """The program was executed, and has ended."""


def read(fd: int, so_far: bytes) -> bytes:
    """All that has been said, with what is there now; never waits."""
    while fd >= 0 and len(so_far) < MAX_WORDS:
        try:
            data = os.read(fd, MAX_WORDS - len(so_far))
        except BlockingIOError:
            break
        if not data:
            break
        so_far += data
    return so_far


def of_sandbox(words: bytes) -> SandboxWords:
    first, executed = 0, False
    for line in words.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict):
            pid = cast("dict[str, object]", said).get("child-pid")
            first = pid if isinstance(pid, int) else first
            executed = executed or "exit-code" in said
    return SandboxWords(first, executed)


def of_zygote(words: bytes) -> tuple[str, str]:
    """Reason and message; empty where nothing was said."""
    reason, _, message = words.decode(errors="replace").partition(" ")
    return reason, message.strip()
