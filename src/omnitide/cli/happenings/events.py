"""`omnitide events`: what happened, and what happens."""

import difflib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.hearing import hearing
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.visible import painted_lines, visible

if TYPE_CHECKING:
    from omnitide.model.happenings import CloudEvent
    from omnitide.sdk.client import Client


def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    number: Annotated[int, typer.Option("--tail", min=0, max=1000, help="The newest so many.")] = 20,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", "-k", help="Only these: instance, agent.created; repeatable.")
    ] = None,
    subject: Annotated[str, typer.Option(help="Only about this: agent/default/hello, node/alpha.")] = "",
    every: Annotated[bool, typer.Option("--all", "-a", help="Also the fabric's bookkeeping.")] = False,
    after: Annotated[int | None, typer.Option(min=0, help="All after this revision instead.")] = None,
) -> None:
    """Show what happened, oldest first; with -f what happens, without a gap between the two.

    With -o json one object a line (JSON Lines), with and without -f; other lists are one document.
    """
    session = session_of(context)
    chosen, namespace = tuple(kinds or ()), session.options.namespace
    hide = not (every or chosen or session.plain)
    _check_subject(subject)
    with session.client() as client:
        start = after
        if after is None:
            asked = min(1000, max(1, number * (3 if hide else 1)))
            page = client.list_events(last=asked, kinds=chosen, namespace=namespace, subject=subject)
            shown = _shown(page.items, hide=hide)[-number:] if number else ()
            _print(session, shown)
            if number and not shown:
                _require_subject(session, client, subject)
                session.note("no such events" if chosen or subject or namespace else "no events")
            start = page.revision
        elif not follow:
            skip, start, more = 0, after, True
            while more:
                page = client.list_events(
                    after=start, skip=skip, kinds=chosen, namespace=namespace, subject=subject, limit=1000
                )
                _print(session, _shown(page.items, hide=hide))
                start, skip, more = page.next_after, page.next_skip, page.more
        if not follow:
            return
        watching = client.watch_events(
            after=start, kinds=chosen, namespace=namespace, subject=subject, patience_s=float("inf")
        )
        with hearing(session), watching as watch:
            for batch in watch.batches():
                _print(session, _shown(batch, hide=hide))


_SUBJECTS: Final = ("agent", "fabric", "instance", "job", "namespace", "node", "token")


def _check_subject(subject: str) -> None:
    """Raises Failure for what can be the subject of no event."""
    from omnitide.cli.exits import Exit, Failure

    if not subject:
        return
    kind, _, rest = subject.partition("/")
    if kind not in _SUBJECTS:
        near = difflib.get_close_matches(kind, _SUBJECTS, n=1)
        hint = f"did you mean {near[0]}/...? else: " if near and rest else ""
        forms = "agent/NAMESPACE/NAME, job/..., instance/..., node/NAME, namespace/NAME, token/ID"
        raise Failure(f"--subject {subject!r} is of no kind that events are about", f"{hint}{forms}", Exit.USAGE)
    if not rest or (kind in ("agent", "instance", "job")) != ("/" in rest):
        form = "NAMESPACE/NAME" if kind in ("agent", "instance", "job") else "NAME"
        hint = f"{kind}/default/{rest or 'hello'}" if form != "NAME" else f"{kind}/alpha"
        raise Failure(f"--subject {subject!r} is not {kind}/{form}", hint, Exit.USAGE)


def _require_subject(session: Session, client: "Client", subject: str) -> None:
    """Raises NotFound if nothing is told of it because there is no such thing."""
    kind, _, rest = subject.partition("/")
    namespace, _, name = rest.rpartition("/")
    if kind == "agent":
        client.get_agent(name, namespace=namespace)
    elif kind == "job":
        client.get_job(name, namespace=namespace)
    elif kind == "node":
        client.get_node(rest)
    elif kind == "instance":
        from omnitide.cli.instances.resolve import find_instance

        find_instance(session, client, rest)


def _shown(found: "Sequence[CloudEvent]", *, hide: bool) -> "Sequence[CloudEvent]":
    from omnitide.cli.happenings.wording import BOOKKEEPING, kind_of

    return [event for event in found if kind_of(event) not in BOOKKEEPING] if hide else found


def _print(session: Session, found: "Sequence[CloudEvent]") -> None:
    """For programs one object a line, or a YAML document each: there is no end to wait for."""
    if not found:
        return
    if session.output == "json":
        import msgspec

        sys.stdout.write("".join(msgspec.json.encode(event).decode() + "\n" for event in found))
    elif session.output == "yaml":
        from omnitide.cli.show.forms import as_text

        for event in found:
            sys.stdout.write("---\n" + as_text(event, "yaml"))
    else:
        for event in found:
            print(painted_lines(_line(session, event)))
    sys.stdout.flush()


def _line(session: Session, event: "CloudEvent") -> str:
    from omnitide.cli.happenings.wording import by_of, text_of, where_of
    from omnitide.cli.show.table import paint

    when = paint(_clock(event.time), "dim", session.color)
    told = visible(text_of(event))
    more = visible(" ".join(filter(None, (where_of(event), by_of(event)))))
    return f"  r{event.revision:<6} {when}  {told:<58} {more}".rstrip()


def _clock(time: str) -> str:
    """`14:03:22.123` of today's, with the date for others."""
    import datetime as dt

    try:
        at = dt.datetime.fromisoformat(time).astimezone()
    except ValueError:
        return time
    today = dt.datetime.now().astimezone().date()
    clock = at.strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03d}"
    return clock if at.date() == today else f"{at.date().isoformat()} {clock}"
