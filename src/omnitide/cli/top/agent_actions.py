"""What can be done to an agent."""

from collections.abc import Sequence
from typing import Final

from omnitide.cli.top.action import Action, Input, in_memory, made
from omnitide.cli.top.figures import plural
from omnitide.cli.top.scene import Scene
from omnitide.model.objects import AgentSummary


def _going(agent: AgentSummary) -> str:
    return "it is being removed" if agent.status == "removing" else ""


def _busy(agent: AgentSummary) -> str:
    return _going(agent) or ("it is stopped" if agent.status == "stopped" else "")


def _rollout(agent: AgentSummary, *, paused: bool) -> str:
    if agent.rollout is None:
        return "nothing is being rolled out"
    if agent.rollout.paused is paused:
        return ""
    return "its rollout is paused" if agent.rollout.paused else "it is not paused"


def _scaled(agent: AgentSummary, said: Input, _: Scene) -> str:
    more = said.replicas - agent.replicas
    if not more:
        return "Nothing changes: it has that many."
    if more > 0:
        return f"{plural(more, 'further replica')} will start where there is room."
    return f"{plural(-more, 'replica')} will stop."


def _scaled_losses(agent: AgentSummary, said: Input, _: Scene) -> Sequence[str]:
    fewer = agent.replicas - said.replicas
    return [f"What {in_memory(fewer, 'replica')} is gone."] if fewer > 0 else ()


def _version_words(version: int) -> str:
    return f"v{version}" if version else "the newest earlier version that is known to work and differs"


AGENT_ACTIONS: Final[tuple[Action, ...]] = (
    made(
        AgentSummary,
        "agent.scale",
        "Scale",
        "s",
        words=("replicas",),
        ask="replicas",
        hindrance=_going,
        perform=lambda client, one, said: client.scale_agent(one.name, said.replicas, namespace=one.namespace),
        command=lambda name, said: f"scale {name} {said.replicas}",
        effect=_scaled,
        losses=_scaled_losses,
        done=lambda said: f"is to have {plural(said.replicas, 'replica')}",
    ),
    made(
        AgentSummary,
        "agent.restart",
        "Restart",
        "r",
        words=("reboot",),
        hindrance=_busy,
        perform=lambda client, one, _: client.restart_agent(one.name, namespace=one.namespace),
        command=lambda name, _: f"restart {name}",
        effect=lambda one, _, __: (
            f"Each of its {plural(one.replicas, 'replica')} is replaced by a new one, as many at a time as its update "
            "allows."
        ),
        losses=lambda one, _, scene: [f"What {in_memory(len(scene.of_agent(one.id)), 'instance')} is gone."],
        done=lambda _: "restarts, a few replicas at a time",
    ),
    made(
        AgentSummary,
        "agent.rollback",
        "Roll back",
        "b",
        words=("rollback", "undo", "revert"),
        ask="version",
        many=False,
        hindrance=lambda one: _going(one) or ("it has one version only" if one.version < 2 else ""),
        perform=lambda client, one, said: client.roll_back_agent(one.name, said.version, namespace=one.namespace),
        command=lambda name, said: f"rollback {name}" + (f" --to {said.version}" if said.version else ""),
        effect=lambda one, said, _: f"The spec of {_version_words(said.version)} rolls out as v{one.version + 1}.",
        # How many those are is foreseen: what still runs that spec is kept.
        losses=lambda _, __, ___: ["What those instances have in memory that are replaced is gone."],
        done=lambda said: f"rolls back to {f'v{said.version}' if said.version else 'the version before'}",
    ),
    made(
        AgentSummary,
        "agent.pause",
        "Pause rollout",
        "p",
        words=("rollout pause", "hold"),
        hindrance=lambda one: _rollout(one, paused=False),
        perform=lambda client, one, _: client.pause_rollout(one.name, namespace=one.namespace),
        command=lambda name, _: f"rollout pause {name}",
        effect=lambda _, __, ___: (
            "No further replica gets the new version until it is resumed. What runs of either stays."
        ),
        done=lambda _: "holds its rollout",
    ),
    made(
        AgentSummary,
        "agent.resume",
        "Resume rollout",
        "u",
        words=("rollout resume", "continue"),
        hindrance=lambda one: _rollout(one, paused=True),
        perform=lambda client, one, _: client.resume_rollout(one.name, namespace=one.namespace),
        command=lambda name, _: f"rollout resume {name}",
        effect=lambda _, __, ___: "The new version goes on to the other replicas.",
        done=lambda _: "goes on with its rollout",
    ),
    made(
        AgentSummary,
        "agent.stop",
        "Stop",
        "x",
        grave=True,
        hindrance=_busy,
        perform=lambda client, one, _: client.stop_agent(one.name, namespace=one.namespace),
        command=lambda name, _: f"stop {name}",
        effect=lambda one, _, __: (
            f"All of its {plural(one.replicas, 'replica')} stop. It stays, with its versions; start brings it back."
        ),
        losses=lambda one, _, scene: [
            "Nothing serves what it serves.",
            f"What {in_memory(len(scene.of_agent(one.id)), 'instance')} is gone.",
        ],
        done=lambda _: "is to stop",
    ),
    made(
        AgentSummary,
        "agent.start",
        "Start",
        "t",
        hindrance=lambda one: "" if one.status == "stopped" else "it is not stopped",
        perform=lambda client, one, _: client.start_agent(one.name, namespace=one.namespace),
        command=lambda name, _: f"start {name}",
        effect=lambda one, _, __: f"Its {plural(one.replicas, 'replica')} start where there is room.",
        done=lambda _: "is to start",
    ),
    made(
        AgentSummary,
        "agent.remove",
        "Remove",
        "D",
        words=("rm", "delete"),
        grave=True,
        hindrance=_going,
        perform=lambda client, one, _: client.delete_agent(one.name, namespace=one.namespace),
        command=lambda name, _: f"rm {name}",
        effect=lambda _, __, ___: "Its instances stop and the agent is forgotten.",
        losses=lambda one, _, scene: [
            f"{plural(len(scene.of_agent(one.id)), 'instance')} with what they have in memory and their output.",
            f"Its {plural(one.version, 'version')}: there is no way back to them.",
        ],
        done=lambda _: "is to be removed",
    ),
)
