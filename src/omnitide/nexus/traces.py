"""Spans of what Nexus does for a call that is traced: its command, decided and made durable, and the way of each
instance that comes of it to where it runs.

Made of what is committed anyway, so nothing of it is on the way of a command; made only where spans are taken. The core
knows nothing of it: the context is the correlation id, which each entry and each instance has.
"""

from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any, Final, NamedTuple, cast

from omnitide.fabric import events as ev
from omnitide.fabric.commands import Command, Header
from omnitide.fabric.decide import Decision
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState, Instance, Node
from omnitide.nexus.clock import Clock
from omnitide.nexus.engine import Engine
from omnitide.nexus.watching import Committed
from omnitide.telemetry.tracing import spans
from omnitide.telemetry.tracing.context import Place, derived, place_of, session_span
from omnitide.telemetry.tracing.spans import Span, Value

MAX_UNDER_WAY: Final = 10_000
"""Instances of traced calls that are on their way; of more, the oldest are told of no more."""
_MS: Final = 1_000_000
_ARRIVALS: Final = frozenset({ev.InstanceRunning, ev.InstanceExited, ev.InstanceEnded})


class _Batch(NamedTuple):
    """The one that was made durable last. Nanoseconds."""

    first: int
    last: int
    """Revisions."""
    began_ns: int
    ended_ns: int


class Traces:
    """Follows the engine from when it is made on."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._batch = _Batch(0, -1, 0, 0)
        self._placed: OrderedDict[str, int] = OrderedDict()
        """Instance -> when it was placed (ns)."""
        engine.subscribe(self._on_commit)

    def submit(self, command: Command, header: Header) -> Coroutine[Any, Any, Decision | Rejection]:
        """As the engine's, with a span of the command and one of its decision and of its commit each."""
        call = place_of(header.correlation)
        return self._engine.submit(command, header) if call is None else self._traced(command, header, call)

    async def _traced(self, command: Command, header: Header, call: Place) -> Decision | Rejection:
        began = spans.now_ns()
        name = type(command).__name__
        identity = derived(header.correlation, "command", name, began)
        error = ""
        attributes: dict[str, Value] = {"omnitide.command": name}
        try:
            outcome = await self._engine.submit(command, header)
            if isinstance(outcome, Rejection):
                error = outcome.code
            else:
                attributes |= {"omnitide.revision": outcome.revision, "omnitide.events": len(outcome.entry.events)}
                self._tell_parts(header.correlation, Place(call.trace_id, identity), began, outcome)
            return outcome
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            place = Place(call.trace_id, identity)
            spans.emit(Span(f"command {name}", place, call.span_id, began, spans.now_ns(), attributes, error=error))

    def _tell_parts(self, correlation: str, parent: Place, began: int, outcome: Decision) -> None:
        batch = self._batch
        if not outcome.payload or not batch.first <= outcome.revision <= batch.last:
            return
        # It was decided while the batch before was being written, and waited for that.
        parts = (("decide", began, max(began, batch.began_ns)), ("commit", batch.began_ns, batch.ended_ns))
        entries = batch.last - batch.first + 1
        for name, start, end in parts:
            place = Place(parent.trace_id, derived(correlation, parent.span_id, name))
            more: dict[str, Value] = {"omnitide.batch_entries": entries} if name == "commit" else {}
            spans.emit(Span(name, place, parent.span_id, start, end, more))

    def _on_commit(self, before: FabricState, after: FabricState, entries: list[Committed]) -> None:
        ended = spans.now_ns()
        took_s = max(0.0, self._clock.monotonic() - self._engine.written_since)
        self._batch = _Batch(entries[0].revision, entries[-1].revision, ended - int(took_s * 1e9), ended)
        placed = self._placed
        for committed in entries:
            for event in committed.entry.events:
                # Of nearly all events it is over here: this is done for each, whether anything of it is traced or not.
                kind = type(event)
                if kind is ev.InstancesPlaced:
                    self._placing(after, cast("ev.InstancesPlaced", event), ended)
                elif kind in _ARRIVALS:
                    arrival = cast("ev.InstanceRunning | ev.InstanceExited | ev.InstanceEnded", event)
                    if arrival.instance in placed:
                        self._arrived(before, after, arrival, ended)

    def _placing(self, after: FabricState, event: ev.InstancesPlaced, ended: int) -> None:
        node = after.nodes.get(event.node)
        for placement in event.placements:
            instance = after.instances.get(placement.instance)
            call = place_of(instance.correlation) if instance is not None else None
            if instance is None or call is None:
                continue
            self._placed[instance.id] = ended
            if len(self._placed) > MAX_UNDER_WAY:
                self._placed.popitem(last=False)
            place = Place(call.trace_id, derived(instance.correlation, "place", instance.id))
            began = min(ended, instance.created_ms * _MS)
            spans.emit(Span(f"place {instance.name}", place, call.span_id, began, ended, _described(instance, node)))

    def _arrived(
        self,
        before: FabricState,
        after: FabricState,
        event: ev.InstanceRunning | ev.InstanceExited | ev.InstanceEnded,
        ended: int,
    ) -> None:
        """The first that its node says of what became of it."""
        began = self._placed.pop(event.instance)
        instance = after.instances.get(event.instance) or before.instances.get(event.instance)
        call = place_of(instance.correlation) if instance is not None else None
        if instance is None or call is None:
            return
        error = ""
        if isinstance(event, ev.InstanceExited):
            error = event.exit.reason
        elif isinstance(event, ev.InstanceEnded) and event.status != "succeeded":
            error = event.status
        node = after.nodes.get(instance.node)
        place = Place(call.trace_id, session_span(instance.correlation, instance.id))
        parent = derived(instance.correlation, "place", instance.id)
        name = f"node session {node.name if node is not None else instance.node}"
        spans.emit(Span(name, place, parent, began, ended, _described(instance, node), error=error))


def _described(instance: Instance, node: Node | None) -> dict[str, Value]:
    return {
        "omnitide.namespace": instance.namespace,
        f"omnitide.{instance.kind}": instance.workload,
        "omnitide.instance": instance.name,
        "omnitide.instance_id": instance.id,
        "omnitide.version": instance.version,
        "omnitide.node": node.name if node is not None else instance.node,
    }
