"""The carriage of a node's session, apart from what is said over it: gRPC; memory in the simulation; others later."""

from typing import Protocol, TypeVar

Out_contra = TypeVar("Out_contra", contravariant=True)
In_co = TypeVar("In_co", covariant=True)


class LinkClosed(Exception):
    """The other side is gone, or the link was closed here. `reason` is for people and logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Link(Protocol[Out_contra, In_co]):
    """An ordered, bidirectional stream of messages between a node and Nexus."""

    async def send(self, message: Out_contra) -> None:
        """Hand over one message; waits while the carriage has no credit. Raises LinkClosed."""
        ...

    async def receive(self) -> In_co:
        """The next message. Raises LinkClosed when there will be none. One caller at a time."""
        ...

    async def close(self) -> None:
        """End the link from this side. Idempotent."""
        ...
