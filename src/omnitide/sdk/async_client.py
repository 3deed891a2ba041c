"""The client for programs with an event loop."""

from omnitide.sdk.asynchronous.client import AsyncClient
from omnitide.sdk.asynchronous.watch import AsyncEventWatch

__all__ = ["AsyncClient", "AsyncEventWatch"]
