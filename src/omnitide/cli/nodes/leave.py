"""`omnitide leave`: this machine is no node any more."""

from typing import Annotated

import typer

from omnitide.cli.session import agreed, session_of


def leave(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    grace: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time for instances to end, instead of their own: 5s.")
    ] = None,
) -> None:
    """Stop this machine's instances and node proxy, and forget its identity.

    Exit code 1: it has left, and something that it ran may go on, as its container engine did not answer. The fabric
    shows the node as left until somebody there removes it: omnitide nodes rm.
    """
    import contextlib
    import sys

    from omnitide.cli.durations import milliseconds
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.fabric import node as nodes
    from omnitide.cli.fabric.ending import stop_instances, stop_others
    from omnitide.cli.fabric.foreground import end_processes
    from omnitide.cli.fabric.layout import layout_of
    from omnitide.cli.fabric.leaving import begin_leaving
    from omnitide.cli.fabric.processes import locked
    from omnitide.cli.fabric.secret_files import remove_secret_files
    from omnitide.cli.show.words import plural
    from omnitide.config.emptying import mark_for_good
    from omnitide.security.identity import IdentityStore

    session = session_of(context)
    layout = layout_of(session)
    grace_ms = milliseconds(grace, "--grace") if grace is not None else None
    if not layout.identity.is_dir() or not IdentityStore(layout.identity).exists():
        raise Failure("this machine is no node", f"there is no identity in {layout.identity}", Exit.NOT_FOUND)
    if not yes:
        if not sys.stdin.isatty():
            raise Failure("leaving stops all that runs here", "say so: --yes", Exit.USAGE)
        agreed("  stop all instances here and forget this node's identity?")
    fabric, node = nodes.identity_of(layout)
    removed = nodes.was_removed(layout)
    with locked(layout):
        told = begin_leaving(layout, for_good=True)
        if not told:
            end_processes(layout, "node")
        stopped = stop_instances(session, layout.keepers(), grace_ms)
        others = stop_others(session, layout.node, node, grace_ms)
        stopped += others.stopped
        if told:
            end_processes(layout, "node")
        remove_secret_files((layout.node,))
        with contextlib.suppress(OSError):
            mark_for_good(layout.node, leaves=False)
        IdentityStore(layout.identity).remove()
    if session.plain:
        left = {"fabric_id": fabric, "node_id": node, "instances_stopped": stopped, "removed": removed}
        session.emit({**left, "not_ended": list(others.wrong)})
    else:
        there = "This node was removed there already" if removed else f"There: omnitide nodes rm {node}"
        session.say(f"  left fabric {fabric}; stopped {plural(stopped, 'instance')}. {there}")
    if others.wrong:
        raise typer.Exit(Exit.FAILED)
