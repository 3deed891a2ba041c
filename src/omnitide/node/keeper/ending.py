"""How a run ended: from its main process's wait status and what the keeper did to it. Pure."""

import os
import signal
from typing import NamedTuple

from omnitide.node.keeper import protocol
from omnitide.node.keeper.protocol import Json, Refused

STOPPED = "stopped"
KILLED = "killed"
FENCED = "fenced"
UNKNOWN = "unknown"
OUT_OF_MEMORY = "out-of-memory"
FIRST_REAL_TIME = 32
"""Number of a signal: they go on from here."""
_BY_SIGNAL = 128
_SHELL_KILLED = 128 + signal.SIGKILL


class Exit(NamedTuple):
    """How a run ended; the fields of `drivers.protocol.Exit`."""

    code: int | None
    signal: int | None
    reason: str
    message: str
    out_of_memory: bool
    ended_at_ms: int


def to_fields(how: Exit) -> Json:
    return {
        "code": how.code,
        "signal": how.signal,
        "reason": how.reason,
        "message": how.message,
        "out_of_memory": how.out_of_memory,
        "ended_at_ms": how.ended_at_ms,
    }


def from_fields(fields: Json) -> Exit | None:
    """The ending that a record tells, or None for one that tells none."""
    code, number = fields.get("code"), fields.get("signal")
    try:
        return Exit(
            code=code if isinstance(code, int) else None,
            signal=number if isinstance(number, int) else None,
            reason=protocol.text(fields, "reason"),
            message=protocol.text(fields, "message", ""),
            out_of_memory=protocol.flag(fields, "out_of_memory"),
            ended_at_ms=protocol.number(fields, "ended_at_ms", 0),
        )
    except Refused:
        return None


def signal_name(number: int) -> str:
    """`SIGKILL`; those without a name, the real-time ones, by number."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = ""
    # Python names the first and the last real-time one, by what its C library has left of them.
    return name if name and number < FIRST_REAL_TIME else f"signal {number}"


def describe(
    *,
    how: int,
    status: int,
    kill_reason: str,
    oom_kills: int,
    ended_at_ms: int,
    refused_processes: int = 0,
    sandboxed: bool = False,
    said: tuple[str, str] = ("", ""),
) -> Exit:
    """How a run ended.

    `how` and `status` are `si_code` and `si_status` of waitid; `kill_reason` is what the keeper was about (stopped,
    killed, fenced or nothing); `oom_kills` counts processes of the run that the kernel killed for want of memory,
    `refused_processes` those that it would have had beyond its limit.
    `sandboxed`: a code of 128 and a signal's number is how bubblewrap tells that the signal ended the program.
    `said`: reason and message that the run's own helper gave.
    """
    if sandboxed and how == os.CLD_EXITED and status - _BY_SIGNAL in signal.valid_signals():
        how, status = os.CLD_KILLED, status - _BY_SIGNAL
    by_signal = how in (os.CLD_KILLED, os.CLD_DUMPED)
    code = None if by_signal else status
    number = status if by_signal else None
    out_of_memory = oom_kills > 0
    reason = "signal" if by_signal else "exited"
    message = f"killed by {signal_name(status)}" if by_signal else f"exited with code {status}"
    if how == os.CLD_DUMPED:
        message += " (core dumped)"
    if kill_reason == FENCED:
        reason, message = FENCED, f"killed at its fence: nobody renewed it in time ({message})"
    elif kill_reason == KILLED and number == signal.SIGKILL:
        reason, message = KILLED, "killed: its time to end by itself was over"
    elif kill_reason:
        reason, message = STOPPED, f"stopped as asked ({message})"
    elif said[0]:
        reason, message = said
        out_of_memory = out_of_memory or reason == OUT_OF_MEMORY
    elif out_of_memory and (number == signal.SIGKILL or code == _SHELL_KILLED):
        reason, message = OUT_OF_MEMORY, "killed by the kernel: the run reached its memory limit"
    elif out_of_memory:
        message += f"; the kernel had killed {oom_kills} of its processes for want of memory"
    if refused_processes and not kill_reason:
        often = "once" if refused_processes == 1 else f"{refused_processes} times"
        message += f"; it was refused a further process {often}, at its limit of them"
    return Exit(code, number, reason, message, out_of_memory, ended_at_ms)


def unknown(message: str, ended_at_ms: int) -> Exit:
    """The end of a run that nobody saw end."""
    return Exit(None, None, UNKNOWN, message, out_of_memory=False, ended_at_ms=ended_at_ms)
