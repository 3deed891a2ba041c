"""Output of many at once: followed, merged in order of time, searched where it lies, and bounded."""

from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from msgspec import Meta

from omnitide.fabric.authorize import Permission
from omnitide.model.faults import Fault
from omnitide.model.happenings import OutputLine
from omnitide.model.line_patterns import MAX_PATTERN, PatternError, matcher_of
from omnitide.model.quantity import QuantityError, parse_duration
from omnitide.model.seen_lines import SEEN
from omnitide.operations.closing import closing
from omnitide.operations.failures import invalid
from omnitide.operations.inputs import Request
from omnitide.operations.log_following import Following
from omnitide.operations.log_lines import by_node, lines_of, merged, newest, note
from omnitide.operations.log_subjects import may_grow, subjects_of, targets_of
from omnitide.operations.operation import AnyDeclaration, Context, Stream
from omnitide.operations.runtime import Runtime
from omnitide.operations.searched import OutputQuestion

MAX_SUBJECTS: Final = 200
MAX_LAST: Final = 10_000
DEFAULT_LIMIT: Final = 100_000
MAX_LIMIT: Final = 1_000_000
MAX_CHARACTERS: Final = 256 << 20
"""Of text in one answer that does not follow."""

_Moment = Annotated[str, Meta(max_length=40)]


class SearchLogsRequest(Request, frozen=True, kw_only=True):
    of: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
        Meta(
            min_length=1,
            max_length=MAX_SUBJECTS,
            description="Whose: `agent:web`, `job:shop/once`, `instance:web-1.2` or its id, `node:alpha`.",
        ),
    ]
    since: Annotated[
        _Moment,
        Meta(description="From then on: a time with its zone, or how long ago, such as 10m; empty: from the first on."),
    ] = ""
    until: Annotated[_Moment, Meta(description="Before then, in the same form; empty: no end.")] = ""
    grep: Annotated[str, Meta(max_length=MAX_PATTERN, description="Only lines that have this in them.")] = ""
    regex: Annotated[bool, Meta(description="`grep` is a regular expression as of RE2.")] = False
    ignore_case: Annotated[bool, Meta(description="`grep` matches whatever the case.")] = False
    stream: Annotated[Literal["", "stdout", "stderr"], Meta(description="Empty: both.")] = ""
    last: Annotated[int, Meta(ge=0, le=MAX_LAST, description="Only the newest so many lines of all; 0: all.")] = 0
    limit: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_LIMIT,
            description="Lines at most; beyond, it ends with a note that says where to go on.",
        ),
    ] = DEFAULT_LIMIT
    follow: Annotated[bool, Meta(description="Go on with what is written from now on.")] = False
    mark_caught_up: Annotated[
        bool,
        Meta(
            description="With `follow`: a note of the code `caught-up` stands where all that there was has been given, "
            "or is missing as notes before it say."
        ),
    ] = False


def moment(text: str, field: str, now_ms: int) -> int:
    """`10m` ago, or `2026-11-26T14:05:00+01:00`; 0 for an empty text. Raises Failed."""
    if not text:
        return 0
    try:
        return max(1, now_ms - parse_duration(text))
    except QuantityError:
        pass
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        message = f"{text!r} is neither a time such as 2026-11-26T14:05:00Z nor how long ago, such as 10m"
        raise invalid([Fault((field,), message, "a + in an address is written %2B")]) from None
    if at.tzinfo is None:
        raise invalid([Fault((field,), f"{text!r} names no time zone", f"{text}Z if it is UTC")])
    return max(1, int(at.timestamp() * 1000))


def _question(runtime: Runtime, asked: SearchLogsRequest) -> OutputQuestion:
    """Raises Failed."""
    now_ms = runtime.now_ms()
    since_ms, until_ms = moment(asked.since, "since", now_ms), moment(asked.until, "until", now_ms)
    if asked.follow and until_ms:
        raise invalid([Fault(("until",), "what is followed has no end", "leave out one of the two")])
    if since_ms and until_ms and since_ms >= until_ms:
        raise invalid([Fault(("until",), "is not behind `since`")])
    if asked.grep:
        try:
            matcher_of(asked.grep, regular=asked.regex, ignore_case=asked.ignore_case)
        except PatternError as error:
            raise invalid([Fault(("grep",), str(error))]) from None
    return OutputQuestion(
        instances=(),
        now_ms=now_ms,
        since_ms=since_ms,
        until_ms=until_ms,
        pattern=asked.grep,
        regular=asked.regex,
        ignore_case=asked.ignore_case,
        stream=asked.stream,
        last=asked.last,
        follow=asked.follow,
    )


async def _search(runtime: Runtime, _: Context, asked: SearchLogsRequest) -> AsyncIterator[OutputLine]:
    subjects = subjects_of(asked.of)
    question = _question(runtime, asked)
    targets = await targets_of(runtime, subjects, strict=True)
    groups = by_node(targets)
    # Before any of them is asked: what comes to be after this is found by the next look.
    following = Following(
        runtime,
        question,
        lambda: targets_of(runtime, subjects, strict=False),
        lambda: may_grow(runtime.committed(), subjects),
    )
    sources = [lines_of(runtime, group, question) for group in groups]
    given: deque[OutputLine] = deque(maxlen=SEEN)
    try:
        full = False
        async with closing(_bounded(merged(sources, targets), asked)) as lines:
            async for line in lines:
                given.append(line)
                full = line.code == "limit"
                yield line
        if not asked.follow or full:
            return
        for group, source in zip(groups, sources, strict=True):
            following.begin(group, source, given)
        given.clear()
        if asked.mark_caught_up:
            # Who looks on cannot tell a node that has nothing from one that has not answered yet.
            yield note("caught-up", "what follows is written from now on", runtime.now_ms())
        async with closing(following.lines()) as lines:
            async for line in lines:
                yield line
    finally:
        await following.close()
        for source in sources:
            async with closing(source):
                pass


async def _bounded(lines: AsyncIterator[OutputLine], asked: SearchLogsRequest) -> AsyncIterator[OutputLine]:
    """What there is now, no more of it than is asked for."""
    if asked.last:
        for line in await newest(lines, asked.last):
            yield line
        return
    count = size = 0
    async with closing(lines):
        async for line in lines:
            if count >= asked.limit or size > MAX_CHARACTERS:
                at = datetime.fromtimestamp(line.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
                go_on = at.replace("+00:00", "Z")
                what = f"{count} lines" if count >= asked.limit else f"{MAX_CHARACTERS >> 20} MiB of text"
                text = f"these are {what}, the most at a time; what follows: since={go_on}"
                yield note("limit", text, line.at_ms)
                return
            count, size = count + (line.stream != "note"), size + len(line.text)
            yield line


OPERATIONS: Final[tuple[AnyDeclaration, ...]] = (
    Stream(
        name="logs.search",
        rpc="SearchLogs",
        summary="Read and search what many instances write, as lines in order of time.",
        description=(
            "One JSON object a line, or text with `Accept: text/plain`. Each line's time is its node's, less how far "
            "that node's clock is ahead of Nexus's; lines of one time stand by namespace, agent, slot and generation. "
            "The search runs on the nodes. Wherever lines are missing - a node does not answer, output is not kept any "
            "more, a bound is reached - a line of the stream `note` says so. With `follow` a line is held back for a "
            "quarter of a second, so that those of other nodes that were written before it can come before it."
        ),
        method="GET",
        path="/v1/logs",
        input=SearchLogsRequest,
        output=OutputLine,
        permission=Permission("read", "instance", namespaced=True),
        failures=("not-found", "busy"),
        handler=_search,
    ),
)
