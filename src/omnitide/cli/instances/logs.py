"""`omnitide logs`: what instances write; of an agent, all replicas in one stream, and those that come to be."""

import contextlib
import heapq
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from omnitide.cli.access.names import writers
from omnitide.cli.hearing import hearing
from omnitide.cli.instances.following import MAX_STREAMS, NAMED, PER_NODE, Following
from omnitide.cli.instances.output import Printer
from omnitide.cli.session import session_of
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.happenings import LogChunk
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client

    _Dated: TypeAlias = tuple[int, int, int, Instance, LogChunk]
    """When, whose and which chunk: the order in which output is merged."""

BUSY_S: Final = 10.0
"""How long a node that gives as many streams as it can is asked again."""
BUSY_AGAIN_S: Final = 0.2
IN_MEMORY: Final = 256 << 10
"""Bytes of an instance's output that are kept in memory until it is its turn to be printed; what is longer lies in a
temporary file."""

_READABLE: Final = ("starting", "running", "stopping", "stopped", "succeeded", "failed", "unknown", "lost")


def logs(
    context: typer.Context,
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Agents, jobs, instances such as hello-2.1, or node:alpha for all on a node.",
            autocompletion=writers,
        ),
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    tail: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Only the last so many lines of each replica; of several names, and with --grep, of all together.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only what is newer: 10m, 14:05, or 2026-11-26T14:05 with or without zone."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only what is older, in the same forms.")] = None,
    grep: Annotated[
        str, typer.Option("--grep", "-g", metavar="TEXT", help="Only lines that have this in them; nodes look for it.")
    ] = "",
    regex: Annotated[bool, typer.Option("--regex", "-E", help="--grep is a regular expression, as of RE2.")] = False,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="--grep, whatever the case.")] = False,
    stream: Annotated[str, typer.Option(metavar="NAME", help="stdout, stderr or both.")] = "both",
    prefix: Annotated[
        bool | None,
        typer.Option("--prefix/--no-prefix", help="Each line behind the name of who wrote it, or as it was written."),
    ] = None,
    replica: Annotated[
        list[int] | None,
        typer.Option(
            "--replica", min=1, metavar="N", help="Only these replicas of an agent: 2 for NAME-2; repeatable."
        ),
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="When each line was written.")] = False,
) -> None:
    """Show what agents, jobs or instances write: of several one stream, in order of time.

    Also of an instance that was replaced, stopped or removed, such as one that a rollback names, while its node keeps
    it; of an agent of which nothing runs, what the last instance of each replica wrote.

    What was rotated away and would have been shown is said, as is which instances -f does not follow, because their
    node gives only so many streams at a time. Of an agent -f goes on until Ctrl-C (exit code 130), of a job, an
    instance or a removed agent until it has ended.

    Of several names, with --grep, --until or a time of day, the fabric merges and searches: times are then those of
    nodes, less how far their clocks are off. If a node does not answer, what is missing is said, and the exit code is
    5. A million lines are shown at most.
    """
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.instances.forgotten import last_of_each, remembered_of

    if stream not in ("stdout", "stderr", "both"):
        raise Failure(f"--stream {stream!r} is not stdout, stderr or both", code=Exit.USAGE)
    session = session_of(context)
    if (regex or ignore_case) and not grep:
        raise Failure("--regex and --ignore-case are about --grep", code=Exit.USAGE)
    if follow and until:
        raise Failure("what is followed has no end: leave out -f or --until", code=Exit.USAGE)
    if len(given) > 1 or grep or until or given[0].startswith("node:") or not _ago(since):
        import datetime as dt

        from omnitide.cli.durations import moment
        from omnitide.cli.instances.searching import Wanted, search

        now = dt.datetime.now().astimezone().replace(tzinfo=None)
        wanted = Wanted(
            names=given,
            follow=follow,
            tail=tail,
            since=moment(since, "--since", now) if since else "",
            until=moment(until, "--until", now) if until else "",
            grep=grep,
            regex=regex,
            ignore_case=ignore_case,
            stream="" if stream == "both" else stream,
            replicas=replica or (),
        )
        with session.client() as client, hearing(session) if follow else contextlib.nullcontext():
            search(session, client, wanted, prefix=prefix, times=timestamps)
        return
    name = given[0]
    since_ms = _since(since)
    with session.client() as client:
        kind, found, over = remembered_of(session, client, name)
        if replica and kind != "agent":
            raise Failure("--replica picks from an agent's replicas", f"{name} is a {kind}", Exit.USAGE)
        wanted = frozenset(replica or ())
        readable = {one.slot for one in found if one.status in _READABLE}
        if kind == "agent" and not over and (not readable or wanted - readable):
            last = last_of_each(client, *session.name(name), without={one.id for one in found})
            found += [one for one in last if one.slot not in readable]
        absent = sorted(wanted - {one.slot for one in found})
        if absent and not follow:
            those = ", ".join(f"{name}-{number}" for number in absent)
            raise Failure(f"there is no {those}", f"omnitide ps {name}", Exit.NOT_FOUND)
        found = [one for one in found if one.status in _READABLE and (not wanted or one.slot in wanted)]
        if len(found) > MAX_STREAMS:
            raise Failure(
                f"{name} has {len(found)} instances, {MAX_STREAMS} are shown at a time",
                "one of omnitide ps",
                Exit.USAGE,
            )
        printer = Printer(
            prefix=kind == "agent" if prefix is None else prefix,
            color=session.color,
            times=timestamps,
            form=session.output,
            split=kind != "agent" and not session.plain,
            stream=stream,
            warn=session.warn,
        )
        for one in found:
            printer.know(one)
        try:
            if follow:
                following = Following(session, client, printer, tail, since_ms, wanted)
                with hearing(session):
                    following.run("instance" if over else kind, name, found)
            elif not found:
                way = f"omnitide explain {called(*session.name(name))}"
                session.note(f"  nothing of {name} has run that is known of: {way}")
            elif not _print_all(client, printer, found, tail, since_ms) and not readable:
                # What nothing can be added to any more: that it is empty is all that there is to say of it.
                where = ", ".join(f"{one.name} on {one.node}" if one.node else one.name for one in found[:NAMED])
                session.note(f"  {name} has ended, and its node keeps no output of it to show: {where}")
        finally:
            printer.close()


def _ago(text: str | None) -> bool:
    """Whether it says how long ago, or nothing; else it is a time."""
    return not text or not any(sign in text for sign in ":-T")


def _since(text: str | None) -> int:
    from omnitide.cli.durations import milliseconds

    return milliseconds(text, "--since") if text else 0


def _print_all(client: "Client", printer: Printer, found: "list[Instance]", tail: int | None, since_ms: int) -> bool:
    """What there is, merged in order of time. Whether there was any."""
    from omnitide.sdk.errors import FabricError

    failures: list[FabricError] = []

    def read(instance: "Instance") -> "Iterator[LogChunk]":
        try:
            yield from _patiently(client, instance, tail, since_ms)
        except FabricError as error:
            failures.append(error)

    def dated(instance: "Instance", place: int, chunks: "Iterator[LogChunk]") -> "Iterator[_Dated]":
        for count, chunk in enumerate(chunks):
            yield chunk.at_ms, place, count, instance, chunk

    open_: Counter[str] = Counter()
    sources: list[Iterator[_Dated]] = []
    for place, one in enumerate(found):
        chunks = read(one)
        open_[one.node] += 1
        if open_[one.node] > PER_NODE:
            # All that are merged are open at a time; a node gives only so many.
            chunks = _kept(chunks)
        sources.append(dated(one, place, chunks))
    any_ = False
    for _, _, _, instance, chunk in heapq.merge(*sources):
        any_ = True
        printer.print(instance, chunk)
    if failures:
        # What could be read has been; that something is missing must not look like success.
        raise failures[0]
    return any_


def _patiently(client: "Client", instance: "Instance", tail: int | None, since_ms: int) -> "Iterator[LogChunk]":
    """The output of an instance, whose node may give too many streams at first. Raises FabricError."""
    from omnitide.sdk.errors import Unavailable

    until = time.monotonic() + BUSY_S
    while True:
        begun = False
        try:
            for chunk in client.read_logs(instance.id, tail=tail, since_ms=since_ms):
                begun = True
                yield chunk
            return
        except Unavailable as error:
            if begun or error.code != "busy" or time.monotonic() > until:
                raise
            time.sleep(BUSY_AGAIN_S)


def _kept(chunks: "Iterator[LogChunk]") -> "Iterator[LogChunk]":
    """Read to the end now, given later."""
    import tempfile

    import msgspec

    from omnitide.model.happenings import LogChunk

    kept = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed when what it keeps has been given
    for chunk in chunks:
        kept.write(msgspec.json.encode(chunk) + b"\n")
    kept.seek(0)

    def give() -> "Iterator[LogChunk]":
        with kept:
            for line in kept:
                yield msgspec.json.decode(line, type=LogChunk)

    return give()
