"""The client for programs without an event loop."""

from omnitide.sdk.synchronous.client import Client
from omnitide.sdk.synchronous.watch import EventWatch, ViewWatch

__all__ = ["Client", "EventWatch", "ViewWatch"]
