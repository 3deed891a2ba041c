"""The objects of the view, each encoded once: `GET /v1/nodes` and its like show the same of them.

What changes all the time and is no state, a node's use of its machine, comes apart (`Use`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from omnitide.fabric.state import FabricState
from omnitide.model.normalise import has_quantities, present
from omnitide.operations.runtime import NodeLive
from omnitide.operations.viewing.touched import Touched
from omnitide.operations.views.instances import show_instance
from omnitide.operations.views.inventory import show_namespace, show_node
from omnitide.operations.views.silence import Hidden
from omnitide.operations.views.workloads import show_agent_summary, show_job_summary

KINDS: Final = ("namespace", "node", "agent", "job", "instance")

Objects = Mapping[tuple[str, str], bytes | None]
"""JSON by kind and id; None: it is gone."""

Live = Callable[[str], NodeLive | None]
"""What is known of a node apart from the state."""

_encoder: Final = msgspec.json.Encoder()


def everything(state: FabricState) -> Iterable[tuple[str, str]]:
    """Kind and id of all that there is, in the order of `KINDS`."""
    yield from (("namespace", name) for name in state.namespaces)
    yield from (("node", identifier) for identifier in state.nodes)
    yield from (("agent", identifier) for identifier in state.agents)
    yield from (("job", identifier) for identifier in state.jobs)
    yield from (("instance", identifier) for identifier in state.instances)


def named(touched: Touched) -> Iterable[tuple[str, str]]:
    """The same of what was touched."""
    yield from (("namespace", name) for name in sorted(touched.namespaces))
    yield from (("node", identifier) for identifier in sorted(touched.nodes))
    yield from (("agent", identifier) for identifier in sorted(touched.agents))
    yield from (("job", identifier) for identifier in sorted(touched.jobs))
    yield from (("instance", identifier) for identifier in sorted(touched.instances))


class Showing:
    """Makes objects of one state. Looking for what silent nodes hide is done once for all of them."""

    def __init__(self, state: FabricState, live: Live, now_ms: int, hidden: Hidden | None = None) -> None:
        """`now_ms`: log time. `hidden`: of this state, from who keeps it; else it is looked for once it is needed."""
        self._state = state
        self._live = live
        self._now_ms = now_ms
        self._hidden = hidden
        self.failing: set[str] = set()
        """Of the agents that were shown, the ids of those of which replicas end again and again."""

    def encoded(self, kind: str, identifier: str) -> bytes | None:
        """None if there is no such object."""
        shown = self._show(kind, identifier)
        if shown is None:
            return None
        return _encoder.encode(present(shown) if has_quantities(type(shown)) else shown)

    def _show(self, kind: str, identifier: str) -> msgspec.Struct | None:
        state = self._state
        match kind:
            case "node":
                node = state.nodes.get(identifier)
                return None if node is None else show_node(node, steady(self._live(identifier)))
            case "agent":
                agent = state.agents.get(identifier)
                if agent is None:
                    return None
                self._hidden = self._hidden or Hidden(state)
                summary = show_agent_summary(state, agent, self._hidden, self._now_ms)
                if summary.failing:
                    self.failing.add(identifier)
                return summary
            case "job":
                job = state.jobs.get(identifier)
                return None if job is None else show_job_summary(state, job)
            case "instance":
                instance = state.instances.get(identifier)
                return None if instance is None else show_instance(state, instance, self._now_ms)
            case _:
                namespace = state.namespaces.get(identifier)
                return None if namespace is None else show_namespace(namespace)


def steady(live: NodeLive | None) -> NodeLive | None:
    """Without what changes with every beat."""
    return None if live is None else msgspec.structs.replace(live, use=None, last_beat_ms=0)


def objects_json(objects: Iterable[tuple[tuple[str, str], bytes | None]]) -> bytes:
    """`{"node":{"n-1":{...},"n-2":null},...}` of objects that come kind by kind."""
    parts: list[bytes] = []
    last = ""
    for (kind, identifier), encoded in objects:
        opening = b"," if kind == last else b'},"%b":{' % kind.encode() if last else b'{"%b":{' % kind.encode()
        last = kind
        parts.append(opening)
        parts.append(_encoder.encode(identifier))
        parts.append(b":")
        parts.append(b"null" if encoded is None else encoded)
    return b"".join([*parts, b"}}"]) if parts else b"{}"


def frame_json(kind: str, fields: Mapping[str, Any], objects: bytes) -> bytes:
    """One message: its kind, what it says of itself, and the objects. `Any`: plain numbers and texts."""
    head = _encoder.encode({"kind": kind, **fields})
    return b'%b,"objects":%b}' % (head[:-1], objects)
