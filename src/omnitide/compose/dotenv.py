"""Files of variables, as Compose reads them: `.env`, `--env-file` and the `env_file` of services.

After compose-go's `dotenv` package: quotes, escapes within double quotes, comments, `export`, values over several
lines, variables within values, and names alone, which take their value from the environment.
"""

import re
from collections.abc import Mapping
from typing import Final

from omnitide.compose.tree import Place, refuse
from omnitide.compose.variables import VariableError, substitute

MAX_BYTES: Final = 1 << 20
_ESCAPES: Final = re.compile(r"\\(0[0-7]{0,3}|[abcfnrtv$\"\\])")
_MEANING: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\", "$": "$$",
}  # fmt: skip
_KEY: Final = re.compile(r"[\w.\-\[\]]+")


def read_variables(
    data: bytes, file: str, environment: Mapping[str, str], earlier: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables of a file, in order. When a value names a variable, `environment` goes before what the file has set
    so far, and that before what `earlier` files have. Raises ManifestError."""
    if len(data) > MAX_BYTES:
        raise refuse(
            Place(file, 1), "", f"has {len(data)} bytes, {MAX_BYTES} are the most a file of variables may have"
        )
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise refuse(Place(file, data.count(b"\n", 0, error.start) + 1), "", "is not UTF-8 text") from None
    return _Parser(text, file, environment, earlier or {}).parse()


def read_raw(data: bytes, file: str) -> dict[str, str]:
    """`format: raw`: everything after the first `=` is the value, as it stands."""
    made: dict[str, str] = {}
    for line in read_text(data, file).splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            made[key.strip()] = value
    return made


def read_text(data: bytes, file: str) -> str:
    """Raises ManifestError."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(Place(file, data.count(b"\n", 0, error.start) + 1), "", "is not UTF-8 text") from None


class _Parser:
    def __init__(self, text: str, file: str, environment: Mapping[str, str], earlier: Mapping[str, str]) -> None:
        self._earlier = earlier
        self._text = text
        self._file = file
        self._environment = environment
        self._at = 0
        self._made: dict[str, str] = {}

    def parse(self) -> dict[str, str]:
        text = self._text
        while self._at < len(text):
            if text[self._at].isspace():
                self._at += 1
            elif text[self._at] == "#":
                self._skip_line()
            else:
                self._statement()
        return self._made

    def _place(self) -> Place:
        return Place(self._file, self._text.count("\n", 0, self._at) + 1)

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end + 1

    def _statement(self) -> None:
        exported = re.compile(r"export[ \t]+").match(self._text, self._at)
        if exported is not None:
            self._at = exported.end()
        match = _KEY.match(self._text, self._at)
        place = self._place()
        if match is None:
            line = self._text[self._at :].partition("\n")[0]
            raise refuse(place, "", f"{line[:60]!r} is no NAME=value")
        key = match[0]
        self._at = match.end()
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
        sign = self._text[self._at : self._at + 1]
        if sign in ("", "\n"):
            value = self._environment.get(key)
            if value is not None:
                self._made[key] = value
            return
        if sign not in "=:":
            raise refuse(place, "", f"{key!r} is followed by {sign!r}: a line is NAME=value")
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
        self._made[key] = self._value(key, place)

    def _value(self, key: str, place: Place) -> str:
        quote = self._text[self._at : self._at + 1]
        if quote not in ("'", '"'):
            start = self._at
            self._skip_line()
            value = self._text[start : self._at].rstrip("\n").partition(" #")[0].rstrip()
            return self._expanded(value, key, place)
        start = self._at + 1
        index = start
        while index < len(self._text) and self._text[index] != quote:
            index += 2 if self._text[index] == "\\" else 1
        if index >= len(self._text):
            raise refuse(place, "", f"the value of {key} begins with {quote} and does not end")
        self._at = index + 1
        value = self._text[start:index].replace("\\" + quote, quote)
        if quote == "'":
            return value
        unescaped = _ESCAPES.sub(_unescaped, value)
        return self._expanded(unescaped, key, place)

    def _expanded(self, value: str, key: str, place: Place) -> str:
        def lookup(name: str) -> str | None:
            return self._environment.get(name, self._made.get(name, self._earlier.get(name)))

        try:
            return substitute(value, lookup, lambda _: None)
        except VariableError as error:
            raise refuse(place, key, str(error)) from None


def _unescaped(match: re.Match[str]) -> str:
    sign = match[1]
    if sign.startswith("0"):
        return chr(int(sign, 8) & 0xFF)
    return _MEANING.get(sign, match[0])
