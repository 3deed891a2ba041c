"""Answers to browsers, packed where that saves a telephone's line more than it costs Nexus.

Only what a session asks for is packed: programs are mostly beside Nexus, and would wait for it. To guess a secret by
how long what is packed becomes, somebody would have to have the browser ask for it; without the session's proof, which
no other origin has, nothing is answered. And nothing larger than `LARGEST`: it would hold up everybody else.
"""

import zlib
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from omnitide.api.callers import PROOF_HEADER

LEAST: Final = 1400
"""Bytes; what is smaller takes one packet as it is."""
LARGEST: Final = 1 << 20
"""Bytes; some 10 ms of work."""
LEVEL: Final = 1
_GZIP: Final = 16 + zlib.MAX_WBITS


def packed(request: Request, response: Response) -> Response:
    """The response, its body in gzip where whoever asks takes that and is better off with it."""
    body = bytes(response.body)
    if PROOF_HEADER not in request.headers or not LEAST <= len(body) <= LARGEST:
        return response
    response.headers["Vary"] = "Accept-Encoding"
    if not takes(request.headers.get("accept-encoding", ""), "gzip"):
        return response
    packing = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    response.body = packing.compress(body) + packing.flush()
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Length"] = str(len(response.body))
    return response


def takes(accepted: str, encoding: str) -> bool:
    """Whether an Accept-Encoding names the encoding, and not to say that it is not wanted."""
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == encoding:
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
