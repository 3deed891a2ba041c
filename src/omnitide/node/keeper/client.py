"""One connection to the keeper: bytes in and out within bounds."""

import os
import socket
import struct
from collections.abc import Callable

from omnitide.node.keeper import protocol
from omnitide.node.keeper.instance import Instance
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.protocol import Decoder, Json, ProtocolError

MAX_UNSENT = 8 << 20
"""Bytes that wait for a client to read; beyond, it is disconnected and may come back and list what is."""
_SEND_AT_ONCE = 64 << 10
"""Bytes; fewer are sent when the loop's turn is over, all together: each send wakes the client, which then takes the
processor from us for every single message."""
MAX_DESCRIPTORS = 3
"""Handed over with a request and not taken yet: input, output and error output of a program."""
_received = memoryview(bytearray(64 << 10))
"""What has just come from whichever client; its decoder has it by the end of the call."""
_MESSAGES_A_TURN = 32
_CREDENTIALS = struct.Struct("3i")
_DESCRIPTOR = struct.Struct("i")
_ANCILLARY = socket.CMSG_LEN(MAX_DESCRIPTORS * _DESCRIPTOR.size)


def _descriptors(handed_over: bytes) -> list[int]:
    whole = len(handed_over) - len(handed_over) % _DESCRIPTOR.size
    return [number for (number,) in _DESCRIPTOR.iter_unpack(handed_over[:whole])]


def peer_uid(connection: socket.socket) -> int:
    """The user on the other end of a unix socket."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])


class Client:
    """A connected client, from accept to close. `handle` gets each message, `gone` is called once at the end."""

    __slots__ = (
        "_decoder",
        "_gone",
        "_handle",
        "_loop",
        "_more",
        "_out",
        "_socket",
        "_waits",
        "closed",
        "descriptors",
        "following",
        "greeted",
        "number",
        "watching",
    )
    _count = 0

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        handle: "Callable[[Client, Json], None]",
        gone: "Callable[[Client], None]",
    ) -> None:
        Client._count += 1
        self.number = Client._count
        self._loop = loop
        self._socket = connection
        self._handle = handle
        self._gone = gone
        self._decoder = Decoder()
        self._out = bytearray()
        self._more = False
        self._waits = False
        """For the client to take more, which the loop tells."""
        self.closed = False
        self.greeted = False
        self.watching = False
        self.descriptors: list[int] = []
        """Handed over by the client, for the next `exec`."""
        self.following: dict[int, Instance] = {}
        """`follow` requests that wait, with the instance that each is about."""
        connection.setblocking(False)
        loop.watch(connection.fileno(), self._ready)

    def _ready(self) -> None:
        self._flush()
        # What is already here is served before more is taken in: a client's backlog stays in its own socket.
        if not self.closed and not self._more:
            self._receive()
        if not self.closed:
            self._serve()

    def _receive(self) -> None:
        try:
            size, ancillary, flags, _ = self._socket.recvmsg_into([_received], _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size, ancillary, flags = 0, [], 0
        for level, kind, handed_over in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self.descriptors += _descriptors(handed_over)
        if len(self.descriptors) > MAX_DESCRIPTORS or flags & socket.MSG_CTRUNC:
            self.refuse(f"more than {MAX_DESCRIPTORS} descriptors at a time")
            return
        if size:
            self._decoder.feed(_received[:size])
        else:
            self.close()

    def _serve(self) -> None:
        """Handle whole messages, a few a turn, so that one busy client does not hold up the rest."""
        self._more = False
        for _ in range(_MESSAGES_A_TURN):
            try:
                message = self._decoder.next()
            except ProtocolError as error:
                self.refuse(str(error))
                return
            if message is None:
                return
            self._handle(self, message)
            if self.closed:
                return
        self._more = True
        self._loop.after(0, self._again)

    def _again(self) -> None:
        if not self.closed and self._more:
            self._serve()

    def take_descriptors(self) -> list[int]:
        """What the client has handed over; the caller closes it."""
        taken, self.descriptors = self.descriptors, []
        return taken

    def send(self, message: Json) -> None:
        """Queue a message; it is sent at the end of the loop's turn at the latest, as far as the client takes it."""
        self.send_encoded(protocol.encode(message))

    def send_encoded(self, message: bytes) -> None:
        """As `send`, of what `protocol` has encoded."""
        if self.closed:
            return
        if not self._out:
            self._loop.at_last(self._flush)
        self._out += message
        if len(self._out) < _SEND_AT_ONCE:
            return
        self._flush()
        if len(self._out) > MAX_UNSENT:
            self.close()

    def refuse(self, reason: str) -> None:
        """End a connection that does not speak the protocol, saying why."""
        self.send({"error": {"message": reason, "cause": "protocol", "permanent": True}})
        self.close()

    def _flush(self) -> None:
        if not self._out or self.closed:
            return
        try:
            sent = self._socket.send(self._out)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close()
            return
        del self._out[:sent]
        if self._waits != bool(self._out):
            self._waits = bool(self._out)
            self._loop.watch(self._socket.fileno(), self._ready, write=self._waits)

    def close(self) -> None:
        """Hang up, after what the client takes at once of what it has not got yet."""
        if self.closed:
            return
        if self._out:
            try:
                self._socket.send(self._out)
            except OSError:
                pass  # it has hung up, or does not read
        self.closed = True
        self._loop.forget(self._socket.fileno())
        for fd in self.take_descriptors():
            os.close(fd)
        self._out.clear()
        self._gone(self)
        self._socket.close()  # last: who waits for the end of his programs sees it by this
