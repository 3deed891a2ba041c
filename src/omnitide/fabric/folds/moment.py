"""Where and when in the log an event stands."""

from collections.abc import Callable
from typing import Any, NamedTuple

from omnitide.fabric.state import FabricState


class Moment(NamedTuple):
    revision: int
    time_ms: int
    principal: str
    correlation: str = ""


Fold = Callable[[FabricState, Any, Moment], FabricState]
"""One event into the state. `Any`: the table in `evolve` pairs each with its own event type."""
