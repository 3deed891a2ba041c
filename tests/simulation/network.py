"""A network of streams: in order and whole like TCP's, but slow, cut, and with messages that come again later.

A partition holds what is under way; each end notices on its own after as long as keepalive takes. Duplicates and late
copies do not happen within a TCP stream: they stand for what happens across streams, which the protocol must bear.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from omnitide.nexus.greeting import Peer
from omnitide.nexus.sessions import Sessions
from omnitide.nexus.tunnels import Tunnels
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed
from simulation.processes import Process

BUFFER: Final = 64
KEEPALIVE_S: Final = (1.0, 2.5)
REPEATABLE: Final = ("reports", "desired", "ack", "settings")


class Weather(NamedTuple):
    """What the network does to messages."""

    delay_s: tuple[float, float] = (0.0005, 0.005)
    slow: float = 0.0
    """Chance of a delay of up to `slow_s`."""
    slow_s: float = 1.0
    repeat: float = 0.0
    """Chance that a message is delivered twice in a row."""
    late_copy: float = 0.0
    """Chance that a copy of a message comes again later, behind newer ones."""


class Wire:
    """One direction of a stream."""

    def __init__(self, network: "Network", node: str, parse: Callable[[bytes], Any], stream: int = 0) -> None:
        """`stream`: number of the node's session, for what goes to the node."""
        self._network = network
        self._node = node
        self._stream = stream
        self._parse = parse
        self._queue: deque[tuple[float, bytes]] = deque()
        self._last = 0.0
        self._changed = asyncio.Event()
        self.broken = ""

    def cut(self, reason: str) -> None:
        if not self.broken:
            self.broken = reason
            self._queue.clear()
        self._changed.set()

    def wake(self) -> None:
        self._changed.set()

    async def put(self, message: Any) -> None:
        while len(self._queue) >= BUFFER and not self.broken:
            await self._wait(None)
        if self.broken:
            raise LinkClosed(self.broken)
        network = self._network
        if network.meddle is not None and self._stream:
            changed = pb.NexusMessage.FromString(message.SerializeToString())
            for other in network.meddle(self._node, self._stream, changed):
                self._put(other)
        else:
            self._put(message)

    def _put(self, message: Any) -> None:
        network, rng = self._network, self._network.rng
        raw = message.SerializeToString()
        self._push(raw, network.delay())
        body = message.WhichOneof("body")
        if body in REPEATABLE and not (body == "desired" and (message.desired.full or message.desired.more)):
            if rng.random() < network.weather.repeat:
                self._push(raw, 0.0)
            if rng.random() < network.weather.late_copy:
                asyncio.get_running_loop().call_later(rng.uniform(0.01, 2.0), self._push, raw, 0.0)

    def _push(self, raw: bytes, delay: float) -> None:
        if not self.broken:
            self._last = max(self._last, asyncio.get_running_loop().time() + delay)
            self._queue.append((self._last, raw))
            self._changed.set()

    async def get(self) -> Any:
        while True:
            if self._queue and not self._network.is_cut(self._node):
                due = self._queue[0][0] - asyncio.get_running_loop().time()
                if due <= 1e-6:  # finer than the loop's clock
                    raw = self._queue.popleft()[1]
                    self._changed.set()
                    return self._parse(raw)
                await self._wait(due)
            elif self.broken:
                raise LinkClosed(self.broken)
            else:
                await self._wait(None)

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass


class End:
    """One end of a stream; a Link."""

    def __init__(self, out: Wire, into: Wire) -> None:
        self._out = out
        self._into = into
        self._closed = False

    async def send(self, message: Any) -> None:
        if self._closed:
            raise LinkClosed("closed here")
        await self._out.put(message)

    async def receive(self) -> Any:
        if self._closed:
            raise LinkClosed("closed here")
        return await self._into.get()

    async def close(self) -> None:
        """What was sent before still arrives; then the other side sees the end."""
        if not self._closed:
            self._closed = True
            self._into.cut("closed here")
            asyncio.get_running_loop().call_later(0.01, self._out.cut, "the other side ended the stream")

    def lose(self, reason: str) -> None:
        """This end finds the stream dead."""
        self._into.cut(reason)
        self._out.cut(reason)


class _Stream(NamedTuple):
    node: str
    node_end: End
    nexus_end: End


class Network:
    """Between all nodes and the one Nexus."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.weather = Weather()
        self._cut: dict[str, None] = {}
        self._streams: dict[_Stream, None] = {}
        self._nexus: tuple[Sessions, Tunnels, Process] | None = None
        self.meddle: Callable[[str, int, pb.NexusMessage], list[pb.NexusMessage]] | None = None
        """What a node (by a session's number) is told instead of a message from Nexus."""
        self.dials = 0

    def delay(self) -> float:
        delay = self.rng.uniform(*self.weather.delay_s)
        if self.rng.random() < self.weather.slow:
            delay += self.rng.uniform(0, self.weather.slow_s)
        return delay

    def is_cut(self, node: str) -> bool:
        return node in self._cut

    def nexus_listens(self, sessions: Sessions, tunnels: Tunnels, process: Process) -> None:
        self._nexus = (sessions, tunnels, process)

    def nexus_dies(self) -> None:
        """Its machine answers every stream with a reset."""
        self._nexus = None
        self._break(lambda stream: True, "connection reset")

    def node_dies(self, node: str) -> None:
        self._break(lambda stream: stream.node == node, "connection reset")

    def partition(self, node: str) -> None:
        """Nothing gets through; each end notices when its keepalive is not answered."""
        self._cut[node] = None
        loop = asyncio.get_running_loop()
        for stream in [stream for stream in self._streams if stream.node == node]:
            for end in (stream.node_end, stream.nexus_end):
                loop.call_later(self.rng.uniform(*KEEPALIVE_S), self._notice, node, end)

    def heal(self, node: str) -> None:
        self._cut.pop(node, None)
        for stream in self._streams:
            if stream.node == node:
                stream.node_end._into.wake()
                stream.nexus_end._into.wake()

    def reset_one(self, node: str) -> None:
        """A stream breaks in the middle, as when a middlebox forgets it."""
        self._break(lambda stream: stream.node == node, "connection reset by the network")

    def reset_all(self) -> None:
        self._break(lambda stream: True, "connection reset")

    def _notice(self, node: str, end: End) -> None:
        if node in self._cut:
            end.lose("keepalive timed out")

    def _break(self, which: Callable[[_Stream], bool], reason: str) -> None:
        for stream in [stream for stream in self._streams if which(stream)]:
            del self._streams[stream]
            stream.node_end.lose(reason)
            stream.nexus_end.lose(reason)

    async def dial(self, node: str, key_digest: str) -> End:
        self.dials += 1
        sessions, _, process = await self._reach(node)
        up = Wire(self, node, pb.NodeMessage.FromString)
        down = Wire(self, node, pb.NexusMessage.FromString, self.dials)
        stream = _Stream(node, End(up, down), End(down, up))
        peer = Peer(node, key_digest, "simulated")
        self._streams[stream] = None
        process.spawn(self._serve(stream, lambda: sessions.serve(stream.nexus_end, peer)), f"session {node}")
        return stream.node_end

    async def open_tunnel(self, node: str) -> End:
        _, tunnels, process = await self._reach(node)
        up = Wire(self, node, pb.TunnelFrame.FromString)
        down = Wire(self, node, pb.TunnelFrame.FromString)
        stream = _Stream(node, End(up, down), End(down, up))
        self._streams[stream] = None
        process.spawn(self._serve(stream, lambda: tunnels.accept(stream.nexus_end, node)), f"tunnel {node}")
        return stream.node_end

    async def _reach(self, node: str) -> tuple[Sessions, Tunnels, Process]:
        await asyncio.sleep(self.delay())
        if self.is_cut(node):
            await asyncio.sleep(self.rng.uniform(*KEEPALIVE_S))
            raise LinkClosed("no route")
        if self._nexus is None:
            raise LinkClosed("connection refused")
        return self._nexus

    async def _serve(self, stream: _Stream, service: Callable[[], Awaitable[None]]) -> None:
        try:
            await service()
        finally:
            self._streams.pop(stream, None)


class Dialer:
    """A node's way to Nexus."""

    def __init__(self, network: Network, node: str, key_digest: str) -> None:
        self._network = network
        self._node = node
        self._key_digest = key_digest

    async def dial(self, endpoint: str) -> End:
        return await self._network.dial(self._node, self._key_digest)

    async def open_tunnel(self, endpoint: str) -> End:
        return await self._network.open_tunnel(self._node)
