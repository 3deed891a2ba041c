"""The lines of a stream of output over HTTP."""

from typing import Literal

import msgspec

from omnitide.model import happenings as hp
from omnitide.model.problem import Problem
from omnitide.sdk.errors import from_problem


class LogLine(msgspec.Struct, frozen=True):
    """A line of a stream of output: a chunk, or in the end a problem."""

    at_ms: int = 0
    stream: Literal["stdout", "stderr"] = "stdout"
    attempt: int = 0
    text: str = ""
    position: str = ""
    gap: bool = False
    problem: Problem | None = None


def chunk_of(line: str) -> hp.LogChunk:
    """Raises the problem that ended the stream."""
    decoded = msgspec.json.decode(line, type=LogLine)
    if decoded.problem is not None:
        raise from_problem(decoded.problem)
    return hp.LogChunk(**{name: getattr(decoded, name) for name in hp.LogChunk.__struct_fields__})
