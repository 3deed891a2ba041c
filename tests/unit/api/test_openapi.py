"""The OpenAPI document says what there is, and is valid by the specification's own schema."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31

from omnitide.api.documents import with_documents
from omnitide.api.openapi import openapi_document
from omnitide.model.normalise import Invalid, read
from omnitide.model.problem import KINDS
from omnitide.model.quantity import PARSERS, QuantityError
from omnitide.model.schema import _WRITTEN, agent_manifest_schema
from omnitide.model.spec import AgentManifest, AgentSpec
from omnitide.operations.operation import AnyDeclaration, Operation
from omnitide.operations.registry import REGISTRY

WHOLE = with_documents(REGISTRY)
DOCUMENT = openapi_document(WHOLE, "0.0.0")


def described(declaration: AnyDeclaration) -> dict[str, Any]:
    return DOCUMENT["paths"][declaration.path][declaration.method.lower()]


def test_it_is_valid() -> None:
    errors = list(Draft202012Validator(OPENAPI_31).iter_errors(DOCUMENT))
    assert errors == []


def test_every_schema_in_it_is_a_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(references(value) for value in part.values()))
    return set().union(*(references(item) for item in part)) if isinstance(part, list) else set()


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


@pytest.mark.parametrize("declaration", list(WHOLE), ids=lambda one: one.name)
def test_each_operation_is_in_it_with_its_permission_fields_and_failures(declaration: AnyDeclaration) -> None:
    operation = described(declaration)
    assert operation["operationId"] == declaration.name
    assert operation["x-omnitide-permission"]["verb"] == declaration.permission.verb
    assert (operation.get("security") == []) is (declaration.open and not declaration.more_with_token)
    assert ({} in operation.get("security", [])) is declaration.more_with_token
    named = {parameter["name"] for parameter in operation["parameters"]}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    fields = set(declaration.input.__struct_fields__)
    assert fields <= named | set(body.get("properties", {}))
    assert {str(KINDS[code].status) for code in declaration.failures} <= set(operation["responses"])
    if isinstance(declaration, Operation):
        assert ("dry_run" in named) is declaration.dry_run
        assert ("If-Match" in named) is declaration.conditional


def test_it_describes_nothing_else() -> None:
    found = {operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()}
    assert found == {declaration.name for declaration in WHOLE}


def test_defaults_are_in_the_units_in_which_they_are_written() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Resources"]["properties"]["cpu"]["default"] == 0.1
    assert schemas["Resources"]["properties"]["memory"]["default"] == 32 << 20
    for name in ("Resources", "Limits", "Restart", "Stop", "Logs"):
        written = {field: schema["default"] for field, schema in schemas[name]["properties"].items()}
        part = {"Resources": "resources", "Limits": "limits", "Restart": "restart", "Stop": "stop", "Logs": "logs"}[
            name
        ]
        assert read({"command": ["x"], part: written}, AgentSpec) == AgentSpec(command=("x",))


MANIFESTS = [
    ({"name": "hello", "command": ["serve"]}, True),
    ({"name": "hello", "command": ["serve"], "resources": {"cpu": "500m", "memory": "64MiB"}}, True),
    ({"name": "hello", "command": ["serve"], "restart": {"backoff": "3s"}, "replicas": 3}, True),
    ({"command": ["serve"]}, False),
    ({"name": "Hello", "command": ["serve"]}, False),
    ({"name": "hello\n", "command": ["serve"]}, False),
    ({"name": "hello", "command": ["serve"], "surplus": 1}, False),
    ({"name": "hello", "command": ["serve"], "resources": {"memory": "much"}}, False),
    ({"name": "hello", "command": ["serve"], "restart": {"policy": "sometimes"}}, False),
]


@pytest.mark.parametrize(("manifest", "right"), MANIFESTS)
def test_the_published_schema_of_an_agent_and_the_reader_agree(manifest: dict[str, Any], right: bool) -> None:
    schema = agent_manifest_schema()
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(manifest) is right
    if right:
        assert read(manifest, AgentManifest).name == "hello"
    else:
        with pytest.raises(Invalid):
            read(manifest, AgentManifest)


TEXTS = st.one_of(
    st.from_regex(r"\A[0-9]{1,4}(\.[0-9]{1,3})?\s?[kKmMgGtTiIbBsShHdDx]{0,3}\Z"),
    st.sampled_from(["", "m", "-1", "1e3", "1.", ".5"]),
)


@given(st.sampled_from(["cpu", "bytes", "duration"]), TEXTS)
def test_the_patterns_of_quantities_are_what_the_parsers_read(kind: str, text: str) -> None:
    """Apart from what is finer than the smallest unit, which a pattern cannot tell."""
    try:
        PARSERS[kind](text)
        read_it = True
    except QuantityError as error:
        read_it = "finer" in str(error)
    assert (re.search(_WRITTEN[kind], text) is not None) is read_it
