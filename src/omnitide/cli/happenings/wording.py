"""Events in words: `instance hello-2.1 exited: signal 9 (SIGKILL)`. An event of a kind that is not known here is shown
by its kind and fields: a client older than its Nexus leaves nothing out."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from omnitide.cli.show.words import plural
from omnitide.model.provisions import VALUES_CHANGED
from omnitide.model.quantity import format_duration
from omnitide.model.signals import signal_name

if TYPE_CHECKING:
    from omnitide.model.happenings import CloudEvent

ASKED_FOR: Final = ("stopped", "killed")
"""Reasons of exits that somebody asked for."""
Data = dict[str, Any]
"""`Any`: the fields of an event depend on its kind."""


def where_of(event: "CloudEvent") -> str:
    """`on node alpha`, for an event of an instance."""
    node = event.data.get("node_name")
    return f"on node {node}" if node and event.subject.startswith("instance/") else ""


def subject_of(event: "CloudEvent") -> str:
    """`instance hello-2.1`, with its namespace where that is not `default`."""
    kind, _, name = event.subject.partition("/")
    return f"{kind} {name.removeprefix('default/')}"


def by_of(event: "CloudEvent") -> str:
    """`by administrator (token ...)`; empty where nobody asked for it, or an event before it says who did."""
    return f"by {event.by}" if event.by else ""


def kind_of(event: "CloudEvent") -> str:
    """`instance.exited`."""
    return event.type.removeprefix("omnitide.").rpartition(".")[0]


def text_of(event: "CloudEvent") -> str:
    kind = kind_of(event)
    words = _WORDS.get(kind)
    data = cast("Data", event.data)
    if words is None:
        rest = {key: value for key, value in data.items() if key not in _KNOWN_FROM_SUBJECT}
        return f"{subject_of(event)} {kind.partition('.')[2]} {rest or ''}".rstrip()
    return f"{subject_of(event)} {words(data) if callable(words) else words}"


def _pairs(labels: object) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(cast("dict[str, str]", labels or {}).items()))


def exit_text(data: Data) -> str:
    """Of an exit record, which events carry as it is in the log."""
    record = cast("Data", data.get("exit") or {})
    signal, code = record.get("signal"), record.get("code")
    if signal:
        name = signal_name(int(signal))
        text = f"signal {signal} ({name})" if name else f"signal {signal}"
    elif code is not None:
        text = f"exit code {code}"
    else:
        text = str(record.get("message") or record.get("cause") or record.get("reason") or "")
    text += ", out of memory" if record.get("out_of_memory") else ""
    message, reason = str(record.get("message") or ""), record.get("reason")
    if reason == "trap" and message:
        return f"{text}: {message}"
    # As `operations.views.instances` words it.
    further = message.partition("; ")[2] if reason in ("exited", "signal") and (signal or code is not None) else ""
    return f"{text}; {further}" if further else text


def _with(text: str, more: str) -> str:
    return f"{text}: {more}" if more else text


def _exited(data: Data) -> str:
    record = cast("Data", data.get("exit") or {})
    if record.get("cause") == VALUES_CHANGED:
        return f"was stopped {record.get('message')}; starts again"
    if record.get("reason") in ASKED_FOR:
        return "was stopped, as asked; starts again"
    return _with("exited", exit_text(data)) + "; starts again"


def _ended(data: Data) -> str:
    return _with(str(data.get("status", "ended")), exit_text(data))


def _running(data: Data) -> str:
    attempt = data.get("attempt", 1)
    handle = f"  {data['handle']}" if data.get("handle") else ""
    return (f"running (attempt {attempt})" if attempt != 1 else "running") + handle


def _created(data: Data) -> str:
    reason = f" ({data['reason']})" if data.get("reason") else ""
    return f"pending{reason}"


def _placed(data: Data) -> str:
    ports = cast("Data", data.get("ports") or {})
    return "placed" + (f", ports {', '.join(f'{name} {port}' for name, port in ports.items())}" if ports else "")


def _health(data: Data) -> str:
    """Why it is bad is in the instance; why it is not good so far, or not known any more, is here."""
    if data.get("health") != "unknown":
        return str(data.get("health", ""))
    message = str(data.get("message", ""))
    return _with("not ready" if " probe fails: " in message else "health unknown", message)


def _departing(data: Data) -> str:
    back = data.get("back_within_ms")
    if data.get("stopped"):
        return "stopped by its operator" + ("; what runs there may go on" if back else ", with all that ran there")
    text = _with("said goodbye", str(data.get("reason", "")))
    return f"{text}, back within {format_duration(int(back))}" if back else text


def _unreachable(data: Data) -> str:
    waited = format_duration(int(data.get("waited_ms") or 0) // 100 * 100)
    match data.get("cause"):
        case "disconnected":
            return f"unreachable: its connection broke, and it was not back within {waited}"
        case "goodbye":
            return f"unreachable: it said goodbye, and was not back within {waited}"
        case "stopped" if not data.get("waited_ms"):
            return "unreachable: its operator stopped it"
        case "stopped":
            return f"unreachable: its operator stopped it, and it was not back within {waited}"
        case "start":
            return f"unreachable: it has not connected in the {waited} since Nexus started"
        case "left":
            return "unreachable: it said goodbye for good"
        case _:
            return "unreachable"


BOOKKEEPING: Final = frozenset({"node.reported", "node.facts-changed", "agent.rollout-advanced", "agent.slots-retired"})
"""Facts that the fabric needs and people hardly ever."""

_KNOWN_FROM_SUBJECT: Final = frozenset({"instance", "agent", "job", "node", "name", "namespace", "node_name"})
_WORDS: Final[dict[str, str | Callable[[Data], str]]] = {
    "fabric.created": "created",
    "fabric.feature-level-raised": lambda data: f"feature level raised to {data.get('level')}",
    "namespace.created": "created",
    "namespace.deleted": "deleted",
    "token.issued": lambda data: _with(f"issued to {data.get('purpose', '')}", str(data.get("note", ""))),
    "secret.changed": lambda data: f"has version {data.get('version', 0)}",
    "secret.removed": "removed",
    "config.changed": lambda data: f"has version {data.get('version', 0)}",
    "config.removed": "removed",
    "token.used": lambda data: "used by a node to join" if data.get("node") else "used to log in to the panel",
    "token.revoked": "revoked",
    "token.forgotten": "forgotten",
    "node.joined": "joined the fabric",
    "node.connected": "connected",
    "node.facts-changed": "told new facts of itself",
    "node.driver-silent": lambda data: _with(
        f"has no answer from its driver {data.get('driver', '')}: what that runs is unknown",
        str(data.get("detail", "")),
    ),
    "node.driver-answers": lambda data: f"hears its driver {data.get('driver', '')} again",
    "node.key-offered": "was given a certificate for a new key",
    "node.key-changed": "uses its new key",
    "node.reported": "reported",
    "node.departing": _departing,
    "node.unreachable": _unreachable,
    "node.lost": "lost",
    "node.port-refused": lambda data: f"cannot give port {data.get('port')}: something else there has it",
    "node.labelled": lambda data: "labelled " + (_pairs(data.get("labels")) or "with nothing any more"),
    "node.cordoned": "cordoned",
    "node.uncordoned": "uncordoned",
    "node.drain-started": "draining",
    "node.drained": "drained",
    "node.removed": "removed",
    "agent.created": lambda data: f"created, {plural(int(data.get('replicas') or 0), 'replica')}",
    "agent.updated": lambda data: f"updated to version {data.get('version')}",
    "agent.restarted": lambda data: f"being restarted, version {data.get('version')}",
    "agent.rolled-back": lambda data: (
        f"rolled back to version {data.get('source')}, as version {data.get('version')}"
        + (f": {data.get('cause')}" if data.get("cause") else "")
    ),
    "agent.version-proven": lambda data: f"version {data.get('version')} is known to work",
    "agent.rollout-paused": "rollout paused",
    "agent.rollout-stumbled": lambda data: (
        f"rollout halted: its replica {data.get('slot')} ends again and again before it is available"
        if data.get("slot")
        else "what ended again and again runs well: the rollout goes on"
    ),
    "agent.rollout-late": lambda data: (
        f"rollout halted: its replica {data.get('slot')} is not available in time"
        if data.get("slot")
        else "what was not available in time is by now: the rollout goes on"
    ),
    "agent.rollout-resumed": "rollout resumed",
    "agent.scaled": lambda data: (
        f"scaled to {data.get('replicas')}" + (", as its manifest says" if data.get("owner") == "manifest" else "")
    ),
    "agent.stopped": "stopped",
    "agent.started": "started",
    "agent.deleted": "being removed",
    "agent.removed": "removed",
    "agent.rollout-advanced": lambda data: "rollout at its end" if not data.get("cursor") else "rollout advanced",
    "agent.slots-retired": "slots retired",
    "job.created": "created",
    "job.cancelled": "being cancelled",
    "job.finished": lambda data: _with(str(data.get("outcome", "finished")), exit_text(data)),
    "job.deleted": "being removed",
    "job.removed": "removed",
    "instance.created": _created,
    "instance.placed": _placed,
    "instance.starting": lambda data: f"starting, attempt {data.get('attempt', 1)}",
    "instance.running": _running,
    "instance.exited": _exited,
    "instance.health-changed": _health,
    "instance.stop-requested": lambda data: _with("being stopped", str(data.get("reason", ""))),
    "instance.ended": _ended,
    "instance.lost": "lost with its node",
    "instance.recovered": "came back with its node",
}
