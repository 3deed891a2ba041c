"""What a user reads as it happens: events and output."""

from typing import Literal

import msgspec

from omnitide.model.objects import Millis, Object, Revision


class CloudEvent(Object, frozen=True, kw_only=True, omit_defaults=True):
    """A fact, as CloudEvents 1.0 in JSON. `revision`, `correlation`, `principal` and `by` are extension attributes."""

    specversion: str
    id: str
    """`<log id>/<revision>.<index>`: the same fact always has the same id."""
    source: str
    """`/fabrics/<fabric id>`."""
    type: str
    """`omnitide.agent.created.v1`."""
    subject: str
    """`agent/default/hello`, `instance/default/hello-1.1`, `job/default/once`, `node/alpha`, `namespace/default`,
    `token/<id>`, `fabric/<id>`."""
    time: str
    """RFC 3339, UTC."""
    datacontenttype: str = ""
    data: dict[str, object] = msgspec.field(default_factory=dict)
    revision: int
    correlation: str = ""
    principal: str = ""
    by: str = ""
    """Who asked for it, in words with the id of their token: `administrator in Firefox on Linux (session ...)`. Not
    said again of instances to which another fact brings it; empty where the fabric did it itself or a node told it."""


class EventPage(Object, frozen=True, kw_only=True):
    """Events in order. A page may be empty and not the last: only a bounded part of the log is searched at a time."""

    items: tuple[CloudEvent, ...]
    revision: Revision
    """The newest revision that there is."""
    next_after: Revision
    """Ask with this `after`, and `next_skip` as `skip`, for what follows."""
    next_skip: int = 0
    more: bool
    """Whether there is anything after it already."""


class EventBatch(Object, frozen=True, kw_only=True):
    """Part of a stream of events. One without events says how far the stream has come."""

    items: tuple[CloudEvent, ...]
    resume: Revision
    """To go on after a break, watch again after this revision; what is then seen twice has the same ids."""


class LogChunk(Object, frozen=True, kw_only=True):
    """A piece of an instance's output. Bytes that are no UTF-8 are shown as U+FFFD."""

    at_ms: Millis
    stream: Literal["stdout", "stderr"]
    attempt: int
    text: str
    position: str = ""
    """Where it ends; `after` goes on there. With `follow` the first chunk has no text: it says where output begins."""
    gap: bool = False
    """Before it there was output that its node does not keep any more."""


class OutputLine(Object, frozen=True, kw_only=True):
    """A line of output among those of others, or a note about lines that are missing."""

    at_ms: Millis
    """When it was written, by Nexus's clock: the node's own, less how far that is ahead."""
    node_at_ms: Millis = 0
    """When, by the clock of its node."""
    namespace: str = ""
    instance: str = ""
    name: str = ""
    """Of the instance: `web-1.2`."""
    node: str = ""
    stream: Literal["stdout", "stderr", "note"]
    """note: not written by an instance, but said about its output."""
    attempt: int = 0
    text: str
    """Bytes that are no UTF-8 are shown as U+FFFD."""
    cut: bool = False
    """It goes on in the next one: a longer line is given in pieces."""
    code: str = ""
    """Of a note: its reason, such as node-away, runtime-away, gap, limit (open set)."""
