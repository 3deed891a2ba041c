"""The OpenAPI 3.1 document, made from the registry."""

from typing import Final

from omnitide.model.problem import KINDS, PROBLEM_MEDIA_TYPE, Problem
from omnitide.model.schema import DIALECT, Schema, components
from omnitide.operations.operation import AnyBulk, AnyDeclaration, AnyOperation, Bulk, Operation, Stream
from omnitide.operations.registry import Registry

_REF: Final = "#/components/schemas/{name}"

_BYTES: Final[Schema] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_SECURITY: Final[list[Schema]] = [{"token": []}]
_COMMON_FAILURES: Final = ("malformed", "invalid", "internal", "busy")
_AUTHENTICATED_FAILURES: Final = ("unauthenticated", "throttled", "forbidden")
_WRITE_FAILURES: Final = ("not-serving", "idempotency-mismatch")
_BODY_FAILURES: Final = ("too-large", "unsupported-media-type", "timeout")

_DESCRIPTION: Final = """\
The REST API of an Omnitide fabric.

Errors are problem details (RFC 9457) with a stable `code`. Every answer names the revision that it shows in
`Omnitide-Revision`; a read with `min_revision` waits until it can show that revision. Writes take an `Idempotency-Key`;
an object's ETag is its own last revision, for `If-Match`. Quantities are numbers (cores, bytes, milliseconds) or text
such as 500m, 64MiB, 3s.
"""

_SHARED_HEADERS: Final[Schema] = {
    "Omnitide-Revision": {"description": "The revision that this shows.", "schema": {"type": "integer"}},
    "Omnitide-Correlation": {
        "description": "The id that runs through everything this request causes.",
        "schema": {"type": "string"},
    },
}

_HEADERS: Final[Schema] = {name: {"$ref": f"#/components/headers/{name}"} for name in _SHARED_HEADERS}


def openapi_document(registry: Registry, version: str) -> Schema:
    declarations = list(registry)
    types = [type_ for one in declarations for type_ in (one.input, one.output)]
    schemas, parts = components([*types, Problem], _REF)
    inputs = {one.input.__name__ for one in declarations}
    bodies = {name: parts.pop(name) for name in inputs if name in parts}
    paths: dict[str, Schema] = {}
    shared: dict[str, Schema] = {}
    for index, declaration in enumerate(declarations):
        body = bodies[declaration.input.__name__]
        paths.setdefault(declaration.path, {})[declaration.method.lower()] = _operation(
            declaration, body, schemas[2 * index + 1], shared
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Omnitide",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": DIALECT,
        "servers": [{"url": "/"}],
        "security": _SECURITY,
        "tags": [{"name": noun} for noun in dict.fromkeys(one.name.split(".")[0] for one in declarations)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(parts.items())),
            "headers": _SHARED_HEADERS,
            "responses": dict(sorted(shared.items())),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token: omnitide token create --api",
                }
            },
        },
    }


def _operation(declaration: AnyDeclaration, body: Schema, output: Schema, shared: dict[str, Schema]) -> Schema:
    """`shared` collects the responses that several operations have."""
    described: Schema = {
        "operationId": declaration.name,
        "summary": declaration.summary,
        "tags": [declaration.name.split(".")[0]],
        "parameters": _parameters(declaration, body),
        "responses": _responses(declaration, output, shared),
        "x-omnitide-permission": {
            "verb": declaration.permission.verb,
            "resource": declaration.permission.resource,
            "namespaced": declaration.permission.namespaced,
        },
    }
    if declaration.description:
        described["description"] = declaration.description
    if declaration.open:
        described["security"] = [{}, *_SECURITY] if declaration.more_with_token else []
    if isinstance(declaration, Operation):
        described["x-omnitide-idempotent"] = declaration.idempotent
        described["x-omnitide-destructive"] = declaration.destructive
    if isinstance(declaration, Bulk) and declaration.incoming:
        described["requestBody"] = {"required": True, "content": _BYTES}
    if declaration.has_body:
        described["requestBody"] = _request_body(declaration, body)
    return described


def _properties(body: Schema, names: set[str], *, inside: bool) -> dict[str, Schema]:
    properties: dict[str, Schema] = body.get("properties", {})
    return {name: schema for name, schema in properties.items() if (name in names) == inside}


def _request_body(declaration: AnyDeclaration, body: Schema) -> Schema:
    fields = _properties(body, set(declaration.parameters), inside=False)
    required = [name for name in body.get("required", []) if name in fields]
    schema: Schema = {"type": "object", "properties": fields}
    if required:
        schema["required"] = required
    if body.get("additionalProperties") is False:
        schema["additionalProperties"] = False
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _parameters(declaration: AnyDeclaration, body: Schema) -> list[Schema]:
    in_path = set(declaration.parameters)
    found = [
        _parameter(name, "path", schema, required=True)
        for name, schema in _properties(body, in_path, inside=True).items()
    ]
    if not declaration.has_body:
        required = set(body.get("required", []))
        found += [
            _parameter(name, "query", schema, required=name in required)
            for name, schema in _properties(body, in_path, inside=False).items()
        ]
    if isinstance(declaration, Operation):
        found += _common_parameters(declaration)
    return found


def _parameter(name: str, place: str, schema: Schema, *, required: bool) -> Schema:
    parameter: Schema = {"name": name, "in": place, "required": required, "schema": schema}
    if "description" in schema:
        parameter["description"] = schema["description"]
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": True}
    return parameter


def _common_parameters(operation: AnyOperation) -> list[Schema]:
    if operation.open and not operation.writes:
        return []
    if not operation.writes:
        text = "Answer only when this revision can be shown; 503 after a few seconds."
        return [_described("min_revision", "query", {"type": "integer", "minimum": 0}, text)]
    found: list[Schema] = []
    if operation.dry_run:
        text = "Say what would be done, and do nothing."
        found.append(_described("dry_run", "query", {"type": "boolean", "default": False}, text))
    if not operation.open:
        key: Schema = {"type": "string", "maxLength": 200, "pattern": "^[ -~]*$"}
        text = "A repetition with the same key gets the first answer, for half a day at least."
        found.append(_described("Idempotency-Key", "header", key, text))
    if operation.conditional:
        etag: Schema = {"type": "string", "pattern": '^"[1-9][0-9]{0,17}"$'}
        found.append(_described("If-Match", "header", etag, "Only if this is the object's ETag: its last revision."))
    if operation.conditional and operation.method == "PUT":
        text = "Only if there is no such object."
        found.append(_described("If-None-Match", "header", {"type": "string", "const": "*"}, text))
    return found


def _described(name: str, place: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": place, "required": False, "schema": schema, "description": text}


def _responses(declaration: AnyDeclaration, output: Schema, shared: dict[str, Schema]) -> Schema:
    responses: Schema = {}
    if isinstance(declaration, Stream):
        responses |= _stream_responses(declaration, output)
    elif isinstance(declaration, Bulk):
        responses |= _bulk_responses(declaration, output)
    else:
        success: Schema = {
            "description": "Done." if declaration.writes else "What was asked for.",
            "headers": _HEADERS,
            "content": {"application/json": {"schema": output}},
        }
        responses["200"] = success
        if declaration.writes and not declaration.open and declaration.method in ("PUT", "POST"):
            responses["201"] = {**success, "description": "Made."}
        if declaration.name == "health.ready":
            responses["503"] = {**success, "description": "Something that it depends on does not work."}
    for status, codes in sorted(_failures(declaration).items()):
        content: Schema = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}}
        known = responses.get(status)
        if known is not None:
            known["content"] = {**known["content"], **content}
        else:
            name = ".".join(codes)
            shared[name] = {"description": "Codes: " + ", ".join(codes), "headers": _HEADERS, "content": content}
            responses[status] = {"$ref": f"#/components/responses/{name}"}
    return responses


def _stream_responses(declaration: AnyDeclaration, output: Schema) -> Schema:
    if declaration.name == "events.watch":
        return {"101": {"description": "The stream begins. Each message is an array of CloudEvents in JSON."}}
    content: Schema = {"application/x-ndjson": {"schema": output}, "text/plain": {"schema": {"type": "string"}}}
    return {"200": {"description": "One item a line.", "headers": _HEADERS, "content": content}}


def _bulk_responses(declaration: AnyBulk, output: Schema) -> Schema:
    if declaration.incoming:
        content: Schema = {"application/json": {"schema": output}}
        return {"201": {"description": "Stored.", "headers": _HEADERS, "content": content}}
    return {
        "200": {"description": "The whole.", "content": _BYTES},
        "206": {"description": "From the byte on that `Range` names.", "content": _BYTES},
    }


def _failures(declaration: AnyDeclaration) -> dict[str, list[str]]:
    """Codes by status."""
    codes: list[str] = [*_COMMON_FAILURES, *declaration.failures]
    if not declaration.open or declaration.more_with_token:
        codes += _AUTHENTICATED_FAILURES
    if declaration.has_body:
        codes += _BODY_FAILURES
    if isinstance(declaration, Bulk):
        codes.append("timeout")
    elif not declaration.has_body:
        codes.append("uri-too-long")
    if isinstance(declaration, Operation) and declaration.writes:
        codes += _WRITE_FAILURES
    elif isinstance(declaration, Operation):
        codes.append("behind")
    if declaration.name in ("instances.logs", "logs.search"):
        codes.append("not-acceptable")
    by_status: dict[str, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(str(KINDS[code].status), []).append(code)
    return by_status
