"""`omnitide nodes label`: labels that the fabric gives a node, changed while it runs."""

from typing import Annotated

import typer

from omnitide.cli.access import names
from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import session_of


def label(
    context: typer.Context,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name or id.", autocompletion=names.nodes)],
    changes: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE|KEY-...", help="KEY=VALUE sets a label, KEY- takes it away.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
) -> None:
    """Give a running node labels, or take them away. Placement follows at once; what runs there already stays.

    They go before what the node says of itself (node.labels, --label of join), and outlive its restarts. A label that
    the node says of itself can be given another value here, and is taken away where it is said.
    """
    labels, remove = parsed(changes)
    session = session_of(context)
    with session.client() as client:
        changed = client.label_node(node, labels, remove=remove, dry_run=dry_run)
    if session.plain:
        session.emit(changed)
        return
    shown = changed.node
    told = ", ".join(f"{key}={value}" for key, value in sorted(shown.labels.items())) if shown is not None else ""
    name = shown.name if shown is not None else node
    session.say(f"  {name} {changed.change}{': ' if told else ''}{told}")


def parsed(changes: list[str]) -> tuple[dict[str, str], list[str]]:
    """What is set and what is taken away. Raises Failure."""
    labels: dict[str, str] = {}
    remove: list[str] = []
    for text in changes:
        key, equals, value = text.partition("=")
        if equals and key:
            if key in labels and labels[key] != value:
                raise Failure(f"the label {key!r} is given two values", code=Exit.USAGE)
            labels[key] = value
        elif not equals and text.endswith("-") and len(text) > 1:
            remove.append(text[:-1])
        else:
            raise Failure(f"{text!r} is neither KEY=VALUE nor KEY-", code=Exit.USAGE)
    return labels, remove
