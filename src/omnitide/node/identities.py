"""This node's identity as the session needs it, and which one to show while a renewed one is to be proved."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from omnitide.node.identity_view import Answer, IdentityView, Renewed, Shown, Signing
from omnitide.telemetry import logs

TOOL: Final = "omnitide.node.identity_tool"
TOOL_SECONDS: Final = 30.0

log = logs.get(__name__)


class IdentityUnusable(Exception):
    """The stored identity cannot be used, or there is none. The message is for people."""


class IdentityNotRead(IdentityUnusable):
    """Reading it came to nothing, for a reason that is not the identity's own: another try may succeed."""


Wanted = TypeVar("Wanted", bound=msgspec.Struct)


class IdentityVault:
    """The identity on disk, by way of a process that has the cryptography library (`identity_tool`)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin_show(self) -> "subprocess.Popen[bytes]":
        """Start reading the identity; other things can be done until `end_show`."""
        return self._spawn("show")

    def end_show(self, process: "subprocess.Popen[bytes]") -> Shown:
        """Raises IdentityUnusable."""
        return _finish(process, b"", Shown)

    async def signing_request(self) -> bytes:
        """A new key stays there; this asks for its certificate. Raises IdentityUnusable."""
        return (await self._ask("begin", Signing)).csr_pem.encode()

    async def stage(self, renewed: Renewed) -> IdentityView:
        """Check and store a new certificate beside the identity in use. Raises IdentityUnusable."""
        return await self._ask("stage", IdentityView, msgspec.json.encode(renewed))

    async def promote(self) -> None:
        """Raises IdentityUnusable."""
        await self._ask("promote", Answer)

    async def discard(self) -> None:
        """Raises IdentityUnusable."""
        await self._ask("discard", Answer)

    def _spawn(self, operation: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-P", "-m", TOOL, str(self._directory), operation]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    async def _ask(self, operation: str, wanted: type[Wanted], given: bytes = b"") -> Wanted:
        # A thread, twice a month: waiting for a process without one takes a child watcher, which runs for ever.
        return await asyncio.to_thread(lambda: _finish(self._spawn(operation), given, wanted))


def _finish(process: "subprocess.Popen[bytes]", given: bytes, wanted: type[Wanted]) -> Wanted:
    try:
        out, _ = process.communicate(given, timeout=TOOL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise IdentityNotRead(f"reading the identity took longer than {TOOL_SECONDS:g} s") from None
    try:
        failed = msgspec.json.decode(out, type=Answer).error
        if failed:
            raise IdentityUnusable(failed)
        return msgspec.json.decode(out, type=wanted)
    except msgspec.MsgspecError as error:
        raise IdentityNotRead(f"the identity tool ended with code {process.returncode} and no answer") from error


class Identities:
    """Which identity to show: the stored one, or a renewed one that is still to be proved.

    A renewed identity is tried first. If a dial with it fails, the next one shows the old identity, and so on in turn,
    as it may be Nexus that is away; a session with the old one, after a failure of the new one, proves that it was
    the certificate, and the new one is dropped. What that means for the disk is in `decision`, for `renewal` to do.
    """

    def __init__(self, shown: Shown) -> None:
        if shown.warning:
            log.warning(shown.warning)
        self._current = shown.current
        self._staged = shown.staged
        self._show_staged = shown.staged is not None
        self._staged_failed = False
        self.decision = ""
        """`promote` or `discard`: what the store still has to be told."""
        self.decided = asyncio.Event()

    @property
    def shown(self) -> IdentityView:
        """For the next dial."""
        if self._show_staged and self._staged is not None:
            return self._staged
        return self._current

    @property
    def staged(self) -> bool:
        return self._staged is not None

    def stage(self, staged: IdentityView) -> None:
        self._staged, self._show_staged, self._staged_failed = staged, True, False

    def welcomed(self) -> None:
        """A session stands with the identity shown."""
        if self._staged is None:
            return
        if self._show_staged:
            self._current, self._staged = self._staged, None
            log.info("the certificate was renewed")
            self._decide("promote")
        elif self._staged_failed:
            self._staged = None
            log.warning("the renewed certificate did not serve and is dropped")
            self._decide("discard")

    def failed(self) -> None:
        """A dial with the identity shown came to nothing."""
        if self._staged is not None:
            self._staged_failed = self._staged_failed or self._show_staged
            self._show_staged = not self._show_staged

    def _decide(self, decision: str) -> None:
        self.decision = decision
        self.decided.set()
