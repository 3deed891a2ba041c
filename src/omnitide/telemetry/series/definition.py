"""What a series is called, what it counts, and in which unit. Standard library only: the node proxy loads this."""

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["gauge", "counter"]
"""A counter only rises; one that falls has begun again at 0. What is kept of it is its rate a second."""

Labels = tuple[tuple[str, str], ...]
"""In order of key."""

NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}")
LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}")
MAX_LABELS: Final = 32
MAX_LABEL_VALUE: Final = 256
MAX_LABELS_BYTES: Final = 2048
"""Of all labels of a series."""
MAX_HELP: Final = 300
MAX_UNIT: Final = 32
OWN_PREFIX: Final = "omnitide_"
"""Of the names of what the fabric itself measures. A scraped series cannot have it."""
SECOND_MS: Final = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A series as whoever samples it knows it. Compared by identity: a sampler keeps its own."""

    name: str
    labels: Labels = ()
    kind: Kind = "gauge"
    unit: str = ""
    help: str = ""
    exponent: int = 0
    """Integers of it are in units of 10^exponent."""
    step_ms: int = SECOND_MS
    scraped: bool = False


@dataclass(frozen=True, slots=True)
class EndpointTrouble:
    """What is the matter with an instance's own endpoint of metrics; as it is made, nothing."""

    left_out: int = 0
    """Series that its node does not take now: there are too many, or they cannot be taken."""
    fault: str = ""
    """Why it gives nothing now; empty: it does, as far as is known."""


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A series as it is asked for."""

    name: str
    labels: Labels
    kind: Kind = "gauge"
    unit: str = ""
    help: str = ""

    def label(self, key: str) -> str:
        """Empty where it has none."""
        return next((value for name, value in self.labels if name == key), "")


def fault_of(name: str, labels: Labels, unit: str, text: str) -> str:
    """Why a series cannot be taken; empty if it can."""
    if not NAME.fullmatch(name):
        return f"{name[:100]!r} is no name of a series"
    if len(labels) > MAX_LABELS:
        return f"{name} has {len(labels)} labels; {MAX_LABELS} are the most"
    size = 0
    for index, (key, value) in enumerate(labels):
        if not LABEL.fullmatch(key):
            return f"{key[:100]!r} of {name} is no name of a label"
        if index and key <= labels[index - 1][0]:
            return f"the labels of {name} are not in order, or one is there twice"
        if len(value) > MAX_LABEL_VALUE:
            return f"the label {key} of {name} has {len(value)} characters; {MAX_LABEL_VALUE} are the most"
        size += len(key) + len(value.encode(errors="replace"))
    if size > MAX_LABELS_BYTES:
        return f"the labels of {name} have {size} bytes; {MAX_LABELS_BYTES} are the most"
    if len(unit) > MAX_UNIT or len(text) > MAX_HELP:
        return f"the unit or help of {name} is longer than {MAX_UNIT} or {MAX_HELP} characters"
    return ""
