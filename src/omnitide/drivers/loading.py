"""Finds the drivers that are installed, by entry points, and makes those that are wanted.

A package adds one so:

    [project.entry-points."omnitide.drivers"]
    firecracker = "my_package.firecracker:make"

where `make` takes a `DriverContext` and gives a `Driver` of that name. Whatever fails here costs the node that driver
and nothing else.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from omnitide.drivers.protocol import ENTRY_POINTS, Driver, DriverContext
from omnitide.drivers.unavailable import UnavailableDriver

ALWAYS: Final = ("process",)
"""Wanted where nothing is said."""

Make = Callable[[DriverContext], Driver]


def installed() -> dict[str, EntryPoint]:
    """By name; of two packages that give the same name, the first that is found."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        found.setdefault(entry.name, entry)
    return found


def load(
    context: Callable[[str], DriverContext],
    declared: Sequence[str] = (),
    *,
    found: Callable[[], dict[str, EntryPoint]] = installed,
) -> list[Driver]:
    """The drivers that are declared, or all that are installed. Each name gives one, if only to say why it cannot."""
    known = found()
    names = list(dict.fromkeys(declared or (*ALWAYS, *sorted(known))))
    return [_make(name, known.get(name), context(name), wanted=name in (declared or ALWAYS)) for name in names]


def _make(name: str, entry: EntryPoint | None, context: DriverContext, *, wanted: bool) -> Driver:
    if entry is None:
        reason = f"no driver {name!r} is installed (none is found under the entry points {ENTRY_POINTS!r})"
        return UnavailableDriver(name, reason, context.directory, absent=False)
    try:
        make: Make = entry.load()
        driver = make(context)
        if driver.name != name:
            message = f"its driver calls itself {driver.name!r}"
            raise ValueError(message)
    except ImportError as error:
        # An extra that is not installed: nothing is wrong with a node that nobody wanted to have it.
        return UnavailableDriver(name, str(error), context.directory, absent=not wanted)
    except Exception as error:  # whatever others wrote: the node goes on without it
        reason = f"{entry.value} failed: {type(error).__name__}: {error}"
        return UnavailableDriver(name, reason, context.directory, absent=False)
    return driver
