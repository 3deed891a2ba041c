"""Which series are meant: a name and conditions on labels. A pattern is of a kind that is matched in little time."""

import functools
import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from omnitide.telemetry.series.definition import LABEL, NAME, SeriesInfo

MAX_MATCHERS: Final = 16
MAX_VALUE: Final = 256
MAX_PATTERN: Final = 200
MAX_REPEATS: Final = 2
"""Of `*`, `+` and `{` in one pattern: matching takes the length of a label to the power of their number, at worst."""

Operator = Literal["=", "!=", "=~", "!~"]

_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_SELECTOR = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(.*)\})?\s*", re.DOTALL)
_PART = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')


class BadQuery(ValueError):
    """What was asked cannot be answered; the message says why. `field` names what is wrong with it."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Matcher:
    label: str
    operator: Operator
    value: str

    def matches(self, info: SeriesInfo) -> bool:
        """A label that a series does not have is empty."""
        found = info.label(self.label)
        match self.operator:
            case "=":
                return found == self.value
            case "!=":
                return found != self.value
            case "=~":
                return _fits(self.value, found)
            case "!~":
                return not _fits(self.value, found)


@dataclass(frozen=True, slots=True)
class Selection:
    name: str
    matchers: tuple[Matcher, ...] = ()

    def matches(self, info: SeriesInfo) -> bool:
        return info.name == self.name and all(matcher.matches(info) for matcher in self.matchers)

    def exactly(self, label: str) -> str:
        """The value that a label has to have; empty if it may have several."""
        return next((one.value for one in self.matchers if one.label == label and one.operator == "="), "")


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@functools.lru_cache(maxsize=8192)
def _fits(pattern: str, value: str) -> bool:
    return _compiled(pattern).fullmatch(value) is not None


def checked(matcher: Matcher) -> Matcher:
    """Raises BadQuery."""
    if not LABEL.fullmatch(matcher.label):
        raise BadQuery(f"{matcher.label[:100]!r} is no name of a label", "match")
    if len(matcher.value) > MAX_VALUE:
        raise BadQuery(f"the value for {matcher.label} has more than {MAX_VALUE} characters", "match")
    if matcher.operator in ("=~", "!~"):
        fault = _pattern_fault(matcher.value)
        if fault:
            raise BadQuery(f"the pattern for {matcher.label}: {fault}", "match")
    return matcher


def _pattern_fault(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN:
        return f"it has {len(pattern)} characters; {MAX_PATTERN} are the most"
    bare = re.sub(r"\\.|\[(?:[^\]\\]|\\.)*\]", "x", pattern, flags=re.DOTALL)
    if "(?" in bare or re.search(r"\\[0-9]", pattern):
        return "groups with a question mark and references back are not taken"
    if re.search(r"\)[*+?{]", bare):
        return "a group cannot be repeated"
    if len(re.findall(r"[*+{]", bare)) > MAX_REPEATS:
        return f"*, + and {{ may be there {MAX_REPEATS} times"
    try:
        _compiled(pattern)
    except re.error as error:
        return f"it cannot be read: {error}"
    return ""


def matcher_of(text: str) -> Matcher:
    """`agent=web`, `node!=alpha`, `device=~sd.*`; the value may stand in quotes. Raises BadQuery."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise BadQuery(f"{text[:100]!r} is no condition; write label=value, !=, =~ or !~", "match")
    label, operator, value = str(found[1]), cast("Operator", found[2]), str(found[3])
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return checked(Matcher(label, operator, value))


def selection_of(name: str, matches: tuple[str, ...]) -> Selection:
    """Raises BadQuery."""
    if not NAME.fullmatch(name):
        raise BadQuery(f"{name[:100]!r} is no name of a series", "name")
    if len(matches) > MAX_MATCHERS:
        raise BadQuery(f"{len(matches)} conditions; {MAX_MATCHERS} are the most", "match")
    return Selection(name, tuple(matcher_of(text) for text in matches))


def split_selector(text: str) -> tuple[str, tuple[str, ...]]:
    """`name{a="b",c=~"d.*"}` as a name and conditions. Raises BadQuery."""
    found = _SELECTOR.fullmatch(text)
    if found is None:
        raise BadQuery(f'{text[:100]!r} is no selector; write name or name{{label="value"}}', "name")
    name, inner = found.groups()
    matches: list[str] = []
    position = 0
    inner = inner or ""
    while position < len(inner.rstrip(", ")):
        part = _PART.match(inner, position)
        if part is None:
            raise BadQuery(f'{inner[position:][:100]!r} is no condition; write label="value"', "name")
        value = re.sub(r"\\(.)", r"\1", part[3]) if part[2] in ("=", "!=") else part[3].replace('\\"', '"')
        matches.append(f"{part[1]}{part[2]}{value}")
        position = part.end()
    return name, tuple(matches)
