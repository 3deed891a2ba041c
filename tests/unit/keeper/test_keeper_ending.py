"""How an end is told: given a wait status and what the keeper did, then code, signal and reason."""

import os
import signal

import pytest

from omnitide.node.keeper import ending

KILL = signal.SIGKILL
EXITED, KILLED, DUMPED = os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED


@pytest.mark.parametrize(
    ("how", "status", "kill_reason", "oom_kills", "expected"),
    [
        (EXITED, 0, "", 0, (0, None, "exited", False)),
        (EXITED, 7, "", 0, (7, None, "exited", False)),
        (KILLED, 11, "", 0, (None, 11, "signal", False)),
        (DUMPED, 6, "", 0, (None, 6, "signal", False)),
        (KILLED, KILL, "", 0, (None, 9, "signal", False)),
        # Want of memory: the main process killed by the kernel, or a shell that passes its child's end on.
        (KILLED, KILL, "", 1, (None, 9, "out-of-memory", True)),
        (EXITED, 137, "", 1, (137, None, "out-of-memory", True)),
        (EXITED, 3, "", 1, (3, None, "exited", True)),
        (EXITED, 0, "", 2, (0, None, "exited", True)),
        # Asked to end.
        (EXITED, 0, "stopped", 0, (0, None, "stopped", False)),
        (KILLED, 15, "stopped", 0, (None, 15, "stopped", False)),
        (KILLED, KILL, "killed", 0, (None, 9, "killed", False)),
        (KILLED, KILL, "killed", 1, (None, 9, "killed", True)),
        # It ended by itself just as the keeper was about to kill it.
        (EXITED, 0, "killed", 0, (0, None, "stopped", False)),
        (KILLED, KILL, "fenced", 0, (None, 9, "fenced", False)),
        (EXITED, 0, "fenced", 0, (0, None, "fenced", False)),
    ],
)
def test_ends(how, status, kill_reason, oom_kills, expected):
    told = ending.describe(how=how, status=status, kill_reason=kill_reason, oom_kills=oom_kills, ended_at_ms=5)
    assert (told.code, told.signal, told.reason, told.out_of_memory) == expected
    assert told.message
    assert ending.from_fields(ending.to_fields(told)) == told


def test_a_signal_without_a_name_has_its_number():
    told = ending.describe(how=KILLED, status=45, kill_reason="", oom_kills=0, ended_at_ms=5)
    assert "45" in told.message


def test_a_core_dump_is_mentioned():
    assert "core" in ending.describe(how=DUMPED, status=6, kill_reason="", oom_kills=0, ended_at_ms=5).message


@pytest.mark.parametrize(
    "fields", [{}, {"reason": 7}, {"reason": "x", "message": 1}, {"reason": "x", "ended_at_ms": -1}]
)
def test_a_record_that_tells_nothing_is_none(fields):
    assert ending.from_fields(fields) is None


def test_signals_are_told_by_name_and_real_time_ones_by_number() -> None:
    told = [ending.signal_name(number) for number in (9, 32, 34, 64)]
    assert told == ["SIGKILL", "signal 32", "signal 34", "signal 64"]
