"""Types of what is read from sockets and files, without `typing`, whose 0.7 MB would stay as long as a fabric runs."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import cast
else:

    def cast(kind: object, value: object) -> object:
        del kind
        return value


Json = dict[str, object]


def number(told: Json, key: str) -> int:
    value = told.get(key)
    return value if isinstance(value, int) else 0


def texts(given: object) -> dict[str, str]:
    """A table of texts; empty for what is none."""
    if not isinstance(given, dict):
        return {}
    return {str(key): str(value) for key, value in cast("dict[object, object]", given).items()}


def words(given: object) -> list[str]:
    return [str(word) for word in cast("list[object]", given)] if isinstance(given, list) else []
