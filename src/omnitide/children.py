"""Programs that are run to their end beside an event loop.

`subprocess.Popen` starts them, and not the loop: uvloop forks, and what gRPC has registered to run in a child that was
forked beside its threads ends some of those children before they begin. `Popen` starts a program without it (vfork).
"""

import asyncio
import subprocess
from collections.abc import Mapping, Sequence


def start(command: Sequence[str], env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """A program to `communicate` with. Raises OSError."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=env)


async def communicate(child: "subprocess.Popen[bytes]", given: bytes, within_s: float) -> tuple[bytes, bytes]:
    """Its output and its errors, with `given` as its input. It has ended with the call, whatever happens.

    Raises TimeoutError after `within_s` seconds.
    """
    ended = asyncio.get_running_loop().run_in_executor(None, child.communicate, given)
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.shield(ended)
    finally:
        child.kill()
        await ended
