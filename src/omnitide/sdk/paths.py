"""Paths of Nexus, in which a name is one segment whatever it holds."""

from urllib.parse import quote

from omnitide.sdk.errors import refused_here


def path_of(*parts: str) -> str:
    """The path below /v1 of these parts. Raises Invalid for an empty one."""
    return "/v1/" + "/".join(_segment(part) for part in parts)


def _segment(part: str) -> str:
    if not part:
        raise refused_here("a name is empty")
    if part in (".", ".."):
        # Quoting leaves dots as they are, and with them as a whole part a client goes up in the path.
        return part.replace(".", "%2E")
    return quote(part, safe="", errors="backslashreplace")
