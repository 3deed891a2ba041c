"""`omnitide apply`: files and folders as they are written, all planned before anything is changed."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from omnitide.cli.agents.deploy import (
    Timeout,
    finish_unwaited,
    one_document,
    put,
    report,
    revision_of,
    seconds_of,
)
from omnitide.cli.agents.staying import DEFAULT, Settle
from omnitide.cli.session import Session, agreed, session_of

if TYPE_CHECKING:
    from omnitide.cli.agents.prune import Removal
    from omnitide.model.objects import AgentChanged
    from omnitide.model.spec import AgentManifest
    from omnitide.sdk.client import Client


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
    settle: Settle = DEFAULT,
) -> None:
    """Make agents as files say. The whole plan is shown first; on a terminal it is asked whether to go on.

    Files that contradict themselves or each other change nothing. Agents that no file names are left alone, unless
    --prune says which belong to these files: by a label that each of the files then has to give. An agent that somebody
    else changes between the plan and its doing is not changed: exit code 4. Exit codes 7 and 8 as of deploy, also for
    agents that are unchanged: each is to run, and to go on running for --settle (1s). Answered with no: 1.
    """
    from msgspec.structs import replace

    from omnitide.cli.agents.prune import no_longer_named, remove, selector_of
    from omnitide.cli.agents.volumes_left import tell_volumes_left
    from omnitide.cli.agents.written import manifests, namespace_of

    session = session_of(context)
    limit_s, settle_s = seconds_of(timeout), seconds_of(settle, "--settle")
    found = manifests(session, files)
    selector = selector_of(prune, found) if prune else None
    todo = [(namespace_of(session, one.manifest), one.manifest) for one in found]
    with session.client() as client, one_document(session, several=True) as done:
        seen = [revision_of(client, namespace, manifest.name) for namespace, manifest in todo]
        plans = [
            put(client, namespace, manifest, manifest.replicas, take_over=False, seen=at, dry_run=True)
            for (namespace, manifest), at in zip(todo, seen, strict=True)
        ]
        named = {(namespace, manifest.name) for namespace, manifest in todo}
        removals = no_longer_named(session, client, selector, named) if selector is not None else []
        _show(session, todo, plans, removals)
        tell_volumes_left(session, client, [one for one, at in zip(todo, seen, strict=True) if not at])
        if dry_run:
            done.extend([*plans, *(removal.planned for removal in removals)])
            return
        wanted = [(*one, at) for one, at, plan in zip(todo, seen, plans, strict=True) if plan.change != "unchanged"]
        # What is as the files say is looked at too: whether it runs, and goes on running.
        same = [plan for plan in plans if plan.change == "unchanged" and _meant_to_run(plan)]
        if not wanted and not removals:
            if wait:
                report(session, client, same, time.monotonic(), limit_s, [], settle_s)
            # Nothing was held back: it is what was done.
            done.extend(replace(plan, dry_run=False) for plan in plans)
            return
        if not yes and not session.plain and sys.stdin.isatty():
            agreed("  go on?")
        began = time.monotonic()
        made = _do(session, client, wanted)
        if wait:
            report(session, client, [*made, *same], began, limit_s, done, settle_s, unchanged=False)
        else:
            done.extend(finish_unwaited(session, changed) for changed in made)
        # Last, and not at all if what is new cannot come up.
        for removal in removals:
            done.append(remove(session, client, removal, began + limit_s if wait else None))


def _meant_to_run(plan: "AgentChanged") -> bool:
    return plan.agent is not None and plan.agent.replicas > 0 and plan.agent.status not in ("stopped", "removing")


def _do(session: Session, client: "Client", wanted: "list[tuple[str, AgentManifest, int]]") -> "list[AgentChanged]":
    """As planned: what was changed since is left as it is, and ends it. Raises FabricError, with what was done said."""
    from omnitide.sdk.errors import FabricError

    made: list[AgentChanged] = []
    for namespace, manifest, at in wanted:
        try:
            made.append(put(client, namespace, manifest, manifest.replicas, take_over=False, seen=at, dry_run=False))
        except FabricError:
            names = [one.name for _, one, _ in wanted]
            before = f"done before: {', '.join(names[: len(made)])}; " if made else ""
            session.note(f"  {before}not done: {', '.join(names[len(made) :])}")
            raise
    return made


def _show(
    session: Session,
    todo: "list[tuple[str, AgentManifest]]",
    plans: "list[AgentChanged]",
    removals: "list[Removal]",
) -> None:
    from omnitide.cli.agents.plan import plan_lines, removal_line

    for (namespace, manifest), plan in zip(todo, plans, strict=True):
        for line in plan_lines(namespace, manifest.name, plan, session.color):
            session.say_painted(f"  {line}")
    for removal in removals:
        session.say_painted(f"  {removal_line(removal.agent, session.color)}")
    made = sum(plan.change == "created" for plan in plans)
    same = sum(plan.change == "unchanged" for plan in plans)
    gone = f", {len(removals)} to remove" if removals else ""
    session.say(f"  plan: {made} to create, {len(plans) - made - same} to change, {same} unchanged{gone}")
