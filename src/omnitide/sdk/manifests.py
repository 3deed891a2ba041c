"""Manifests from files and folders. What a manifest is, is in `omnitide.model.manifest`."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from omnitide.model.manifest import (
    FORMATS,
    MAX_MANIFEST_BYTES,
    Found,
    ManifestError,
    ManifestFault,
    Source,
    read_manifests,
)

MAX_FILES: Final = 10_000


def load_manifests(paths: Iterable[Path | str], default_namespace: str = "default") -> list[Found]:
    """The agents of files and folders (`*.toml`, `*.yaml`, `*.yml`, `*.json`, sorted); `-` is standard input in YAML,
    of which JSON is a part. Raises ManifestError with everything that is wrong."""
    sources: list[Source] = []
    faults: list[ManifestFault] = []
    for path in paths:
        for file in _files(path, faults):
            source = _source(file, faults)
            if source is not None:
                sources.append(source)
    try:
        found = read_manifests(sources, default_namespace)
    except ManifestError as error:
        raise ManifestError([*faults, *error.faults]) from None
    if faults:
        raise ManifestError(faults)
    return found


def _files(path: Path | str, faults: list[ManifestFault]) -> Iterator[Path | None]:
    """None stands for standard input."""
    if str(path) == "-":
        yield None
        return
    path = Path(path)
    if not path.is_dir():
        yield path
        return
    try:
        files = sorted(file for file in path.iterdir() if file.suffix in FORMATS and file.is_file())
    except OSError as error:
        faults.append(ManifestFault(str(path), 0, "", f"cannot be read: {error.strerror}"))
        return
    if not files:
        faults.append(
            ManifestFault(str(path), 0, "", f"holds no manifests ({', '.join('*' + end for end in FORMATS)})")
        )
    if len(files) > MAX_FILES:
        faults.append(ManifestFault(str(path), 0, "", f"holds {len(files)} manifests, {MAX_FILES} are read at a time"))
        return
    yield from files


def _source(file: Path | None, faults: list[ManifestFault]) -> Source | None:
    if file is None:
        return Source("standard input", sys.stdin.buffer.read(MAX_MANIFEST_BYTES + 1), "yaml")
    kind = FORMATS.get(file.suffix)
    if kind is None and not file.exists():
        faults.append(ManifestFault(str(file), 0, "", "there is no such file or folder"))
        return None
    if kind is None:
        hint = f"its name must end in {', '.join(FORMATS)}"
        faults.append(ManifestFault(str(file), 0, "", "is of no format that is known here", hint))
        return None
    try:
        if not (file.is_file() or file.is_char_device() or not file.exists()):
            faults.append(ManifestFault(str(file), 0, "", "is no regular file", "`-` reads standard input"))
            return None
        with file.open("rb") as opened:
            return Source(str(file), opened.read(MAX_MANIFEST_BYTES + 1), kind)
    except OSError as error:
        message = (
            "there is no such file or folder"
            if isinstance(error, FileNotFoundError)
            else f"cannot be read: {error.strerror}"
        )
        faults.append(ManifestFault(str(file), 0, "", message))
        return None
