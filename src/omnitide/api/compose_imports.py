"""Compose files that were dropped on the panel, as agents: by the importer of the command line, in a process of its own
that reads nothing but them, with bounds on size, memory and time."""

import posixpath
import signal
import sys
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from omnitide import children
from omnitide.model.foreseen import ComposeImported, ComposeOffer, OfferedFile
from omnitide.operations.failures import failed
from omnitide.operations.inputs import Request
from omnitide.operations.operation import Answer, Context
from omnitide.operations.runtime import Runtime
from omnitide.telemetry import logs

MAX_FILES: Final = 100
MAX_BYTES: Final = 512 << 10
"""Of all files together."""
WITHIN_S: Final = 12.0
AT_ONCE: Final = 2
MAX_ANSWER_BYTES: Final = 16 << 20
IMPORTER: Final = "omnitide.compose.offered"
OUT_OF_MEMORY: Final = 3
"""Its exit code."""

_log = logs.get(__name__)

Path = Annotated[str, Meta(min_length=1, max_length=400)]


class GivenFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: Annotated[Path, Meta(description="Below the folder: compose.yaml, db/password.txt.")]
    text: str


class ImportComposeRequest(Request, frozen=True, kw_only=True):
    """The files, and what a shell would know besides."""

    files: Annotated[tuple[GivenFile, ...], Meta(min_length=1, max_length=MAX_FILES)]
    compose: Annotated[
        tuple[Path, ...],
        Meta(max_length=20, description="Which of them are the Compose files, a later one changing an earlier one."),
    ]
    folder: Annotated[
        str,
        Meta(pattern=r"^/[^\x00]{0,200}$", description="On the nodes: relative paths of mounts are below it."),
    ] = "/srv"
    project: Annotated[str, Meta(max_length=100, description="Name; empty: what the files say, or the folder's.")] = ""
    profiles: Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=50)] = ()
    variables: Annotated[dict[str, str], Meta(max_length=200, description="For interpolation.")] = msgspec.field(
        default_factory=dict[str, str]
    )


class _Importing:
    """How many are under way."""

    now = 0


async def import_compose(runtime: Runtime, _: Context, asked: ImportComposeRequest) -> Answer[ComposeImported]:
    offer = _offer(asked)
    if _Importing.now >= AT_ONCE:
        raise failed("busy", f"{AT_ONCE} imports are under way", hint="again in a moment")
    _Importing.now += 1
    try:
        imported = await _imported(offer)
    finally:
        _Importing.now -= 1
    revision = runtime.committed().revision
    return Answer(msgspec.structs.replace(imported, revision=revision), revision)


def _offer(asked: ImportComposeRequest) -> ComposeOffer:
    """Raises Failed."""
    size = sum(len(one.text.encode(errors="replace")) for one in asked.files)
    if size > MAX_BYTES:
        raise failed("too-large", f"the files have {size} bytes together, {MAX_BYTES} are the most that is imported")
    paths = [posixpath.normpath(one.path) for one in asked.files]
    compose = [posixpath.normpath(path) for path in asked.compose]
    for path in paths:
        if path.startswith(("/", "../")) or path in ("..", ".") or "\0" in path:
            raise failed("invalid", f"{path!r} is no path below the folder")
    if len(set(paths)) != len(paths):
        raise failed("invalid", "two files have the same path")
    missing = [path for path in compose if path not in paths]
    if missing or not compose:
        raise failed(
            "invalid", f"the Compose file {missing[0]} is not given" if missing else "no Compose file is given"
        )
    return ComposeOffer(
        folder=posixpath.normpath(asked.folder),
        compose=tuple(compose),
        files=tuple(OfferedFile(path=path, text=one.text) for path, one in zip(paths, asked.files, strict=True)),
        project=asked.project,
        profiles=asked.profiles,
        variables=asked.variables,
    )


async def _imported(offer: ComposeOffer) -> ComposeImported:
    """Raises Failed. The process ends with the question, whatever happens."""
    process = children.start([sys.executable, "-I", "-B", "-m", IMPORTER], env={})
    try:
        answer, _ = await children.communicate(process, msgspec.json.encode(offer), WITHIN_S)
    except TimeoutError:
        raise failed("too-large", f"the files could not be read within {WITHIN_S:g} s") from None
    if process.returncode in (OUT_OF_MEMORY, -signal.SIGKILL) or len(answer) > MAX_ANSWER_BYTES:
        raise failed("too-large", "the files could not be imported: they need more memory than an import may take")
    if process.returncode:
        _log.error("an import ended without an answer", code=process.returncode)
        raise failed("internal", "the importer ended without an answer", hint="omnitide import compose says more")
    return msgspec.json.decode(answer, type=ComposeImported)
