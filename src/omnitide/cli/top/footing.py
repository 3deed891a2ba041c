"""The line of keys at the bottom."""

from typing import ClassVar, Final

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

PADDING: Final = 3
"""Columns beside the key and what it does."""


class Footing(Footer):
    """Keys that there is room for, each whole. Those of `KEPT` always: `?` has the others."""

    KEPT: ClassVar = ("keys", "end", "app.keys", "app.end")
    DEFAULT_CSS = "Footing { height: 1; overflow: hidden; }"

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._made_for = 0

    def compose(self) -> ComposeResult:
        room = self._made_for = self.screen.size.width
        keys = [one for one in super().compose() if isinstance(one, FooterKey)]
        room -= sum(_width(one) for one in keys if one.action in self.KEPT)
        shown: list[Widget] = []
        for one in keys:
            if one.action in self.KEPT:
                shown.append(one)
                continue
            room -= _width(one)
            if room >= 0:
                shown.append(one)
        yield from shown

    async def on_resize(self) -> None:
        if self._made_for != self.screen.size.width:
            await self.recompose()


def _width(key: FooterKey) -> int:
    return cell_len(key.key_display) + cell_len(key.description) + PADDING
