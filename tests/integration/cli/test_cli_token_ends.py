"""A token that ends while something is watched: the command ends too, and says why and what to do."""

import contextlib

import pytest
from tests.integration.cli.fabric import MemoryFabric
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.exits import Exit
from omnitide.fabric import commands as cm
from omnitide.fabric.state import TokenPurpose

WATCHES = (("events", "-f"), ("ps", "--watch"))


@pytest.mark.timeout(60)
def test_what_is_watched_ends_with_the_token_and_says_so(fabric: MemoryFabric) -> None:
    path = fabric.folder / "web.toml"
    path.write_text('name = "web"\ncommand = ["x"]\n')
    fabric.cli("deploy", str(path))

    def revoke(runtime: MemoryRuntime) -> None:
        for token in [one for one in runtime.state.tokens.values() if one.purpose is TokenPurpose.API]:
            runtime.apply(cm.RevokeToken(id=token.id, force=True))

    with contextlib.ExitStack() as all_of_them:
        watching = [all_of_them.enter_context(fabric.process(*words)) for words in WATCHES]
        for one in watching:
            assert one.stdout is not None
            assert one.stdout.readline(), "it has begun"
        fabric.call(revoke)
        for one in watching:
            _, told = one.communicate(timeout=40)
            assert one.returncode == Exit.UNAUTHORIZED, told
            what, hint = told.splitlines()
            # By the stream that was closed, or by what was read because something had happened: the token's end.
            assert what in ("error: the token is not valid now", "error: the token is unknown or was revoked")
            assert "token" in hint
