"""`omnitide deploy`: one file, its plan, its progress, and one line that says what came of it."""

import contextlib
import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from omnitide.cli.agents.staying import DEFAULT, Settle
from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.model.objects import AgentChanged
    from omnitide.model.spec import AgentManifest
    from omnitide.sdk.client import Client

Timeout = Annotated[str, typer.Option(metavar="TIME", help="How long to wait until it runs: 90s, 5m.")]


def deploy(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Manifest: TOML, YAML or JSON; - reads YAML.")],
    replicas: Annotated[int | None, typer.Option("--replicas", "-r", min=0, help="Instead of the file's.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field: resources.cpu=0.5.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it runs.")] = True,
    timeout: Timeout = "5m",
    settle: Settle = DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over-replicas", help="Let the file set the replicas that `scale` has set.")
    ] = False,
) -> None:
    """Deploy the agent of a file: shows the plan, does it, and waits until it runs.

    Exit code 0: every replica runs, and went on running for --settle. 8: it cannot come up as written, a replica
    ended again, or its rollout is paused, with the cause. 7: not within --timeout. The time that is told is the one
    until all run.
    """
    from omnitide.cli.agents.volumes_left import tell_volumes_left
    from omnitide.cli.agents.written import manifests, namespace_of, with_changes

    session = session_of(context)
    limit_s, settle_s = seconds_of(timeout), seconds_of(settle, "--settle")
    todo: list[tuple[str, AgentManifest, int | None]] = []
    for one in manifests(session, [file]):
        manifest = with_changes(one.manifest, changes or ())
        todo.append((namespace_of(session, manifest), manifest, manifest.replicas if replicas is None else replicas))
    with session.client() as client, one_document(session) as done:
        for namespace, manifest, count in todo:
            take = take_over or replicas is not None
            seen = revision_of(client, namespace, manifest.name)
            planned = put(client, namespace, manifest, count, take_over=take, seen=seen, dry_run=True)
            _show_plan(session, namespace, manifest.name, planned)
            tell_volumes_left(session, client, [(namespace, manifest)] if not seen else [])
            if dry_run:
                done.append(planned)
                continue
            began = time.monotonic()
            changed = put(client, namespace, manifest, count, take_over=take, seen=seen, dry_run=False)
            if not wait or changed.agent is None:
                done.append(finish_unwaited(session, changed))
                continue
            report(session, client, [changed], began, limit_s, done, settle_s)


def revision_of(client: "Client", namespace: str, name: str) -> int:
    """Of an agent as it is now, before anything is planned; 0 if there is none."""
    from omnitide.sdk.errors import NotFound

    try:
        return client.get_agent(name, namespace=namespace).revision
    except NotFound:
        return 0


def put(
    client: "Client",
    namespace: str,
    manifest: "AgentManifest",
    replicas: int | None,
    *,
    take_over: bool,
    seen: int,
    dry_run: bool,
) -> "AgentChanged":
    """Refused if the agent is not at the revision `seen` any more; 0: if there is one."""
    from omnitide.model.spec import spec_of

    return client.deploy_agent(
        manifest.name,
        spec_of(manifest),
        namespace=namespace,
        replicas=replicas,
        take_over_replicas=take_over and replicas is not None,
        if_match=seen,
        dry_run=dry_run,
    )


def _show_plan(session: Session, namespace: str, name: str, planned: "AgentChanged") -> None:
    from omnitide.cli.agents.plan import plan_lines

    first, *rest = plan_lines(namespace, name, planned, session.color)
    session.say_painted(f"  plan  {first}")
    for line in rest:
        session.say_painted(f"  {line}")


@contextlib.contextmanager
def one_document(session: Session, *, several: bool = False) -> "Generator[list[object]]":
    """What is put into the list is written for programs in one piece, also if something goes wrong on the way.

    `several`: a list also of one.
    """
    done: list[object] = []
    try:
        yield done
    finally:
        if session.plain and done:
            session.emit(done if several or len(done) > 1 else done[0])


def finish_unwaited(session: Session, changed: "AgentChanged") -> "AgentChanged":
    if changed.agent is not None:
        session.say(f"  {changed.agent.name} {changed.change} at revision {changed.revision}; not waited for")
    return changed


def report(
    session: Session,
    client: "Client",
    changes: "Sequence[AgentChanged]",
    began: float,
    timeout_s: float,
    done: list[object],
    settle_s: float = 0.0,
    *,
    unchanged: bool = True,
) -> None:
    """Follow changes, say how each ended, and see whether it stays so; the agents as they then are go into `done`, in
    the order of the changes. `unchanged`: also of those that were as asked for already. Raises Failure."""
    from omnitide.cli.agents.follow import Settled, follow, has_ended_well
    from omnitide.cli.agents.staying import stay
    from omnitide.cli.show.words import replicas
    from omnitide.model.quantity import format_duration

    found: list[Settled] = []
    try:
        for settled in follow(session, client, changes, began, timeout_s):
            found.append(settled)
            if settled.changed.change == "unchanged" and not unchanged:
                continue
            agent = settled.agent
            took = f"in {settled.seconds:.2f} s" if settled.changed.change != "unchanged" else "already"
            urls = "".join(f"  {url}" for url in settled.urls)
            if agent.replicas and has_ended_well(agent):
                session.say(f"  {agent.name} has ended well {took}")
                continue
            state = "running" if agent.replicas else "with no replicas"
            session.say(f"  {agent.name} {replicas(agent)} {state} {took} {urls}".rstrip())
    finally:
        found.sort(key=lambda one: changes.index(one.changed))
        done.extend(one.agent for one in found if unchanged or one.changed.change != "unchanged")
    if settle_s > 0 and any(one.agent.replicas for one in found):
        session.say(f"  seeing for {format_duration(round(settle_s * 1000))} whether it goes on running (--settle)")
    stay(client, found, settle_s)


def seconds_of(text: str, flag: str = "--timeout") -> float:
    """Raises Failure."""
    from omnitide.cli.durations import seconds

    return seconds(text, flag)
