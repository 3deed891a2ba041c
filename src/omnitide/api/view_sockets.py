"""The live view over a WebSocket: each message is one JSON object, a part of the snapshot or what came after it."""

from omnitide.api.rest import Desk
from omnitide.api.stream_sockets import StreamSockets
from omnitide.operations.operation import AnyStream
from omnitide.operations.view import watch_view
from omnitide.operations.viewing.frames import ViewFrame


class ViewSockets(StreamSockets[ViewFrame]):
    """All views over WebSockets."""

    def __init__(self, operation: AnyStream, desk: Desk) -> None:
        super().__init__(
            operation,
            desk,
            frames=watch_view,
            encode=lambda frame: frame.text,
            message=lambda frame: frame.message,
            hint="what it shows is at /v1/nodes, /v1/agents, /v1/jobs and /v1/instances too",
        )
