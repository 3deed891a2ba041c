"""Values of secrets and configs in this process's memory: asked of Nexus at each start, kept for when it is away."""

import asyncio
from typing import Final

from omnitide.drivers.protocol import Progress
from omnitide.node.provisions.errors import SECRET_MISSING, VALUES_AWAY, permanent, transient
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.supply import Supply, SupplyAway, SupplyRefused, Values
from omnitide.node.turns import Turns

ANSWER_S: Final = 60.0
"""For all of an instance's values, 64 MiB at most; for each answer with some of them the link has its own limit."""
KEPT_BYTES: Final = 32 << 20
"""Of all instances together; those of one that does not fit any more have to be asked for again."""
MAX_ASKED: Final = 8
"""Instances whose values are asked for at once; further ones wait their turn."""


class KeptValues:
    """By instance. Nothing of it is ever written anywhere, and nothing outlives the process."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._kept: dict[str, Values] = {}
        """Of instances that are here; each is forgotten with its instance."""
        self._turns = Turns("ask for", "requests for secrets", MAX_ASKED)

    async def of(self, needs: Needs, told: Progress) -> Values:
        """Present values of all that an instance needs; those from before, where Nexus is away. Raises DriverError."""
        what = f"the secrets of {needs.instance}"
        try:
            # The inner limit comes first: the turn's own is there for a supply that does not heed it.
            async with self._turns.turn(what, told, 2 * ANSWER_S), asyncio.timeout(ANSWER_S):
                values = await self._supply.values(needs.instance)
        except SupplyRefused as error:
            raise transient(f"Nexus does not give the secrets: {error}", VALUES_AWAY) from None
        except (SupplyAway, TimeoutError):
            kept = self._kept.get(needs.instance)
            if kept is None or _missing(needs, kept):
                raise transient(
                    "Nexus cannot be reached, and this node keeps secrets in memory alone: waiting for it",
                    VALUES_AWAY,
                ) from None
            return kept
        missing = _missing(needs, values)
        if missing:
            raise transient(f"{missing} does not exist; the instance starts when it is set", SECRET_MISSING)
        self._keep(needs.instance, values)
        return values

    def _keep(self, instance: str, values: Values) -> None:
        self._kept.pop(instance, None)
        if sum(map(_size, self._kept.values())) + _size(values) <= KEPT_BYTES:
            self._kept[instance] = values

    def forget(self, instance: str) -> None:
        self._kept.pop(instance, None)


def _size(values: Values) -> int:
    return sum(len(one.text) for kind in values for one in kind.values())


def _missing(needs: Needs, values: Values) -> str:
    for name in (*needs.secrets, *((needs.credentials,) if needs.credentials else ())):
        if name not in values.secrets:
            return f"secret {needs.namespace}/{name}"
    for name in needs.configs:
        if name not in values.configs:
            return f"config {needs.namespace}/{name}"
    return ""


def environment_of(needs: Needs, values: Values) -> dict[str, str]:
    """Variables that hold values. Raises DriverError for a value that no variable can hold."""
    found: dict[str, str] = {}
    for kind, uses, present in (
        ("secret", needs.secrets, values.secrets),
        ("config", needs.configs, values.configs),
    ):
        for name, use in uses.items():
            if use.environment is None:
                continue
            # No error of decoding is chained or quoted: it would hold the value.
            try:
                text = present[name].text.reveal().decode()
            except UnicodeDecodeError:
                text = "\0"
            if "\0" in text:
                message = f"{kind} {needs.namespace}/{name} is no text: no variable can hold it, a file can"
                raise permanent(message, "secret-not-text")
            found[use.environment] = text
    return found


def credentials_of(needs: Needs, values: Values) -> str:
    """`user:password` for the registry; empty for none. Raises DriverError."""
    if not needs.credentials:
        return ""
    try:
        text = values.secrets[needs.credentials].text.reveal().decode().strip()
    except UnicodeDecodeError:
        text = ""
    if ":" not in text:
        message = f"secret {needs.namespace}/{needs.credentials} is not user:password, as a registry's has to be"
        raise permanent(message, "credentials")
    return text
