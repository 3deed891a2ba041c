"""Whatever a file holds, the importer makes agents that are without fault, or refuses with a place. It never crashes,
and it knows what it has made of every key."""

import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitide.compose import importing
from omnitide.compose.importing import import_compose
from omnitide.compose.report import Imported, Report
from omnitide.compose.schema import specification
from omnitide.compose.tree import Map, paths_of
from omnitide.model.checks import spec_faults
from omnitide.model.manifest import ManifestError, ManifestFault
from omnitide.model.spec import spec_of

HERE = Path(__file__).parent
FILES = sorted([*HERE.glob("oracle/**/*.yaml"), *HERE.glob("every_key/*.yaml")])
QUIET = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "nginx",
            "80:80",
            "./a:/b",
            "a:/b",
            "8080",
            "${A}",
            "${A:-b}",
            "$$",
            "${",
            "10s",
            "1m",
            "64m",
            "CMD",
            "no",
            "true",
            "default",
            "host",
            "service:a",
            "a",
            "b",
            "../x",
            "/",
            "~",
            "::",
            "1-2:3-4",
            "x=y",
            "A=1",
            "=",
            "0.5",
            "64mb",
            "/x:/y:ro",
            "127.0.0.1::80",
            "on-failure:3",
            "linux/amd64",
            "node.role==x",
            "C:\\x:/y",
        ]
    ),
    st.text(max_size=12),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 70_000), st.floats(allow_nan=True), TEXTS)
SERVICE_KEYS = sorted(
    {*specification()["$defs"]["service"]["properties"]}
    | {*specification()["$defs"]["container_spec"]["properties"]}
    | {*specification()["$defs"]["workload_spec"]["properties"]}
)


def from_schema(schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that a schema takes, more or less."""
    if "$ref" in schema:
        return from_schema(specification()["$defs"][schema["$ref"].rsplit("/", 1)[-1]], depth)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "oneOf" in schema:
        return st.one_of([from_schema(one, depth) for one in schema["oneOf"]])
    types = schema.get("type", "object")
    made: list[st.SearchStrategy[Any]] = []
    for name in [types] if isinstance(types, str) else types:
        if name == "object" and depth < 5:
            known = {key: from_schema(one, depth + 1) for key, one in schema.get("properties", {}).items()}
            chosen = st.fixed_dictionaries({}, optional=known)
            patterns = [one for pattern, one in schema.get("patternProperties", {}).items() if pattern != "^x-"]
            if patterns:
                free = st.dictionaries(
                    st.sampled_from(["a", "b", "c-d"]), from_schema(patterns[0], depth + 1), max_size=2
                )
                chosen = st.builds(lambda one, other: {**one, **other}, chosen, free)
            made.append(chosen)
        elif name == "array" and depth < 5:
            made.append(st.lists(from_schema(schema.get("items", {}), depth + 1), max_size=3))
        elif name in ("integer", "number"):
            made.append(st.integers(-2, 70_000))
        elif name == "boolean":
            made.append(st.booleans())
        elif name == "null":
            made.append(st.none())
        else:
            made.append(TEXTS)
    return st.one_of(made) if made else st.none()


SERVICE_PARTS = {
    key: from_schema(schema)
    for part in ("service", "container_spec", "workload_spec")
    for key, schema in specification()["$defs"][part]["properties"].items()
}
SERVICES = st.builds(
    lambda parts, image: {**parts, "image": image},
    st.lists(st.sampled_from(SERVICE_KEYS), min_size=1, max_size=4, unique=True).flatmap(
        lambda keys: st.fixed_dictionaries({key: SERVICE_PARTS[key] for key in keys})
    ),
    st.sampled_from(["nginx", "a/b:1"]),
)
TOP = {key: from_schema(specification()["properties"][key]) for key in ("volumes", "networks", "secrets", "configs")}
ANYTHING = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from([*SERVICE_KEYS, "a", "b"]), below, max_size=3)
    ),
    max_leaves=10,
)


def settle(data: bytes, folder: Path) -> Imported | None:
    """Import it; None: it was refused, as it should be if at all."""
    file = folder / "compose.yaml"
    file.write_bytes(data)
    faults: tuple[ManifestFault, ...] = ()
    try:
        imported = import_compose([str(file)], {"A": "1", "HOME": "/home/x"})
    except ManifestError as error:
        faults = error.faults
        imported = None
    if imported is None:
        assert faults
        assert all(fault.message and fault.file for fault in faults)
        return None
    for agent in imported.agents:
        assert spec_faults(spec_of(agent)) == []
    return imported


@QUIET
@given(
    services=st.dictionaries(st.sampled_from(["a", "b", "a_b", "A.c"]), SERVICES, min_size=1, max_size=3),
    top=st.fixed_dictionaries({}, optional=TOP),
)
def test_documents_of_the_schema(services: dict[str, Any], top: dict[str, Any], tmp_path: Path) -> None:
    settle(msgspec.json.encode({"services": services, **top}), tmp_path)


@QUIET
@given(document=ANYTHING, service=ANYTHING)
def test_documents_of_anything(document: Any, service: Any, tmp_path: Path) -> None:
    for value in (document, {"services": document}, {"services": {"a": service}}):
        with contextlib.suppress(msgspec.EncodeError, ValueError):
            settle(msgspec.json.encode(value), tmp_path)


@QUIET
@given(data=st.binary(max_size=200), text=st.text(max_size=200))
def test_any_bytes(data: bytes, text: str, tmp_path: Path) -> None:
    settle(data, tmp_path)
    with contextlib.suppress(UnicodeEncodeError):
        settle(text.encode(), tmp_path)


@QUIET
@given(file=st.sampled_from(FILES), cut=st.floats(0, 1), flip=st.integers(0, 255))
def test_torn_and_bent_files(file: Path, cut: float, flip: int, tmp_path: Path) -> None:
    data = file.read_bytes()
    at = int(len(data) * cut)
    settle(data[:at], tmp_path)
    settle(data[:at] + bytes([flip]) + data[at + 1 :], tmp_path)
    lines = data.splitlines(keepends=True)
    drop = int((len(lines) - 1) * cut)
    settle(b"".join(lines[:drop] + lines[drop + 1 :]), tmp_path)


@pytest.mark.parametrize("file", FILES, ids=lambda file: "-".join(file.parts[-2:]))
def test_every_key_of_a_document_is_known_to_the_report(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents: list[tuple[Map, Report]] = []
    rest = importing._rest  # pyright: ignore[reportPrivateUsage] - the seam that this test is about

    def after(context: Any, services: set[str]) -> None:
        rest(context, services)
        documents.append((context.project.document, context.report))

    monkeypatch.setattr(importing, "_rest", after)
    with contextlib.suppress(ManifestError):
        import_compose([str(file)], {"HOME": "/home/x"})
    for document, report in documents:
        assert [path for path, _ in paths_of(document) if not report.knows(path)] == []
        assert not any("is not understood here" in remark.message for remark in report.remarks)


def test_aliases_cannot_make_a_small_file_large(tmp_path: Path) -> None:
    lines = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ManifestError, match="holds more than"):
        file = tmp_path / "compose.yaml"
        file.write_text("\n".join(lines))
        import_compose([str(file)], {})


def test_nesting_has_a_bound(tmp_path: Path) -> None:
    for text in ("[" * 1000, "services: " + "{a: " * 1000, "x: ${A:-" * 1 + "${A:-" * 300 + "}" * 301):
        file = tmp_path / "compose.yaml"
        file.write_text(text)
        with pytest.raises(ManifestError):
            import_compose([str(file)], {})
