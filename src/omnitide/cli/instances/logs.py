"""`omnitide logs`: what instances write; of an agent, all replicas in one stream, and those that come to be."""

import heapq
import queue
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.instances.output import Printer
from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.model.happenings import LogChunk
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client, EventWatch

MAX_STREAMS: Final = 100
"""Instances that are read at once."""
MAX_QUEUED: Final = 1000
"""Chunks that wait to be printed; the readers then wait too."""
AGAIN_S: Final = 1.0
WAKE_S: Final = 0.5
MAX_FAILURES: Final = 30
"""Answers in a row that there is no output, after which an instance is given up: its node has forgotten it."""

_ENDED: Final = ("stopped", "succeeded", "failed", "lost")
_READABLE: Final = ("starting", "running", "stopping", "stopped", "succeeded", "failed", "unknown", "lost")


def logs(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Agent, job, or instance such as hello-2.1.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    tail: Annotated[int | None, typer.Option(min=0, help="Only the last so many lines of each instance.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only what is newer, such as 10m.")] = None,
    stream: Annotated[str, typer.Option(metavar="NAME", help="stdout, stderr or both.")] = "both",
    no_prefix: Annotated[bool, typer.Option("--no-prefix", help="Lines as they were written.")] = False,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="When each line was written.")] = False,
) -> None:
    """Show what an agent, a job or an instance writes."""
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.instances.resolve import instances_of

    if stream not in ("stdout", "stderr", "both"):
        raise Failure(f"--stream {stream!r} is not stdout, stderr or both", code=Exit.USAGE)
    session = session_of(context)
    since_ms = _since(since)
    with session.client() as client:
        kind, found = instances_of(session, client, name)
        found = [one for one in found if one.status in _READABLE]
        if len(found) > MAX_STREAMS:
            raise Failure(
                f"{name} has {len(found)} instances, {MAX_STREAMS} are shown at a time",
                "one of omnitide ps",
                Exit.USAGE,
            )
        printer = Printer(
            prefix=kind == "agent" and not no_prefix,
            color=session.color,
            times=timestamps,
            form=session.output,
            split=kind != "agent" and not session.plain,
        )
        for one in found:
            printer.know(one)
        try:
            if follow:
                _Following(session, client, printer, stream, tail, since_ms).run(kind, name, found)
            else:
                _print_all(client, printer, found, stream, tail, since_ms)
        finally:
            printer.close()


def _since(text: str | None) -> int:
    from omnitide.cli.exits import Exit, Failure
    from omnitide.model.quantity import QuantityError, parse_duration

    try:
        return parse_duration(text) if text else 0
    except QuantityError as error:
        raise Failure(f"--since: {error}", code=Exit.USAGE) from None


def _print_all(
    client: "Client", printer: Printer, found: "list[Instance]", stream: str, tail: int | None, since_ms: int
) -> None:
    """What there is, merged in order of time."""
    from omnitide.sdk.errors import FabricError

    failures: list[FabricError] = []

    def read(instance: "Instance", place: int) -> "Iterator[tuple[int, int, int, Instance, LogChunk]]":
        try:
            for count, chunk in enumerate(client.read_logs(instance.id, tail=tail, since_ms=since_ms)):
                yield chunk.at_ms, place, count, instance, chunk
        except FabricError as error:
            failures.append(error)

    for _, _, _, instance, chunk in heapq.merge(*(read(one, place) for place, one in enumerate(found))):
        if chunk.text and stream in ("both", chunk.stream):
            printer.print(instance, chunk)
    if failures:
        # What could be read has been; that something is missing must not look like success.
        raise failures[0]


class _Following:
    """A thread an instance reads, this one prints."""

    def __init__(
        self,
        session: Session,
        client: "Client",
        printer: Printer,
        stream: str,
        tail: int | None,
        since_ms: int,
    ) -> None:
        self._session = session
        self._client = client
        self._printer = printer
        self._stream = stream
        self._tail = tail
        self._since_ms = since_ms
        self._queue: queue.Queue[tuple[Instance, LogChunk] | Exception | int] = queue.Queue(MAX_QUEUED)
        """What was written, what went wrong, and by how much the number of what more can come from has changed."""
        self._known: set[str] = set()
        self._open = 0

    def run(self, kind: str, name: str, found: "list[Instance]") -> None:
        """Until Ctrl-C; of an instance or a job, until it has ended. Raises FabricError, KeyboardInterrupt."""
        namespace, plain = self._session.name(name)
        if kind == "instance":
            self._open += self._begin(found[0], self._tail, self._since_ms)
            self._print_all()
            return
        # From the revision of the list on: what has begun since is an event.
        with self._client.watch_events(
            after=self._client.seen,
            kinds=["instance", "job"],
            namespace=namespace,
            subject=f"{kind}/{namespace}/{plain}",
            patience_s=float("inf"),
        ) as watch:
            for one in found:
                self._open += self._begin(one, self._tail, self._since_ms)
            if kind == "agent" or self._client.get_job(plain, namespace=namespace).status == "active":
                self._open += 1
                threading.Thread(target=self._watch, args=(watch,), daemon=True).start()
            else:
                for one in self._client.instances(namespace=namespace, job=plain, ended=True):
                    self._open += self._begin(one, self._tail, self._since_ms)
            self._print_all()

    def _print_all(self) -> None:
        while self._open:
            try:
                # A Ctrl-C just before this begins to wait is seen only when the wait ends.
                item = self._queue.get(timeout=WAKE_S)
            except queue.Empty:
                continue
            if isinstance(item, int):
                self._open += item
            elif isinstance(item, Exception):
                raise item
            else:
                self._print(*item)

    def _print(self, instance: "Instance", chunk: "LogChunk") -> None:
        if chunk.gap:
            self._session.note(f"  {instance.name}: some output was rotated away before it could be read")
        if chunk.text and self._stream in ("both", chunk.stream):
            self._printer.print(instance, chunk)

    def _begin(self, instance: "Instance", tail: int | None, since_ms: int) -> int:
        """How many readers that makes: 1, or 0 for one that is known."""
        if instance.id in self._known or len(self._known) >= 10 * MAX_STREAMS:
            return 0
        self._known.add(instance.id)
        threading.Thread(target=self._read, args=(instance, tail, since_ms), daemon=True).start()
        return 1

    def _watch(self, watch: "EventWatch") -> None:
        """Begin with each instance that starts to run. Ends with the job, if it is one."""
        from omnitide.sdk.errors import FabricError, NotFound

        try:
            for event in watch:
                if event.type.startswith(("omnitide.job.finished.", "omnitide.job.removed.")):
                    break
                identifier = str(event.data.get("instance", ""))
                if event.type.startswith("omnitide.instance.running.") and identifier not in self._known:
                    try:
                        self._queue.put(self._begin(self._client.get_instance(identifier), None, 0))
                    except NotFound:
                        continue
        except FabricError as error:
            self._queue.put(error)
        self._queue.put(-1)

    def _read(self, instance: "Instance", tail: int | None, since_ms: int) -> None:
        """All that one instance writes, each byte once, through restarts of it, of its node and of Nexus.

        Between two attempts the node has no more to give, and the stream ends although the instance goes on.
        """
        from omnitide.sdk.errors import FabricError, NotFound, Unavailable

        began = time.monotonic()
        position, trouble, failures = "", "", 0
        ended = False
        while True:
            try:
                if position:
                    chunks = self._client.read_logs(instance.id, follow=True, after=position)
                else:
                    # Nothing has come yet, not even where it begins: what was new at first still is.
                    since = since_ms + int(1000 * (time.monotonic() - began)) if since_ms else 0
                    chunks = self._client.read_logs(instance.id, follow=True, tail=tail, since_ms=since)
                for chunk in chunks:
                    trouble, failures = "", 0
                    self._queue.put((instance, chunk))
                    position = chunk.position
                if ended:
                    break
                ended = self._client.get_instance(instance.id).status in _ENDED
                if ended:
                    continue  # what it wrote between the two answers
            except (NotFound, Unavailable) as error:
                failures += 1
                if isinstance(error, NotFound) and (error.code != "logs-unavailable" or failures > MAX_FAILURES):
                    break
                if error.detail != trouble:
                    trouble = error.detail
                    self._session.note(f"  {instance.name}: {trouble}; waiting for it")
            except FabricError as error:
                self._queue.put(error)
                break
            time.sleep(AGAIN_S)
        self._queue.put(-1)
