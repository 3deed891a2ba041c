"""`omnitide run`: a command somewhere in the fabric as if it ran here: its output, its exit code, Ctrl-C."""

import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.model.objects import Job
    from omnitide.model.spec import JobSpec
    from omnitide.sdk.client import Client

REASON_AFTER_S: Final = 1.0
"""A task that waits longer than this is told why."""
AGAIN_S: Final = 0.5


def run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="Program and arguments.")],
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
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Cancel it after this; exit code 124.")] = None,
) -> None:
    """Run a command to its end on some node; its output is shown and its exit code is ours.

    Killed by signal n: 128 + n. Troubles of the fabric: 125. Ctrl-C cancels it.
    """
    from omnitide.cli.agents.deploy import seconds_of
    from omnitide.sdk.errors import FabricError, Invalid

    session = session_of(context)
    limit_s = seconds_of(timeout) if timeout else None
    spec = _spec(command, cpu, memory, env or (), where or (), directory, user, retries)
    try:
        with session.client() as client:
            changed = client.run_job(spec, name=name, namespace=session.namespace)
            job = changed.job
            if job is None:
                raise Failure("the job was removed before it began", code=Exit.RUN_TROUBLE)
            if detach:
                if session.plain:
                    session.emit(changed)
                else:
                    print(job.name)
                return
            code = _Following(session, client, job, limit_s).run()
    except FabricError as error:
        from omnitide.cli.show.errors import tell_fabric_error

        code = tell_fabric_error(error, session.options)
        # Before anything ran a wrong flag is a wrong flag; else the code must not be taken for the task's.
        raise typer.Exit(code if isinstance(error, Invalid) and code == Exit.USAGE else Exit.RUN_TROUBLE) from None
    raise typer.Exit(code)


def _spec(
    command: list[str],
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
        "command": command,
        "resources": resources,
        "environment": dict(_pair("--env", text) for text in env),
        "constraints": [{"label": key, "values": [value]} for key, value in (_pair("--where", one) for one in where)],
        "working_directory": directory,
        "user": user,
    }
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


class _Following:
    """One job from here to its end."""

    def __init__(self, session: Session, client: "Client", job: "Job", limit_s: float | None) -> None:
        self._session = session
        self._client = client
        self._job = job
        self._read: set[str] = set()
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
            while True:
                try:
                    return self._code(self._follow())
                except KeyboardInterrupt:
                    if self._cancelled:
                        self._session.note(f"  not waiting any more; {self._job.name} is being cancelled")
                        return Exit.INTERRUPTED
                    self._session.note(f"  cancelling {self._job.name} ...")
                    self._cancel()
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _cancel(self) -> None:
        from omnitide.sdk.errors import Conflict, NotFound

        self._cancelled = True
        try:
            self._client.cancel_job(self._job.name, namespace=self._job.namespace)
        except (Conflict, NotFound):
            pass  # it has ended in the meantime

    def _time_is_up(self) -> None:
        from omnitide.sdk.errors import FabricError

        self._timed_out = True
        try:
            self._cancel()
        except FabricError as error:
            self._session.note(f"  {self._job.name} cannot be cancelled: {error.detail}")

    def _follow(self) -> "Job":
        """Until the job has ended, with the output of each of its instances."""
        from omnitide.sdk.errors import NotFound

        began = time.monotonic()
        explained = ""
        job = self._job
        while True:
            started = job.instance_status not in (None, "pending", "placed")
            if job.instance and started and job.instance not in self._read:
                self._output(job.instance)
            if job.status != "active":
                return job
            if job.instance_status == "pending" and time.monotonic() - began > REASON_AFTER_S:
                try:
                    text = self._client.explain_instance(job.instance).placement
                except NotFound:
                    text = None
                if text is not None and text.text != explained:
                    explained = text.text
                    self._session.note(f"  {job.name} waits: {explained}")
            job = self._next(job)

    def _next(self, job: "Job") -> "Job":
        from omnitide.sdk.errors import Unavailable

        try:
            return self._client.get_job(job.name, namespace=job.namespace, min_revision=self._client.seen + 1)
        except Unavailable as error:
            if error.code != "behind":
                raise
            return self._client.get_job(job.name, namespace=job.namespace)

    def _output(self, identifier: str) -> None:
        """All that an instance writes, until it ends. What cannot be read is said, and does not fail the task."""
        from omnitide.sdk.errors import NotFound, Unavailable

        last_ms = since_ms = 0
        while True:
            try:
                for chunk in self._client.read_logs(identifier, follow=True, since_ms=since_ms):
                    if chunk.at_ms < last_ms:
                        continue
                    last_ms = chunk.at_ms
                    to = sys.stderr if chunk.stream == "stderr" else sys.stdout
                    to.write(chunk.text)
                    to.flush()
                break
            except NotFound as error:
                self._session.note(f"  no output: {error.detail}")
                break
            except Unavailable as error:
                self._session.note(f"  output broke off: {error.detail}")
                job = self._client.get_job(self._job.name, namespace=self._job.namespace)
                if job.status != "active" or job.instance != identifier:
                    break
                time.sleep(AGAIN_S)
                if last_ms:
                    last_ms += 1
                    since_ms = max(1, time.time_ns() // 1_000_000 - last_ms)
        self._read.add(identifier)

    def _code(self, job: "Job") -> int:
        session = self._session
        if session.plain:
            from omnitide.cli.show.forms import as_text

            # The task's own output is on standard output.
            sys.stderr.write(as_text(job, session.output))
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
        session.note(f"hint:  omnitide explain {job.name}")
        return Exit.RUN_TROUBLE
