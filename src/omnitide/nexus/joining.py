"""Tokens and joining: texts and certificates are made here, whether they are allowed is decided in the core."""

from collections.abc import Callable, Mapping
from typing import Final

from omnitide.fabric.commands import Header, JoinNode
from omnitide.fabric.decide import Decision
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState, NodeFacts, TokenPurpose
from omnitide.model.names import suggest_name
from omnitide.nexus.clock import Clock
from omnitide.nexus.engine import Engine
from omnitide.nexus.identity import signing_time
from omnitide.operations.runtime import NewToken
from omnitide.security import tokens
from omnitide.security.certificates import fingerprint, public_key_digest
from omnitide.security.join_contract import JoinAnswer
from omnitide.security.keyring import Keyring
from omnitide.security.pki import CsrRefused, csr_public_key, sign_node_csr
from omnitide.telemetry import logs

_log = logs.get(__name__)

NODE_ID_HEX: Final = 16
"""Hex digits of the key's digest in a node id: 64 bits, and the same key always makes the same node."""


def node_id_of(key_digest: str) -> str:
    return "n" + key_digest.rpartition(":")[2][:NODE_ID_HEX]


def token_refusal(state: FabricState, shown: tokens.JoinToken, keys: Mapping[str, bytes]) -> Rejection | None:
    """Why this text is no token of the fabric; None if it is one. Whether it may still be used is decided in the core.

    A wrong secret and an unknown id are told in the same words.
    """
    known = state.tokens.get(shown.id)
    try:
        if known is not None and tokens.matches(shown, known.digest, keys):
            return None
    except tokens.UnknownDigest as error:
        _log.error("a join token cannot be checked", token=shown.id, error=str(error))
    return Rejection(code="forbidden", message="the join token is unknown", hint="omnitide token create")


_DRAWN: Final[Mapping[TokenPurpose, Callable[[], tokens.Token]]] = {
    TokenPurpose.API: tokens.new_api_token,
    TokenPurpose.METRICS: tokens.new_api_token,
    TokenPurpose.LOGIN: tokens.new_login_token,
    TokenPurpose.SESSION: tokens.new_session_token,
}


class Joining:
    def __init__(
        self, engine: Engine, keyring: Keyring, clock: Clock, endpoints: Callable[[], tuple[str, ...]]
    ) -> None:
        self._engine = engine
        self._keyring = keyring
        self._clock = clock
        self._endpoints = endpoints

    def new_token(self, purpose: TokenPurpose) -> NewToken:
        keyring = self._keyring
        if purpose is TokenPurpose.JOIN:
            token = tokens.new_join_token(fingerprint(keyring.authority.root.certificate))
        else:
            token = _DRAWN[purpose]()
        key_id = keyring.token_key_id
        return NewToken(token.id, token.text, tokens.digest(token, key_id, keyring.token_keys[key_id]))

    async def join(
        self, token_text: str, csr_pem: str, facts: Mapping[str, object], peer: str
    ) -> JoinAnswer | Rejection:
        """Raises NotServing, MalformedToken."""
        shown = tokens.parse_join_token(token_text)
        refusal = token_refusal(self._engine.committed(), shown, self._keyring.token_keys)
        if refusal is not None:
            return refusal
        try:
            key_digest = public_key_digest(csr_public_key(csr_pem))
        except CsrRefused as refused:
            return Rejection(code="invalid", message=str(refused))
        identifier = node_id_of(key_digest)
        command = JoinNode(
            token=shown.id,
            node=identifier,
            name=self._name(facts, identifier),
            key_digest=key_digest,
            facts=_first_facts(facts),
        )
        outcome: Decision | Rejection = await self._engine.submit(command, Header(principal=f"token:{shown.id}"))
        if isinstance(outcome, Rejection):
            return outcome
        _log.info("node joined", node=identifier, name=command.name, peer=peer)
        issued = sign_node_csr(self._keyring.authority, csr_pem, identifier, signing_time(self._engine.time))
        return JoinAnswer(
            node_id=identifier,
            fabric_id=self._keyring.fabric_id,
            certificate_pem=issued.chain_pem,
            trust_bundle_pem=self._keyring.authority.trust_bundle().pem.decode(),
            endpoints=list(self._endpoints()),
            server_time_ms=self._clock.now_ms(),
            name=self._known_name(identifier) or command.name,
        )

    def _known_name(self, identifier: str) -> str:
        """A join that is repeated changes no name."""
        node = self._engine.committed().nodes.get(identifier)
        return node.name if node is not None else ""

    def _name(self, facts: Mapping[str, object], identifier: str) -> str:
        """The name asked for as it is; the host's made to fit the grammar, and told apart where it is taken."""
        wanted = facts.get("name")
        if isinstance(wanted, str) and wanted:
            return wanted
        host = suggest_name(str(facts.get("host", ""))) or "node"
        taken = self._engine.committed().node_names
        if taken.get(host) in (None, identifier):
            return host
        # Machines of one image share a host name; the end of the id tells them apart.
        return f"{host[:34].rstrip('-')}-{identifier[-5:]}"


def _first_facts(facts: Mapping[str, object]) -> NodeFacts:
    """What is known of a node before its first session. It says the rest itself when it connects."""
    platform = {
        key: str(facts[key])[:200] for key in ("os", "arch", "host", "software") if isinstance(facts.get(key), str)
    }
    return NodeFacts(platform=platform)
