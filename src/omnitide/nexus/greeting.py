"""How a session begins: who is at the other end, whether they may come in, and what they are told then. Pure."""

from typing import Final, NamedTuple

from omnitide.wire import node_pb2 as pb

PROTOCOL_MIN: Final = 1
PROTOCOL_MAX: Final = 1
FEATURES: Final = ("logs", "samples")
MAX_SHOWN: Final = 100
"""Characters of a wrong node id that are repeated."""


class Peer(NamedTuple):
    """Who is at the other end, as its certificate proves."""

    node: str
    key_digest: str
    address: str


class SessionSettings(NamedTuple):
    """What sessions hand to nodes, and the fabric's names. Read anew for each use: parts are reloadable."""

    fabric_id: str
    log_id: str
    software: str
    endpoints: tuple[str, ...]
    keepalive_ms: int
    keepalive_timeout_ms: int
    lost_after_ms: int
    beat_ms: int


def protocol_with(hello: pb.Hello) -> int:
    """The newest that both sides speak; below PROTOCOL_MIN or the node's own least if there is none."""
    return min(hello.protocol_max, PROTOCOL_MAX)


def refusal(hello: pb.Hello, peer: Peer, used_from: str | None, copied: str | None) -> pb.Refused | None:
    """Why a node is not let in, whatever the fabric makes of it. `used_from`: where another proxy is connected with its
    identity; `copied`: why it is not who it says."""
    if hello.node_id != peer.node:
        text = f"the certificate is of node {peer.node}, the hello of {hello.node_id[:MAX_SHOWN]}"
        return pb.Refused(reason="identity", message=text, permanent=True)
    if protocol_with(hello) < max(hello.protocol_min, PROTOCOL_MIN):
        spoken = f"the node speaks protocol {hello.protocol_min} to {hello.protocol_max}"
        text = f"{spoken}, Nexus {PROTOCOL_MIN} to {PROTOCOL_MAX}"
        return pb.Refused(reason="version", message=text, permanent=True)
    if used_from is not None:
        text = f"another proxy is connected with this identity, from {used_from}: a copy, or the last connection, dying"
        return pb.Refused(reason="in-use", message=text, permanent=False)
    if copied is not None:
        return pb.Refused(reason="copied", message=copied, permanent=True)
    return None


def welcome(hello: pb.Hello, settings: SessionSettings, *, session: int, acknowledged: int, time_ms: int) -> pb.Welcome:
    return pb.Welcome(
        protocol=protocol_with(hello),
        features=[feature for feature in FEATURES if feature in hello.features],
        software=settings.software,
        fabric_id=settings.fabric_id,
        log_id=settings.log_id,
        session=session,
        endpoints=[pb.Endpoint(address=address, leader=True) for address in settings.endpoints],
        time_ms=time_ms,
        settings=settings_message(settings),
        acknowledged_sequence=acknowledged,
    )


def settings_message(settings: SessionSettings) -> pb.Settings:
    return pb.Settings(
        keepalive_ms=settings.keepalive_ms,
        keepalive_timeout_ms=settings.keepalive_timeout_ms,
        lost_after_ms=settings.lost_after_ms,
        beat_ms=settings.beat_ms,
    )
