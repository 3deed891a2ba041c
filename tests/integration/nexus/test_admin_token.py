"""The administrator's token: there is one wherever Nexus runs, and no more than there are files of it."""

from pathlib import Path

import pytest

from omnitide.config.settings import Settings
from omnitide.nexus import admin_token
from omnitide.nexus.admin_token import AdminToken
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.opening import open_nexus


def full(path: Path, data: bytes, *, exclusive: bool = False) -> None:
    raise OSError(28, "No space left on device")


async def test_a_token_that_could_not_be_written_down_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_nexus(tmp_path, SystemClock(), Settings, {}) as nexus:
        admin = AdminToken(nexus, tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(admin_token, "write_private", full)
            with pytest.raises(OSError, match="No space"):
                await admin.ensure()
        assert [token.revoked for token in nexus.committed().tokens.values()] == [True]
        assert await admin.ensure()
        assert not await admin.ensure()
        assert sorted(token.revoked for token in nexus.committed().tokens.values()) == [False, True]
