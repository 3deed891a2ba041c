"""What every part of a spec is made of."""

from typing import Annotated

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=32_768)]
PathText = Annotated[str, Meta(max_length=4096)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a spec: unknown fields are refused, defaults are not written, and a default never changes."""
