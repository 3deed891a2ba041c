"""How an operation changes the fabric: one command, decided and durable, and the state that shows it."""

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from omnitide.fabric.commands import Command, Header
from omnitide.fabric.decide import UNCHANGED, Decision
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState
from omnitide.operations.failures import refused
from omnitide.operations.operation import Context
from omnitide.operations.runtime import Runtime

_PRECONDITION: Final = frozenset({"conflict", "already-exists"})


@dataclass(frozen=True, slots=True)
class Made:
    """What a command came to."""

    result: dict[str, str | int]
    state: FabricState
    """Durable and not older than the change; in a dry run, what would be."""
    revision: int
    """Where the change is durable; in a dry run, of the durable state."""
    changed: bool
    replayed: bool
    dry_run: bool


async def change(runtime: Runtime, context: Context, command: Command, *, namespace: str = "") -> Made:
    """Submit a command, or only decide it in a dry run. Raises Failed, NotServing."""
    header = Header(
        principal=context.principal,
        correlation=context.correlation,
        namespace=namespace,
        # A dry run asks what would be done now, and is never remembered as done.
        idempotency_key="" if context.dry_run else context.idempotency_key,
        fingerprint="" if context.dry_run else context.fingerprint,
    )
    outcome = runtime.dry_run(command, header) if context.dry_run else await runtime.submit(command, header)
    if isinstance(outcome, Rejection):
        raise refused(outcome, code=_precise(runtime, context, command, header, outcome))
    wrote = bool(outcome.entry.events)
    if context.dry_run:
        return Made(outcome.result, outcome.state, runtime.committed().revision, wrote, False, True)
    if wrote:
        return Made(outcome.result, outcome.state, outcome.revision, True, False, False)
    # Nothing was changed: what it rests on may be newer than what is durable here only if the runtime broke its word.
    await runtime.wait_for(outcome.revision, 5.0)
    changed = outcome.replayed and UNCHANGED not in outcome.result
    return Made(outcome.result, runtime.committed(), outcome.revision, changed, outcome.replayed, False)


def _precise(runtime: Runtime, context: Context, command: Command, header: Header, outcome: Rejection) -> str:
    """`precondition-failed` if the command would be decided otherwise without its `if_match`; else the core's code."""
    if context.if_match is None or outcome.code not in _PRECONDITION:
        return ""
    unconditional = replace(command, if_match=None)
    again = runtime.dry_run(unconditional, _without_key(header))
    if isinstance(again, Decision) or again.message != outcome.message:
        return "precondition-failed"
    return ""


def _without_key(header: Header) -> Header:
    return replace(header, idempotency_key="", fingerprint="")
