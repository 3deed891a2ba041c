"""Texts of others as a terminal may be given them: programs, machines and people outside write some of what is shown,
and none of it may move the cursor, forge a line, rename the window or reach the clipboard."""

import re
from typing import Final, TextIO

_HIDDEN_MARKS: Final = r"\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
_HIDDEN: Final = re.compile(f"[{_HIDDEN_MARKS}]")
_OUR_COLOURS: Final = r"\x1b\[(?:[0-2]|3[1-6])m"
"""Those that `paint` sets and takes back."""
_COLOURS: Final = r"\x1b\[[0-9;:]*m"
_BUT_OURS: Final = re.compile(rf"({_OUR_COLOURS}|[\t\n])|[{_HIDDEN_MARKS}]")
_BUT_LINES: Final = re.compile(rf"([\t\n])|[{_HIDDEN_MARKS}]")
_BUT_COLOURS: Final = re.compile(rf"({_COLOURS}|[\t\n])|[{_HIDDEN_MARKS}]")
_ENDS: Final = re.compile(r"\r+\n")
_RESET: Final = "\x1b[0m"


def visible(text: str) -> str:
    """A text as it may be shown: what a terminal would obey, what turns the direction of writing and what cannot be
    seen is shown as what it is, so that no name looks like another or does anything."""
    return _HIDDEN.sub(_spelled, text)


def visible_lines(text: str) -> str:
    """The same of what may have several lines."""
    return _BUT_LINES.sub(lambda found: found[1] or _spelled(found), text)


def painted_lines(text: str) -> str:
    """The same of lines that `paint` may have been at. What others wrote has been made visible before it came into
    them: here its colours could not be told from ours."""
    return _BUT_OURS.sub(lambda found: found[1] or _spelled(found), text)


def visible_output(text: str) -> str:
    """What a program wrote: its colours stay, within their line."""
    shown = _BUT_COLOURS.sub(lambda found: found[1] or _spelled(found), _ENDS.sub("\n", text))
    if "\x1b" not in shown:
        return shown
    return "\n".join(line + _RESET if "\x1b" in line else line for line in shown.split("\n"))


def for_reader(text: str, to: TextIO) -> str:
    """What a program wrote, for whoever reads `to`: as it is, unless that is a terminal."""
    return visible_output(text) if to.isatty() else text


def _spelled(found: "re.Match[str]") -> str:
    return f"\\u{ord(found[0]):04x}"
