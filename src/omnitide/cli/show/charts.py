"""Samples over time as lines of text: a small curve for each series, drawn with eighths of a block."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from omnitide.cli.show.table import Column, table
from omnitide.cli.show.visible import visible

if TYPE_CHECKING:
    from omnitide.model.metrics import MetricAnswer

BLOCKS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 40
LEAST_WIDTH: Final = 10
_COLUMNS: Final = (
    Column("SERIES"),
    Column("NOW", right=True),
    Column("MIN", right=True, rank=2),
    Column("MAX", right=True, rank=1),
    Column("OVER TIME"),
)


def sparkline(values: Sequence[float | None], width: int, low: float, high: float) -> str:
    """`width` characters; where nothing is known, a blank. Of several values in one character the highest is drawn."""
    if not values:
        return " " * width
    drawn: list[str] = []
    for place in range(min(width, len(values))):
        start = place * len(values) // min(width, len(values))
        end = max(start + 1, (place + 1) * len(values) // min(width, len(values)))
        known = [value for value in values[start:end] if value is not None]
        if not known:
            drawn.append(" ")
        else:
            share = (max(known) - low) / (high - low) if high > low else 0.0
            drawn.append(BLOCKS[min(len(BLOCKS) - 1, int(share * len(BLOCKS)))])
    return "".join(drawn)


def amount(value: float | None, unit: str, *, rate: bool) -> str:
    """`1.2 GiB`, `3.4 MiB/s`; seconds a second are a plain number; a dash for what is not known."""
    if value is None:
        return "-"
    if unit == "seconds" and rate:
        return f"{value:.4g}"
    a_second = "/s" if rate else ""
    if unit == "bytes":
        for name, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if abs(value) >= size:
                return f"{value / size:.1f} {name}{a_second}"
        return f"{value:.0f} B{a_second}"
    short = {"seconds": " s", "celsius": " °C", "watts": " W", "ratio": "", "": ""}.get(unit, f" {unit}")
    return f"{value:.4g}{short}{a_second}"


def chart_lines(found: "MetricAnswer", *, color: bool, width: int | None, span_ms: int = 0) -> list[str]:
    """`span_ms`: the time that was asked for; else as long as the steps are together."""
    from omnitide.model.quantity import format_duration

    rate = found.kind == "counter"
    head = f"{found.name}  {found.aggregate}"
    if not found.items:
        return [f"{head}: nothing of that is known in this time; its labels: omnitide metrics ls {found.name}"]
    first = found.items[0]
    shared = {
        key: value
        for key, value in first.labels.items()
        if len(found.items) > 1 and all(one.labels.get(key) == value for one in found.items)
    }
    rows: list[list[str]] = []
    for one in found.items:
        known = [value for value in one.values if value is not None]
        low, high = (min(known), max(known)) if known else (0.0, 0.0)
        name = " ".join(f"{key}={value}" for key, value in one.labels.items() if key not in shared) or "all"
        now = next((value for value in reversed(one.values[-30:]) if value is not None), None)
        least, most = (low, high) if known else (None, None)
        rows.append(
            [
                name,
                amount(now, found.unit, rate=rate),
                amount(least, found.unit, rate=rate),
                amount(most, found.unit, rate=rate),
                sparkline(one.values, _room(width), min(0.0, low), high),
            ]
        )
    steps = len(first.values)
    lines = table(_COLUMNS, rows, color=color, width=width)
    of_all = "  " + visible(" ".join(f"{key}={value}" for key, value in shared.items())) if shared else ""
    span = format_duration(span_ms or steps * found.step_ms)
    return [f"{head}  {span} in steps of {format_duration(found.step_ms)}{of_all}", *lines]


def _room(width: int | None) -> int:
    return WIDTH if width is None or width >= 100 else max(LEAST_WIDTH, width // 3)
