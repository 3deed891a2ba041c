"""The Python client of a fabric: `Client` and `AsyncClient`, typed, over the objects of `omnitide.model`.

`calls` builds requests and `exchange` decides about answers and retries, without I/O and for both flavours; `feed` and
`view_feed` do so for the streams of events and of the live view, which `view` keeps. `asynchronous` does the I/O;
`synchronous` is made from it. Imports model, httpx and websockets; nothing else of ours.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnitide.sdk.async_client import AsyncClient
    from omnitide.sdk.client import Client
    from omnitide.sdk.errors import FabricError
    from omnitide.sdk.target import Target

__all__ = ["AsyncClient", "Client", "FabricError", "Target"]


def __getattr__(name: str) -> Any:
    """Loaded when asked for: a program that uses one flavour does not pay for the other.

    `Any`: a module's attributes have no common type.
    """
    from importlib import import_module

    modules = {"AsyncClient": "async_client", "Client": "client", "FabricError": "errors", "Target": "target"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"omnitide.sdk.{modules[name]}"), name)
