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


class _Found(msgspec.Struct, frozen=True):
    """A line of a search, or in the end a problem."""

    at_ms: int = 0
    node_at_ms: int = 0
    namespace: str = ""
    instance: str = ""
    name: str = ""
    node: str = ""
    stream: Literal["stdout", "stderr", "note"] = "note"
    attempt: int = 0
    text: str = ""
    cut: bool = False
    code: str = ""
    problem: Problem | None = None


def output_line_of(line: str) -> hp.OutputLine:
    """Raises the problem that ended the stream."""
    decoded = msgspec.json.decode(line, type=_Found)
    if decoded.problem is not None:
        raise from_problem(decoded.problem)
    return hp.OutputLine(**{name: getattr(decoded, name) for name in hp.OutputLine.__struct_fields__})
