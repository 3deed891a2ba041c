"""Operations on events."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from msgspec import Meta

from omnitide.fabric.authorize import Permission
from omnitide.model.happenings import EventBatch, EventPage
from omnitide.model.problem import problem
from omnitide.operations.closing import closing
from omnitide.operations.failures import Failed, invalid
from omnitide.operations.fanout import Direct
from omnitide.operations.happenings.filters import EventFilter, make_filter, unknown_kinds
from omnitide.operations.happenings.frames import Frame
from omnitide.operations.happenings.hub import hub_of
from omnitide.operations.happenings.search import last, page_after
from omnitide.operations.inputs import NamespaceFilter, Request
from omnitide.operations.operation import Answer, AnyDeclaration, Context, Operation, Stream
from omnitide.operations.paging import PageSize
from omnitide.operations.runtime import Runtime

_FUTURE_WAIT_S: Final = 2.0
"""How long a revision that has not come yet is waited for: a replica may lag behind the one that told of it."""

Kinds = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=80)], ...],
    Meta(max_length=32, description="Only these, such as `instance` or `agent.created`: words from the left."),
]
Subject = Annotated[
    str,
    Meta(
        max_length=200,
        description="Only about this: `agent/default/hello` with its instances, `node/alpha` with what comes there.",
    ),
]
Log = Annotated[
    str,
    Meta(
        max_length=100,
        description="The log that `after` is a revision of, as ids of its events begin; of another it is refused.",
    ),
]
After = Annotated[int, Meta(ge=0, le=2**53, description="Only events after this revision.")]


class ListEventsRequest(Request, frozen=True, kw_only=True):
    after: After = 0
    log: Log = ""
    skip: Annotated[
        int, Meta(ge=0, le=2**53, description="Of the revision after `after`, leave out the first so many.")
    ] = 0
    last: Annotated[
        int, Meta(ge=0, le=1000, description="Instead of `after`: the newest so many. 0: in order from `after`.")
    ] = 0
    kinds: Kinds = ()
    namespace: NamespaceFilter = ""
    subject: Subject = ""
    limit: PageSize = 100


class WatchEventsRequest(Request, frozen=True, kw_only=True):
    after: Annotated[After | None, Meta(description="Left out: from now on.")] = None
    log: Log = ""
    kinds: Kinds = ()
    namespace: NamespaceFilter = ""
    subject: Subject = ""


def filter_of(asked: ListEventsRequest | WatchEventsRequest) -> EventFilter:
    """Raises Failed for a kind that there is not."""
    faults = unknown_kinds(asked.kinds)
    if faults:
        raise invalid(faults)
    return make_filter(asked.kinds, asked.namespace, asked.subject)


async def known(runtime: Runtime, after: int, log: str) -> None:
    """Raises Failed for a revision that this log has never had: what comes after it would be another log's.

    A log that was restored may have come further than the one before had: then only its id tells them apart.
    """
    if log and log != runtime.log_id():
        cause = problem(
            "unknown-revision",
            f"revision {after} is of another log, {log}; this one is {runtime.log_id()}",
            hint="the fabric was restored since: read the state anew and go on from there",
            resume_revision=runtime.committed().revision,
        )
        raise Failed(cause)
    if not await runtime.wait_for(after, _FUTURE_WAIT_S):
        at = runtime.committed().revision
        hint = "a slip, or a revision from before a restore: they compare only within one log; read the state anew"
        cause = problem(
            "unknown-revision",
            f"the fabric is at revision {at} and has never had revision {after}",
            hint=hint,
            resume_revision=at,
        )
        raise Failed(cause)


async def _list(runtime: Runtime, _: Context, asked: ListEventsRequest) -> Answer[EventPage]:
    wanted = filter_of(asked)
    if asked.last:
        page = await last(runtime, wanted, asked.last)
    else:
        await known(runtime, asked.after, asked.log)
        page = await page_after(runtime, wanted, asked.after, asked.skip, asked.limit)
    return Answer(page, page.revision)


async def watch_frames(
    runtime: Runtime, asked: WatchEventsRequest, direct: Direct[Frame] | None = None
) -> AsyncIterator[Frame]:
    """The stream, in frames that all who watch the same share, but those that `direct` has sent.

    Raises Failed, Trimmed, WatchLagged, StreamEnded.
    """
    wanted = filter_of(asked)
    after = runtime.committed().revision if asked.after is None else asked.after
    await known(runtime, after, asked.log if asked.after is not None else "")
    async with closing(hub_of(runtime).watch(wanted, after, direct)) as frames:
        async for frame in frames:
            yield frame


async def _watch(runtime: Runtime, _: Context, asked: WatchEventsRequest) -> AsyncIterator[EventBatch]:
    async with closing(watch_frames(runtime, asked)) as frames:
        async for frame in frames:
            yield frame.encoded("batch", lambda one: one.batch)


_READ: Final = Permission("read", "event", namespaced=True)

OPERATIONS: Final[tuple[AnyDeclaration, ...]] = (
    Operation[Any, Any](
        name="events.list",
        rpc="ListEvents",
        summary="List what happened, in order.",
        description=(
            "Events are kept for a while. If those after `after` are gone, that is said: 410, `trimmed`. If there has "
            "never been such a revision, too: 409, `unknown-revision`, with the newest in `resume_revision`."
        ),
        method="GET",
        path="/v1/events",
        input=ListEventsRequest,
        output=EventPage,
        permission=_READ,
        failures=("trimmed", "unknown-revision"),
        handler=_list,
    ),
    Stream[Any, Any](
        name="events.watch",
        rpc="WatchEvents",
        summary="Watch what happens, from a revision on.",
        description=(
            "Over HTTP a WebSocket: each message is an array of CloudEvents in JSON. An event of type "
            "`omnitide.stream.bookmark.v1` says how far the stream has come. It closes with 4410 if the events after "
            "`after` are gone, 4409 if there has never been such a revision, 4408 if the watcher is too slow; the "
            "reason is JSON with `resume`, the revision to go on after, or the newest that there is."
        ),
        method="GET",
        path="/v1/events/stream",
        input=WatchEventsRequest,
        output=EventBatch,
        permission=_READ,
        failures=("trimmed", "unknown-revision", "busy", "upgrade-required"),
        handler=_watch,
    ),
)
