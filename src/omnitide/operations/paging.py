"""Lists in pages. Cursors are opaque to callers; they name the last key shown and the revision of the first page.

Keys do not change in an object's life and lists are in order of key, so that what is there from the first page to the
last is shown exactly once, whatever comes and goes in between.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from omnitide.fabric.state import FabricState
from omnitide.model.faults import Fault
from omnitide.operations.failures import failed, invalid
from omnitide.operations.runtime import Runtime

T = TypeVar("T")

Key = tuple[str | int, ...]

MAX_PAGE: Final = 1000
_MAX_CURSOR: Final = 1000
_STEPS_AT_ONCE: Final = 1000
_WAIT_S: Final = 5.0

PageSize = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Items on a page.")]
CursorText = Annotated[
    str, Meta(max_length=_MAX_CURSOR, description="`next_cursor` of the page before; empty for the first page.")
]


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    list: str
    """Which list, with which filters."""
    revision: int
    key: Key


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: list[T]
    next_cursor: str
    state: FabricState
    """What the page shows."""


async def page_of(
    runtime: Runtime,
    *,
    list_name: str,
    cursor: str,
    limit: int,
    shape: tuple[type, ...],
    walk: Callable[[FabricState, Key | None], Iterator[T | None]],
    key: Callable[[FabricState, T], Key],
) -> Page[T]:
    """The first `limit` items after a cursor.

    `walk` yields items in order of key, beginning after the key that it is given; None for what it looked at in vain.
    The state does not change while it is walked, so the walk makes room for others as it goes. `shape` is the types of
    a key's parts. Raises Failed for a cursor that is not of this list.
    """
    after: Key | None = None
    first_revision = 0
    if cursor:
        place = _decode(cursor, list_name, shape)
        after, first_revision = place.key, place.revision
        if not await runtime.wait_for(first_revision, _WAIT_S):
            raise failed("behind", f"the list began at revision {first_revision}, which is not reached here yet")
    state = runtime.committed()
    items: list[T] = []
    for count, item in enumerate(walk(state, after), start=1):
        if count % _STEPS_AT_ONCE == 0:
            await asyncio.sleep(0)
        if item is None:
            continue
        if len(items) == limit:
            return Page(items, _encode(list_name, first_revision or state.revision, key(state, items[-1])), state)
        items.append(item)
    return Page(items, "", state)


def _encode(list_name: str, revision: int, key: Key) -> str:
    payload = msgspec.json.encode(_Cursor(_list_id(list_name), revision, key))
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


def _decode(text: str, list_name: str, shape: tuple[type, ...]) -> _Cursor:
    try:
        payload = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(payload, type=_Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise _not_a_cursor() from error
    if cursor.list != _list_id(list_name):
        raise invalid([Fault(("cursor",), "belongs to another list or other filters", "begin again without it")])
    if tuple(map(type, cursor.key)) != shape or cursor.revision < 0:
        raise _not_a_cursor()
    return cursor


def _not_a_cursor() -> Exception:
    return invalid([Fault(("cursor",), "is not a cursor of this API", "leave it out for the first page")])


def _list_id(list_name: str) -> str:
    """Of a list's name and filters together: a cursor goes on only where it came from."""
    return hashlib.sha256(list_name.encode()).hexdigest()[:12]
