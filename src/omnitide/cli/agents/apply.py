"""`omnitide apply`: files and folders as they are written, all planned before anything is changed."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from omnitide.cli.agents.deploy import Timeout, finish_unwaited, one_document, put, report, seconds_of
from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.cli.agents.prune import Removal
    from omnitide.model.objects import AgentChanged
    from omnitide.model.spec import AgentManifest


def apply(
    context: typer.Context,
    files: Annotated[
        list[str], typer.Option("--file", "-f", metavar="FILE|DIR", help="Manifest or folder of them; repeatable.")
    ],
    prune: Annotated[
        str,
        typer.Option(
            "--prune", metavar="LABEL=VALUE", help="Remove agents with this label that no file names any more."
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until they run.")] = True,
    timeout: Timeout = "5m",
) -> None:
    """Make agents as files say. The whole plan is shown first; on a terminal it is asked whether to go on.

    Files that contradict themselves or each other change nothing. Agents that no file names are left alone, unless
    --prune says which belong to these files: by a label that each of the files then has to give.
    """
    from omnitide.cli.agents.prune import no_longer_named, remove, selector_of
    from omnitide.cli.agents.written import manifests, namespace_of

    session = session_of(context)
    limit_s = seconds_of(timeout)
    found = manifests(session, files)
    selector = selector_of(prune, found) if prune else None
    todo = [(namespace_of(session, one.manifest), one.manifest) for one in found]
    with session.client() as client, one_document(session, several=True) as done:
        plans = [
            put(client, namespace, manifest, manifest.replicas, take_over=False, dry_run=True)
            for namespace, manifest in todo
        ]
        named = {(namespace, manifest.name) for namespace, manifest in todo}
        removals = no_longer_named(session, client, selector, named) if selector is not None else []
        _show(session, todo, plans, removals)
        if dry_run:
            done.extend([*plans, *(removal.planned for removal in removals)])
            return
        wanted = [one for one, plan in zip(todo, plans, strict=True) if plan.change != "unchanged"]
        if not wanted and not removals:
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
                done.append(report(session, client, changed, began, limit_s))
            else:
                done.append(finish_unwaited(session, changed))
        # Last, and not at all if what is new cannot come up.
        for removal in removals:
            done.append(remove(session, client, removal, began + limit_s if wait else None))


def _show(
    session: Session,
    todo: "list[tuple[str, AgentManifest]]",
    plans: "list[AgentChanged]",
    removals: "list[Removal]",
) -> None:
    from omnitide.cli.agents.plan import plan_lines, removal_line

    for (namespace, manifest), plan in zip(todo, plans, strict=True):
        for line in plan_lines(namespace, manifest.name, plan, session.color):
            session.say(f"  {line}")
    for removal in removals:
        session.say(f"  {removal_line(removal.agent, session.color)}")
    made = sum(plan.change == "created" for plan in plans)
    same = sum(plan.change == "unchanged" for plan in plans)
    gone = f", {len(removals)} to remove" if removals else ""
    session.say(f"  plan: {made} to create, {len(plans) - made - same} to change, {same} unchanged{gone}")
