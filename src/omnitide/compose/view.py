"""Reading a part of a document so that nothing is overlooked: what is read is marked, what is left is reported."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from omnitide.compose import quantities
from omnitide.compose.keys import fate_of
from omnitide.compose.quantities import NotThat
from omnitide.compose.report import Report
from omnitide.compose.tree import Map, Path, Place, Seq, dotted, refuse

T = TypeVar("T")


class View:
    """A mapping of the document, and the report that its keys are marked in."""

    def __init__(self, report: Report, data: Map, path: Path) -> None:
        self.report = report
        self.data = data
        self.path = path
        report.seen(path)

    def __contains__(self, key: str) -> bool:
        return self.data.get(key) is not None

    def place(self, key: str = "") -> Place:
        return self.data.at(key) if key else self.data.place

    # -- reading -------------------------------------------------------------------------------------------------------

    def use(self, key: str) -> object:
        """The value, which is dealt with as a whole; None if there is none."""
        if key in self.data:
            self.report.used((*self.path, key))
        return self.data.get(key)

    def open(self, key: str) -> "View":
        """The mapping below a key, whose keys are dealt with one by one."""
        value = self.data.get(key)
        if not isinstance(value, Map):
            self.use(key)
        return View(self.report, self.data.map(key), (*self.path, key))

    def each(self, key: str) -> Iterator["View"]:
        """The mappings of a list, or of a mapping of mappings, each to be dealt with."""
        value = self.data.get(key)
        if isinstance(value, Seq):
            self.report.seen((*self.path, key))
            for index, (entry, place) in enumerate(value.pairs()):
                path = (*self.path, key, index)
                if isinstance(entry, Map):
                    yield View(self.report, entry, path)
                else:
                    self.report.used(path)
                    self.report.remark("loss", path, place, "is not understood here")
        elif isinstance(value, Map):
            self.report.seen((*self.path, key))
            for name, entry in value.items():
                yield View(
                    self.report, entry if isinstance(entry, Map) else Map(value.at(name)), (*self.path, key, name)
                )
        elif key in self.data:
            self.use(key)

    def entries(self, key: str) -> list[tuple[str, Place, Path]]:
        """The texts of a list, with where they stand."""
        value = self.use(key)
        if not isinstance(value, Seq):
            return []
        pairs = enumerate(value.pairs())
        return [(quantities.text(entry), place, (*self.path, key, index)) for index, (entry, place) in pairs]

    def words(self, key: str) -> list[str]:
        return [entry for entry, _, _ in self.entries(key)]

    def command(self, key: str) -> list[str]:
        """A command line, with a note where Compose takes but the beginning of it."""
        listed = self.data.get(key)
        if isinstance(listed, Seq) and listed.aside:
            message = f"ends before {listed.aside[:40]!r}, as Compose ends it too: only a shell knows that, as in sh -c"
            self.note(key, message)
        return self.words(key)

    def some(self, key: str, most: int, what: str) -> list[str]:
        """The first of a list, with a loss where it has more than there can be here."""
        found = self.words(key)
        if len(found) > most:
            self.lose(key, f"{len(found)} of them, and {what} {most} at most here: the first")
        return found[:most]

    def text(self, key: str) -> str:
        value = self.use(key)
        return "" if isinstance(value, Map | Seq) else quantities.text(value)

    def flag(self, key: str) -> bool:
        return key in self and self._read(key, quantities.truth)

    def is_off(self, key: str) -> bool:
        """Whether a key says no; it is then dealt with, else it is not."""
        if key not in self:
            return False
        try:
            off = not quantities.truth(self.data[key])
        except NotThat:
            return False
        if off:
            self.use(key)
        return off

    def whole(self, key: str) -> int | None:
        return self._read(key, quantities.whole) if key in self else None

    def size(self, key: str) -> int | None:
        return self._read(key, quantities.size) if key in self else None

    def cpus(self, key: str) -> int | None:
        return self._read(key, quantities.cpus) if key in self else None

    def duration(self, key: str) -> int | None:
        return self._read(key, quantities.duration) if key in self else None

    def _read(self, key: str, how: Callable[[object], T]) -> T:
        try:
            return how(self.use(key))
        except NotThat as error:
            raise refuse(self.place(key), dotted((*self.path, key)), str(error)) from None

    # -- telling -------------------------------------------------------------------------------------------------------

    def note(self, key: str, message: str = "") -> None:
        """Say of a key how it is carried over; as the table of keys has it, if nothing else is to be said."""
        self._tell("note", key, message)

    def lose(self, key: str, message: str = "") -> None:
        """Say of a key that it is not carried over, and why."""
        self._tell("loss", key, message)

    def near(self, key: str, value: int, least: int, most: int, show: Callable[[int], str] = str) -> int:
        """A number of the key's as it is here: the nearest that there can be, with a loss where that is another. No
        number of a file is bounded in any other way."""
        made = min(max(value, least), most)
        if made != value:
            bound = "least" if value < least else "most"
            self.lose(key, f"{show(value)}: {show(made)} is the {bound} that it can be here")
        return made

    def _tell(self, kind: str, key: str, message: str) -> None:
        if key not in self.data:
            return
        path = (*self.path, key)
        self.report.used(path)
        said = message or fate_of(path).text
        self.report.remark("note" if kind == "note" else "loss", path, self.place(key), said)

    def rest(self) -> None:
        """Report what nobody has looked at: as the table of keys has it, else as lost."""
        for key, value in self.data.items():
            path = (*self.path, key)
            if self.report.knows(path):
                continue
            if key.startswith("x-") or value is None:
                # Compose itself makes nothing of extensions, and nothing of a key without a value.
                self.report.used(path)
                continue
            fate = fate_of(path)
            if fate.kind == "noted":
                self.note(key)
            elif fate.kind == "lost":
                self.lose(key)
            else:
                self.lose(key, "is not understood here")
