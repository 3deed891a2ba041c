"""Why a tunnel ends, as its last frame says it."""

from omnitide.wire import node_pb2 as pb


def error_frame(reason: str, message: str) -> pb.TunnelFrame:
    return pb.TunnelFrame(error=pb.TunnelError(reason=reason, message=message))
