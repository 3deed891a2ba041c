"""Reaching into instances: programs, files, ports.

These are no operations of the registry: data goes both ways. They declare themselves as those do, and a surface asks
the same questions before it begins (`prepare`).
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from omnitide.fabric.authorize import Permission
from omnitide.fabric.state import Instance, InstanceStatus
from omnitide.model.names import called
from omnitide.operations.failures import Failed, failed, from_exception
from omnitide.operations.inputs import Request
from omnitide.operations.operation import Context, Declaration
from omnitide.operations.perform import require_permission
from omnitide.operations.runtime import NodeAway, ReachFailed, Runtime, RuntimeAway
from omnitide.operations.views.silence import runtime_away
from omnitide.telemetry import logs

_log = logs.get(__name__)

InstanceId = Annotated[str, Meta(min_length=1, max_length=80, description="Id of the instance.")]
FilePath = Annotated[
    str,
    Meta(min_length=1, max_length=4096, description="Absolute, or below the instance's directory."),
]


class ExecInstanceRequest(Request, frozen=True, kw_only=True):
    instance: InstanceId


class ForwardInstanceRequest(Request, frozen=True, kw_only=True):
    instance: InstanceId
    port: Annotated[str, Meta(min_length=1, max_length=63, description="Name of a port of the spec, or its number.")]


class ReadFilesRequest(Request, frozen=True, kw_only=True):
    instance: InstanceId
    path: FilePath


class WriteFilesRequest(Request, frozen=True, kw_only=True):
    instance: InstanceId
    path: FilePath


class Nothing(msgspec.Struct, frozen=True):
    """What these answer is no object."""


EXEC: Final = Declaration(
    name="instances.exec",
    summary="Run a further program in an instance, over a WebSocket.",
    method="GET",
    path="/v1/instances/{instance}/exec",
    input=ExecInstanceRequest,
    output=Nothing,
    permission=Permission("exec", "instance", namespaced=True),
)
FORWARD: Final = Declaration(
    name="instances.forward",
    summary="Connect to a port of an instance, over a WebSocket.",
    method="GET",
    path="/v1/instances/{instance}/forward",
    input=ForwardInstanceRequest,
    output=Nothing,
    permission=Permission("forward", "instance", namespaced=True),
)
ARCHIVE: Final = Declaration(
    name="instances.archive",
    summary="Read a file or directory of an instance as a tar stream.",
    method="GET",
    path="/v1/instances/{instance}/files",
    input=ReadFilesRequest,
    output=Nothing,
    permission=Permission("copy", "instance", namespaced=True),
)
EXTRACT: Final = Declaration(
    name="instances.extract",
    summary="Unpack a tar stream below a directory of an instance.",
    method="GET",  # a PUT whose body is no object: its path and query are read as of a GET
    path="/v1/instances/{instance}/files",
    input=WriteFilesRequest,
    output=Nothing,
    permission=Permission("copy", "instance", namespaced=True),
)

CODES: Final = {
    "not-running": "not-running",
    "no-such-file": "no-such-file",
    "read-only": "copy-refused",
    "archive": "copy-refused",
    "archive-failed": "copy-refused",
    "extract-failed": "copy-refused",
    "no-space": "storage-full",
    "no-disk": "storage-full",
    "path-escape": "invalid",
    "invalid": "invalid",
    "command-not-found": "command-not-found",
    "command-format": "not-executable",
    "command-size": "not-executable",
    "permission": "not-executable",
    "unsupported": "unsupported",
    "working-directory": "invalid",
    "user": "invalid",
    "port-unknown": "invalid",
    "busy": "busy",
}
"""Codes of problems, by causes of nodes and drivers; others are `reach-failed`."""


def problem_of(error: Exception) -> Failed | None:
    """What a surface answers for what broke; None for what is a fault of ours."""
    if isinstance(error, ReachFailed):
        return failed(CODES.get(error.cause, "reach-failed"), str(error))
    return from_exception(error)


def prepare(
    declaration: Declaration[Any, Nothing], runtime: Runtime, context: Context, instance: str, **fields: str
) -> Instance:
    """Whether the caller may, and there is something to reach: asked before anything is opened, and logged. Raises
    Failed."""
    require_permission(declaration, runtime, context)
    state = runtime.committed()
    known = state.instances.get(instance)
    if known is None:
        raise failed("not-found", f"there is no instance {instance!r}", subject=f"instance {instance}")
    if known.status not in (InstanceStatus.RUNNING, InstanceStatus.STOPPING):
        detail = f"{known.name} is {known.status.value}, and only what runs can be reached into"
        raise failed(
            "not-running",
            detail,
            hint=f"omnitide explain {called(known.namespace, known.name)}",
            subject=f"instance {known.name}",
        )
    if runtime.node_live(known.node) is None:
        node = state.nodes.get(known.node)
        away = from_exception(NodeAway(node.name if node else known.node, runtime.silent_since_ms(known.node)))
        assert away is not None
        raise away
    driver, since_ms = runtime_away(state, known)
    if since_ms:
        silent = from_exception(RuntimeAway(state.nodes[known.node].name, driver, since_ms))
        assert silent is not None
        raise silent
    _log.info(
        declaration.name,
        principal=context.principal,
        instance=instance,
        name=known.name,
        peer=context.peer,
        correlation=context.correlation,
        **fields,
    )
    return known
