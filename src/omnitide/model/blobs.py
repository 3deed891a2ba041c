"""What is said of blobs: their digests, and how storing or finding one fails."""

import re
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from omnitide.model.objects import Millis, Object, Revision

ALGORITHM: Final = "sha256"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")

BlobDigest = Annotated[str, Meta(max_length=80, description="sha256: and 64 hex digits.")]


class BlobError(Exception):
    """A blob could not be stored or found. `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        """not-found, malformed, mismatch, quota, too-large, disk-full, trouble."""


class StoredBlob(NamedTuple):
    digest: str
    """`sha256:<64 hex digits>`."""
    size: int
    put_ms: int
    """When it was last put, wall clock."""


class Blob(Object, frozen=True, kw_only=True):
    """A blob of the fabric's store."""

    digest: str
    size_bytes: int
    put_ms: Millis
    used_by: tuple[str, ...] = ()
    """Agents and jobs whose specs name it: `agent default/web`."""


class BlobList(Object, frozen=True, kw_only=True):
    items: tuple[Blob, ...]
    revision: Revision
    next_cursor: str = ""
    total_bytes: int = 0
    """Of all blobs."""
    limit_bytes: int = 0


class BlobRemoved(Object, frozen=True, kw_only=True):
    digest: str
    revision: Revision
    dry_run: bool = False


def hex_of(digest: str) -> str:
    """The hex digits of a digest. Raises BlobError."""
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise BlobError(
            "malformed", f"{digest[:100]!r} is no digest of a blob: sha256: and 64 hex digits, in lower case"
        )
    return found[1]
