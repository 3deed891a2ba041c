"""Ends an asynchronous iterator in time."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar, cast

Item = TypeVar("Item")


@asynccontextmanager
async def closing(iterator: AsyncIterator[Item]) -> AsyncGenerator[AsyncIterator[Item]]:
    """Close an iterator when its user is done, if it is one that can be closed (a generator), rather than whenever
    the garbage collector finds it: a driver's stream holds a connection."""
    try:
        yield iterator
    finally:
        if hasattr(iterator, "aclose"):
            await cast("AsyncGenerator[Item]", iterator).aclose()
