"""What every event is."""

import msgspec


class BaseEvent(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    kw_only=True,
    forbid_unknown_fields=True,
    gc=False,
    tag_field="kind",
):
    """Tagged by its kind and version; released ones are frozen (see `fabric.events`)."""
