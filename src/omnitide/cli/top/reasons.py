"""Why an object is as it is, and which versions an agent had, as lines of its page. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from omnitide.cli.happenings.wording import kind_of
from omnitide.cli.top.event_table import event_words, place_of
from omnitide.cli.top.lines import EMPTY, Cell, Line, line, wrap, wrapped
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.words import span, visible
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentVersion

SHOWN: Final = 8
"""Versions; `omnitide history` has all."""


def reason_lines(text: str, width: int) -> list[Line]:
    if not text:
        return []
    found = [one for part in text.split("\n") for one in wrap(visible(part), max(20, width - 2))]
    return [EMPTY, line(Cell("WHY", "soft")), *(line(f"  {one}") for one in found)]


def node_why(node: Node, events: Iterable[CloudEvent]) -> str:
    """Why nothing is heard of it, as its own events say; empty while it is heard, or where that is long ago."""
    if node.status not in ("unreachable", "lost"):
        return ""
    of = (one for one in events if one.subject == f"node/{node.name}" and kind_of(one) == "node.unreachable")
    newest = max(of, key=place_of, default=None)
    return event_words(newest) if newest is not None else ""


def version_lines(versions: Sequence[AgentVersion], scene: Scene, width: int) -> list[Line]:
    """Newest first, with what each changed."""
    if not versions:
        return []
    back = Cell("   b goes back to one" if len(versions) > 1 else "", "soft")
    lines = [EMPTY, line(Cell(f"VERSIONS, {len(versions)}", "soft"), back)]
    for one in versions[:SHOWN]:
        sign = "*" if one.current else " "
        head = f" {sign}v{one.number:<4}{span(scene.now_ms - one.created_ms):>6}  {visible(one.reason):<12}"
        text = f" {visible(_changed(one))}" if _changed(one) else ""
        by = f" by {visible(one.by)}" if one.by else ""
        by += "" if one.proven or one.current else ("," if by else "") + " not known to work"
        whole = line(
            Cell(head, "strong" if one.current else ""), Cell(f"{text}{';' if text and by else ''}{by}", "soft")
        )
        lines += wrapped(whole, width, len(head) + 1)
    if len(versions) > SHOWN:
        lines.append(line(Cell(f"  and {len(versions) - SHOWN} more: omnitide history", "soft")))
    return lines


def _changed(version: AgentVersion) -> str:
    if version.source:
        text = f"as v{version.source}"
        return f"{text}; {version.cause}" if version.cause else text
    return ", ".join(f"{one.path} {one.before or '(none)'} -> {one.after or '(none)'}" for one in version.differences)
