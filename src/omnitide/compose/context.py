"""What the making of every agent needs to know of the project as a whole."""

import re
from dataclasses import dataclass, field
from typing import Final

from omnitide.compose.consistency import is_external
from omnitide.compose.loading import Project
from omnitide.compose.quantities import text
from omnitide.compose.report import Report
from omnitide.compose.tree import Map, Place
from omnitide.model.names import is_name, suggest_name

Made = dict[str, object]
"""A manifest as it grows: what `omnitide.model.normalise.read` takes."""

Number = tuple[int, str]
"""A port's, with its protocol: one number can be open for each."""

_LENGTH: Final = 40


@dataclass
class Context:
    project: Project
    report: Report
    services: dict[str, Map]
    """That are carried over."""
    agents: dict[str, str]
    """Their agents' names."""
    networks: dict[str, str]
    """The network of each service that has one with others; also the word for `together`."""
    holders: dict[str, str]
    """Names of volumes, secrets and configs as `kind/name`, and who in the file has each: none is given out twice."""
    numbers: set[Number] = field(default_factory=set["Number"])
    """Ports of nodes that ranges of ports give away no more: asked for by themselves, or given from a range. They are
    the whole project's: its services may be on one node."""

    def resource(self, kind: str, key: str) -> str:
        """The name here of a volume, secret or config of the file."""
        thing = self.project.document.map(kind).map(key)
        external = thing.get("external")
        written = text(thing.get("name")) or (text(external.get("name")) if isinstance(external, Map) else "") or key
        return self.own_name(kind, written, key)

    def own_name(self, kind: str, written: str, holder: str) -> str:
        """A valid name for what the file calls otherwise, which nothing else of the kind has."""
        wanted = named(written)
        made, count = wanted, 2
        while self.holders.setdefault(f"{kind}/{made}", holder) != holder:
            made = f"{wanted[: _LENGTH - 4]}-{count}"
            count += 1
        return made

    def is_external(self, kind: str, key: str) -> bool:
        return is_external(self.project.document.map(kind).map(key))


def named(written: str) -> str:
    """The nearest valid name: `my_db` is `my-db`, `2048` is `n2048`."""
    if is_name(written):
        return written
    plain = re.sub(r"[^a-z0-9]+", "-", written.lower()).strip("-")
    return suggest_name(plain if plain[:1].isalpha() else f"n{plain}") or "unnamed"


def at_top(context: Context, kind: str, key: str) -> Place:
    return context.project.document.map(kind).at(key)
