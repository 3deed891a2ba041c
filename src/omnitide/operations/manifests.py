"""Agents as texts: what a text says, with its faults at their lines, and the text that an agent would be."""

import asyncio
from typing import Annotated, Any, Final, Literal, cast

from msgspec import Meta

from omnitide.fabric.authorize import Permission
from omnitide.model.foreseen import ManifestFaultFound, ManifestRead, ManifestsRead, ManifestWritten
from omnitide.model.manifest import MAX_MANIFEST_BYTES, Found, ManifestError, ManifestFault, Source, read_manifests
from omnitide.model.manifest_text import manifest_text
from omnitide.model.normalise import present
from omnitide.model.spec import AgentManifest, AgentSpec, spec_of
from omnitide.operations.agents import AgentRequest, require_agent
from omnitide.operations.failures import failed
from omnitide.operations.inputs import NamespaceName, Request
from omnitide.operations.operation import Answer, Context, Operation
from omnitide.operations.runtime import Runtime

AT_ONCE: Final = 4
"""Texts that are read at a time, each in a thread of its own; a further one is told to come again."""


class ReadManifestRequest(Request, frozen=True, kw_only=True):
    text: str
    format: Literal["toml", "yaml", "json"]
    namespace: Annotated[NamespaceName, Meta(description="Of agents of which the text does not say it.")] = "default"
    again_as: Annotated[
        Literal["", "toml", "yaml"],
        Meta(description="Give the same agents as a text of this format; comments are lost."),
    ] = ""


class WriteManifestRequest(AgentRequest, frozen=True, kw_only=True):
    format: Literal["toml", "yaml"] = "yaml"


class _Reading:
    now = 0


async def _read(runtime: Runtime, _: Context, asked: ReadManifestRequest) -> Answer[ManifestsRead]:
    revision = runtime.committed().revision
    data = asked.text.encode(errors="replace")
    if len(data) > MAX_MANIFEST_BYTES:
        raise failed("too-large", f"the text has {len(data)} bytes, {MAX_MANIFEST_BYTES} are the most it may have")
    if _Reading.now >= AT_ONCE:
        raise failed("busy", f"{AT_ONCE} texts are being read", hint="again in a moment")
    _Reading.now += 1
    try:
        # A large text takes a second: nobody else waits for it.
        found = await asyncio.to_thread(read_manifests, [Source("it", data, asked.format)], asked.namespace)
    except ManifestError as error:
        return Answer(ManifestsRead(faults=tuple(map(_fault, error.faults)), revision=revision), revision)
    finally:
        _Reading.now -= 1
    text = ""
    if asked.again_as:
        if asked.again_as == "toml" and len(found) > 1:
            raise failed(
                "invalid", f"a TOML file holds one agent, and the text has {len(found)}", hint="stay with YAML"
            )
        text = manifest_text([one.manifest for one in found], asked.again_as)
    return Answer(ManifestsRead(agents=tuple(map(_agent, found)), text=text, revision=revision), revision)


def _fault(fault: ManifestFault) -> ManifestFaultFound:
    return ManifestFaultFound(line=fault.line, field=fault.field, message=fault.message, hint=fault.hint)


def _agent(found: Found) -> ManifestRead:
    manifest = found.manifest
    return ManifestRead(
        name=manifest.name,
        namespace=manifest.namespace or "",
        replicas=manifest.replicas,
        line=found.line,
        spec=cast("dict[str, Any]", present(spec_of(manifest))),
    )


async def _write(runtime: Runtime, _: Context, asked: WriteManifestRequest) -> Answer[ManifestWritten]:
    state = runtime.committed()
    agent = require_agent(state, asked.namespace, asked.name)
    fields = {name: getattr(agent.spec, name) for name in AgentSpec.__struct_fields__}
    # Where `scale` has set them last, a file that says another number would take nothing over.
    replicas = agent.replicas if agent.replicas_owner == "manifest" else None
    manifest = AgentManifest(**fields, name=agent.name, namespace=agent.namespace, replicas=replicas)
    value = ManifestWritten(
        text=manifest_text([manifest], asked.format), agent_revision=agent.revision, revision=state.revision
    )
    return Answer(value, state.revision, etag=agent.revision)


OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="manifests.read",
        summary="Say what a text makes: the agents that it describes, or all that is wrong with it, with lines.",
        description="Nothing is changed, and nothing is kept.",
        method="POST",
        path="/v1/manifests",
        input=ReadManifestRequest,
        output=ManifestsRead,
        permission=Permission("read", "fabric"),
        failures=("too-large", "busy"),
        handler=_read,
    ),
    Operation(
        name="manifests.write",
        summary="Show an agent as the file that would make it, without what is so by default but its resources.",
        method="GET",
        path="/v1/namespaces/{namespace}/agents/{name}/manifest",
        input=WriteManifestRequest,
        output=ManifestWritten,
        permission=Permission("read", "agent", namespaced=True),
        failures=("not-found",),
        handler=_write,
    ),
)
