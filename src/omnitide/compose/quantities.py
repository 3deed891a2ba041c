"""Sizes, durations, numbers and booleans as Compose files write them."""

import re
from fractions import Fraction
from typing import Final

_SIZE: Final = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([kmgtp]?)i?b?\s*", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h|d|w)")
_MILLISECONDS: Final = {
    "ns": Fraction(1, 10**6), "us": Fraction(1, 1000), "µs": Fraction(1, 1000), "ms": Fraction(1),
    "s": Fraction(1000), "m": Fraction(60_000), "h": Fraction(3_600_000), "d": Fraction(86_400_000),
    "w": Fraction(604_800_000),
}  # fmt: skip
MOST: Final = 2**53
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_MOST_DIGITS: Final = 40


class NotThat(ValueError):
    """A value that is not what its key takes; the message says what it takes."""


def size(value: object) -> int:
    """Bytes of `64m`, `1.5G` (powers of 1024, as Docker has them) or a number. Raises NotThat."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST:
        return int(value)
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise NotThat(f"{value!r} is no size: write 512m or 2g")
    made = int(Fraction(match[1]) * 1024 ** _POWERS[match[2].lower()])
    if made > MOST:
        raise NotThat(f"{value!r} is larger than a size can be")
    return made


def duration(value: object) -> int:
    """Milliseconds of `1m30s`, rounded up. Raises NotThat."""
    text = str(value).strip() if isinstance(value, str | int) else ""
    if text == "0":
        return 0
    if not text:
        raise NotThat(f"{value!r} is no duration: write 10s or 1m30s")
    total, at = Fraction(0), 0
    while at < len(text):
        match = _DURATION.match(text, at)
        if match is None:
            raise NotThat(f"{value!r} is no duration: write 10s or 1m30s")
        total += Fraction(match[1]) * _MILLISECONDS[match[2]]
        at = match.end()
    if total > MOST:
        raise NotThat(f"{value!r} is longer than a duration can be")
    return -int(-total // 1)


def cpus(value: object) -> int:
    """Thousandths of a processor, rounded up, of `0.5`. Raises NotThat."""
    written = str(value).strip()
    # A fraction is exact, and so is of any size: what could be large is not made.
    short = len(written) <= _MOST_DIGITS and _DECIMAL.fullmatch(written) and not isinstance(value, bool)
    number = Fraction(written) if short else None
    if number is None or not 0 <= number <= 10**6:
        raise NotThat(f"{written[:_MOST_DIGITS]!r} is no number of processors: write 0.5 or 2")
    return -int(-number * 1000 // 1)


def whole(value: object) -> int:
    """Raises NotThat."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", value):
        return int(value)
    raise NotThat(f"{value!r} is no whole number")


def truth(value: object) -> bool:
    """Raises NotThat."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("true", "1", "t", "y", "yes", "on"):
        return True
    if text in ("false", "0", "f", "n", "no", "off"):
        return False
    raise NotThat(f"{value!r} is neither true nor false")


def text(value: object) -> str:
    """A scalar as Compose writes it into an environment or a label."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
