"""Events of nodes."""

from omnitide.fabric.kinds.base import BaseEvent
from omnitide.fabric.state import NodeFacts


class NodeJoined(BaseEvent, frozen=True, kw_only=True, tag="node.joined.v1"):
    node: str
    name: str
    key_digest: str
    token: str
    facts: NodeFacts
    labels: dict[str, str] = {}  # noqa: RUF012 a struct gives each of its own
    """Given with the token: they stay, whatever the node says of itself later."""


class NodeConnected(BaseEvent, frozen=True, kw_only=True, tag="node.connected.v1"):
    node: str
    session: int
    outbox: str
    facts: NodeFacts
    sequence: int = 0
    """Last report taken of this outbox: 0 if the outbox is new."""
    since_ms: int = 0
    """Log time since which it is live, as far as is known. 0 in the oldest ones: since now, or for as long as it has
    been taken for live."""


class NodeKeyOffered(BaseEvent, frozen=True, kw_only=True, tag="node.key-offered.v1"):
    """The node was given a certificate for another key; it may use either until it has used the new one."""

    node: str
    key_digest: str


class NodeKeyChanged(BaseEvent, frozen=True, kw_only=True, tag="node.key-changed.v1"):
    """The node has shown the key that was offered: the one before is worth nothing from now on."""

    node: str
    key_digest: str


class NodeFactsChanged(BaseEvent, frozen=True, kw_only=True, tag="node.facts-changed.v1"):
    node: str
    facts: NodeFacts


class NodeDriverSilent(BaseEvent, frozen=True, kw_only=True, tag="node.driver-silent.v1"):
    """The runtime of a driver does not answer its node: what it runs there is not known until it does."""

    node: str
    driver: str
    detail: str = ""
    """As the node says it."""


class NodeDriverAnswers(BaseEvent, frozen=True, kw_only=True, tag="node.driver-answers.v1"):
    """It does again, or is no driver of the node any more."""

    node: str
    driver: str


class NodeReported(BaseEvent, frozen=True, kw_only=True, tag="node.reported.v1"):
    """Reports up to `sequence` have been taken."""

    node: str
    outbox: str
    sequence: int


class NodeDeparting(BaseEvent, frozen=True, kw_only=True, tag="node.departing.v1"):
    node: str
    session: int
    reason: str
    back_within_ms: int = 0
    stopped: bool = False
    """Its operator stopped it. Never in the oldest ones."""


class NodeUnreachable(BaseEvent, frozen=True, kw_only=True, tag="node.unreachable.v1"):
    node: str
    session: int
    cause: str = ""
    """Since what it was waited for: `disconnected`, its connection broke; `goodbye`, it took leave for a while;
    `stopped`, its operator stopped it; `start`, Nexus began and it has not connected; `left`, it took leave for good,
    and nothing was waited for. Empty in the oldest ones."""
    waited_ms: int = 0
    """So long."""


class NodeLost(BaseEvent, frozen=True, kw_only=True, tag="node.lost.v1"):
    node: str
    session: int


class NodePortRefused(BaseEvent, frozen=True, kw_only=True, tag="node.port-refused.v1"):
    """The node found a host port taken by something that is not the fabric's."""

    node: str
    port: int


class NodeLabelled(BaseEvent, frozen=True, kw_only=True, tag="node.labelled.v1"):
    node: str
    labels: dict[str, str] = {}  # noqa: RUF012 a struct gives each of its own
    """All that the fabric gives it from now on."""


class NodeCordoned(BaseEvent, frozen=True, kw_only=True, tag="node.cordoned.v1"):
    node: str


class NodeUncordoned(BaseEvent, frozen=True, kw_only=True, tag="node.uncordoned.v1"):
    node: str


class NodeDrainStarted(BaseEvent, frozen=True, kw_only=True, tag="node.drain-started.v1"):
    node: str
    since_ms: int = 0
    """Log time, for the state to keep, which it does not of the oldest ones: 0 in these."""


class NodeDrained(BaseEvent, frozen=True, kw_only=True, tag="node.drained.v1"):
    node: str


class NodeRemoved(BaseEvent, frozen=True, kw_only=True, tag="node.removed.v1"):
    node: str
    name: str = ""
    """For who reads it when the node is long gone, as in all such events. Empty in the oldest ones."""
