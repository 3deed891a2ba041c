"""Whom the files belong to that a container is given: the user that its spec or its image names, by the image's tables.

A name is looked up in a container that is made of the image for that, never started, and removed.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from omnitide.drivers.docker.answers import Container, Created, Image
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.docker.ownership import Owner
from omnitide.drivers.protocol import DriverError

if TYPE_CHECKING:
    from omnitide.drivers.docker.engine import Engine

MAX_KNOWN: Final = 1000
ROOT: Final = Owner(0, 0)


class ImageUsers:
    """Of one node. `name`: of the container that is looked into, one at a time; one that is left over is replaced."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = asyncio.Lock()
        self._known: dict[tuple[str, str], Owner] = {}
        """By image and user; all are looked up anew when there are many."""

    async def owner(self, engine: "Engine", image: Image, user: str) -> Owner:
        """`user`: of the spec; empty: the image's. Raises DriverError for a name that the image does not know."""
        user = user or (image.config.user if image.config is not None else "")
        name, _, group = user.partition(":")
        if name in ("", "root") and not group:
            return ROOT
        if name.isdecimal() and (group.isdecimal() or not group):
            return Owner(int(name), int(group) if group else int(name))
        async with self._turn:
            known = self._known.get((image.id, user))
            if known is None:
                known = await self._look_up(engine, image, user)
                if len(self._known) >= MAX_KNOWN:
                    self._known.clear()
                self._known[image.id, user] = known
            return known

    async def _look_up(self, engine: "Engine", image: Image, user: str) -> Owner:
        # Only now, as in `driver`: a node without containers does without the client.
        from omnitide.drivers.docker.archives import owner_in

        await self._remove(engine)
        body = {"Image": image.id, "User": user, "Entrypoint": ["/"], "NetworkDisabled": True}
        try:
            made = await engine.call("POST", "containers/create", Created, params={"name": self._name}, body=body)
            try:
                found = await owner_in(engine, await engine.call("GET", f"containers/{made.id}/json", Container))
            finally:
                await self._remove(engine)
        except EngineRefused as error:
            message = f"the user {user!r} cannot be looked up in the image: {error}"
            raise DriverError(message, cause="user", permanent=False) from None
        if found is None:
            raise DriverError(f"the image knows no user {user!r}", cause="user", permanent=True)
        return found

    async def _remove(self, engine: "Engine") -> None:
        with contextlib.suppress(EngineRefused):
            await engine.do("DELETE", f"containers/{self._name}", params={"force": "1", "v": "1"})
