"""Quantities that people write ("0.5", "64MiB", "3s") and the integers that the fabric keeps (milli-cpu, bytes, ms)."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Final

from msgspec import Meta

MAX_QUANTITY: Final = 2**53
"""Largest integer that JSON readers keep exactly."""

_BYTE_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 10**3,
    "m": 10**6,
    "mb": 10**6,
    "g": 10**9,
    "gb": 10**9,
    "t": 10**12,
    "tb": 10**12,
    "ki": 2**10,
    "kib": 2**10,
    "mi": 2**20,
    "mib": 2**20,
    "gi": 2**30,
    "gib": 2**30,
    "ti": 2**40,
    "tib": 2**40,
}
_DURATION_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = re.compile(r"^\s*(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*$")


_MOST_CPU: Final = f"{MAX_QUANTITY // 1000} cores"
_MOST_BYTES: Final = f"{MAX_QUANTITY >> 50} PiB"
_MOST_TIME: Final = f"{MAX_QUANTITY // _DURATION_UNITS['d']} d"


class QuantityError(ValueError):
    """A quantity that cannot be read; the message says what is accepted."""


def _exact(value: Fraction, what: str, text: object, most: str) -> int:
    """`what`: with its smallest unit in brackets; `most`: the largest, as people write it."""
    if value.denominator != 1:
        raise QuantityError(f"{text!r} is finer than the smallest unit of {what}")
    if value > MAX_QUANTITY:
        raise QuantityError(f"{text!r} is larger than {what.partition(' (')[0]} can be: {most} at most")
    return int(value)


def _split(value: object, what: str, example: str) -> tuple[Fraction, str]:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise QuantityError(f"{what} must be a number or a text such as {example}, not {value!r}")
    text = repr(value) if isinstance(value, float) else str(value)
    match = _NUMBER.match(text)
    if match is None:
        raise QuantityError(f"{value!r} is not {what}; write it as {example}")
    return Fraction(match[1]), match[2].lower()


def parse_cpu(value: int | float | str) -> int:
    """Milli-cpu of `0.5` (cores), `"0.5"` or `"500m"`. Raises QuantityError."""
    number, unit = _split(value, "cpu", '0.5, 2 or "500m"')
    if unit not in ("", "m"):
        raise QuantityError(f"{value!r} is not cpu: unknown unit {unit!r}; write cores (0.5) or milli-cpu (500m)")
    return _exact(number if unit == "m" else number * 1000, "cpu (one thousandth of a core)", value, _MOST_CPU)


def parse_bytes(value: int | float | str) -> int:
    """Bytes of `65536`, `"64KiB"` or `"1.5GB"`. Raises QuantityError."""
    number, unit = _split(value, "a size", '"64MiB", "2GB" or a number of bytes')
    if unit not in _BYTE_UNITS:
        raise QuantityError(f"{value!r} is not a size: the unit {unit!r} is unknown; write KiB, MiB, GiB or KB, MB, GB")
    return _exact(number * _BYTE_UNITS[unit], "a size (one byte)", value, _MOST_BYTES)


def parse_duration(value: int | float | str) -> int:
    """Milliseconds of `1500` (ms), `"1500ms"`, `"3s"`, `"2m"`, `"1h"` or `"1d"`. Raises QuantityError."""
    number, unit = _split(value, "a duration", '"1500ms", "3s", "2m" or "1h"')
    if unit == "":
        unit = "ms"
    if unit not in _DURATION_UNITS:
        raise QuantityError(f"{value!r} is not a duration: the unit {unit!r} is unknown; write ms, s, m, h or d")
    return _exact(number * _DURATION_UNITS[unit], "a duration (one millisecond)", value, _MOST_TIME)


PARSERS: Final[dict[str, Callable[[int | float | str], int]]] = {
    "cpu": parse_cpu,
    "bytes": parse_bytes,
    "duration": parse_duration,
}


_SHOWN: Final = {
    "cpu": ("Cores: 0.5, 2 or 500m.", r"^\d+(\.\d+)?m?$"),
    "bytes": ("A size: 64MiB, 2GB or bytes.", r"^\d+(\.\d+)?\s*[KMGTkmgt]?i?[Bb]?$"),
    "duration": ("A duration: 1500ms, 3s, 2m, 1h, 1d.", r"^\d+(\.\d+)?\s*(ms|s|m|h|d)?$"),
}


def quantity(kind: str, minimum: int = 0) -> Meta:
    """Annotation of an integer field that people may also write as text; `kind` is a key of PARSERS."""
    description, pattern = _SHOWN[kind]
    return Meta(
        ge=minimum,
        le=MAX_QUANTITY,
        description=description,
        extra={"quantity": kind},
        extra_json_schema={"type": ["integer", "number", "string"], "pattern": pattern},
    )


CpuMilli = Annotated[int, quantity("cpu")]
Bytes = Annotated[int, quantity("bytes")]
DurationMs = Annotated[int, quantity("duration")]


def format_cpu(milli: int) -> str:
    """`0.1`, `2`, `0.25`: cores, without trailing zeros."""
    return f"{milli / 1000:.3f}".rstrip("0").rstrip(".")


def format_bytes(size: int) -> str:
    """`32 MiB`, `1.5 GiB`, `712 B`."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.1f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{size} B"


def format_duration(milliseconds: int) -> str:
    """`38 ms`, `1.9 s`, `2 s`, `12 s`, `3 m 20 s`, `2 h 5 m`, `4 d 3 h`."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 10_000:
        # A half goes up, as in the panel: not to the even one, and not as its nearest binary fraction happens to be.
        whole, tenths = divmod((milliseconds + 50) // 100, 10)
        return f"{whole}.{tenths} s" if tenths else f"{whole} s"
    seconds = milliseconds // 1000
    for unit, size, small, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {unit} {rest} {small}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"
