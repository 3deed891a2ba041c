"""`omnitide apply`: files and folders as they are written, all planned before anything is changed."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from omnitide.cli.agents.deploy import Timeout, finish_unwaited, put, report, seconds_of
from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.model.objects import AgentChanged
    from omnitide.model.spec import AgentManifest


def apply(
    context: typer.Context,
    files: Annotated[
        list[str], typer.Option("--file", "-f", metavar="FILE|DIR", help="Manifest or folder of them; repeatable.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until they run.")] = True,
    timeout: Timeout = "5m",
) -> None:
    """Make agents as files say. The whole plan is shown first; on a terminal it is asked whether to go on.

    Files that contradict themselves or each other change nothing. Agents that no file names are left alone.
    """
    from omnitide.cli.agents.written import manifests, namespace_of

    session = session_of(context)
    limit_s = seconds_of(timeout)
    todo = [(namespace_of(session, one.manifest), one.manifest) for one in manifests(session, files)]
    with session.client() as client:
        plans = [
            put(client, namespace, manifest, manifest.replicas, take_over=False, dry_run=True)
            for namespace, manifest in todo
        ]
        _show(session, todo, plans)
        if dry_run:
            if session.plain:
                session.emit(plans)
            return
        wanted = [one for one, plan in zip(todo, plans, strict=True) if plan.change != "unchanged"]
        if not wanted:
            if session.plain:
                session.emit([])
            return
        if not yes and not session.plain and sys.stdin.isatty():
            typer.confirm("  go on?", abort=True)
        began = time.monotonic()
        made = [
            put(client, namespace, manifest, manifest.replicas, take_over=False, dry_run=False)
            for namespace, manifest in wanted
        ]
        for changed in made:
            if wait and changed.agent is not None:
                report(session, client, changed, began, limit_s)
            else:
                finish_unwaited(session, changed)


def _show(session: Session, todo: "list[tuple[str, AgentManifest]]", plans: "list[AgentChanged]") -> None:
    from omnitide.cli.agents.plan import plan_lines

    for (namespace, manifest), plan in zip(todo, plans, strict=True):
        for line in plan_lines(namespace, manifest.name, plan, session.color):
            session.say(f"  {line}")
    made = sum(plan.change == "created" for plan in plans)
    same = sum(plan.change == "unchanged" for plan in plans)
    session.say(f"  plan: {made} to create, {len(plans) - made - same} to change, {same} unchanged")
