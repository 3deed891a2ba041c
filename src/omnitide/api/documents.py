"""What the API says of itself: the OpenAPI document, and the JSON Schema of an agent."""

import functools
from typing import Any, Final

from omnitide import __version__
from omnitide.api.compose_imports import ImportComposeRequest, import_compose
from omnitide.api.openapi import openapi_document
from omnitide.fabric.authorize import Permission
from omnitide.model.foreseen import ComposeImported
from omnitide.model.schema import Schema, agent_manifest_schema
from omnitide.operations.inputs import Request
from omnitide.operations.operation import Answer, Context, Operation
from omnitide.operations.registry import Registry
from omnitide.operations.runtime import Runtime

_READ: Final = Permission("read", "fabric")


class GetOpenApiRequest(Request, frozen=True, kw_only=True):
    pass


class GetAgentSchemaRequest(Request, frozen=True, kw_only=True):
    pass


@functools.lru_cache(maxsize=4)
def with_documents(registry: Registry) -> Registry:
    """The registry with the operations that describe it, themselves included, and those that this surface alone has.

    The documents are made when they are first asked for: a Nexus starts without waiting for them.
    """
    whole: Registry

    @functools.cache
    def openapi() -> Schema:
        return openapi_document(whole, __version__)

    agent = functools.cache(agent_manifest_schema)

    async def get_openapi(runtime: Runtime, _: Context, __: GetOpenApiRequest) -> Answer[Schema]:
        return Answer(openapi(), runtime.committed().revision)

    async def get_agent_schema(runtime: Runtime, _: Context, __: GetAgentSchemaRequest) -> Answer[Schema]:
        return Answer(agent(), runtime.committed().revision)

    operations: list[Operation[Any, Any]] = [
        Operation(
            name="documents.openapi",
            summary="This document.",
            method="GET",
            path="/v1/openapi.json",
            input=GetOpenApiRequest,
            output=dict[str, Any],
            permission=_READ,
            handler=get_openapi,
        ),
        Operation(
            name="documents.agent",
            summary="The JSON Schema of an agent as written in a file.",
            method="GET",
            path="/v1/schemas/agent.json",
            input=GetAgentSchemaRequest,
            output=dict[str, Any],
            permission=_READ,
            handler=get_agent_schema,
        ),
        Operation(
            name="imports.compose",
            summary="Say what Compose files are as agents, and what of them is not carried over.",
            description=(
                "Nothing is changed. No file is read but those given. Values of secrets and configs that the files "
                "give come back as they are, for whoever gave them to put away."
            ),
            method="POST",
            path="/v1/imports/compose",
            input=ImportComposeRequest,
            output=ComposeImported,
            permission=_READ,
            failures=("too-large", "busy"),
            handler=import_compose,
        ),
    ]
    whole = registry.with_more(operations)
    return whole
