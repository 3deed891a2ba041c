"""The statuses by which lists are filtered: those that the lists show, some of which are words of their own."""

from typing import Final

import typer

OWN_OF_INSTANCES: Final = {
    "waiting": ("starting", "pending"),
    "unhealthy": ("running", "starting"),
    "failing": ("pending", "placed", "starting", "running"),
    "away": ("placed", "starting", "running", "stopping"),
}
"""What a list of instances calls by a name of its own, and the statuses that those have."""


def of_instances() -> list[str]:
    from typing import get_args

    from omnitide.model.objects import InstanceStatus

    return sorted([*get_args(InstanceStatus), *OWN_OF_INSTANCES])


def of_nodes() -> list[str]:
    from typing import get_args

    from omnitide.model.inventory import NodeShown

    return sorted(get_args(NodeShown))


def require(status: str, known: list[str]) -> None:
    """Of one that is not empty. Raises Failure."""
    import difflib

    from omnitide.cli.exits import Exit, Failure

    if status and status not in known:
        near = difflib.get_close_matches(status, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        raise Failure(f"status: must be one of {', '.join(known)}, not {status!r}", hint, Exit.USAGE)


def complete_of_instances(_: typer.Context, incomplete: str) -> list[str]:
    return [one for one in of_instances() if one.startswith(incomplete)]


def complete_of_nodes(_: typer.Context, incomplete: str) -> list[str]:
    return [one for one in of_nodes() if one.startswith(incomplete)]
