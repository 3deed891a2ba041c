"""The scratch of one decision: events so far, and the state as they leave it."""

from omnitide.fabric.commands import Header
from omnitide.fabric.events import Event
from omnitide.fabric.evolve import Moment, evolve
from omnitide.fabric.feature_levels import level_of
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.state import FabricState


class Draft:
    """Mutable within one call of `decide` and never seen outside: rules emit events and read the state after them."""

    __slots__ = ("agents", "before", "ended", "events", "header", "moment", "result", "state")

    def __init__(self, state: FabricState, header: Header) -> None:
        self.before = state
        """As the decision found it."""
        self.state = state
        self.header = header
        self.moment = Moment(state.revision + 1, header.time_ms, header.principal, header.correlation)
        self.events: list[Event] = []
        self.result: dict[str, str | int] = {}
        self.agents: dict[str, None] = {}
        """Agents whose instances changed: reactions look at them once more at the end, in order of first touch."""
        self.ended = False
        """Some instance has ended or was lost: a draining node may be empty now."""

    def emit(self, event: Event) -> None:
        """Raises Refuse for an event that not every replica may know yet."""
        level = level_of(event)
        if level > self.state.feature_level:
            raise Refuse(
                "conflict",
                f"this needs feature level {level}, and the log of this fabric is at {self.state.feature_level}",
                hint="raise the level once every replica of the control plane runs this release",
            )
        self.events.append(event)
        self.state = evolve(self.state, event, self.moment)

    def touch(self, agent: str) -> None:
        self.agents[agent] = None
