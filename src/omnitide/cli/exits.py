"""Exit codes, documented in docs/reference/exit-codes.md, and which error leads to which."""

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnitide.sdk.errors import FabricError


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    """Anything that has no code of its own."""
    USAGE = 2
    """Wrong flags, a bad manifest, a request that cannot mean anything."""
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    """No Nexus, or one that cannot do it now."""
    UNAUTHORIZED = 6
    TIMEOUT = 7
    """What was waited for did not come about in time."""
    ROLLOUT = 8
    """A deployment cannot come about as it is written."""
    TIMED_OUT_TASK = 124
    """`run --timeout`: the task was cancelled for its time, as timeout(1) would."""
    RUN_TROUBLE = 125
    """`run`, `exec`: the fabric, not the program, failed."""
    NOT_EXECUTED = 126
    """`run`, `exec`: the program is there, and could not be executed."""
    NO_PROGRAM = 127
    """`run`, `exec`: there is no such program."""
    INTERRUPTED = 130
    """Ctrl-C."""
    PIPE_CLOSED = 141
    """`run`: whoever read the task's output has gone, and the task was cancelled: 128 + SIGPIPE."""


def code_of(error: "FabricError") -> Exit:
    from omnitide.sdk import errors as er

    if isinstance(error, er.NotFound):
        return Exit.NOT_FOUND
    if isinstance(error, er.Conflict):
        return Exit.CONFLICT
    if isinstance(error, er.Unauthorized):
        return Exit.UNAUTHORIZED
    if isinstance(error, er.Unavailable):
        return Exit.UNAVAILABLE
    if isinstance(error, er.Invalid) or error.code == "invalid":
        return Exit.USAGE
    return Exit.FAILED


def code_of_program(cause: str) -> Exit:
    """Of one that was never executed, as shells have it. `cause`: of its end, or the code of the problem."""
    if cause == "command-not-found":
        return Exit.NO_PROGRAM
    return Exit.NOT_EXECUTED if cause in _NOT_EXECUTED else Exit.RUN_TROUBLE


_NOT_EXECUTED = ("not-executable", "permission", "command-format", "command-size")


class Failure(Exception):
    """A command that cannot do what was asked. `what` names thing and reason, `hint` the next step."""

    def __init__(self, what: str, hint: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.code = code
