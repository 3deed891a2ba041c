"""The lines around a page: how true it is, which pages there are, what of its rows is shown. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len

from omnitide.cli.top.event_table import clock
from omnitide.cli.top.figures import plural
from omnitide.cli.top.lines import EMPTY, Cell, Line, cut, cut_name, line, mark, width_of
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.words import instances_words, span, there, visible
from omnitide.model.inventory import WHOLE

PAGES: Final = ("overview", "node", "agent", "instance", "event", "job")
TITLES: Final = {
    "overview": "Overview",
    "node": "Nodes",
    "agent": "Agents",
    "instance": "Instances",
    "event": "Events",
    "job": "Jobs",
}


def head(scene: Scene, width: int, title: Line | None) -> tuple[Line, bool]:
    """How true it is, always at the same place; and whether it is drawn inverted, as what must not be missed.

    `title`: of what is shown, where that is not a page.
    """
    connection, status = scene.connection, scene.status
    left: Line = title or line(Cell(" omnitide", "strong"), f" {visible(status.fabric_id) if status else ''}")
    demo = line(Cell("  DEMO", "wait"), Cell(": simulated machines", "soft")) if scene.demo else EMPTY
    if connection.live:
        right = line(mark("good"), " live ", Cell(f"r{scene.view.revision}  {clock(scene.now_ms)} ", "soft"))
        # How true it is is whole; then that it is a demo, then what it is of.
        if width_of((*left, *demo, *right)) >= width:
            demo = demo[:1]
        if width_of((*left, *demo, *right)) >= width:
            name = "".join(cell.text for cell in left)
            left = line(Cell(cut_name(name, width - width_of((*demo, *right)) - 1), "strong"))
        left = (*left, *demo)
        room = max(0, width - width_of(left) - width_of(right))
        return (*left, Cell(" " * room), *right), False
    if not connection.trouble:
        return (*left, *demo, Cell("  asking Nexus", "soft")), False
    since = ""
    if connection.heard_ms:
        since = f" for {span(scene.now_ms - connection.heard_ms)}, since {clock(connection.heard_ms)}"
    again = "" if connection.final else "; trying again"
    of = " DEMO" if scene.demo else ""
    return line(
        mark("bad"), Cell(cut(f" STALE{since}{again}: {visible(connection.trouble)}{of}", width - 1), "bad")
    ), True


def tabs(scene: Scene, page: str, width: int) -> list[tuple[str, Line]]:
    """Each page with the cells by which it is gone to; titles are short where there is no room for them."""
    found = _tabs(scene, page, short=False)
    return found if sum(width_of(cells) for _, cells in found) <= width else _tabs(scene, page, short=True)


def _tabs(scene: Scene, page: str, *, short: bool) -> list[tuple[str, Line]]:
    counts = {
        "node": len(scene.view.nodes),
        "agent": len(scene.agents()),
        "instance": there(scene.instance_states()),
        "job": len(scene.jobs()),
    }
    found: list[tuple[str, Line]] = []
    for number, name in enumerate(PAGES, 1):
        title = f"{number}{TITLES[name][:4]}" if short else f"{number} {TITLES[name]}"
        count = f" {counts[name]}" if name in counts else ""
        here = name == page
        cells = [Cell(f"[{title}{count}]" if here else f" {title}{count} ", "strong" if here else "soft")]
        concerns = len(scene.concerns) if name == "overview" else 0
        if concerns:
            bad = scene.concerns[0].subject == WHOLE
            cells.append(Cell(f"!{concerns} ", "bad" if bad else "wait"))
        found.append((name, tuple(cells)))
    return found


class Listed(NamedTuple):
    """What there is to say of rows."""

    noun: str
    shown: int
    whole: int
    order: str
    filter_text: str
    marked: int
    name: str
    """Of the row of the cursor: in its column a long one is cut."""
    ended: int = 0
    """Of the whole: instances that have ended."""


def said(listed: Listed | None, namespace: str, width: int = 0) -> Line:
    """`width`: what finds no room there gives way, the name of the row last of all; 0: there is room."""
    if listed is None:
        of = f"   namespace {visible(namespace)}, and all nodes" if namespace else ""
        return line(Cell(" ? keys   Ctrl-K palette   1-6 pages", "soft"), Cell(of, "wait"))
    few = plural(listed.shown, listed.noun)
    if listed.shown != listed.whole:
        few += f" of {listed.whole}"
    elif listed.ended:
        few = instances_words(listed.whole - listed.ended, listed.ended)
    notes: Sequence[str] = (
        f"filter: {visible(listed.filter_text)}" if listed.filter_text else "",
        f"{listed.marked} marked" if listed.marked else "",
        f"namespace {visible(namespace)}" if namespace else "",
    )
    name = visible(listed.name)
    noted = [Cell(f"  {note}", "wait") for note in notes if note]
    ordered = f"{few}  by {listed.order.lower()}"
    # `? keys` stands in the line below too.
    for first in (f" ? keys   {ordered}", f" {ordered}", f" {few}"):
        found = (Cell(first, "soft"), *noted, Cell(f"  {name}", "strong"))
        if not width or width_of(found) <= width:
            return found
    rest = width - cell_len(name) - 2
    return line(Cell(cut(" " + "  ".join(note for note in notes if note), rest), "wait"), Cell(f"  {name}", "strong"))
