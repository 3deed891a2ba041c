"""What is opened by a row: the object itself, or the one that an event or a job leads to. Pure."""

from omnitide.cli.top.scene import Scene
from omnitide.cli.top.targets import Target
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import Concern


def opened(kind: str, identifier: str, scene: Scene) -> Target | str:
    """By the kind of the rows and the id of one; or why there is nothing to open."""
    view = scene.view
    if kind == "event":
        return "it is not known here any more"
    if kind == "job":
        job = view.jobs.get(identifier)
        ran = view.instances.get(job.instance) if job is not None else None
        return ran or "nothing of it runs, and what ran is not known any more"
    tables = {"node": view.nodes, "agent": view.agents, "instance": view.instances}
    return tables[kind].get(identifier) or "it is not there any more"


def subject_of_concern(concern: Concern, scene: Scene) -> tuple[str, str] | str:
    """Kind and id of what it is about, as `opened` takes them; or why there is nothing to open."""
    kind, _, name = concern.subject.partition(" ")
    view = scene.view
    if kind == "node":
        found = next((one.id for one in view.nodes.values() if one.name == name), "")
    elif kind in ("agent", "job"):
        table = view.agents if kind == "agent" else view.jobs
        found = next((one.id for one in table.values() if f"{one.namespace}/{one.name}" == name), "")
    else:
        return f"{concern.subject} has no page of its own: {concern.hint}"
    return (kind, found) if found else "it is not there any more"


def subject_of_event(event: CloudEvent, scene: Scene) -> Target | None:
    """What it is about; None: that is not there any more, or has no page."""
    view = scene.view
    kind, _, name = event.subject.partition("/")
    if kind == "node":
        return next((one for one in view.nodes.values() if one.name == name), None)
    tables = {"agent": view.agents, "instance": view.instances}
    found = tables.get(kind, {}).values()
    return next((one for one in found if f"{one.namespace}/{one.name}" == name), None)
