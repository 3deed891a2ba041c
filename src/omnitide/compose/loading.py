"""From files to one project: each is interpolated, checked against the schema and brought into shape; what it includes
and extends is put in; later files change earlier ones."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final

from omnitide.compose.document import MAX_BYTES, read_documents
from omnitide.compose.dotenv import read_variables
from omnitide.compose.files import reader
from omnitide.compose.implied import imply
from omnitide.compose.merge import merge, unify
from omnitide.compose.quantities import NotThat, text, truth
from omnitide.compose.schema import schema_faults
from omnitide.compose.shapes import shape
from omnitide.compose.tree import Map, Path, Place, Seq, copied, dotted, refuse
from omnitide.compose.variables import VariableError, substitute
from omnitide.model.manifest import ManifestError, ManifestFault

MAX_FILES: Final = 500
"""Files of one project, those that are included and extended too."""
SECTIONS: Final = ("services", "jobs", "volumes", "networks", "secrets", "configs", "models")
DEFAULT_FILES: Final = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


@dataclass
class Project:
    """What the files say together."""

    name: str
    folder: FilePath
    """Of the first file: relative paths are below it."""
    document: Map
    environment: Mapping[str, str]
    """What interpolation sees: the caller's own, and what files of variables add to it."""
    profiles: tuple[str, ...]
    unset: dict[str, list[Place]] = field(default_factory=dict[str, list[Place]])
    """Variables that nothing sets, and where they are blank for it."""


def load_project(
    files: Sequence[str],
    environment: Mapping[str, str],
    *,
    name: str = "",
    profiles: Sequence[str] = (),
    env_files: Sequence[str] = (),
) -> Project:
    """Raises ManifestError with everything that is wrong, as far as it could be read."""
    paths = [FilePath(file) for file in files]
    folder = paths[0].absolute().parent
    known = dict(environment)
    given = list(env_files)
    dotenv = folder / ".env"
    if not given and reader().is_file(dotenv):
        given = [str(dotenv)]
    added: dict[str, str] = {}
    for path in given:
        added |= read_variables(read_file(FilePath(path), Place(path, 0), "--env-file"), path, {**added, **known})
    known = {**added, **known}
    named = name or known.get("COMPOSE_PROJECT_NAME", "")
    loader = _Loader()
    if not named:
        named = loader.name_in(paths, known) or folder.name
    chosen = project_name(named)
    if not chosen:
        raise refuse(
            Place(files[0], 0), "name", f"{named!r} holds nothing a project can be called", "give it by --name"
        )
    known["COMPOSE_PROJECT_NAME"] = chosen
    document = loader.model(paths, known, folder, ())
    for service, place in loader.nothing.items():
        if service not in document.map("services"):
            raise refuse(place, f"services.{service}", "is empty, and here stands a mapping")
    imply(document.map("services"))
    wanted = tuple(profiles) or tuple(filter(None, re.split(r"[,\s]+", known.get("COMPOSE_PROFILES", ""))))
    if not document:
        raise refuse(Place(files[0], 1), "", "is empty")
    return Project(chosen, folder, document, known, wanted, loader.unset)


def project_name(text: str) -> str:
    """As Compose makes one of any text."""
    return re.sub(r"[^-_a-z0-9]", "", text.lower()).lstrip("_-")


def read_file(path: FilePath, place: Place, field: str, most: int = MAX_BYTES) -> bytes:
    """Raises ManifestError."""
    try:
        return reader().read(path, most)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "its name cannot be one"
        missing = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {reason}"
        raise refuse(place, field, missing if place.file == str(path) else f"{path}: {missing}") from None


class _Loader:
    """Reads files once, and knows which are being read."""

    def __init__(self) -> None:
        self.unset: dict[str, list[Place]] = {}
        self.nothing: dict[str, Place] = {}
        """Services of which a file says but the name: another has to say more."""
        self._raw: dict[FilePath, list[Map]] = {}

    def name_in(self, paths: Sequence[FilePath], environment: Mapping[str, str]) -> str:
        """What the last file that says so calls the project."""
        found = ""
        for path in paths:
            for document in self._read(path, Place(str(path), 0), ""):
                value = document.get("name")
                if isinstance(value, str):
                    with contextlib.suppress(VariableError):
                        found = substitute(value, environment.get, lambda _: None) or found
        return found

    def model(
        self,
        paths: Sequence[FilePath],
        environment: Mapping[str, str],
        folder: FilePath,
        including: tuple[FilePath, ...],
    ) -> Map:
        """The files as one. `including`: the files that include them, the outermost first."""
        whole = Map(Place(str(paths[0]), 1))
        for path in paths:
            for document in self._documents(path, Place(str(path), 0), "", environment, folder, self.nothing):
                self._include(document, environment, folder, (*including, path.absolute()))
                self._extend_all(document, path, environment, ())
                merge(whole, document)
                unify(whole)
        return whole

    # -- one file ------------------------------------------------------------------------------------------------------

    def _read(self, path: FilePath, place: Place, field: str) -> list[Map]:
        key = path.absolute()
        if key not in self._raw:
            if len(self._raw) >= MAX_FILES:
                raise refuse(place, field, f"more than {MAX_FILES} files")
            self._raw[key] = read_documents(read_file(path, place, field), str(path))
        return self._raw[key]

    def _documents(
        self,
        path: FilePath,
        place: Place,
        field: str,
        environment: Mapping[str, str],
        folder: FilePath,
        nothing: dict[str, Place],
    ) -> Iterator[Map]:
        """Interpolated, found right by the schema, and in shape. `nothing` is given the services that are but names."""
        for raw in self._read(path, place, field):
            document = copied(raw)
            assert isinstance(document, Map)
            faults: list[ManifestFault] = []
            self._interpolate(document, (), environment, faults)
            if faults:
                raise ManifestError(faults)
            for section in SECTIONS:
                if section in document and document[section] is None:
                    document[section] = Map(document.at(section))
            services = document.map("services")
            for name in [name for name, service in services.items() if service is None]:
                nothing.setdefault(name, services.at(name))
                services.drop(name)
            faults = schema_faults(document)
            if faults:
                raise ManifestError(faults)
            try:
                shape(document, folder)
            except ManifestError as error:
                raise ManifestError([self._with_unset(fault) for fault in error.faults]) from None
            yield document

    def _with_unset(self, fault: ManifestFault) -> ManifestFault:
        """A fault where a variable is blank because nothing sets it is most likely that variable's."""
        names = sorted(name for name, places in self.unset.items() if Place(fault.file, fault.line) in places)
        return fault._replace(hint=f"not set: {', '.join(names)}; set it, or give --env-file") if names else fault

    def _interpolate(
        self, value: Map | Seq, path: Path, environment: Mapping[str, str], faults: list[ManifestFault]
    ) -> None:
        steps = list(value) if isinstance(value, Map) else range(len(value))
        for step in steps:
            below = value[step]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUnknownVariableType] - a key or an index
            at = (*path, step)
            if isinstance(below, Map | Seq):
                self._interpolate(below, at, environment, faults)
            elif isinstance(below, str):
                place = value.at(str(step)) if isinstance(value, Map) else value.places[int(step)]

                def unset(name: str, place: Place = place) -> None:
                    self.unset.setdefault(name, []).append(place)

                try:
                    made: object = substitute(below, environment.get, unset) if "$" in below else below
                    if at[-1] == "required" and "depends_on" in at[-3:]:
                        made = truth(made)
                except (VariableError, NotThat) as error:
                    faults.append(ManifestFault(place.file, place.line, dotted(at), str(error)))
                    continue
                value[step] = made  # pyright: ignore[reportArgumentType, reportCallIssue] - as above

    # -- include -------------------------------------------------------------------------------------------------------

    def _include(
        self, document: Map, environment: Mapping[str, str], folder: FilePath, including: tuple[FilePath, ...]
    ) -> None:
        listed = document.drop("include")
        for index, (entry, place) in enumerate(listed.pairs() if isinstance(listed, Seq) else ()):
            where = f"include[{index}]"
            fields = entry if isinstance(entry, Map) else Map(place)
            first = fields.get("path") if isinstance(entry, Map) else entry
            names = [text(one) for one in (first if isinstance(first, Seq) else [first]) if one]
            if not names:
                raise refuse(place, where, "names no file")
            for name in names:
                if "://" in name or name.startswith("git@"):
                    raise refuse(place, where, f"{name} is elsewhere: what is included has to be a file here")
            paths = [_joined(folder, name) for name in names]
            if paths[0] in including:
                raise refuse(place, where, f"{names[0]} is being included already: it would include itself")
            below = _joined(folder, text(fields.get("project_directory"))) if fields.get("project_directory") else None
            below = below or paths[0].parent
            known = self._known(fields, environment, folder, below, where)
            included = self.model(paths, known, below, including)
            for key in SECTIONS:
                if key in included:
                    own = document.get(key)
                    if isinstance(own, Map):
                        document[key] = merge(included.map(key), own, (key,))
                    else:
                        document.put(key, included[key], included.at(key))

    def _known(
        self, fields: Map, environment: Mapping[str, str], folder: FilePath, below: FilePath, where: str
    ) -> Mapping[str, str]:
        """What an included file sees: what the including one does, and what its own files of variables add."""
        listed = fields.get("env_file")
        named = [_joined(folder, text(one)) for one in (listed if isinstance(listed, Seq) else [listed]) if one]
        if not named and reader().is_file(below / ".env"):
            named = [below / ".env"]
        added: dict[str, str] = {}
        for path in named:
            if str(path) != "/dev/null":
                data = read_file(path, fields.at("env_file"), f"{where}.env_file")
                added |= read_variables(data, str(path), {**added, **environment})
        return {**added, **environment}

    # -- extends -------------------------------------------------------------------------------------------------------

    def _extend_all(
        self, document: Map, path: FilePath, environment: Mapping[str, str], open_: tuple[tuple[FilePath, str], ...]
    ) -> None:
        for kind in ("services", "jobs"):
            section = document.map(kind)
            for name in list(section):
                self._extend(section, name, path, environment, open_)

    def _extend(
        self,
        services: Map,
        name: str,
        path: FilePath,
        environment: Mapping[str, str],
        open_: tuple[tuple[FilePath, str], ...],
    ) -> None:
        """Put what a service extends below what it says itself, in place."""
        service = services.get(name)
        if not isinstance(service, Map) or not isinstance(service.get("extends"), Map):
            return
        extends = service.map("extends")
        place, where = service.at("extends"), f"services.{name}.extends"
        here = (path.absolute(), name)
        if here in open_:
            raise refuse(place, where, "goes round in a circle: " + " -> ".join(one for _, one in (*open_, here)))
        wanted, file = text(extends.get("service")), extends.get("file")
        if isinstance(file, str) and file:
            if "://" in file:
                raise refuse(place, where, f"{file} is elsewhere: what is extended has to be a file here")
            other = _joined(path.absolute().parent, file)
            sources = Map(place)
            for document in self._documents(other, place, where, environment, other.parent, {}):
                merge(sources, document.map("services"), ("services",))
        else:
            other, sources = path, services
        if wanted not in sources:
            raise refuse(place, where, f"there is no service {wanted!r} in {other.name}")
        self._extend(sources, wanted, other, environment, (*open_, here))
        base = copied(sources[wanted])
        service.drop("extends")
        if isinstance(base, Map):
            services[name] = merge(base, service, ("services", name))


def _joined(folder: FilePath, name: str) -> FilePath:
    return folder / reader().expand(name)
