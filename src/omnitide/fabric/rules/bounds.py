"""Bounds on what comes from outside (law 10): what a node says of itself, and the specs that people write."""

from typing import Final, TypeVar

import msgspec

from omnitide.fabric.rejection import Refuse
from omnitide.fabric.state import ExitRecord, NodeFacts
from omnitide.model.quantity import MAX_QUANTITY, format_bytes
from omnitide.model.spec import WorkloadSpec

MAX_TEXT: Final = 2000
"""Longest message of an exit that is kept, and longest handle."""
MAX_WORD: Final = 200
"""Longest reason or cause."""
MAX_UNENFORCED: Final = 16
MAX_FACTS_BYTES: Final = 256 << 10
MAX_SPEC_BYTES: Final = 256 << 10
"""Of a spec as it is written to the log; an agent keeps some twenty of them."""

_encoder = msgspec.msgpack.Encoder()

Spec = TypeVar("Spec", bound=WorkloadSpec)


def bounded_text(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "..."


def bounded_exit(record: ExitRecord | None, attempt: int) -> ExitRecord | None:
    """An exit as it is kept: of this attempt, with no more text than anyone reads."""
    if record is None:
        return None
    return msgspec.structs.replace(
        record,
        attempt=attempt,
        reason=bounded_text(record.reason, MAX_WORD),
        cause=bounded_text(record.cause, MAX_WORD),
        message=bounded_text(record.message, MAX_TEXT),
    )


def require_facts(facts: NodeFacts, subject: str) -> None:
    """Refuse facts that cannot be true, or are too large to be kept."""
    for what, value in (("cpu", facts.cpu_milli), ("memory", facts.memory_bytes), ("disk", facts.disk_bytes)):
        if not 0 <= value <= MAX_QUANTITY:
            raise Refuse("invalid", f"a node cannot have {value} of {what}", subject=subject)
    first, last = facts.port_first, facts.port_last
    if (first or last) and not 1 <= first <= last <= 65535:
        raise Refuse(
            "invalid", f"{first} to {last} is no range of ports", hint="1 to 65535, or 0 for none", subject=subject
        )
    size = len(_encoded(facts, subject))
    if size > MAX_FACTS_BYTES:
        raise Refuse(
            "limit",
            f"what the node says of itself takes {format_bytes(size)}; {format_bytes(MAX_FACTS_BYTES)} is the most",
            hint="fewer or shorter labels",
            subject=subject,
        )


def require_spec(spec: Spec, kind: type[Spec], subject: str) -> None:
    """Refuse a spec that could be written to the log and not be read from it again, or that is too large.

    Surfaces check specs with file, line and field before they come here. This is the last gate: one bad record would
    stop every replay.
    """
    raw = _encoded(spec, subject)
    if len(raw) > MAX_SPEC_BYTES:
        raise Refuse(
            "limit",
            f"the spec takes {format_bytes(len(raw))}; {format_bytes(MAX_SPEC_BYTES)} is the most",
            hint="put large files where the command can fetch them",
            subject=subject,
        )
    try:
        msgspec.msgpack.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Refuse("invalid", f"the spec is not valid: {error}", subject=subject) from error


def require_others(spec: WorkloadSpec, name: str, subject: str) -> None:
    """Refuse a spec that needs itself."""
    if name in spec.needs:
        raise Refuse("impossible", f"{subject} needs itself: it would wait for ever", subject=subject)


def _encoded(value: object, subject: str) -> bytes:
    try:
        return _encoder.encode(value)
    except (ValueError, OverflowError, TypeError) as error:
        raise Refuse("invalid", f"this cannot be written down: {error}", subject=subject) from error
