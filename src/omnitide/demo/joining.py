"""Identities for simulated machines: joined as any node joins, and kept where the demo's folder is kept."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from omnitide.demo.machines import Machine
from omnitide.node.identity_view import IdentityView
from omnitide.sdk import AsyncClient
from omnitide.sdk.http import client_context, httpx
from omnitide.sdk.target import Target
from omnitide.security.certificates import make_csr, new_private_key, private_key_pem
from omnitide.security.join_contract import JOIN_PATH, JoinAnswer, JoinProblem, JoinRequest
from omnitide.security.peer import TrustBundle
from omnitide.security.private_files import write_private

AT_ONCE: Final = 8
"""Joins that are under way: Nexus signs each."""
FILE: Final = "machines.json"
TIMEOUT_S: Final = 60.0
MARGIN_MS: Final = 24 * 3_600_000
"""A kept certificate that ends sooner is not begun with. A demo that runs for a month loses its nodes."""
LIFETIME_MS: Final = 30 * 24 * 3_600_000
LABEL: Final = "simulated"


class Kept(msgspec.Struct, frozen=True):
    """An identity of before."""

    name: str
    identity: IdentityView
    until_ms: int


class JoinRefused(Exception):
    """The message is for people."""


async def identities(
    machines: Sequence[Machine], target: Target, data: Path, now_ms: int, joined: Callable[[], None]
) -> AsyncIterator[tuple[Machine, IdentityView]]:
    """Each machine's, as they come to be; those that were kept first. Raises JoinRefused, FabricError."""
    kept = _read(data / FILE)
    usable = {name: one for name, one in kept.items() if one.until_ms > now_ms}
    for machine in machines:
        if machine.name in usable:
            joined()
            yield machine, usable[machine.name].identity
    missing = [machine for machine in machines if machine.name not in usable]
    if not missing:
        return
    async with AsyncClient(target) as client:
        expired = [machine.name for machine in missing if machine.name in kept]
        for name in expired:
            # Its name is to be had again.
            await client.remove_node(name, force=True)
        token = await client.create_token(
            "join", ttl="1h", uses=len(missing), note="simulated machines of the demo", labels={LABEL: "true"}
        )
    context = client_context(target.ca_pem)
    limits = httpx.Limits(max_connections=AT_ONCE)
    gate = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(
        base_url=target.url, verify=context, timeout=TIMEOUT_S, trust_env=False, limits=limits
    ) as http:

        async def join(machine: Machine) -> tuple[Machine, IdentityView]:
            async with gate:
                identity = await _join(http, machine, token.text)
            joined()
            return machine, identity

        tasks = [asyncio.create_task(join(machine)) for machine in missing]
        try:
            for task in asyncio.as_completed(tasks):
                machine, identity = await task
                usable[machine.name] = Kept(machine.name, identity, now_ms + LIFETIME_MS - MARGIN_MS)
                yield machine, identity
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            write_private(data / FILE, msgspec.json.encode(list(usable.values())))


async def _join(http: httpx.AsyncClient, machine: Machine, token: str) -> IdentityView:
    key = new_private_key()
    facts: dict[str, object] = {"name": machine.name, "host": machine.name, "os": machine.kind.os}
    request = JoinRequest(token, make_csr(key).decode(), facts)
    answer = await http.post(
        JOIN_PATH, content=msgspec.json.encode(request), headers={"content-type": "application/json"}
    )
    if answer.status_code != 200:
        problem = msgspec.json.decode(answer.content, type=JoinProblem)
        raise JoinRefused(f"{machine.name} could not join: {problem.detail or problem.title}")
    told = msgspec.json.decode(answer.content, type=JoinAnswer)
    return IdentityView(
        fabric_id=told.fabric_id,
        node_id=told.node_id,
        roots_pem=_roots(told.trust_bundle_pem),
        private_key_pem=private_key_pem(key).decode(),
        certificate_pem=told.certificate_pem,
        endpoints=tuple(told.endpoints),
        renew_at_ms=0,
    )


@lru_cache(maxsize=4)
def _roots(bundle_pem: str) -> str:
    """All machines are told the same, and to check it takes longer than all else of a join here."""
    return TrustBundle.parse(bundle_pem).roots_pem.decode()


def _read(file: Path) -> dict[str, Kept]:
    """Those that cannot be read are joined anew, under their names once more."""
    try:
        return {one.name: one for one in msgspec.json.decode(file.read_bytes(), type=list[Kept])}
    except FileNotFoundError:
        return {}
