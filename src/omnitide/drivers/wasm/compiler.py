"""Compiling a module, in a process apart with bounds of its own: a module may be made to take all time and memory."""

import contextlib
import os
import re
import signal
import sys
from typing import Final

from omnitide import children
from omnitide.drivers.protocol import DriverError

COMPILE_S: Final = 300.0
MAX_MEMORY: Final = 2 << 30
"""Bytes of the compiler's own memory."""
MAX_AT_A_TIME: Final = 2
"""Others wait."""
UNUSABLE: Final = 2
"""The compiler's exit code for a module that can never run."""
NO_DISK: Final = 3
"""Its exit code where the compiled form has no room."""
_SUM: Final = re.compile(r"[0-9a-f]{64}")


async def compile_module(content: bytes, name: str, prefix: str, max_bytes: int) -> str:
    """Lay the compiled form down at `prefix`-SUM.cwasm, SUM being its SHA-256, which is returned.

    `max_bytes`: of the compiled form. Raises DriverError: `malformed-module` for what can never run here, `no-disk`,
    `compiler`.
    """
    command = [sys.executable, "-P", "-m", "omnitide.drivers.wasm.compiling", prefix, str(MAX_MEMORY), str(max_bytes)]
    running = children.start(command)
    try:
        answer, said = await children.communicate(running, content, COMPILE_S)
    except TimeoutError:
        message = f"{name} could not be compiled in {COMPILE_S:.0f} s"
        raise DriverError(message, cause="malformed-module", permanent=True) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial(prefix, running.pid))
    found = answer.decode(errors="replace").strip()
    if running.returncode == 0 and _SUM.fullmatch(found):
        return found
    if running.returncode == NO_DISK:
        message = f"{name}: the node's disk is full, and its compiled form has no room"
        raise DriverError(message, cause="no-disk", permanent=False)
    # The last line: of a defect of the compiler, what it is and not where.
    why = said.decode(errors="replace").strip().rpartition("\n")[2]
    if running.returncode == -signal.SIGABRT:  # so wasmtime ends where it is refused memory
        why = f"it cannot be compiled with {MAX_MEMORY >> 20} MiB of memory ({why[-200:]})"
    unusable = running.returncode in (UNUSABLE, -signal.SIGABRT)
    message = f"{name}: {why[-500:] or f'the compiler ended with {running.returncode}'}"
    raise DriverError(message, cause="malformed-module" if unusable else "compiler", permanent=unusable)


def partial(prefix: str, pid: int) -> str:
    """Where a compiler writes before it is done."""
    return f"{prefix}~{pid}"
