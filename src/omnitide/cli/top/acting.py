"""Doing an action to all that were chosen."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from omnitide.cli.top.action import Action, Input
from omnitide.cli.top.targets import Target, name_of
from omnitide.sdk.errors import FabricError

if TYPE_CHECKING:
    from omnitide.sdk.async_client import AsyncClient

AT_ONCE: Final = 3
"""Nexus decides one after the other anyway."""


async def perform(
    client: "AsyncClient", action: Action, targets: Sequence[Target], said: Input
) -> tuple[list[str], dict[str, list[str]]]:
    """Names of those that it was done to, and by reason of those that it was refused for."""
    waiting = list(reversed(targets))
    done: list[str] = []
    refused: dict[str, list[str]] = {}

    async def work() -> None:
        while waiting:
            target = waiting.pop()
            try:
                await action.perform(client, target, said)
                done.append(name_of(target))
            except FabricError as error:
                hint = f" ({error.hint})" if error.hint else ""
                refused.setdefault(f"{error.detail}{hint}", []).append(name_of(target))

    await asyncio.gather(*(work() for _ in range(min(AT_ONCE, len(targets)))))
    return done, refused
