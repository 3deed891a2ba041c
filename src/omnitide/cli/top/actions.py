"""Everything that can be done from `top`, once, as the panel has it (web/src/actions/registry.ts): whether it can be
done to an object now, what happens, what is lost by it, and the same on the command line.
"""

import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from omnitide.cli.top.figures import plural
from omnitide.cli.top.scene import LIVE, Scene
from omnitide.cli.top.tables import full_name
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentSummary, Instance

if TYPE_CHECKING:
    from omnitide.sdk.async_client import AsyncClient

Kind = Literal["node", "agent", "instance"]
Target = Node | AgentSummary | Instance
Ask = Literal["", "replicas", "version", "node"]
T = TypeVar("T", Node, AgentSummary, Instance)

MOST_SUBJECTS: Final = 200
"""Things whose output can be asked for together."""

MAX_NUMBER: Final = 1_000_000


class Input(NamedTuple):
    """What a person says besides."""

    replicas: int = 0
    version: int = 0
    """0: the newest earlier one that is known to work, with another spec."""
    node: str = ""
    """Empty: Nexus chooses."""


@dataclass(frozen=True, slots=True)
class Action:
    id: str
    title: str
    key: str
    kind: Kind
    hindrance: Callable[[Target], str]
    """Why it cannot be done now; empty if it can."""
    perform: "Callable[[AsyncClient, Target, Input], Awaitable[object]]"
    command: Callable[[str, Input], str]
    """Behind `omnitide`."""
    effect: Callable[[Target, Input, Scene], str]
    losses: Callable[[Target, Input, Scene], Sequence[str]]
    """What is lost or interrupted; each in a sentence."""
    done: Callable[[Input], str]
    """Behind the name: `web` `is to have 5 replicas`."""
    grave: bool = False
    many: bool = True
    """Whether it can be done to several at once."""
    ask: Ask = ""
    words: tuple[str, ...] = ()
    """What else it is found by: as the command line has it, if that is not the title, and synonyms; in lower case."""

    def named(self, what: str) -> str:
        """What is done to something, as one says it: `Scale agent web`, `Pause rollout of agent web`."""
        return f"{self.title} of {what}" if self.title.endswith("rollout") else f"{self.title} {what}"


def subject_of(target: Target) -> str:
    """As output is asked for."""
    if isinstance(target, Node):
        return f"node:{target.name}"
    return f"agent:{target.namespace}/{target.name}" if isinstance(target, AgentSummary) else f"instance:{target.id}"


def name_of(target: Target) -> str:
    return target.name if isinstance(target, Node) else full_name(target)


def kind_of_target(target: Target) -> Kind:
    if isinstance(target, Node):
        return "node"
    return "agent" if isinstance(target, AgentSummary) else "instance"


def shell_name(target: Target) -> str:
    return shlex.quote(name_of(target))


def _nothing(_target: object, _said: Input, _scene: Scene) -> Sequence[str]:
    return ()


def _made(
    of: type[T],
    identifier: str,
    title: str,
    key: str,
    *,
    perform: "Callable[[AsyncClient, T, Input], Awaitable[object]]",
    command: Callable[[str, Input], str],
    effect: Callable[[T, Input, Scene], str],
    done: Callable[[Input], str],
    hindrance: Callable[[T], str] = lambda _: "",
    losses: Callable[[T, Input, Scene], Sequence[str]] = _nothing,
    grave: bool = False,
    many: bool = True,
    ask: Ask = "",
    words: tuple[str, ...] = (),
) -> Action:
    def own(target: Target) -> T:
        assert isinstance(target, of), f"{identifier} is not for {type(target).__name__}"
        return target

    kind: Kind = "node" if of is Node else "agent" if of is AgentSummary else "instance"
    return Action(
        id=identifier,
        title=title,
        key=key,
        kind=kind,
        hindrance=lambda target: hindrance(own(target)),
        perform=lambda client, target, said: perform(client, own(target), said),
        command=command,
        effect=lambda target, said, scene: effect(own(target), said, scene),
        losses=lambda target, said, scene: losses(own(target), said, scene),
        done=done,
        grave=grave,
        many=many,
        ask=ask,
        words=words,
    )


def _memory(count: int, noun: str) -> str:
    return f"{plural(count, noun)} {'has' if count == 1 else 'have'} in memory"


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
    return [f"What {_memory(fewer, 'replica')} is gone."] if fewer > 0 else ()


def _version_words(version: int) -> str:
    return f"v{version}" if version else "the newest earlier version that is known to work and differs"


def _ended(one: Instance) -> str:
    return "" if one.status in LIVE or one.status == "pending" else f"it is {one.status}"


def _drained(node: Node, _: Input, scene: Scene) -> str:
    moving = sum(one.kind == "agent" for one in scene.on_node(node.id))
    if not moving:
        return "It runs no agents. Nothing new is placed there."
    others = sum(
        one.id != node.id and one.status == "live" and one.scheduling == "open" for one in scene.view.nodes.values()
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
    there = scene.on_node(node.id)
    moving = sum(one.kind == "agent" for one in there)
    tasks = len(there) - moving
    found = [f"What {_memory(moving, 'instance')} does not move with it."] if moving else []
    return [*found, f"{plural(tasks, 'task')} of jobs run to their end there."] if tasks else found


ACTIONS: Final[tuple[Action, ...]] = (
    _made(
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
    _made(
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
        losses=lambda one, _, scene: [f"What {_memory(len(scene.of_agent(one.id)), 'instance')} is gone."],
        done=lambda _: "restarts, a few replicas at a time",
    ),
    _made(
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
        losses=lambda one, _, scene: [
            f"What {_memory(len(scene.of_agent(one.id)), 'instance')} is gone as each is replaced."
        ],
        done=lambda said: f"rolls back to {f'v{said.version}' if said.version else 'the version before'}",
    ),
    _made(
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
    _made(
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
    _made(
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
            f"What {_memory(len(scene.of_agent(one.id)), 'instance')} is gone.",
        ],
        done=lambda _: "is to stop",
    ),
    _made(
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
    _made(
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
    _made(
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
    _made(
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
    _made(
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
    _made(
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
    _made(
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
    _made(
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
BY_ID: Final = {one.id: one for one in ACTIONS}


def hindered(action: Action, targets: Sequence[Target]) -> str:
    """Why it can be done to none of them; empty if to some."""
    if not targets:
        return f"no {action.kind} is chosen"
    if len(targets) > 1 and not action.many:
        return f"{action.title.lower()} is for one {action.kind} at a time"
    said = [action.hindrance(one) for one in targets]
    return "" if not all(said) else said[0]


def read_input(action: Action, text: str) -> Input | str:
    """What was typed; a text says what is wrong with it."""
    text = text.strip()
    if action.ask == "node":
        return Input(node=text)
    if action.ask == "version" and not text:
        return Input()
    if not action.ask:
        return Input()
    number = text.removeprefix("v") if action.ask == "version" else text
    if not number.isascii() or not number.isdecimal() or int(number) > MAX_NUMBER:
        return f"{action.ask} is a whole number" + (
            ", or empty for the version before" if action.ask == "version" else ""
        )
    return Input(replicas=int(number)) if action.ask == "replicas" else Input(version=int(number))
