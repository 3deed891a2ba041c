"""What can be done to an instance."""

import shlex
from typing import Final

from omnitide.cli.top.action import Action, made
from omnitide.cli.top.scene import LIVE
from omnitide.model.objects import Instance


def _ended(one: Instance) -> str:
    return "" if one.status in LIVE or one.status == "pending" else f"it is {one.status}"


INSTANCE_ACTIONS: Final[tuple[Action, ...]] = (
    made(
        Instance,
        "instance.restart",
        "Restart",
        "r",
        words=("reboot",),
        hindrance=lambda one: "a task of a job is not restarted" if one.kind == "job" else _ended(one),
        perform=lambda client, one, _: client.restart_instance(one.id),
        command=lambda name, _: f"restart {name}",
        effect=lambda _, __, ___: "It stops, and its next generation starts where there is room.",
        losses=lambda _, __, ___: ["What it has in memory is gone."],
        done=lambda _: "is replaced by its next generation",
    ),
    made(
        Instance,
        "instance.migrate",
        "Migrate",
        "m",
        words=("move",),
        ask="node",
        hindrance=lambda one: (
            "a task of a job does not move"
            if one.kind == "job"
            else _ended(one)
            if one.node
            else "it is on no node yet"
        ),
        perform=lambda client, one, said: client.migrate_instance(one.id, said.node),
        command=lambda name, said: f"migrate {name}" + (f" --to {shlex.quote(said.node)}" if said.node else ""),
        effect=lambda one, said, _: (
            f"Its next generation starts on {said.node or 'another node that can take it'}; it stops on {one.node} "
            "once that is available."
        ),
        losses=lambda _, __, ___: ["What it has in memory does not move with it."],
        done=lambda said: f"moves to {said.node or 'another node'}",
    ),
)
