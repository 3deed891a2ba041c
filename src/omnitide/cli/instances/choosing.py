"""Which running instance is meant where only one can be: the one named, or a replica of the agent that is named."""

from typing import TYPE_CHECKING

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.instances.resolve import instances_of
from omnitide.cli.session import Session
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client


def running_ones(session: Session, client: "Client", reference: str) -> "list[Instance]":
    """The running instances of a name, best first; where there are none, those that ran when they were last heard from,
    which the fabric then says why it cannot reach. Raises NotFound, Failure if none runs."""
    kind, found = instances_of(session, client, reference)
    running = [one for one in found if one.status == "running"]
    running = running or [one for one in found if one.status == "unknown" and one.last_status == "running"]
    if not running:
        states = ", ".join(sorted({one.status for one in found})) or "it has no instances"
        which = reference if kind == "instance" else f"a replica of {reference}"
        about = (found[0].namespace, found[0].name) if found else session.name(reference)
        what = f"{which} would have to run: {states}"
        raise Failure(what, f"omnitide explain {called(*about)}", Exit.CONFLICT)
    return sorted(running, key=lambda one: (one.health == "unhealthy", one.slot, -one.generation))
