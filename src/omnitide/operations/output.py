"""Output as text: characters that are cut between two pieces put together, and positions that hold what is left over.

A position is the node's own (`3-4096`), followed, where pieces before it ended within a character, by the bytes of
standard output and standard error that have not been shown yet: `3-4096+e282+`. Whoever goes on there misses nothing.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final, Literal

from omnitide.model.happenings import LogChunk
from omnitide.operations.runtime import LogPiece

_POSITION: Final = re.compile(r"([0-9A-Za-z.:-]{1,60})(?:\+((?:[0-9a-f]{2}){0,3})\+((?:[0-9a-f]{2}){0,3}))?", re.ASCII)

Stream = Literal["stdout", "stderr"]


class OutputText:
    """Makes chunks of text of the pieces of one instance. Bytes that are no UTF-8 become U+FFFD."""

    def __init__(self, after: str = "") -> None:
        """Raises ValueError for what is no position."""
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        self._last = LogPiece(0, "stdout", 0, b"")
        self._gap = False
        self.node_position = ""
        """What the node is to go on after."""
        if not after:
            return
        found = _POSITION.fullmatch(after)
        if found is None:
            raise ValueError("is no position that a chunk has named")
        self.node_position = found[1]
        for name, held in (("stdout", found[2]), ("stderr", found[3])):
            self._decoders[name].setstate((bytes.fromhex(held or ""), 0))

    def take(self, piece: LogPiece) -> Iterator[LogChunk]:
        """The chunks that a piece completes. One without bytes is a chunk without text."""
        if self._last.attempt and piece.attempt not in (0, self._last.attempt):
            yield from self.end()  # what another process began is never finished
        if piece.gap:
            yield from self.end()
            self._gap = True
        self._last = piece
        text = self._decoders[piece.stream].decode(piece.data)
        if text or not piece.data:
            yield self._chunk(piece.stream, text)

    def end(self) -> Iterator[LogChunk]:
        """No more comes: characters that were not finished are shown as such."""
        for name in ("stdout", "stderr"):
            if self._decoders[name].getstate()[0]:
                text = self._decoders[name].decode(b"", final=True)
                yield self._chunk(name, text)

    def _chunk(self, stream: Stream, text: str) -> LogChunk:
        last, gap = self._last, self._gap
        self._gap = False
        return LogChunk(
            at_ms=last.at_ms, stream=stream, attempt=last.attempt, text=text, position=self._position(), gap=gap
        )

    def _position(self) -> str:
        held = [self._decoders[name].getstate()[0].hex() for name in ("stdout", "stderr")]
        return (
            f"{self._last.position}+{held[0]}+{held[1]}" if any(held) and self._last.position else self._last.position
        )
