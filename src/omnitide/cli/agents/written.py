"""Manifests as the command line gives them: from files, with what flags change about them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session

if TYPE_CHECKING:
    from omnitide.model.manifest import Found
    from omnitide.model.spec import AgentManifest


def manifests(session: Session, paths: Sequence[str]) -> "list[Found]":
    """Raises ManifestError."""
    from omnitide.sdk.manifests import load_manifests

    return load_manifests(paths, session.namespace)


def namespace_of(session: Session, manifest: "AgentManifest") -> str:
    """Its own, else the one of the command line. Raises Failure if both are there and differ."""
    given = session.options.namespace
    if manifest.namespace and given and manifest.namespace != given:
        raise Failure(
            f"{manifest.name} is written for the namespace {manifest.namespace}, and --namespace says {given}",
            "leave one of them out",
            Exit.USAGE,
        )
    return manifest.namespace or session.namespace


def with_changes(manifest: "AgentManifest", changes: Sequence[str]) -> "AgentManifest":
    """The manifest with `resources.cpu=0.5`, `environment.LEVEL=debug` and the like. Raises Failure."""
    if not changes:
        return manifest
    from omnitide.model.faults import field_of
    from omnitide.model.normalise import Invalid, present, read
    from omnitide.model.spec import AgentManifest

    data = cast("dict[str, Any]", present(manifest))
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals or not all(path.split(".")):
            raise Failure(f"--set {change!r} is not field=value", "--set resources.cpu=0.5", Exit.USAGE)
        _put(data, path.split("."), _value(path, text), change)
    try:
        return read(data, AgentManifest)
    except Invalid as error:
        fault = error.faults[0]
        raise Failure(f"--set: {field_of(fault.path)}: {fault.message}", fault.hint, Exit.USAGE) from None


def _put(data: dict[str, Any], path: list[str], value: object, change: str) -> None:
    inside = data
    for step in path[:-1]:
        below: object = inside.setdefault(step, {})
        if not isinstance(below, dict):
            raise Failure(f"--set {change!r}: {step} has no fields", code=Exit.USAGE)
        inside = cast("dict[str, Any]", below)
    inside[path[-1]] = value


def _value(path: str, text: str) -> object:
    """JSON where it is JSON (numbers, lists, true), else text. Environment variables are always text."""
    import msgspec

    if path.startswith(("environment.", "labels.")):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return text
