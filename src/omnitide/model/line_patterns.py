"""Which lines a search shows: those that hold a text, or match a regular expression in time linear in their length.

Regular expressions are RE2's, which has no back-references and no look-around and so never takes longer than the length
of the line times that of the expression, and a bounded memory: what a person types cannot hold up who runs it.
"""

import importlib
from collections.abc import Callable
from typing import Any, Final

MAX_PATTERN: Final = 1000
"""Characters."""

Matcher = Callable[[bytes], bool]


class PatternError(ValueError):
    """The pattern is none, in words for who typed it."""


def matcher_of(pattern: str, *, regular: bool, ignore_case: bool) -> Matcher:
    """Whether a line, without its end, is one of those. Case is ignored as of Unicode. Raises PatternError."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"it has {len(pattern)} characters; {MAX_PATTERN} are the most")
    if not regular and not ignore_case:
        wanted = pattern.encode()
        return lambda line: wanted in line
    try:
        re2: Any = importlib.import_module("re2")  # it has no types
    except ImportError:
        raise PatternError(
            "the RE2 library is not installed there; a plain text with its case can be searched"
        ) from None
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.never_capture = True
    try:
        compiled = re2.compile(pattern if regular else re2.escape(pattern), options=options)
    except re2.error as error:
        raise PatternError(_words(error)) from None

    def matches(line: bytes) -> bool:
        return compiled.search(line) is not None

    return matches


def _words(error: Exception) -> str:
    """RE2 gives its reason as bytes."""
    reason: object = error.args[0] if error.args else ""
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return f"it is no regular expression: {text} (look-around and back-references are not known to RE2)"
