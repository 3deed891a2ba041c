"""Lines of an instance's output, made of its chunks: which are cut at reads, not at ends of lines."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from omnitide.drivers.protocol import LogChunk

MAX_LINE: Final = 16 << 10
"""Bytes; a longer line is given in pieces."""


class Written(NamedTuple):
    """A line. It was written when its first byte was read."""

    at_ms: int
    stream: str
    attempt: int
    text: bytes
    gap: bool = False
    """Before it there was output that is not kept any more."""
    cut: bool = False
    """It goes on in the next one of its stream."""


class Lines:
    """Of one instance. What has no end of line yet is held until it has one, or until `end`."""

    def __init__(self) -> None:
        self._held: dict[str, Written] = {}
        self._gap = False
        self.position = ""
        """Behind the last chunk that was taken."""

    def take(self, chunk: LogChunk) -> Iterator[Written]:
        self.position = chunk.position or self.position
        if chunk.gap:
            yield from self.end()
            self._gap = True
        if not chunk.data:
            return
        held = self._held.get(chunk.stream)
        if held is not None and held.attempt != chunk.attempt:
            yield from self.end()  # what another process began is never finished
        *whole, rest = chunk.data.split(b"\n")
        for text in whole:
            yield from self._whole(chunk, text)
        if rest:
            yield from self._hold(chunk, rest)

    def end(self) -> Iterator[Written]:
        """No more comes of what is held: it is a line as it is."""
        held, self._held = self._held, {}
        for line in sorted(held.values(), key=lambda one: one.at_ms):
            yield self._told(line)

    def _whole(self, chunk: LogChunk, text: bytes) -> Iterator[Written]:
        yield from self._hold(chunk, text)
        held = self._held.pop(chunk.stream)
        yield self._told(held._replace(text=held.text.removesuffix(b"\r")))

    def _hold(self, chunk: LogChunk, text: bytes) -> Iterator[Written]:
        held = self._held.get(chunk.stream) or Written(chunk.at_ms, chunk.stream, chunk.attempt, b"")
        text = held.text + text
        while len(text) > MAX_LINE:
            yield self._told(held._replace(text=text[:MAX_LINE], cut=True))
            text = text[MAX_LINE:]
        self._held[chunk.stream] = held._replace(text=text)

    def _told(self, line: Written) -> Written:
        gap, self._gap = self._gap, False
        return line._replace(gap=gap)
