"""Events of the fabric as a whole: its namespaces, tokens, secrets and configs."""

from omnitide.fabric.kinds.base import BaseEvent
from omnitide.fabric.state import TokenPurpose


class FabricCreated(BaseEvent, frozen=True, kw_only=True, tag="fabric.created.v1"):
    fabric_id: str


class FeatureLevelRaised(BaseEvent, frozen=True, kw_only=True, tag="fabric.feature-level-raised.v1"):
    """From here on the log may hold events of this level: every replica that is to follow it must know them."""

    level: int


class NamespaceCreated(BaseEvent, frozen=True, kw_only=True, tag="namespace.created.v1"):
    name: str


class NamespaceDeleted(BaseEvent, frozen=True, kw_only=True, tag="namespace.deleted.v1"):
    name: str


class TokenIssued(BaseEvent, frozen=True, kw_only=True, tag="token.issued.v1"):
    id: str
    purpose: TokenPurpose
    digest: str
    expires_ms: int = 0
    uses: int = 0
    note: str = ""
    labels: dict[str, str] = {}  # noqa: RUF012 a struct gives each of its own


class TokenUsed(BaseEvent, frozen=True, kw_only=True, tag="token.used.v1"):
    id: str
    node: str


class TokenRevoked(BaseEvent, frozen=True, kw_only=True, tag="token.revoked.v1"):
    id: str


class TokensForgotten(BaseEvent, frozen=True, kw_only=True, tag="token.forgotten.v1"):
    """Expired, used up or revoked long ago."""

    ids: tuple[str, ...]


class SecretChanged(BaseEvent, frozen=True, kw_only=True, tag="secret.changed.v1"):
    """A secret has another value, or its first one."""

    id: str
    namespace: str
    name: str
    version: int
    digest: str
    """Of the value, keyed."""
    blob: str
    """Digest of the closed value."""
    size: int = 0


class SecretRemoved(BaseEvent, frozen=True, kw_only=True, tag="secret.removed.v1"):
    id: str
    namespace: str
    name: str


class ConfigChanged(BaseEvent, frozen=True, kw_only=True, tag="config.changed.v1"):
    """A piece of configuration has another value, or its first one."""

    id: str
    namespace: str
    name: str
    version: int
    digest: str
    blob: str
    size: int = 0


class ConfigRemoved(BaseEvent, frozen=True, kw_only=True, tag="config.removed.v1"):
    id: str
    namespace: str
    name: str
