"""`omnitide leave`: this machine is no node any more."""

from typing import Annotated

import typer

from omnitide.cli.session import session_of


def leave(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop this machine's instances and node proxy, and forget its identity.

    The fabric counts the node as lost until somebody there removes it: omnitide nodes rm.
    """
    import sys

    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.fabric import node as nodes
    from omnitide.cli.fabric.foreground import end_processes
    from omnitide.cli.fabric.layout import Layout
    from omnitide.cli.fabric.processes import locked
    from omnitide.security.identity import IdentityStore

    session = session_of(context)
    layout = Layout(session.data)
    if not layout.identity.is_dir() or not IdentityStore(layout.identity).exists():
        raise Failure("this machine is no node", f"there is no identity in {layout.identity}", Exit.NOT_FOUND)
    if not yes:
        if not sys.stdin.isatty():
            raise Failure("leaving stops all that runs here", "say so: --yes", Exit.USAGE)
        typer.confirm("  stop all instances here and forget this node's identity?", abort=True)
    fabric, node = nodes.identity_of(layout)
    with locked(layout):
        end_processes(layout, node=True, nexus=False)
        stopped = sum(nodes.stop_instances(keeper, None) for keeper in layout.keepers())
        IdentityStore(layout.identity).remove()
    if session.plain:
        session.emit({"fabric_id": fabric, "node_id": node, "instances_stopped": stopped})
    else:
        session.say(f"  left fabric {fabric}; stopped {stopped} instances. There: omnitide nodes rm {node}")
