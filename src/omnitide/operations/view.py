"""The live view of the fabric: what panels show."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from omnitide.fabric.authorize import Permission
from omnitide.operations.closing import closing
from omnitide.operations.events import known
from omnitide.operations.fanout import Direct
from omnitide.operations.inputs import Request
from omnitide.operations.operation import AnyDeclaration, Context, Stream
from omnitide.operations.runtime import Runtime
from omnitide.operations.viewing.frames import ViewFrame
from omnitide.operations.viewing.hub import view_hub_of
from omnitide.operations.viewing.past import past_view


class WatchViewRequest(Request, frozen=True, kw_only=True):
    at: Annotated[
        int, Meta(ge=0, le=2**53, description="As it was at this revision, and the stream ends. 0: now and on.")
    ] = 0


class ViewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the view."""

    kind: str
    """snapshot, patch, use or beat."""
    time_ms: int
    revision: int = 0
    """The objects are as they are at this revision. Not in `use`."""
    log: str = ""
    """Of a snapshot: the log that this is a revision of."""
    part: int = 0
    """Of a snapshot: which of `parts`. What was known before holds until the last part is there."""
    parts: int = 0
    objects: dict[str, dict[str, dict[str, object] | None]] = {}
    """By kind (namespace, node, agent, job, instance) and id, as their lists show them; null: gone."""
    node: dict[str, tuple[int, int]] = {}
    """Of `use`: by node, the cpu that it uses in thousandths of a core, and the memory in bytes."""


async def watch_view(
    runtime: Runtime, asked: WatchViewRequest, direct: Direct[ViewFrame] | None = None
) -> AsyncIterator[ViewFrame]:
    """Frames that all watchers share, but those that `direct` has sent. Raises Failed, Trimmed, NotServing,
    WatchLagged, StreamEnded."""
    if asked.at:
        await known(runtime, asked.at, "")
        for frame in (await past_view(runtime, asked.at)).parts:
            yield frame
        return
    async with closing(view_hub_of(runtime).watch(direct)) as frames:
        async for frame in frames:
            yield frame


async def _watch(runtime: Runtime, _: Context, asked: WatchViewRequest) -> AsyncIterator[ViewMessage]:
    async with closing(watch_view(runtime, asked)) as frames:
        async for frame in frames:
            yield msgspec.json.decode(frame.json, type=ViewMessage)


OPERATIONS: Final[tuple[AnyDeclaration, ...]] = (
    Stream[Any, Any](
        name="view.watch",
        summary="Watch the whole fabric: everything at a revision, then what changes.",
        description=(
            "A WebSocket; each message is one JSON object. First a `snapshot` in parts, then `patch` with the objects "
            "that look different, whole; `use` says how busy nodes are, `beat` that nothing is different. It closes "
            "with 4408 if the watcher is too slow, and 1012 when Nexus stops: then begin anew. With `at` it is but "
            "the snapshot of that revision; it closes with 4410 if the log does not reach back so far."
        ),
        method="GET",
        path="/v1/view",
        input=WatchViewRequest,
        output=ViewMessage,
        permission=Permission("read", "view"),
        failures=("busy", "upgrade-required", "trimmed", "unknown-revision"),
        handler=_watch,
    ),
)
