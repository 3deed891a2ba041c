"""All that needs the cryptography library about a node's identity, in a short-lived process of its own.

`python -m omnitide.node.identity_tool DIRECTORY OPERATION`: JSON on standard input and output. The library would be a
fifth of the proxy's memory for good, and is needed for a moment at the start and twice a month. Standard input and
output are pipes to the proxy, of the same user, who can read the files as well.
"""

import datetime as dt
import sys
from pathlib import Path

import msgspec

from omnitide.node.identity_view import Answer, IdentityView, Renewed, Shown, Signing
from omnitide.security.certificates import load_certificates
from omnitide.security.errors import SecurityError
from omnitide.security.identity import IdentityStore, NodeIdentity
from omnitide.security.tls import node_material


def view(identity: NodeIdentity) -> IdentityView:
    material = node_material(identity)
    leaf = load_certificates(identity.certificate_pem)[0]
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    return IdentityView(
        fabric_id=identity.fabric_id,
        node_id=identity.node_id,
        roots_pem=material.root_certificates.decode(),
        private_key_pem=material.private_key.decode(),
        certificate_pem=material.certificate_chain.decode(),
        endpoints=identity.endpoints,
        # As `certificates.renew_due`: from half of its life on.
        renew_at_ms=int((start + (end - start) / 2).timestamp() * 1000),
    )


def show(store: IdentityStore) -> Shown:
    current = view(store.load())
    try:
        staged = store.staged()
    except SecurityError as error:
        store.discard_renewal()
        return Shown(current, None, f"a renewed identity cannot be read and was dropped: {error}")
    return Shown(current, view(staged) if staged is not None else None)


def perform(store: IdentityStore, operation: str, given: bytes) -> msgspec.Struct:
    """Raises SecurityError, OSError."""
    match operation:
        case "show":
            return show(store)
        case "begin":
            return Signing(store.begin_renewal().decode())
        case "stage":
            renewed = msgspec.json.decode(given, type=Renewed)
            now = dt.datetime.now(dt.UTC)
            return view(store.stage_renewal(renewed.certificate_pem, renewed.bundle_pem, renewed.endpoints, now))
        case "promote":
            store.promote()
        case "discard":
            store.discard_renewal()
        case _:
            raise SecurityError(f"there is no operation {operation!r}")
    return Answer()


def main() -> int:
    _, directory, operation = sys.argv
    try:
        given = sys.stdin.buffer.read() if operation == "stage" else b""
        answer: msgspec.Struct = perform(IdentityStore(Path(directory)), operation, given)
    except (SecurityError, OSError) as error:
        answer = Answer(error=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
