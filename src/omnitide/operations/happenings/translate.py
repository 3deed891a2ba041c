"""Entries of the log as CloudEvents 1.0, one for each thing that an event is about.

An event about many instances becomes one CloudEvent for each of them, so that who looks at one agent, instance or node
sees all of it and nothing else. Ids are made of revision and index: the same fact always has the same id.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, cast

import msgspec

from omnitide.fabric import events as ev
from omnitide.fabric.events import Entry, Event, kind_of
from omnitide.model.happenings import CloudEvent
from omnitide.model.names import instance_name
from omnitide.model.normalise import present
from omnitide.operations.happenings.known import KnownNames
from omnitide.operations.runtime import Committed

TYPE_PREFIX: Final = "omnitide."
_NODE: Final = "node:"
"""Before a node's id, where it is a principal."""
_encoder: Final = msgspec.json.Encoder()

Data = dict[str, object]


class Happening:
    """A CloudEvent and what filters ask of it. Shared by all who are shown it, and encoded once for all of them."""

    def __init__(self, event: CloudEvent, kind: str, namespace: str, concerns: tuple[str, ...]) -> None:
        self.event = event
        self.kind = kind
        """`agent.created.v1`."""
        self.namespace = namespace
        self.concerns = concerns
        """Its subject and whatever else it is about: an instance's agent and node."""

    @cached_property
    def json(self) -> bytes:
        return _encoder.encode(self.event)


class _Part(NamedTuple):
    """One thing that an event is about."""

    subject: str
    data: Data
    namespace: str = ""
    also: tuple[str, ...] = ()


class Translator:
    """Makes CloudEvents of the entries of one log."""

    def __init__(self, log_id: str, fabric_id: str, names: KnownNames) -> None:
        self._log_id = log_id
        self._fabric_id = fabric_id
        self._source = f"/fabrics/{fabric_id}"
        self._names = names

    def look_ahead(self, entries: Sequence[Committed]) -> None:
        """Entries that are translated next: what is removed in one of them is called by its name in those before."""
        for _, entry in entries:
            self._names.learn(entry)

    def translate(self, committed: Committed, first: int = 0, until: int | None = None) -> Iterator[Happening]:
        """The CloudEvents of one entry, in order; those from number `first` on, before `until`.

        What is left out is not made: who reads an entry of many events in parts reads each once.
        """
        revision, entry = committed
        if not first:
            self._names.learn(entry)
        time = dt.datetime.fromtimestamp(entry.time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
        time = time.replace("+00:00", "Z")
        by = self._names.caller(entry.principal)
        # What an act does to instances does not say it again, which may be thousands; unless it is all that it does.
        acts = bool(by) and not all(map(_of_instances, entry.events))
        index = 0
        for event in entry.events:
            if until is not None and index >= until:
                return
            width = _width(event) if type(event) in _MANY else 1
            begin, end, before = first - index, width, index
            index += width
            if begin >= width:
                continue
            begin = max(0, begin)
            if until is not None:
                end = min(width, until - before)
            kind = kind_of(event)
            told = acts and not _of_instances(event)
            reporter = _reporter(event, entry.principal)
            for number, part in enumerate(self._parts(event, begin, end, reporter), before + begin + 1):
                yield Happening(
                    CloudEvent(
                        specversion="1.0",
                        id=f"{self._log_id}/{revision}.{number}",
                        source=self._source,
                        type=TYPE_PREFIX + kind,
                        subject=part.subject,
                        time=time,
                        datacontenttype="application/json",
                        data=part.data,
                        revision=revision,
                        correlation=entry.correlation,
                        principal=entry.principal,
                        by=by if told or (number == 1 and not acts) else "",
                    ),
                    kind,
                    part.namespace,
                    (part.subject, *part.also),
                )

    def _parts(self, event: Event, begin: int, end: int, reporter: str) -> Iterator[_Part]:
        """Those of an event that is about many things from `begin` to before `end`; of another the one that it is.

        `reporter`: the node that told of it; empty where it is none or any.
        """
        match event:
            case ev.FabricCreated():
                yield _Part(f"fabric/{event.fabric_id}", _data(event))
            case ev.FeatureLevelRaised():
                yield _Part("fabric/" + self._fabric_id, _data(event))
            case ev.NamespaceCreated() | ev.NamespaceDeleted():
                yield _Part(f"namespace/{event.name}", _data(event), event.name)
            case ev.SecretChanged() | ev.SecretRemoved():
                yield _Part(f"secret/{event.namespace}/{event.name}", _data(event), event.namespace)
            case ev.ConfigChanged() | ev.ConfigRemoved():
                yield _Part(f"config/{event.namespace}/{event.name}", _data(event), event.namespace)
            case ev.TokenIssued() | ev.TokenUsed() | ev.TokenRevoked():
                yield _Part(f"token/{event.id}", _data(event))
            case ev.TokensForgotten():
                for identifier in event.ids[begin:end]:
                    yield _Part(f"token/{identifier}", {"id": identifier})
            case ev.InstancesCreated() | ev.InstancesPlaced() | ev.InstancesLost():
                yield from self._many(event, begin, end)
            case ev.JobsRemoved():
                for identifier in event.jobs[begin:end]:
                    yield self._workload("job", identifier, {"job": identifier})
            case _:
                yield self._one(event, reporter)

    def _one(self, event: Event, reporter: str) -> _Part:
        """By the field that says what it is about."""
        data = _data(event)
        if "instance" in data:
            identifier = str(data["instance"])
            return self._instance(identifier, data, self._names.node_of(identifier) or reporter)
        if "agent" in data:
            return self._workload("agent", str(data["agent"]), data)
        if "job" in data:
            return self._workload("job", str(data["job"]), data)
        node = str(data["node"])
        return self._node(node, data)

    def _node(self, identifier: str, data: Data) -> _Part:
        name = self._names.node(identifier)
        return _Part(f"node/{name}", {**data, "name": name})

    def _workload(self, kind: str, identifier: str, data: Data) -> _Part:
        namespace, name = self._names.workload(identifier)
        return _Part(f"{kind}/{namespace}/{name}", {**data, "namespace": namespace, "name": name}, namespace)

    def _instance(self, identifier: str, data: Data, node: str = "", kind: str = "") -> _Part:
        workload, slot, generation = _parse(identifier)
        namespace, name = self._names.workload(workload)
        instance = instance_name(name, slot, generation)
        also = (f"agent/{namespace}/{name}",) if kind != "job" else ()
        if kind != "agent":
            also = (*also, f"job/{namespace}/{name}")
        if node:
            node_name = self._names.node(node)
            data = {**data, "node": node, "node_name": node_name}
            also = (*also, f"node/{node_name}")
        data = {**data, "instance": identifier, "namespace": namespace, "name": instance}
        return _Part(f"instance/{namespace}/{instance}", data, namespace, also)

    def _many(
        self, event: ev.InstancesCreated | ev.InstancesPlaced | ev.InstancesLost, begin: int, end: int
    ) -> Iterator[_Part]:
        if isinstance(event, ev.InstancesLost):
            for identifier in event.instances[begin:end]:
                yield self._instance(identifier, {}, event.node)
        elif isinstance(event, ev.InstancesPlaced):
            for placement in event.placements[begin:end]:
                data: Data = {
                    "cpu_milli": placement.cpu_milli,
                    "memory_bytes": placement.memory_bytes,
                    "ports": dict(placement.ports),
                }
                yield self._instance(placement.instance, data, event.node)
        else:
            for slot, generation in ((one.slot, one.generation) for one in event.slots[begin:end]):
                made: Data = {"version": event.version, "slot": slot, "generation": generation}
                if event.not_before_ms:
                    made["not_before_ms"] = event.not_before_ms
                if event.reason:
                    made["reason"] = event.reason
                if event.avoid:
                    made["avoid"] = self._names.node(event.avoid)
                yield self._instance(f"{event.workload}.{slot}.{generation}", made, kind=event.workload_kind)


def count(entry: Entry) -> int:
    """How many CloudEvents an entry makes."""
    return sum(map(_width, entry.events))


def _reporter(event: Event, principal: str) -> str:
    """The node whose report an event is, which it is on: also of an instance that is long forgotten."""
    told = isinstance(
        event, ev.InstanceStarting | ev.InstanceRunning | ev.InstanceExited | ev.InstanceHealthChanged
    ) or (isinstance(event, ev.InstanceEnded) and event.exit is not None)
    return principal.removeprefix(_NODE) if told and principal.startswith(_NODE) else ""


def _of_instances(event: Event) -> bool:
    return kind_of(event).startswith("instance.")


def _width(event: Event) -> int:
    return len(_MANY[type(event)](event)) if type(event) in _MANY else 1


_MANY: Final[dict[type, Callable[[Any], Sequence[object]]]] = {
    ev.InstancesCreated: lambda event: event.slots,
    ev.InstancesPlaced: lambda event: event.placements,
    ev.InstancesLost: lambda event: event.instances,
    ev.JobsRemoved: lambda event: event.jobs,
    ev.TokensForgotten: lambda event: event.ids,
}
"""Events that are about many things, and those. `Any`: each function takes events of its own type."""


def _parse(instance: str) -> tuple[str, int, int]:
    workload, slot, generation = instance.rsplit(".", 2)
    return workload, int(slot), int(generation)


def _data(event: Event) -> Data:
    data = cast("Data", msgspec.to_builtins(event))
    data.pop("kind", None)
    # Of no use to anyone who may see events, and the less it is about the better.
    data.pop("digest", None)
    data.pop("blob", None)
    spec = getattr(event, "spec", None)
    if isinstance(spec, msgspec.Struct):
        data["spec"] = present(spec)
    return data
