"""Sessions in the core: opened once by a login, by an API token as often as one likes, and ended with that."""

import pytest
from tests.support.spec import FAR_MS, Fabric

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.authorize import PERMISSIONS, authorize
from omnitide.fabric.state import TokenPurpose

HOUR = 3_600_000


@pytest.fixture
def fabric() -> Fabric:
    made = Fabric()
    made.given(cm.IssueToken(id="root", purpose=TokenPurpose.API, digest="d"))
    made.given(
        cm.IssueToken(id="link", purpose=TokenPurpose.LOGIN, digest="d", expires_ms=made.time_ms + HOUR),
        by="token:root",
    )
    return made


def opening(fabric: Fabric, by: str = "link", name: str = "s1") -> cm.OpenSession:
    return cm.OpenSession(by=by, id=name, digest="d", expires_ms=fabric.time_ms + HOUR)


def may(fabric: Fabric, principal: str) -> bool:
    return not authorize(fabric.state, principal, PERMISSIONS[cm.CreateNamespace], fabric.time_ms)


def test_a_login_is_used_up_by_the_session_that_it_opens(fabric: Fabric) -> None:
    decided = fabric.when(opening(fabric), by="token:root")
    assert [type(event) for event in decided.events] == [ev.TokenUsed, ev.TokenIssued]
    assert fabric.state.tokens["s1"].principal == "token:root"
    assert fabric.when(opening(fabric, name="s2"), by="token:root").code == "forbidden"
    assert may(fabric, "token:s1")


def test_a_login_itself_opens_nothing_else(fabric: Fabric) -> None:
    assert not may(fabric, "token:link")
    assert fabric.when(opening(fabric), by="token:link").code == "forbidden"


def test_an_api_token_opens_any_number(fabric: Fabric) -> None:
    for name in ("s1", "s2"):
        fabric.given(opening(fabric, "root", name), by="token:root")
    assert fabric.when(opening(fabric, "root", "s2"), by="token:root").code == "already-exists"


def test_nobody_gets_a_session_of_someone_else(fabric: Fabric) -> None:
    fabric.given(cm.IssueToken(id="other", purpose=TokenPurpose.API, digest="d"))
    assert fabric.when(opening(fabric), by="token:other").code == "forbidden"
    assert fabric.when(opening(fabric), by="system:x").code == "forbidden"


def test_what_a_session_may_ends_with_the_token_that_let_it_in(fabric: Fabric) -> None:
    fabric.given(opening(fabric), by="token:root")
    fabric.given(cm.IssueToken(id="link2", purpose=TokenPurpose.LOGIN, digest="d", expires_ms=FAR_MS), by="token:s1")
    fabric.given(opening(fabric, "link2", "s2"), by="token:root")
    assert may(fabric, "token:s2")
    fabric.given(cm.RevokeToken(id="root", force=True))
    assert not may(fabric, "token:s1")
    assert not may(fabric, "token:s2")


def test_a_session_ends_by_time_and_by_being_revoked(fabric: Fabric) -> None:
    fabric.given(opening(fabric), by="token:root")
    fabric.given(opening(fabric, "root", "s2"), by="token:root")
    fabric.given(cm.RevokeToken(id="s2"))
    assert not may(fabric, "token:s2")
    fabric.pass_ms(HOUR + 1)
    assert not may(fabric, "token:s1")


def test_a_session_is_no_way_in_that_must_be_kept(fabric: Fabric) -> None:
    """With the last API token gone its sessions are too."""
    fabric.given(opening(fabric), by="token:root")
    fabric.given(cm.RevokeToken(id="admin"), by="token:root")
    assert fabric.when(cm.RevokeToken(id="root"), by="token:root").code == "conflict"


@pytest.mark.parametrize("length", [0, 31 * 24 * HOUR])
def test_a_session_has_an_end(fabric: Fabric, length: int) -> None:
    command = cm.OpenSession(by="link", id="s1", digest="d", expires_ms=fabric.time_ms + length)
    assert fabric.when(command, by="token:root").code == "invalid"


def test_sessions_are_only_opened_and_logins_expire(fabric: Fabric) -> None:
    session = cm.IssueToken(id="x", purpose=TokenPurpose.SESSION, digest="d", expires_ms=FAR_MS)
    assert fabric.when(session).code == "invalid"
    assert fabric.when(cm.IssueToken(id="x", purpose=TokenPurpose.LOGIN, digest="d")).code == "invalid"
