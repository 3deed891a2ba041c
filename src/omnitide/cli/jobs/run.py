"""`omnitide run`: a command somewhere in the fabric as if it ran here: its output, its exit code, Ctrl-C."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.exits import Exit, Failure, code_of_program
from omnitide.cli.hearing import hearing
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.visible import for_reader
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.happenings import LogChunk
    from omnitide.model.objects import Job
    from omnitide.model.spec import JobSpec
    from omnitide.sdk.client import Client

REASON_AFTER_S: Final = 1.0
"""A task that waits longer than this is told why."""
AGAIN_S: Final = 0.5
LEAST_S: Final = 0.1
"""Between two looks at the output of an instance that has more to come."""
PATIENCE_S: Final = 60.0
"""How long a Nexus that does not answer is waited for, and then the output of a task that has ended."""


def run(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="Program and arguments; with --image, instead of the image's own."),
    ] = None,
    image: Annotated[
        str, typer.Option(metavar="IMAGE", help="In a container of this image, on a node with the driver docker.")
    ] = "",
    name: Annotated[str | None, typer.Option(help="Name of the job; left out, one is made.")] = None,
    cpu: Annotated[str | None, typer.Option(metavar="CORES", help="Set aside for it: 0.5, 500m.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Set aside for it: 256MiB.")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", "-e", metavar="KEY=VALUE", help="Repeatable.")] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="LABEL=VALUE", help="Only on such nodes; repeatable.")
    ] = None,
    directory: Annotated[str, typer.Option("--directory", "-C", help="Working directory on the node.")] = "",
    user: Annotated[str, typer.Option(help="User on the node.")] = "",
    retries: Annotated[int, typer.Option(min=0, help="Try again so often if it fails.")] = 0,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Print its name and do not wait.")] = False,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Cancel it after this (90s, 5m); exit code 124.")
    ] = None,
) -> None:
    """Run a command to its end on some node; its output is shown and its exit code is ours.

    Killed by signal n: 128 + n. There is no such program: 127; it cannot be executed: 126. Troubles of the fabric, a
    name that is taken too: 125, as of docker run. Ctrl-C cancels it, as does a reader of its output that goes away:
    141. With -o json or yaml standard output holds the job alone, and the task's output goes to standard error.
    Standard input is not carried to the task, which reads nothing.

    Output is kept on its node and carried from there. What comes so much faster than it can be carried that the node
    keeps it no more (30 MiB) is missing here, which is said; write such output to a file.
    """
    from omnitide.cli.agents.deploy import seconds_of
    from omnitide.sdk.errors import FabricError, Invalid

    session = session_of(context)
    if not command and not image:
        raise Failure("there is nothing to run", "omnitide run -- COMMAND, or --image IMAGE", Exit.USAGE)
    limit_s = seconds_of(timeout) if timeout else None
    spec = _spec(command or [], image, cpu, memory, env or (), where or (), directory, user, retries)
    try:
        with session.client() as client:
            changed = client.run_job(spec, name=name, namespace=session.namespace)
            job = changed.job
            if job is None:
                raise Failure("the job was removed before it began", code=Exit.RUN_TROUBLE)
            _tell_of_input(session)
            if where:
                _tell_of_labels(session, client, job.name, [_pair("--where", one) for one in where])
            if detach:
                if session.plain:
                    session.emit(changed)
                else:
                    print(job.name)
                return
            with hearing(session):
                code = _Following(session, client, job, changed.revision, limit_s).run()
    except FabricError as error:
        from omnitide.cli.show.errors import tell_fabric_error

        code = tell_fabric_error(error, session.options)
        # Before anything ran a wrong flag is a wrong flag; else the code must not be taken for the task's.
        raise typer.Exit(code if isinstance(error, Invalid) and code == Exit.USAGE else Exit.RUN_TROUBLE) from None
    raise typer.Exit(code)


def _spec(
    command: list[str],
    image: str,
    cpu: str | None,
    memory: str | None,
    env: "list[str] | tuple[str, ...]",
    where: "list[str] | tuple[str, ...]",
    directory: str,
    user: str,
    retries: int,
) -> "JobSpec":
    from omnitide.model.faults import field_of
    from omnitide.model.normalise import Invalid, read
    from omnitide.model.spec import JobSpec

    resources = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    data: dict[str, object] = {
        # Word for word: what a manifest would replace, `${NAME}`, is here the business of whatever is run.
        "command": [word.replace("$", "$$") for word in command],
        "resources": resources,
        "environment": dict(_pair("--env", text) for text in env),
        "constraints": [{"label": key, "values": [value]} for key, value in (_pair("--where", one) for one in where)],
        "working_directory": directory,
        "user": user,
    }
    if image:
        data |= {"driver": "docker", "container": {"image": image}}
    if retries:
        data["restart"] = {"policy": "on-failure", "attempts": retries}
    try:
        return read(data, JobSpec)
    except Invalid as error:
        fault = error.faults[0]
        raise Failure(f"{field_of(fault.path)}: {fault.message}", fault.hint, Exit.USAGE) from None


def _pair(flag: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Failure(f"{flag} {text!r} is not KEY=VALUE", code=Exit.USAGE)
    return key, value


def _tell_of_input(session: Session) -> None:
    """What stands in standard input and would be missed without a word."""
    if _has_input():
        session.note("  note: standard input is not carried to the task, which reads nothing; write it to a file there")


def _has_input() -> bool:
    """A pipe or a file with something in it that nobody has read."""
    import array
    import fcntl
    import stat
    import termios

    try:
        descriptor = sys.stdin.fileno()
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return os.lseek(descriptor, 0, os.SEEK_CUR) < status.st_size
        if not stat.S_ISFIFO(status.st_mode):
            return False
        waiting = array.array("i", [0])
        fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
        return waiting[0] > 0
    except (OSError, ValueError, AttributeError):  # closed, or there is none
        return False


def _tell_of_labels(session: Session, client: "Client", name: str, wanted: "list[tuple[str, str]]") -> None:
    """A label that no node has is most often a slip; it may also be of a node that is yet to come."""
    from omnitide.sdk.errors import FabricError

    try:
        nodes = list(client.nodes())
    except FabricError:
        return  # whoever may run may not see nodes, or Nexus is away: what waits is explained all the same
    # As the scheduler reads them: some are not labels, but what a node is.
    known = [{**one.labels, **one.platform, "node": one.name} for one in nodes]
    missing = [f"{key}={value}" for key, value in wanted if not any(one.get(key) == value for one in known)]
    if missing:
        way = f"omnitide cancel {called(session.namespace, name)}"
        session.note(f"  {name} waits: no node that is known has {' or '.join(missing)}; to end it: {way}")


class _Following:
    """One job from here to its end."""

    def __init__(self, session: Session, client: "Client", job: "Job", revision: int, limit_s: float | None) -> None:
        """`revision`: at which the job was so."""
        self._session = session
        self._client = client
        self._revision = revision
        self._job = job
        self._places: dict[str, str] = {}
        """By instance: where its output has been shown up to."""
        self._looked: dict[str, float] = {}
        self._said = ""
        self._interrupted = False
        self._cancelled = False
        self._timed_out = False
        self._timer: threading.Timer | None = None
        if limit_s is not None:
            self._timer = threading.Timer(limit_s, self._time_is_up)
            self._timer.daemon = True
            self._timer.start()

    def run(self) -> int:
        """The exit code. A second Ctrl-C does not wait for the task to end."""
        try:
            with self._interrupts():
                return self._code(self._follow())
        except BrokenPipeError:
            return self._reader_gone()
        except KeyboardInterrupt:
            self._session.note(f"  not waiting any more; {self._job.name} is being cancelled")
            return Exit.INTERRUPTED
        finally:
            if self._timer is not None:
                self._timer.cancel()

    @contextlib.contextmanager
    def _interrupts(self) -> Generator[None]:
        """Ctrl-C cancels beside what goes on here, and breaks nothing off: the task may have more to say."""

        def handle(_number: int, _frame: object) -> None:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
            threading.Thread(target=self._cancel_for_ctrl_c, daemon=True).start()

        try:
            before = signal.signal(signal.SIGINT, handle)
        except ValueError:  # not the main thread: no Ctrl-C comes here
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _cancel_for_ctrl_c(self) -> None:
        self._session.note(f"  cancelling {self._job.name} ...")
        self._interrupted = self._cancel()

    def _reader_gone(self) -> int:
        """Whoever read our output has enough, such as `head`: so has the task."""
        # What is still to be written, be it at exit, goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BrokenPipeError:
                os.dup2(nowhere, stream.fileno())
        self._session.note(f"  nobody reads its output any more; cancelling {self._job.name}")
        self._cancel()
        return Exit.PIPE_CLOSED

    def _time_is_up(self) -> None:
        self._timed_out = True
        self._cancel()

    def _cancel(self) -> bool:
        """Whether it could be asked for."""
        from omnitide.sdk.errors import Conflict, FabricError, NotFound

        try:
            # By a client of its own: ours notes at which revision it last saw the job, and this is another thread.
            with self._session.client() as client:
                client.cancel_job(self._job.name, namespace=self._job.namespace)
        except (Conflict, NotFound):
            pass  # it has ended in the meantime
        except FabricError as error:
            self._session.note(f"  {self._job.name} cannot be cancelled: {error.detail}")
            return False
        self._cancelled = True
        return True

    def _follow(self) -> "Job":
        """Until the job has ended, with the output of each of its instances."""
        began = time.monotonic()
        explained = ""
        job = self._job
        while True:
            started = job.instance_status not in (None, "pending", "placed")
            more = False
            if job.instance and (started or job.instance in self._looked):
                more = self._output(job)
            if job.status != "active":
                return job
            if job.instance_status == "pending" and time.monotonic() - began > REASON_AFTER_S:
                explained = self._explain(job, explained)
            job = self._next(job, at_once=more)

    def _explain(self, job: "Job", told: str) -> str:
        """Say why it waits, if that is not what was told last."""
        from omnitide.sdk.errors import NotFound, Unavailable

        try:
            reason = self._client.explain_instance(job.instance).placement
        except (NotFound, Unavailable):
            return told
        if reason is not None and reason.text != told:
            self._session.note(f"  {job.name} waits: {reason.text}")
            return reason.text
        return told

    def _next(self, job: "Job", *, at_once: bool) -> "Job":
        """The job once anything has happened in the fabric, or some time has passed. Nexus may be away for a while."""
        from omnitide.sdk.errors import Unavailable

        news: int | None = None if at_once else self._revision + 1
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                found = self._client.get_job(job.name, namespace=job.namespace, min_revision=news)
                self._revision = self._client.shown
                return found
            except Unavailable as error:
                news = None
                if error.code == "behind":
                    continue
                if time.monotonic() > deadline:
                    raise
                self._tell(error.detail)
                time.sleep(AGAIN_S)

    def _tell(self, trouble: str) -> None:
        """Once, however often it is met in a row."""
        if trouble != self._said:
            self._said = trouble
            self._session.note(f"  {trouble}; waiting for it")

    def _output(self, job: "Job") -> bool:
        """What an instance writes, each byte once, from where it was left off until it has no more to give.

        Between two attempts that is not the end. What cannot be read is said, and does not fail the task. Returns
        whether it gave something: a stream that breaks off is then asked again without waiting for news of the job.
        """
        from omnitide.sdk.errors import NotFound, Unavailable

        identifier = job.instance
        ended = job.status != "active"
        given = False
        if not ended:
            time.sleep(max(0.0, self._looked.get(identifier, 0.0) + LEAST_S - time.monotonic()))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                for chunk in self._client.read_logs(identifier, follow=True, after=self._places.get(identifier, "")):
                    self._show(chunk)
                    self._places[identifier] = chunk.position
                    given = True
                    deadline = time.monotonic() + PATIENCE_S
                break
            except (NotFound, Unavailable) as error:
                if not ended:
                    if isinstance(error, Unavailable):
                        self._tell(error.detail)
                    break  # tried again with the next news of the job
                if isinstance(error, NotFound) or time.monotonic() > deadline:
                    self._session.note(f"  output is missing: {error.detail}")
                    break
                self._tell(error.detail)
                time.sleep(AGAIN_S)
        self._looked[identifier] = time.monotonic()
        return given

    def _show(self, chunk: "LogChunk") -> None:
        self._said = ""
        if chunk.gap:
            self._session.note("  some output is not kept any more: it was rotated away")
        if chunk.text:
            # For programs standard output holds the job and nothing else.
            to = sys.stderr if chunk.stream == "stderr" or self._session.plain else sys.stdout
            to.write(for_reader(chunk.text, to))
            to.flush()

    def _code(self, job: "Job") -> int:
        session = self._session
        if session.plain:
            session.emit(job)
        if self._timed_out:
            session.note(f"  {job.name} was cancelled: its time was up")
            return Exit.TIMED_OUT_TASK
        if self._cancelled or job.status == "cancelled":
            session.note(f"  {job.name} was cancelled")
            return Exit.INTERRUPTED
        last = job.exit
        if last is not None and last.signal:
            session.note(f"  {job.name}: {last.text}")
            return 128 + last.signal
        if last is not None and last.code is not None:
            return last.code
        if job.status == "succeeded":
            return Exit.OK
        session.note(f"error: {job.name} failed: {last.text if last is not None else 'nothing says why'}")
        session.note(f"hint:  omnitide explain {called(job.namespace, job.name)}")
        return code_of_program(last.cause if last is not None else "")
