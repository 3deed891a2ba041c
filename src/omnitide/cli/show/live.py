"""Showing something once, or anew whenever the fabric changes (`--watch`)."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from omnitide.cli.session import Session
from omnitide.cli.show.table import terminal_width
from omnitide.cli.show.visible import painted_lines

if TYPE_CHECKING:
    from omnitide.sdk.client import Client

T = TypeVar("T")

WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Show it anew whenever something happens.")]

QUIET_S: Final = 0.2
"""Least time between two pictures: a fabric in which much happens is not drawn for each event."""


def show(
    session: Session,
    read: "Callable[[Client], T]",
    lines: Callable[[Session, T, int | None], list[str]],
    *,
    watch: bool = False,
    every_s: float = 0.0,
) -> None:
    """Read and show. With `watch` until Ctrl-C; for programs then one object a line. `every_s`: anew after so long, and
    not when something happens. Raises KeyboardInterrupt."""
    with session.client() as client:
        if not watch:
            found = read(client)
            if session.plain:
                session.emit(found)
            else:
                _write(lines(session, found, terminal_width()))
            return
        _watch(session, client, lambda: read(client), lines, every_s)


def _write(lines: list[str]) -> None:
    sys.stdout.write("".join(f"{painted_lines(line)}\n" for line in lines))
    sys.stdout.flush()


def _watch(
    session: Session,
    client: "Client",
    read: Callable[[], T],
    lines: Callable[[Session, T, int | None], list[str]],
    every_s: float,
) -> None:
    from omnitide.sdk.errors import Trimmed, UnknownRevision

    screen = _Screen() if sys.stdout.isatty() and not session.plain else None
    try:
        while every_s:
            _picture(session, read(), lines, screen)
            time.sleep(every_s)
        while True:
            try:
                _watch_one_log(session, client, read, lines, screen)
            except (Trimmed, UnknownRevision):
                # Away for too long, or the fabric was restored: each picture is whole, so begin anew with the next.
                time.sleep(QUIET_S)
    finally:
        if screen is not None:
            screen.close()


def _watch_one_log(
    session: Session,
    client: "Client",
    read: Callable[[], T],
    lines: Callable[[Session, T, int | None], list[str]],
    screen: "_Screen | None",
) -> None:
    # Connected before the first picture: what happens after it is seen.
    with client.watch_events(patience_s=float("inf")).open() as watch:
        _picture(session, read(), lines, screen)
        drawn = time.monotonic()
        for events in watch.batches():
            if not events:
                continue
            wait = QUIET_S - (time.monotonic() - drawn)
            if wait > 0:
                time.sleep(wait)
            _picture(session, read(), lines, screen)
            drawn = time.monotonic()


def _picture(
    session: Session, found: T, lines: Callable[[Session, T, int | None], list[str]], screen: "_Screen | None"
) -> None:
    if session.output == "json":
        import msgspec

        from omnitide.cli.show.forms import plain

        _write([msgspec.json.encode(plain(found)).decode()])
    elif session.plain:
        _write(["---"])
        session.emit(found)
    elif screen is None:
        _write([*lines(session, found, None), ""])
    else:
        screen.draw(lines(session, found, terminal_width()))


class _Screen:
    """A picture that is drawn over itself, cut to the terminal's height; the last one stays."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(), auto_refresh=False, vertical_overflow="ellipsis")
        self._live.start()

    def draw(self, lines: list[str]) -> None:
        from rich.text import Text

        self._live.update(Text.from_ansi("\n".join(map(painted_lines, lines)), no_wrap=True), refresh=True)

    def close(self) -> None:
        self._live.stop()
