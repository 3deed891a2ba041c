"""Why an object is as it is, and which versions an agent had, as lines of its page. Pure."""

from collections.abc import Sequence
from typing import Final

from omnitide.cli.top.lines import EMPTY, Cell, Line, cut, line, wrap
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.words import span, visible
from omnitide.model.objects import AgentVersion

SHOWN: Final = 8
"""Versions; `omnitide history` has all."""


def reason_lines(text: str, width: int) -> list[Line]:
    if not text:
        return []
    found = [one for part in text.split("\n") for one in wrap(visible(part), max(20, width - 2))]
    return [EMPTY, line(Cell("WHY", "soft")), *(line(f"  {one}") for one in found)]


def version_lines(versions: Sequence[AgentVersion], scene: Scene, width: int) -> list[Line]:
    """Newest first, with what each changed."""
    if not versions:
        return []
    back = Cell("   b goes back to one" if len(versions) > 1 else "", "soft")
    lines = [EMPTY, line(Cell(f"VERSIONS, {len(versions)}", "soft"), back)]
    for one in versions[:SHOWN]:
        sign = "*" if one.current else " "
        head = f" {sign}v{one.number:<4}{span(scene.now_ms - one.created_ms):>6}  {visible(one.reason):<12}"
        text = cut(visible(_changed(one)), max(10, width - len(head) - 1))
        lines.append(line(Cell(head, "strong" if one.current else ""), Cell(f" {text}", "soft")))
    if len(versions) > SHOWN:
        lines.append(line(Cell(f"  and {len(versions) - SHOWN} more: omnitide history", "soft")))
    return lines


def _changed(version: AgentVersion) -> str:
    if version.source:
        text = f"as v{version.source}"
        return f"{text}; {version.cause}" if version.cause else text
    return ", ".join(f"{one.path} {one.before or '(none)'} -> {one.after or '(none)'}" for one in version.differences)
