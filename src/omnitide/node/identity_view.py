"""What the proxy and `identity_tool` tell one another. Loads next to nothing: the tool lives for a moment."""

import msgspec


class IdentityView(msgspec.Struct, frozen=True):
    """An identity in PEM: what TLS takes, and when to renew it."""

    fabric_id: str
    node_id: str
    roots_pem: str
    private_key_pem: str
    certificate_pem: str
    """Leaf and intermediate."""
    endpoints: tuple[str, ...]
    renew_at_ms: int

    def __repr__(self) -> str:
        return f"IdentityView({self.fabric_id}/{self.node_id})"


class Answer(msgspec.Struct, frozen=True):
    error: str = ""


class Shown(msgspec.Struct, frozen=True):
    current: IdentityView
    staged: IdentityView | None
    warning: str = ""


class Signing(msgspec.Struct, frozen=True):
    csr_pem: str


class Renewed(msgspec.Struct, frozen=True):
    certificate_pem: str
    bundle_pem: str
    endpoints: tuple[str, ...]
