"""What can be done to a node."""

from collections.abc import Sequence
from typing import Final

from omnitide.cli.show.words import is_silent
from omnitide.cli.top.action import Action, Input, in_memory, made
from omnitide.cli.top.figures import plural
from omnitide.cli.top.scene import Scene
from omnitide.model.inventory import Node


def _drained(node: Node, _: Input, scene: Scene) -> str:
    if is_silent(node):
        return "Nothing is heard from it: what runs there does not hear of this. Nothing new is placed there."
    moving = sum(one.kind == "agent" for one in scene.on_node(node.id))
    if not moving:
        return "It runs no agents. Nothing new is placed there."
    others = sum(
        one.id != node.id and one.status == "live" and one.scheduling == "open" and not is_silent(one)
        for one in scene.view.nodes.values()
    )
    one = moving == 1
    if not others:
        stay = "stays and runs" if one else "stay and run"
        return f"No other node is live and open: {plural(moving, 'instance')} {stay} until there is room."
    where = f"{'moves' if one else 'move'} to {plural(others, 'other node')}"
    return (
        f"{plural(moving, 'instance')} of agents {where} as {'its' if one else 'their'} update allows; "
        "what fits nowhere stays and runs."
    )


def _drain_losses(node: Node, _: Input, scene: Scene) -> Sequence[str]:
    if is_silent(node):
        return []
    there = scene.on_node(node.id)
    moving = sum(one.kind == "agent" for one in there)
    tasks = len(there) - moving
    found = [f"What {in_memory(moving, 'instance')} does not move with it."] if moving else []
    return [*found, f"{plural(tasks, 'task')} of jobs run to their end there."] if tasks else found


NODE_ACTIONS: Final[tuple[Action, ...]] = (
    made(
        Node,
        "node.cordon",
        "Cordon",
        "c",
        words=("nodes cordon",),
        hindrance=lambda one: "" if one.scheduling == "open" else f"it is {one.scheduling}",
        perform=lambda client, one, _: client.cordon_node(one.id),
        command=lambda name, _: f"nodes cordon {name}",
        effect=lambda _, __, ___: "Nothing new is placed there. What it runs stays.",
        done=lambda _: "is closed to new instances",
    ),
    made(
        Node,
        "node.uncordon",
        "Uncordon",
        "u",
        words=("nodes uncordon",),
        hindrance=lambda one: "it is open" if one.scheduling == "open" else "",
        perform=lambda client, one, _: client.uncordon_node(one.id),
        command=lambda name, _: f"nodes uncordon {name}",
        effect=lambda _, __, ___: (
            "Instances may be placed there again. What was moved away does not come back by itself."
        ),
        done=lambda _: "is open again",
    ),
    made(
        Node,
        "node.drain",
        "Drain",
        "d",
        words=("nodes drain", "evacuate"),
        grave=True,
        hindrance=lambda one: f"it is {one.scheduling}" if one.scheduling in ("draining", "drained") else "",
        perform=lambda client, one, _: client.drain_node(one.id),
        command=lambda name, _: f"drain {name}",
        effect=_drained,
        losses=_drain_losses,
        done=lambda _: "is being drained",
    ),
    made(
        Node,
        "node.remove",
        "Remove",
        "D",
        words=("nodes rm", "rm", "delete"),
        grave=True,
        many=False,
        perform=lambda client, one, _: client.remove_node(one.id),
        command=lambda name, _: f"nodes rm {name}",
        effect=lambda _, __, ___: (
            "Its certificate opens nothing any more; to come back it has to join anew. What it ran is replaced "
            "elsewhere."
        ),
        losses=lambda one, _, scene: [
            f"{plural(len(scene.on_node(one.id)), 'instance')} on it.",
            "The volumes that it keeps are out of the fabric's reach.",
        ],
        done=lambda _: "is out of the fabric",
    ),
)
