"""What a user reads of secrets and configs. A secret's value is in no answer; a config's is."""

from msgspec import field

from omnitide.model.objects import Millis, Object, Revision


class Secret(Object, frozen=True, kw_only=True):
    """A secret, without its value."""

    namespace: str
    name: str
    version: int
    size_bytes: int
    created_ms: Millis
    changed_ms: Millis
    revision: Revision
    used_by: tuple[str, ...] = ()
    """Agents and jobs whose present specs name it: `agent default/web`."""


class SecretList(Object, frozen=True, kw_only=True):
    items: tuple[Secret, ...]
    revision: Revision
    next_cursor: str = ""


class SecretChanged(Object, frozen=True, kw_only=True):
    secret: Secret | None
    """None: it is gone, or would be in a dry run."""
    change: str
    """created, updated, unchanged or deleted."""
    revision: Revision
    dry_run: bool = False
    replayed: bool = False


class Config(Object, frozen=True, kw_only=True):
    """A piece of configuration that the fabric holds."""

    namespace: str
    name: str
    version: int
    size_bytes: int
    created_ms: Millis
    changed_ms: Millis
    revision: Revision
    used_by: tuple[str, ...] = ()
    data: str = field(default="")
    """In base64; only in the answer to a question for this one."""


class ConfigList(Object, frozen=True, kw_only=True):
    items: tuple[Config, ...]
    revision: Revision
    next_cursor: str = ""


class ConfigChanged(Object, frozen=True, kw_only=True):
    config: Config | None
    change: str
    revision: Revision
    dry_run: bool = False
    replayed: bool = False
