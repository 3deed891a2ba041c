"""Command lines as Compose splits them: the rules of the library that compose-go uses (mattn/go-shellwords), which are
not quite those of a shell. Nothing is expanded; a backslash takes the meaning of what follows also within double
quotes; and at `;`, `&`, `|`, `<` or `>` outside of quotes the command is at its end."""

from typing import Final, NamedTuple

from omnitide.compose.quantities import NotThat

_SPACES: Final = " \t\r\n"
_ENDS: Final = ";&|<>"


class CommandLine(NamedTuple):
    words: list[str]
    rest: str
    """What Compose leaves aside, from the sign that ends the command; empty for nearly all."""


def split(line: str) -> CommandLine:
    """Raises NotThat."""
    words: list[str] = []
    word, rest = "", ""
    begun = escaped = False
    single = double = back = paren = False  # what is open of quotes; the last two kinds stay in the text
    for at, sign in enumerate(line):
        if escaped:
            word, begun, escaped = word + sign, True, False
            continue
        if sign == "\\" and not single:
            escaped = True
            continue
        if sign in _SPACES and not (single or double or back or paren):
            if begun:
                words.append(word)
            word, begun = "", False
            continue
        if sign == '"' and not single and not paren:
            begun, double = begun or double, not double
            continue
        if sign == "'" and not double and not paren:
            begun, single = begun or single, not single
            continue
        if sign == "`" and not (single or double or paren):
            back = not back
        elif sign == ")" and not (single or double or back):
            paren = not paren
        elif sign == "(" and not (single or double or back):
            if paren or not word.endswith("$"):
                raise _broken(line)
            paren = True
        elif sign in _ENDS and not (single or double or back or paren):
            if sign == ">" and "0" <= word[:1] <= "9":
                begun = False  # the number of what would be written elsewhere
            rest = line[at:]
            break
        word, begun = word + sign, begun or sign not in _SPACES
    if escaped or single or double or back or paren:
        raise _broken(line)
    return CommandLine([*words, word] if begun else words, rest)


def _broken(line: str) -> NotThat:
    return NotThat(f"{line[:60]!r} is no command line: a quote or a bracket has no other, or \\ stands at its end")
