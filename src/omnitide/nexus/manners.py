"""What a node may say, and the one line that is written of one that says something else.

A certificate proves who a node is, not that its software is in order. Whatever it sends beyond the protocol ends its
session with a reason, and only that: it may come again at once, and what it then says is taken as anybody's.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from omnitide.telemetry import logs
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

MAX_REPORTS: Final = 1000
"""Reports in one message."""
MAX_INVENTORY: Final = 50_000
"""Instances of which a hello tells."""
MAX_ATTEMPT: Final = 1 << 30
MAX_OUTBOX_ID: Final = 128
MAX_CHUNK_BYTES: Final = 64 << 10
"""Of output or data in one frame of a tunnel."""

PERIOD_S: Final = 60.0
MAX_TOLD: Final = 4096
"""Nodes and kinds of faults that are remembered; what was told of longest ago is forgotten first."""

_log = logs.get(__name__)


class ProtocolFault(LinkClosed):
    """The other side said what the protocol does not allow: bytes that are no message, or one that cannot be."""


def require_hello(hello: pb.Hello) -> None:
    """Raises ProtocolFault."""
    if len(hello.outbox_id) > MAX_OUTBOX_ID:
        raise ProtocolFault(f"an outbox id has {MAX_OUTBOX_ID} characters at most, this one {len(hello.outbox_id)}")
    if len(hello.instances) > MAX_INVENTORY:
        raise ProtocolFault(f"{len(hello.instances)} instances in a hello; {MAX_INVENTORY} are the most")
    require_attempts(hello.instances)


def require_reports(message: pb.Reports) -> None:
    """Raises ProtocolFault."""
    if len(message.reports) > MAX_REPORTS:
        raise ProtocolFault(f"{len(message.reports)} reports in one message; {MAX_REPORTS} are allowed")
    require_attempts(message.reports)


def require_attempts(reports: Sequence[pb.InstanceReport]) -> None:
    """Raises ProtocolFault for an attempt after which a node could not go on counting."""
    for report in reports:
        if report.attempt > MAX_ATTEMPT:
            raise ProtocolFault(f"attempt {report.attempt} of an instance: no instance has had so many")


def require_asked(beat: pb.Beat, asked: int) -> None:
    """Raises ProtocolFault for the answer to a beat that there has not been yet: with it a node would never stall."""
    if beat.number > asked:
        raise ProtocolFault(f"an answer to beat {beat.number}, of which there were {asked}")


def require_chunk(data: bytes) -> None:
    """Raises ProtocolFault."""
    if len(data) > MAX_CHUNK_BYTES:
        raise ProtocolFault(f"{len(data)} bytes in one frame; {MAX_CHUNK_BYTES} are the most")


class Complaints:
    """Lines about peers that misbehave: of each peer one for each kind of fault within a minute, and how many were not
    written since the one before."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._told: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        """(who, kind) -> when the last line was written, and how many were left out since."""
        self._last: OrderedDict[str, float] = OrderedDict()
        """Who -> when they were last complained of."""

    def write(self, event: str, who: str, kind: str, **fields: object) -> None:
        now, key = self._now(), (who, kind)
        self._last[who] = now
        self._last.move_to_end(who)
        written, left_out = self._told.get(key, (-PERIOD_S, 0))
        if now - written < PERIOD_S:
            self._told[key] = (written, left_out + 1)
            return
        self._told[key] = (now, 0)
        self._told.move_to_end(key)
        if left_out:
            fields["left_out"] = left_out
        _log.warning(event, **fields)
        for remembered in (self._told, self._last):
            if len(remembered) > MAX_TOLD:
                remembered.popitem(last=False)

    def recent(self, who: str) -> bool:
        """Whether there was a complaint within a minute: what else they do is then of less interest."""
        return self._now() - self._last.get(who, -PERIOD_S) < PERIOD_S
