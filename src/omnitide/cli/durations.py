"""Times on the command line. A bare number is refused there: manifests take it for milliseconds, people for seconds."""

import re
from typing import TYPE_CHECKING, Final

from omnitide.cli.exits import Exit, Failure

if TYPE_CHECKING:
    import datetime as dt

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


_OF_DAY: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


def moment(text: str, flag: str, now: "dt.datetime") -> str:
    """How long ago (`10m`), a time of the day (`14:05`: the last that there was), or a date and time, by the clock and
    zone of who types it; as Nexus takes it. `now`: by that clock, without a zone. Raises Failure."""
    import datetime as dt

    found = _OF_DAY.fullmatch(text.strip())
    if found is not None and int(found[1]) < 24 and int(found[2]) < 60 and int(found[3] or 0) < 60:
        at = now.replace(hour=int(found[1]), minute=int(found[2]), second=int(found[3] or 0), microsecond=0)
        if at > now:
            at -= dt.timedelta(days=1)
        return at.astimezone().isoformat()  # the zone of that day, which may have another summer time
    try:
        return dt.datetime.fromisoformat(text.strip()).astimezone().isoformat()
    except ValueError:
        return f"{milliseconds(text, flag)}ms"
