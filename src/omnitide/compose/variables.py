"""Interpolation: `$NAME`, `${NAME}`, defaults, alternatives and errors, nested as deep as one likes.

The grammar is that of compose-go's `template` package: what is no variable (`$1`, `$(date)`) stays as it is, `${`
without a name is an error.
"""

import re
from collections.abc import Callable
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS: Final = (":?", ":-", ":+", "?", "-", "+")
MAX_DEPTH: Final = 32
MAX_LENGTH: Final = 1 << 20
"""Characters of a text after interpolation."""

Lookup = Callable[[str], str | None]
"""The value of a variable; None: it is not set."""


class VariableError(ValueError):
    """A text that cannot be interpolated."""


def substitute(text: str, lookup: Lookup, unset: Callable[[str], None], depth: int = 0) -> str:
    """The text with its variables replaced. `unset` is told of each that is blank because nothing sets it.

    Raises VariableError.
    """
    if depth > MAX_DEPTH:
        raise VariableError(f"variables within variables, more than {MAX_DEPTH} deep")
    parts: list[str] = []
    at = 0
    while True:
        dollar = text.find("$", at)
        if dollar < 0:
            parts.append(text[at:])
            break
        parts.append(text[at:dollar])
        after = text[dollar + 1 : dollar + 2]
        if after == "$":
            parts.append("$")
            at = dollar + 2
        elif after == "{":
            end = _closing(text, dollar + 1)
            parts.append(_braced(text[dollar + 2 : end], lookup, unset, depth))
            at = end + 1
        else:
            match = _NAME.match(text, dollar + 1)
            parts.append(_plain(match[0], lookup, unset) if match is not None else "$")
            at = match.end() if match is not None else dollar + 1
    made = "".join(parts)
    if len(made) > MAX_LENGTH:
        raise VariableError(f"is longer than {MAX_LENGTH} characters once its variables are replaced")
    return made


def _closing(text: str, brace: int) -> int:
    """Where the brace that is opened at `brace` is closed."""
    depth = 0
    for index in range(brace, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise VariableError(f"{_shown(text[brace - 1 :])} is not closed: write $$ for a dollar that is one")


def _braced(inside: str, lookup: Lookup, unset: Callable[[str], None], depth: int) -> str:
    match = _NAME.match(inside)
    if match is None:
        raise VariableError(f"{_shown('${' + inside + '}')} names no variable: write $$ for a dollar that is one")
    name, rest = match[0], inside[match.end() :]
    if not rest:
        return _plain(name, lookup, unset)
    operator = next((one for one in _OPERATORS if rest.startswith(one)), None)
    if operator is None:
        raise VariableError(f"{_shown('${' + inside + '}')} is no variable: write $$ for a dollar that is one")
    value = lookup(name)
    there = bool(value) if operator.startswith(":") else value is not None

    def word() -> str:
        return substitute(rest[len(operator) :], lookup, unset, depth + 1)

    if operator.endswith("-"):
        return (value or "") if there else word()
    if operator.endswith("+"):
        return word() if there else value or ""
    if not there:
        said = word()
        raise VariableError(f"the variable {name} has to have a value" + (f": {said}" if said else ""))
    return value or ""


def _plain(name: str, lookup: Lookup, unset: Callable[[str], None]) -> str:
    value = lookup(name)
    if value is None:
        unset(name)
        return ""
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
