"""Numbers, sizes and shares as people read them, and small pictures of them made of blocks."""

from collections.abc import Sequence
from typing import Final

from omnitide.cli.show.charts import BLOCKS

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def short(value: float) -> str:
    if value == 0:
        return "0"
    size = abs(value)
    text = f"{value:.{0 if size >= 10 else 1 if size >= 1 else 2}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def size(count: float) -> str:
    """`1.5 GiB`."""
    unit = 0
    while abs(count) >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{short(count)} {_UNITS[unit]}"


def cores(milli: float) -> str:
    """As the panel has it. Never something as nothing."""
    if 0 < milli < 0.5:
        return "<0.001"
    return f"{milli / 1000:.3f}".rstrip("0").rstrip(".") if milli < 100 else short(milli / 1000)


def percent(part: float, whole: float) -> str:
    """Never something as nothing."""
    if whole <= 0:
        return "-"
    share = 100 * part / whole
    return f"{'<1' if 0 < share < 1 else round(share)}%"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def bar(part: float, whole: float, width: int) -> str:
    """`███▌····`: a share, to the eighth of a character."""
    if whole <= 0:
        return "·" * width
    eighths = round(min(1.0, max(0.0, part / whole)) * width * 8)
    full, rest = divmod(eighths, 8)
    partial = " ▏▎▍▌▋▊▉"[rest] if rest else ""
    return ("█" * full + partial).ljust(width, "·")


def resampled(values: Sequence[float | None], width: int) -> list[float | None]:
    """As many as there are columns; of several in one, the highest: a peak is not lost."""
    if not values or width <= 0:
        return []
    steps = min(width, len(values))
    found: list[float | None] = []
    for place in range(steps):
        start, end = place * len(values) // steps, max(1, (place + 1) * len(values) // steps)
        known = [value for value in values[start : max(end, start + 1)] if value is not None]
        found.append(max(known) if known else None)
    return found


def plot(values: Sequence[float | None], width: int, height: int, top: float) -> list[str]:
    """A curve of blocks, `height` lines of `width`, from nothing to `top`; dots where it is zero, blank where nothing
    is known."""
    columns = resampled(values, width)
    columns = [None] * (width - len(columns)) + columns
    levels = [
        None if value is None else max(1, round(min(1.0, value / top) * height * 8)) if top > 0 and value > 0 else 0
        for value in columns
    ]
    rows: list[str] = []
    for row in range(height - 1, -1, -1):
        drawn: list[str] = []
        for level in levels:
            if level is None:
                drawn.append(" ")
                continue
            filled = level - row * 8
            if filled >= 8:
                drawn.append(BLOCKS[-1])
            elif filled > 0:
                drawn.append(BLOCKS[filled - 1])
            else:
                drawn.append("·" if row == 0 and not level else " ")
        rows.append("".join(drawn))
    return rows
