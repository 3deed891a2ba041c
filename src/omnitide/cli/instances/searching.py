"""`omnitide logs` of several at once, over a time or by a pattern: one stream, merged and searched by the fabric."""

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session
from omnitide.cli.show.table import paint
from omnitide.cli.show.visible import for_reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omnitide.model.happenings import OutputLine
    from omnitide.sdk.client import Client

MOST: Final = 1_000_000
"""Lines at a time, as Nexus has it."""
MAX_TAIL: Final = 10_000
AGAIN_S: Final = 1.0
_STYLES: Final = ("cyan", "green", "yellow", "blue", "magenta")
_HARMLESS: Final = ("gap", "not-kept")
"""Notes about what nobody has any more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; times as Nexus takes them."""

    names: "Sequence[str]"
    follow: bool = False
    tail: int | None = None
    since: str = ""
    until: str = ""
    grep: str = ""
    regex: bool = False
    ignore_case: bool = False
    stream: str = ""
    replicas: "Sequence[int]" = ()


def search(session: Session, client: "Client", wanted: Wanted, *, prefix: bool | None, times: bool) -> None:
    """Print it. Raises Failure if lines are missing that there may be, FabricError, KeyboardInterrupt."""
    if wanted.tail is not None and not 0 < wanted.tail <= MAX_TAIL:
        raise Failure(f"--tail takes 1 to {MAX_TAIL} here: lines of all together", code=Exit.USAGE)
    of = [one for name in wanted.names for one in _subjects(session, client, name, wanted.replicas)]
    printer = _Printer(session, prefix=prefix is not False, times=times)
    missing = _follow(session, client, of, wanted, printer) if wanted.follow else _once(client, of, wanted, printer)
    if wanted.grep and missing is None and not wanted.follow and not printer.lines:
        session.note("  no line matches")
    if missing is not None:
        text = "not all of it is shown, as the warnings say"
        raise Failure(text, code=Exit.UNAVAILABLE if missing.code != "limit" else Exit.FAILED)


def _subjects(session: Session, client: "Client", name: str, replicas: "Sequence[int]") -> list[str]:
    from omnitide.cli.instances.forgotten import remembered_of

    if name.startswith("node:"):
        return [name]
    kind, found, over = remembered_of(session, client, name)
    namespace, plain = session.name(name)
    if replicas and kind != "agent":
        raise Failure("--replica picks from an agent's replicas", f"{name} is a {kind}", Exit.USAGE)
    if kind == "instance" or over:
        return [f"instance:{one.id}" for one in found]
    if replicas:
        return [f"instance:{namespace}/{plain}-{number}" for number in sorted(set(replicas))]
    return [f"{kind}:{namespace}/{plain}"]


def _once(client: "Client", of: list[str], wanted: Wanted, printer: "_Printer") -> "OutputLine | None":
    """The note about what is missing, if anything is."""
    missing: OutputLine | None = None
    for line in _asked(client, of, wanted, wanted.since, wanted.tail or 0):
        printer.print(line)
        if line.stream == "note" and line.code not in _HARMLESS:
            missing = line
    return missing


def _follow(session: Session, client: "Client", of: list[str], wanted: Wanted, printer: "_Printer") -> None:
    """Until all have ended that there can be, or Ctrl-C. A connection that breaks goes on, without a line twice."""
    import datetime as dt

    from omnitide.model.seen_lines import OVERLAP_MS, Seen
    from omnitide.sdk.errors import Unavailable

    seen = Seen()
    since, last, broken = wanted.since, wanted.tail or 0, False
    while True:
        try:
            for line in _asked(client, of, wanted, since, last):
                if broken:
                    broken = False
                    session.note("  Nexus is there again")
                if line.stream == "note" or seen.new(line):
                    printer.print(line)
            return
        except Unavailable as error:
            if not broken:
                session.warn(f"{error.detail}; it is tried again")
            broken = True
            seen.repeat()
            if seen.newest_ms:
                at = dt.datetime.fromtimestamp((seen.newest_ms - OVERLAP_MS) / 1000, dt.UTC)
                since, last = at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), 0
            time.sleep(AGAIN_S)


def _asked(client: "Client", of: list[str], wanted: Wanted, since: str, last: int) -> "Iterator[OutputLine]":
    return client.search_logs(
        *of,
        since=since,
        until=wanted.until,
        grep=wanted.grep,
        regex=wanted.regex,
        ignore_case=wanted.ignore_case,
        stream=wanted.stream,
        last=last,
        limit=MOST,
        follow=wanted.follow,
    )


class _Printer:
    """Whole lines, each behind the name of who wrote it."""

    def __init__(self, session: Session, *, prefix: bool, times: bool) -> None:
        self._session = session
        self._prefix = prefix
        self._times = times
        self._width = 0
        self.lines = 0
        """How many there were, notes aside."""

    def print(self, line: "OutputLine") -> None:
        self.lines += line.stream != "note"
        if self._session.plain:
            self._object(line)
        if line.stream == "note":
            self._session.warn(f"{line.name or line.node or 'nexus'}: {line.text}")
        elif not self._session.plain:
            sys.stdout.write(f"{self._head(line)}{for_reader(line.text, sys.stdout)}\n")
            sys.stdout.flush()

    def _head(self, line: "OutputLine") -> str:
        import datetime as dt
        import zlib

        head = ""
        if self._prefix:
            self._width = max(self._width, len(line.name))
            # The next generation of a replica has the same colour, in each run.
            style = _STYLES[zlib.crc32(line.name.rpartition(".")[0].encode()) % len(_STYLES)]
            head = paint(f"{line.name:<{self._width}} |", style, self._session.color) + " "
        if not self._times:
            return head
        when = dt.datetime.fromtimestamp(line.at_ms / 1000).astimezone()
        return f"{when.isoformat(timespec='milliseconds')} {head}"

    def _object(self, line: "OutputLine") -> None:
        import msgspec

        from omnitide.cli.show.forms import as_text

        if self._session.output == "json":
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        else:
            sys.stdout.write("---\n" + as_text(msgspec.to_builtins(line), "yaml"))
        sys.stdout.flush()
