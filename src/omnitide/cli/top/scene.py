"""All that is shown at one time: the view, the newest events, the status, and what of it a person asks for first."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple

from omnitide.cli.top.event_fold import Fold
from omnitide.cli.top.words import State, Tone, ended_as, instance_state
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import Concern, FabricStatus, Node
from omnitide.model.metrics import MetricAnswer
from omnitide.model.objects import Instance
from omnitide.sdk.view import View

EVENTS: Final = 1_000
"""So many are kept; older ones are in `omnitide events`."""
SAMPLES: Final = 60
"""Of a node's use so many are kept, a second apart, for the small curves in rows."""
TELLING: Final = ("live", "stalled")
"""Nodes in these states say how busy they are."""
ASKING_MS: Final = 15_000
"""A node of which nobody has asked sends what it used every 10 s at most: so long a figure may be on its way."""
LIVE: Final = ("placed", "starting", "running", "stopping", "unknown")


class Connection(NamedTuple):
    """How true what is shown is."""

    live: bool = False
    trouble: str = ""
    """Why it is not live."""
    heard_ms: int = 0
    """By Nexus's clock: when it was last so."""
    final: bool = False
    """Nothing is tried any more: a token that ended, a Nexus that cannot be understood."""


class Scene:
    """What `top` knows. Changed by those who follow the fabric, read by those who draw."""

    def __init__(self, view: View, namespace: str = "") -> None:
        """`namespace`: only agents and instances of it are shown; empty: all."""
        self.view = view
        self.namespace = namespace
        self.status: FabricStatus | None = None
        self.busy: dict[str, deque[int]] = {}
        """By id of the node: the cpu that it used, newest last."""
        self.events: deque[CloudEvent] = deque(maxlen=EVENTS)
        """Oldest first."""
        self.shown_events: tuple[object, dict[str, CloudEvent]] = (None, {})
        """Those that a person wants to see, by the key of their row, and of which `events` that was said."""
        self.repeats: dict[str, Fold] = {}
        """By the id of the newest, those of them that stand for several."""
        self.event_rows: dict[str, str] = {}
        """By the id of an event, the key of the row that it is in."""
        self.stamps: dict[str, int] = {}
        """By kind of the view: how often anything of it was another."""
        self.tallies: dict[str, tuple[object, Counter[tuple[Tone, str]]]] = {}
        """By kind: how many there are in each state, and at which stamp that was counted."""
        self.charts: dict[str, MetricAnswer] = {}
        """Of the whole fabric, by name."""
        self.connection = Connection()
        self.began_ms = 0
        """When the fabric was first seen, by Nexus's clock; 0: it is not being followed."""
        self.now_ms = 0
        """Nexus's wall clock, as far as it is known here."""

    def changed(self, kinds: Iterable[str]) -> None:
        """The view has other objects of these kinds."""
        for kind in kinds:
            self.stamps[kind] = self.stamps.get(kind, 0) + 1

    def tally(self, kind: str, states: Callable[[], Iterable[State]]) -> Counter[tuple[Tone, str]]:
        """Counted once for each change: with many instances it takes its time."""
        stamp = self.stamps.get(kind, 0)
        if kind not in self.tallies or self.tallies[kind][0] != stamp:
            counted: Counter[tuple[Tone, str]] = Counter((state.tone, state.text) for state in states())
            self.tallies[kind] = (stamp, counted)
        return self.tallies[kind][1]

    def asking(self, node: Node) -> bool:
        """Whether what it uses is not known because it has not been heard yet."""
        return self.now_ms - max(self.began_ms, node.since_ms) < ASKING_MS

    def keep_use(self) -> None:
        """Take in how busy nodes are now."""
        for identifier, (cpu, _) in self.view.use.items():
            self.busy.setdefault(identifier, deque(maxlen=SAMPLES)).append(cpu)
        for gone in [key for key in self.busy if key not in self.view.nodes]:
            del self.busy[gone]

    @property
    def demo(self) -> bool:
        return self.status is not None and self.status.demo

    def agents(self) -> Collection[str]:
        found = self.view.agents
        return found if not self.namespace else [key for key, one in found.items() if one.namespace == self.namespace]

    def instances(self) -> Collection[str]:
        found = self.view.instances
        return found if not self.namespace else [key for key, one in found.items() if one.namespace == self.namespace]

    def instance_states(self) -> Counter[tuple[Tone, str]]:
        """How many instances are in each state; those that have ended are in that of `words.ended_as`."""
        found = self.view.instances
        each = (found[key] for key in self.instances())
        return self.tally("instance", lambda: (ended_as(one) or instance_state(one) for one in each))

    @property
    def concerns(self) -> Sequence[Concern]:
        """What wants an eye: in one namespace that of it, and what is of the fabric itself, such as a lost node."""
        found = self.status.concerns if self.status else ()
        return [one for one in found if not self.namespace or namespace_of(one) in ("", self.namespace)]

    def jobs(self) -> Collection[str]:
        found = self.view.jobs
        return found if not self.namespace else [key for key, one in found.items() if one.namespace == self.namespace]

    def of_agent(self, identifier: str) -> list[Instance]:
        """Those that have something to lose."""
        return [one for one in self.view.instances.values() if one.workload_id == identifier and one.status in LIVE]

    def on_node(self, identifier: str) -> list[Instance]:
        return [one for one in self.view.instances.values() if one.node_id == identifier and one.status in LIVE]


def namespace_of(concern: Concern) -> str:
    """Of the agent or job that it is about; empty: it is about something else, such as a node."""
    kind, _, name = concern.subject.partition(" ")
    return name.partition("/")[0] if kind in ("agent", "job") and "/" in name else ""


class Capacity(NamedTuple):
    """Of the live nodes together."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    reserved_cpu_milli: int = 0
    reserved_memory_bytes: int = 0
    used_cpu_milli: int = 0
    used_memory_bytes: int = 0
    nodes: int = 0
    told: int = 0
    """So many of them have said how busy they are; what is used, and what these have, are of those."""
    told_cpu_milli: int = 0
    told_memory_bytes: int = 0
    asking: bool = False
    """Whether others may still say."""


def capacity(scene: Scene) -> Capacity:
    live: list[Node] = [node for node in scene.view.nodes.values() if node.status == "live"]
    told = [node for node in live if node.id in scene.view.use]
    use = [scene.view.use[node.id] for node in told]
    return Capacity(
        cpu_milli=sum(node.cpu_milli for node in live),
        memory_bytes=sum(node.memory_bytes for node in live),
        reserved_cpu_milli=sum(node.reserved_cpu_milli for node in live),
        reserved_memory_bytes=sum(node.reserved_memory_bytes for node in live),
        used_cpu_milli=sum(cpu for cpu, _ in use),
        used_memory_bytes=sum(memory for _, memory in use),
        nodes=len(live),
        told=len(told),
        told_cpu_milli=sum(node.cpu_milli for node in told),
        told_memory_bytes=sum(node.memory_bytes for node in told),
        asking=any(scene.asking(node) for node in live if node.id not in scene.view.use),
    )
