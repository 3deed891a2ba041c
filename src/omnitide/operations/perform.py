"""The one way from a surface to an operation: may they, is the state new enough, do it, and name what went wrong."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from omnitide.fabric.authorize import authorize
from omnitide.operations.closing import closing
from omnitide.operations.failures import failed, from_exception
from omnitide.operations.nearest import with_nearest
from omnitide.operations.operation import (
    Answer,
    AnyDeclaration,
    AnyOperation,
    AnyStream,
    Context,
    Declaration,
    Operation,
)
from omnitide.operations.runtime import Runtime

REVISION_WAIT_S: Final = 5.0
"""How long a read waits for `min_revision` before it says that it is behind."""


async def perform(operation: AnyOperation, runtime: Runtime, context: Context, value: msgspec.Struct) -> Answer[Any]:
    """Raises Failed."""
    try:
        _check(operation, runtime, context)
        if context.min_revision:
            await _reach(runtime, context.min_revision)
        return await operation.handler(runtime, context, value)
    except Exception as error:
        failure = from_exception(error)
        if failure is None:
            raise
        failure = with_nearest(failure, runtime.committed())
        if failure is error:
            raise
        raise failure from error


async def stream(operation: AnyStream, runtime: Runtime, context: Context, value: msgspec.Struct) -> AsyncIterator[Any]:
    """Raises Failed, before the first item or later: also when the caller's right ends while the stream runs."""
    try:
        _check(operation, runtime, context)
        async with closing(operation.handler(runtime, context, value)) as items:
            async for item in items:
                require_permission(operation, runtime, context)
                yield item
    except Exception as error:
        failure = from_exception(error)
        if failure is None or failure is error:
            raise
        raise failure from error


def _check(operation: AnyDeclaration, runtime: Runtime, context: Context) -> None:
    require_permission(operation, runtime, context)
    if not isinstance(operation, Operation):
        return
    if context.dry_run and not operation.dry_run:
        raise failed("invalid", f"{operation.name} cannot be tried without doing it")
    if context.if_match is not None and not operation.conditional:
        raise failed("invalid", f"{operation.name} takes no precondition", hint="leave out If-Match and If-None-Match")


def require_permission(operation: Declaration[Any, Any], runtime: Runtime, context: Context) -> None:
    """Raises Failed unless the caller may, now."""
    if operation.open:
        return
    refusal = authorize(runtime.committed(), context.principal, operation.permission, runtime.now_ms())
    if refusal:
        raise failed("forbidden", refusal)


async def _reach(runtime: Runtime, revision: int) -> None:
    if not await runtime.wait_for(revision, REVISION_WAIT_S):
        at = runtime.committed().revision
        raise failed(
            "behind",
            f"revision {revision} was asked for; after {REVISION_WAIT_S:g} s this Nexus is at {at}",
            hint="revisions compare only within one log; after a restore they begin anew",
        )
