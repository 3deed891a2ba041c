"""The client for programs with an event loop."""

from omnitide.sdk.asynchronous.client import AsyncClient as _Calls
from omnitide.sdk.asynchronous.watch import AsyncEventWatch, AsyncViewWatch
from omnitide.sdk.reaching import AsyncExec, AsyncForward, ReachCalls
from omnitide.sdk.tunnel import Exited, Piece

__all__ = ["AsyncClient", "AsyncEventWatch", "AsyncExec", "AsyncForward", "AsyncViewWatch", "Exited", "Piece"]


class AsyncClient(_Calls, ReachCalls):
    """A connection to a fabric. Belongs to one event loop. Close it, or use it as a context manager.

    Every method raises FabricError (see `omnitide.sdk.errors`). A read shows at least what this client has written.
    """
