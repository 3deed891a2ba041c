"""The answer to "why is this pending?", as data: what programs read, with a text for people in each part."""

from typing import Literal

import msgspec

from omnitide.scheduler.reasons import Reason

Verdict = Literal["fits-now", "fits-when", "never"]


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that would have to be otherwise."""

    rule: str
    text: str
    of: Literal["spec", "node"]
    """Where the change would be made."""
    subject: str = ""
    amount: int = 0
    """For ports, cpu (milli) and memory (bytes): how much could be asked for (`spec`), or has to be freed (`node`)."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """What would let the instance run on one node."""

    node: str
    name: str
    changes: tuple[Change, ...]
    text: str


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule that one node fails."""

    rule: str
    need: str
    have: str
    subject: str = ""
    lasting: bool = False
    """It would fail it even if it were live, open and empty."""


class NodeVerdict(msgspec.Struct, frozen=True, kw_only=True):
    node: str
    name: str
    fits: bool
    failures: tuple[Failure, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    verdict: Verdict
    text: str
    """The whole of it for people, in a few sentences."""
    revision: int
    nodes: int
    """Known nodes; of what is to leave its node, the others."""
    fitting: int
    """Nodes that could take it now."""
    reasons: tuple[Reason, ...]
    """Ranked; with `fits-now`, why the other nodes cannot."""
    first_choice: str = ""
    """With `fits-now`, the name of the node that it would be placed on."""
    when: tuple[Way, ...] = ()
    """With `fits-when`, what has to happen, nearest first, a few at most. Empty if it only waits for its back-off."""
    nearest: Way | None = None
    """The least change, to the spec or to a node, that would do; None with `fits-now`."""
    not_before_ms: int = 0
    """Log time at which its back-off ends, if it has not."""
    table: tuple[NodeVerdict, ...] = ()
    """Node by node, those that fail least first, as many as were asked for."""
