"""How a node gets in: the CA that it trusts because of its token, and a certificate for its key."""

from typing import Any, Final

from omnitide.fabric.rejection import Rejection
from omnitide.model.problem import problem
from omnitide.operations.failures import Failed, failed, refused
from omnitide.operations.inputs import Request
from omnitide.operations.operation import OPEN, Answer, Context, Operation
from omnitide.operations.runtime import Runtime
from omnitide.security.join_contract import CA_PATH, JOIN_PATH, CaAnswer, Hop, JoinAnswer, JoinRequest
from omnitide.security.tokens import MalformedToken, parse_join_token

MAX_CSR_CHARS: Final = 16 << 10
MAX_FACTS: Final = 256

_HOPS: Final = {
    "forbidden": Hop.TOKEN,
    "expired": Hop.TOKEN,
    "not-found": Hop.TOKEN,
    "already-exists": Hop.IDENTITY,
    "conflict": Hop.IDENTITY,
}


class GetCaRequest(Request, frozen=True, kw_only=True):
    pass


async def _ca(runtime: Runtime, _: Context, __: GetCaRequest) -> Answer[CaAnswer]:
    state = runtime.committed()
    wall_ms = runtime.now_ms() - runtime.clock_ahead_ms()
    answer = CaAnswer(trust_bundle_pem=runtime.ca_bundle_pem(), fabric_id=state.fabric_id, server_time_ms=wall_ms)
    return Answer(answer, state.revision)


async def _join(runtime: Runtime, context: Context, asked: JoinRequest) -> Answer[JoinAnswer]:
    if len(asked.csr_pem) > MAX_CSR_CHARS or len(asked.facts) > MAX_FACTS:
        raise failed("invalid", "the certificate request or the facts are larger than any node's", hint="")
    try:
        parse_join_token(asked.token)
    except MalformedToken as error:
        raise Failed(problem("unauthenticated", str(error), hint="omnitide token create", hop=Hop.TOKEN)) from error
    outcome = await runtime.join(asked.token, asked.csr_pem, asked.facts, context.peer)
    if isinstance(outcome, Rejection):
        raise refused(outcome, hop=_HOPS.get(outcome.code, ""))
    return Answer(outcome, runtime.committed().revision)


OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="join.ca",
        summary="The fabric's CA certificates, as PEM in JSON.",
        description="Open to anybody, and not to be believed further than a join token's fingerprint vouches for it.",
        method="GET",
        path=CA_PATH,
        input=GetCaRequest,
        output=CaAnswer,
        permission=OPEN,
        handler=_ca,
    ),
    Operation(
        name="join.node",
        summary="Join a node to the fabric by a join token, and sign its certificate.",
        description="The token inside is the right to. The private key never leaves the node.",
        method="POST",
        path=JOIN_PATH,
        input=JoinRequest,
        output=JoinAnswer,
        permission=OPEN,
        failures=("unauthenticated", "forbidden", "expired", "already-exists", "not-serving", "throttled"),
        handler=_join,
        writes=True,
    ),
)
