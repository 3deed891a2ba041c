"""Output of instances on its way to the terminal: whole lines, each with the name of who wrote it."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from omnitide.cli.show.table import paint
from omnitide.cli.show.visible import for_reader

if TYPE_CHECKING:
    from omnitide.model.happenings import LogChunk
    from omnitide.model.objects import Instance

_STYLES: Final = ("cyan", "green", "yellow", "blue", "magenta")
MAX_PARTIAL: Final = 64 << 10
"""Characters of a line without an end that are kept back; what is longer is printed in pieces."""


class Printer:
    """Prints chunks of any number of instances. Without prefix the text goes out as it came."""

    def __init__(
        self,
        *,
        prefix: bool,
        color: bool,
        times: bool = False,
        form: str = "table",
        split: bool = False,
        stream: str = "both",
        warn: Callable[[str], None] = lambda _: None,
    ):
        """`split`: what was written to standard error goes to ours. `stream`: only that one. `warn` is told of gaps."""
        self._stream = stream
        self._warn = warn
        self._prefix = prefix
        self._color = color
        self._times = times
        self._form = form
        self._split = split
        self._width = 0
        self._heads: dict[str, str] = {}
        self._partial: dict[tuple[str, str], str] = {}

    def know(self, instance: "Instance") -> None:
        """Give an instance its colour before it says anything."""
        if instance.id not in self._heads:
            style = _STYLES[(instance.slot - 1) % len(_STYLES)]  # the next generation of a replica has the same
            self._width = max(self._width, len(instance.name))
            self._heads[instance.id] = paint(f"{instance.name:<{self._width}} |", style, self._color) + " "

    def print(self, instance: "Instance", chunk: "LogChunk") -> None:
        if chunk.gap:
            self._warn(f"{instance.name}: some output is not kept any more: it was rotated away")
        elif not chunk.text:
            return
        if self._stream not in ("both", chunk.stream):
            return
        if self._form != "table":
            self._object(instance, chunk)
            return
        if not chunk.text:
            return
        if not self._prefix and not self._times:
            self._put(chunk.text, chunk.stream)
            return
        self.know(instance)
        key = (instance.id, chunk.stream)
        text = self._partial.pop(key, "") + chunk.text
        *lines, rest = text.split("\n")
        if len(rest) > MAX_PARTIAL:
            lines.append(rest)
            rest = ""
        if rest:
            self._partial[key] = rest
        head = self._head(instance.id, chunk.at_ms)
        if lines:
            self._put("".join(f"{head}{line}\n" for line in lines), chunk.stream)

    def close(self) -> None:
        """Print what has no end of line."""
        for (identifier, stream), rest in self._partial.items():
            head = self._heads.get(identifier, "") if self._prefix else ""
            self._put(f"{head}{rest}\n", stream)
        self._partial.clear()

    def _head(self, identifier: str, at_ms: int) -> str:
        import datetime as dt

        head = self._heads[identifier] if self._prefix else ""
        if not self._times:
            return head
        when = dt.datetime.fromtimestamp(at_ms / 1000).astimezone()
        return f"{when.isoformat(timespec='milliseconds')} {head}"

    def _object(self, instance: "Instance", chunk: "LogChunk") -> None:
        import msgspec

        from omnitide.cli.show.forms import as_text

        told = {"instance": instance.id, "name": instance.name, **msgspec.to_builtins(chunk)}
        if self._form == "json":
            self._put(msgspec.json.encode(told).decode() + "\n", "stdout")
        else:
            self._put("---\n" + as_text(told, "yaml"), "stdout")

    def _put(self, text: str, stream: str) -> None:
        to = sys.stderr if self._split and stream == "stderr" else sys.stdout
        to.write(text if self._form != "table" else for_reader(text, to))
        to.flush()
