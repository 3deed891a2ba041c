"""Times on the command line. A bare number is refused there: manifests take it for milliseconds, people for seconds."""

import re
from typing import Final

from omnitide.cli.exits import Exit, Failure

_BARE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*")


def milliseconds(text: str, flag: str) -> int:
    """Raises Failure."""
    from omnitide.model.quantity import QuantityError, parse_duration

    bare = _BARE.fullmatch(text)
    if bare is not None:
        number = bare[1]
        raise Failure(
            f"{flag} {number}: of what? A time has a unit: write {number}s, {number}m or {number}ms", code=Exit.USAGE
        )
    try:
        return parse_duration(text)
    except QuantityError as error:
        raise Failure(f"{flag}: {error}", code=Exit.USAGE) from None


def seconds(text: str, flag: str = "--timeout") -> float:
    """Raises Failure."""
    return milliseconds(text, flag) / 1000
