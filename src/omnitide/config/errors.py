"""What is wrong with a configuration: every problem at once, each with its place."""

from typing import NamedTuple


class Problem(NamedTuple):
    """One fault. `where` is a file, a variable or a flag; `line` counts from 1 and is 0 outside files."""

    where: str
    line: int
    field: str
    """`lease.keepalive_ms`; empty when the fault is not in one field."""
    message: str

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class ConfigError(Exception):
    """The configuration is refused; nothing of it is in force."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class FieldError(ValueError):
    """A value that does not fit the others of its section. Raised by a section's own check."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
