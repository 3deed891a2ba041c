"""The administrator's token in the data directory: whoever owns that can get in."""

import asyncio
from pathlib import Path
from typing import Final

from omnitide.fabric.commands import Header, RevokeToken
from omnitide.nexus.nexus import Nexus
from omnitide.nexus.opening import issue_admin_token
from omnitide.operations.runtime import NotServing
from omnitide.security.private_files import write_private
from omnitide.security.tokens import parse_api_token
from omnitide.telemetry import logs

FILE: Final = "admin-token"
LOOK_S: Final = 0.5
AGAIN_S: Final = 10.0
"""After a failure."""

_log = logs.get(__name__)


class AdminToken:
    """Written where there is none: at the first start, and when its owner has taken the file away, as `omnitide up`
    does with one that opens nothing any more."""

    def __init__(self, nexus: Nexus, data: Path) -> None:
        self._nexus = nexus
        self._path = data / FILE

    async def ensure(self) -> bool:
        """Whether one was made. Raises OSError or NotServing."""
        if self._path.exists():
            return False
        text = await issue_admin_token(self._nexus)
        try:
            write_private(self._path, f"{text}\n".encode(), exclusive=True)
        except OSError:
            # Nobody has it; tried again and again, such tokens would be many.
            unread = RevokeToken(id=parse_api_token(text).id, force=True)
            await self._nexus.submit(unread, Header(principal="system:bootstrap"))
            raise
        return True

    async def keep(self) -> None:
        """For ever. What cannot be made now is tried again, and said once."""
        said = ""
        while True:
            await asyncio.sleep(AGAIN_S if said else LOOK_S)
            try:
                if await self.ensure():
                    _log.warning("the administrator's token was gone: there is a new one", file=str(self._path))
                said = ""
            except (OSError, NotServing) as error:
                if str(error) != said:
                    said = str(error)
                    _log.warning("no administrator's token can be made", reason=said)
