"""What an instance is given: its environment, labels, secrets and configs."""

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Final

from omnitide.compose.context import Context, Made
from omnitide.compose.dotenv import MAX_BYTES, read_raw, read_variables
from omnitide.compose.files import reader
from omnitide.compose.loading import read_file
from omnitide.compose.quantities import text, truth
from omnitide.compose.report import Creation, Held
from omnitide.compose.running import escaped
from omnitide.compose.tree import Map, Path, Place
from omnitide.compose.view import View
from omnitide.model.manifest import ManifestError
from omnitide.model.names import ENVIRONMENT_KEY_PATTERN, LABEL_KEY_PATTERN, LABEL_VALUE_PATTERN
from omnitide.model.spec import MAX_ENVIRONMENT

_VARIABLE: Final = re.compile(ENVIRONMENT_KEY_PATTERN)
_LABEL: Final = re.compile(LABEL_KEY_PATTERN)
_LABEL_VALUE: Final = re.compile(LABEL_VALUE_PATTERN)
_MAX_TEXT: Final = 32_768
_MAX_LABELS: Final = 64
MAX_USES: Final = 64
_MAX_VALUE: Final = 1 << 20
"""Bytes of a secret or config that is read here."""


def environment(view: View, context: Context, made: Made) -> None:
    """`environment` over what the `env_file`s say, the later over the earlier."""
    found: dict[str, tuple[str, Place, Path]] = {}
    own = view.data.map("environment")
    said = {key: text(value) for key, value in own.items() if value is not None}
    for entry in view.each("env_file"):
        earlier = {key: value for key, (value, _, _) in found.items()}
        for key, value in _file(entry, {**said, **context.project.environment}, earlier).items():
            found[key] = (value, entry.place("path"), (*entry.path, "path"))
    view.report.seen((*view.path, "environment"))
    for key, value in own.items():
        path = (*view.path, "environment", key)
        view.report.used(path)
        if value is None:
            given = context.project.environment.get(key)
            if given is None:
                message = f"{key} is not set where the import runs, so that it is not set in the container either"
                view.report.remark("note", path, own.at(key), message)
                found.pop(key, None)
                continue
            found[key] = (given, own.at(key), path)
        else:
            found[key] = (text(value), own.at(key), path)
    kept: dict[str, str] = {}
    for key, (value, place, path) in found.items():
        wrong = _wrong(key, value)
        if not wrong and len(kept) >= MAX_ENVIRONMENT:
            wrong = f"{key}: an instance takes {MAX_ENVIRONMENT} variables"
        if wrong:
            view.report.remark("loss", path, place, wrong)
        else:
            kept[key] = escaped(value)
    if kept:
        made["environment"] = kept


def _wrong(key: str, value: str) -> str:
    if _VARIABLE.fullmatch(key) is None:
        return f"{key!r} cannot be the name of a variable here: letters, digits, _ and inner . -, no digit first"
    if len(escaped(value)) > _MAX_TEXT or "\0" in value:
        return f"{key}: its value is longer than {_MAX_TEXT} characters, or holds a NUL"
    return ""


def _file(entry: View, environment: Mapping[str, str], earlier: Mapping[str, str]) -> dict[str, str]:
    path, form = FilePath(entry.text("path")), entry.text("format")
    required = truth(entry.use("required")) if entry.data.get("required") in (True, False, "true", "false") else True
    entry.use("required")
    shown = str(path)
    if not reader().exists(path):
        if required:
            entry.lose("path", f"{shown} is not there: what it sets is missing in the agent")
            entry.report.needs(
                Creation(
                    kind="file", name=shown, command="", reason="read at the import: import again once it is there"
                )
            )
        else:
            entry.note("path", f"{shown} is not there, and need not be")
        return {}
    data = read_file(path, entry.place("path"), f"{'.'.join(map(str, entry.path))}", MAX_BYTES)
    entry.note("path", f"read from {shown} now; what changes in it later needs another import")
    if form == "raw":
        return read_raw(data, shown)
    if form:
        entry.lose("format", f"{form!r} is no format that is known: it is read as Compose's own")
    return read_variables(data, shown, environment, earlier)


def labels(view: View, context: Context, made: Made) -> None:
    """Those of the containers, and those of the service beside them; and whose project it is."""
    kept: dict[str, str] = {}
    for name, place, path in view.entries("label_file"):
        try:
            found = read_variables(read_file(FilePath(name), place, "label_file"), name, {})
        except ManifestError as error:
            view.report.remark("loss", path, place, error.faults[0].message)
            continue
        for key, value in found.items():
            _label(view, kept, key, value, place, path)
    for holder in (view, view.open("deploy")):
        own = holder.data.map("labels")
        holder.report.seen((*holder.path, "labels"))
        for key, value in own.items():
            path = (*holder.path, "labels", key)
            holder.report.used(path)
            if holder is not view and kept.get(key, text(value)) != text(value):
                said = f"{key!r} is the container's label, {kept[key][:40]!r}, which stays: an agent has one of a name"
                view.report.remark("loss", path, own.at(key), said)
                continue
            _label(view, kept, key, text(value), own.at(key), path)
    kept["compose.project"] = context.project.name
    made["labels"] = kept


def _label(view: View, kept: dict[str, str], key: str, value: str, place: Place, path: Path) -> None:
    if _LABEL.fullmatch(key) is None or _LABEL_VALUE.fullmatch(value) is None:
        said = (
            f"{key!r} with {value[:40]!r} is no label here, and what reads the labels of containers does not see agents"
        )
        view.report.remark("loss", path, place, said)
    elif key == "compose.project" or (len(kept) >= _MAX_LABELS - 1 and key not in kept):
        view.report.remark("loss", path, place, f"{key!r}: an agent takes {_MAX_LABELS} labels, one of them from here")
    else:
        kept[key] = value


def uses(view: View, context: Context, made: Made, kind: str) -> None:
    """The secrets or configs of a service, as files in its container."""
    made_of: dict[str, object] = {}
    for use in view.each(kind):
        source, target = use.text("source"), use.text("target")
        name = context.resource(kind, source)
        if name in made_of:
            use.report.used(use.path)
            use.report.remark("loss", use.path, use.place(), f"{source!r} is given to this service already: once each")
            continue
        if len(made_of) >= MAX_USES:
            use.report.used(use.path)
            use.report.remark("loss", use.path, use.place(), f"an agent has {MAX_USES} {kind} at most here")
            continue
        folder = "/run/secrets/" if kind == "secrets" else "/"
        file = target if target.startswith("/") else folder + (target or source)
        own: dict[str, object] = {"file": file, "mode": _mode(use)}
        made_of[name] = own
        use.rest()
        _source(context, kind, source, name)
    if made_of:
        made[kind] = made_of


def _mode(use: View) -> str:
    """Octal, as YAML reads `0440`; a text is octal as it stands. Readable for all if nothing is said, as in Compose."""
    value = use.use("mode")
    if value is None:
        return "0444"
    octal = f"{value:o}" if isinstance(value, int) and 0 <= value <= 0o7777 else text(value).removeprefix("0o")
    if re.fullmatch(r"0?[0-7]{1,3}", octal) is None:
        use.lose("mode", f"{text(value)!r} is no mode that a file may have here: it gets 0444")
        return "0444"
    return octal.removeprefix("0").rjust(3, "0").rjust(4, "0")


def _source(context: Context, kind: str, key: str, name: str) -> None:
    """Where a secret's or config's value comes from, and what is to be done about it."""
    one = "secret" if kind == "secrets" else "config"
    view = View(context.report, context.project.document.map(kind).map(key), (kind, key))
    context.report.seen((kind,))
    for word in ("name", "file", "environment", "content", "external"):
        view.use(word)
    external = view.data.get("external")
    if isinstance(external, Map):
        View(context.report, external, (kind, key, "external")).rest()
    view.rest()
    report = context.report
    if context.is_external(kind, key):
        report.needs(Creation(kind=one, name=name, command=f"omnitide {one} set {name}", reason="external"))
        return
    file, variable, content = (text(view.data.get(word)) for word in ("file", "environment", "content"))
    if file:
        report.needs(
            Creation(
                kind=one, name=name, command=f"omnitide {one} set {name} --from-file {file}", reason=f"from {file}"
            )
        )
        try:
            data = read_file(FilePath(file), view.place("file"), f"{kind}.{key}.file", _MAX_VALUE)
        except ManifestError:
            view.note("file", f"{file} is not there: give the {one} its value some other way")
            return
        report.holds(Held(kind=one, name=name, value=data))
        return
    command = f"omnitide {one} set {name}"
    if variable:
        value = context.project.environment.get(variable)
        report.needs(
            Creation(kind=one, name=name, command=f"{command} --from-env {variable}", reason=f"from ${variable}")
        )
        if value is None:
            view.note(
                "environment", f"{variable} is not set where the import runs: give the {one} its value some other way"
            )
            return
        report.holds(Held(kind=one, name=name, value=value.encode()))
        return
    report.needs(Creation(kind=one, name=name, command=command, reason="its content is in the Compose file"))
    report.holds(Held(kind=one, name=name, value=content.encode()))
