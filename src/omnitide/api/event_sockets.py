"""The stream of events over a WebSocket: arrays of CloudEvents in JSON, from a revision on."""

from typing import Final

import msgspec

from omnitide.api.rest import Desk
from omnitide.api.stream_sockets import StreamSockets
from omnitide.operations.events import filter_of, watch_frames
from omnitide.operations.happenings.frames import Frame
from omnitide.operations.happenings.translate import TYPE_PREFIX
from omnitide.operations.messages import text_message
from omnitide.operations.operation import AnyStream

BOOKMARK: Final = TYPE_PREFIX + "stream.bookmark.v1"


class EventSockets(StreamSockets[Frame]):
    """All event streams over WebSockets."""

    def __init__(self, operation: AnyStream, desk: Desk) -> None:
        super().__init__(
            operation,
            desk,
            frames=watch_frames,
            encode=lambda frame: frame.encoded("json", self._text),
            message=lambda frame: frame.encoded("message", lambda one: text_message(self._text(one).encode())),
            check=filter_of,
            hint="old ones: /v1/events",
        )
        self._runtime = desk.runtime

    def _text(self, frame: Frame) -> str:
        if not frame.happenings:
            return self._bookmark(frame.resume)
        return (b"[" + b",".join(happening.json for happening in frame.happenings) + b"]").decode()

    def _bookmark(self, revision: int) -> str:
        """An event that says that everything up to a revision has been sent."""
        event = {
            "specversion": "1.0",
            "id": f"{self._runtime.log_id()}/{revision}",
            "source": f"/fabrics/{self._runtime.committed().fabric_id}",
            "type": BOOKMARK,
            "revision": revision,
        }
        return msgspec.json.encode([event]).decode()
