"""An import of files that were handed over: `python -m omnitide.compose.offered`, a `ComposeOffer` as JSON on standard
input and a `ComposeImported` on standard output.

A Nexus runs it as a process of its own, so that a file that takes long, or much memory, costs that process alone. It
reads no file but those of the question, and no variable of its environment.
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

import msgspec

from omnitide.compose.files import Given, reading
from omnitide.compose.importing import import_compose
from omnitide.compose.report import Imported, Remark
from omnitide.model.foreseen import ComposeImported, ComposeOffer, ImportedAgent, ImportNeed, ImportRemark, ImportValue
from omnitide.model.manifest import ManifestError
from omnitide.model.manifest_text import manifest_text
from omnitide.model.spec import AgentManifest

MEMORY_BYTES: Final = 1 << 30
"""Of address space that it may take."""
OUT_OF_MEMORY: Final = 3
"""Exit code."""
MAX_FAULTS: Final = 200


def answer_to(offer: ComposeOffer) -> ComposeImported:
    """What the command line makes of the same files. The revision is for whoever asks to fill in."""
    folder = PurePosixPath(offer.folder)
    given = {str(folder / one.path): one.text.encode(errors="replace") for one in offer.files}
    try:
        with reading(Given(given)):
            imported = import_compose(
                [str(folder / path) for path in offer.compose],
                offer.variables,
                name=offer.project,
                profiles=offer.profiles,
            )
    except ManifestError as error:
        faults = tuple(
            ImportRemark(
                file=_shown(one.file, folder),
                line=one.line,
                key=one.field,
                message=f"{one.message} ({one.hint})" if one.hint else one.message,
            )
            for one in error.faults[:MAX_FAULTS]
        )
        return ComposeImported(faults=faults, revision=0)
    return _told(imported, folder)


def _told(imported: Imported, folder: PurePosixPath) -> ComposeImported:
    below = re.compile(rf"(?<!\S){re.escape(str(folder).rstrip('/'))}/")

    def as_given(text: str) -> str:
        """Files of values are with whoever imports: named as in the Compose file, not in a folder of the nodes."""
        return below.sub("", text)

    def remarks(found: Iterable[Remark]) -> tuple[ImportRemark, ...]:
        return tuple(
            ImportRemark(
                file=_shown(one.file, folder),
                line=one.line,
                key=one.key,
                message=as_given(one.message) if one.key.startswith(("secrets.", "configs.")) else one.message,
            )
            for one in found
        )

    agents = ordered(imported.agents)
    return ComposeImported(
        project=imported.project,
        agents=tuple(
            ImportedAgent(
                name=agent.name,
                image=agent.container.image if agent.container is not None else "",
                needs={name: str(how) for name, how in agent.needs.items()},
                together=agent.together or "",
            )
            for agent in agents
        ),
        manifest=manifest_text(agents, "yaml"),
        losses=remarks(imported.losses),
        notes=remarks(imported.notes),
        create=tuple(
            # What else has to be there has to be on the nodes, in that very folder.
            ImportNeed(kind=one.kind, name=one.name, command=as_given(one.command), reason=as_given(one.reason))
            if one.kind in ("secret", "config")
            else ImportNeed(kind=one.kind, name=one.name, command=one.command, reason=one.reason)
            for one in imported.create
        ),
        left_out=imported.left_out,
        values=tuple(ImportValue(kind=one.kind, name=one.name, value=one.value) for one in imported.held),
        revision=0,
    )


def ordered(agents: Iterable[AgentManifest]) -> list[AgentManifest]:
    """What is waited for before what waits. An import has no circles; of one, all come as they are."""
    left = {agent.name: agent for agent in agents}
    made: list[AgentManifest] = []
    while left:
        free = [name for name, agent in left.items() if not agent.needs.keys() & left.keys()]
        made += [left.pop(name) for name in free or list(left)]
    return made


def _shown(file: str, folder: PurePosixPath) -> str:
    """By the name that it was handed over with."""
    path = PurePosixPath(os.path.normpath(file))
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else file


def main() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        offer = msgspec.json.decode(sys.stdin.buffer.read(), type=ComposeOffer)
        answer = msgspec.json.encode(answer_to(offer))
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
