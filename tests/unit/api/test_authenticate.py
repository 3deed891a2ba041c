"""Who calls: only the holder of a valid API token, whatever else is tried; and who tries on and on has to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api import authenticate
from omnitide.api.authenticate import MAX_ADDRESSES, MAX_FAILURES, MAX_VERIFIED, WINDOW_MS, Authenticator
from omnitide.fabric import commands as cm
from omnitide.fabric.state import TokenPurpose
from omnitide.operations.failures import Failed
from omnitide.security.tokens import ApiToken, parse_api_token, plain_digest


@pytest.fixture
def runtime() -> MemoryRuntime:
    return MemoryRuntime()


@pytest.fixture
def authenticator(runtime: MemoryRuntime) -> Authenticator:
    return Authenticator(runtime)


def code_of(authenticator: Authenticator, header: str | None, peer: str = "10.0.0.1") -> str:
    with pytest.raises(Failed) as caught:
        authenticator.bearer(header, peer)
    return caught.value.problem.code


def test_a_valid_token_is_a_principal(runtime: MemoryRuntime, authenticator: Authenticator) -> None:
    text = runtime.api_token()
    principal = f"token:{parse_api_token(text).id}"
    assert authenticator.bearer(f"Bearer {text}", "10.0.0.1") == principal
    assert authenticator.bearer(f"bearer  {text} ", "10.0.0.1") == principal


def test_a_digest_without_a_keyring_is_verified_too(runtime: MemoryRuntime, authenticator: Authenticator) -> None:
    token = ApiToken("0000000000000000", b"s" * 20)
    runtime.apply(cm.IssueToken(id=token.id, purpose=TokenPurpose.API, digest=plain_digest(token)))
    assert authenticator.bearer(f"Bearer {token.text}", "x") == f"token:{token.id}"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "oma_x", "Bearer oma_x_y", "Bearer " + "x" * 9999]
)
def test_anything_else_is_nobody(authenticator: Authenticator, header: str | None) -> None:
    assert code_of(authenticator, header) == "unauthenticated"


def test_the_right_id_with_another_secret_is_nobody(runtime: MemoryRuntime, authenticator: Authenticator) -> None:
    real = parse_api_token(runtime.api_token())
    forged = ApiToken(real.id, bytes(20)).text
    assert code_of(authenticator, f"Bearer {forged}") == "unauthenticated"


def test_a_join_token_opens_no_api(runtime: MemoryRuntime, authenticator: Authenticator) -> None:
    assert code_of(authenticator, f"Bearer {runtime.join_token()}") == "unauthenticated"


def test_a_join_tokens_id_and_secret_dressed_as_an_api_token_open_nothing(
    runtime: MemoryRuntime, authenticator: Authenticator
) -> None:
    from omnitide.security.tokens import parse_join_token

    join = parse_join_token(runtime.join_token())
    assert code_of(authenticator, f"Bearer {ApiToken(join.id, join.secret).text}") == "unauthenticated"


def test_the_purpose_of_a_token_is_what_the_state_says_not_what_its_text_says(
    runtime: MemoryRuntime, authenticator: Authenticator
) -> None:
    token = ApiToken("0000000000000000", b"s" * 20)
    command = cm.IssueToken(
        id=token.id, purpose=TokenPurpose.JOIN, digest=plain_digest(token), expires_ms=runtime.clock_ms + 1000
    )
    runtime.apply(command)
    assert code_of(authenticator, f"Bearer {token.text}") == "unauthenticated"


def test_revoked_and_expired_tokens_open_nothing(runtime: MemoryRuntime, authenticator: Authenticator) -> None:
    revoked = runtime.api_token()
    runtime.apply(cm.RevokeToken(id=parse_api_token(revoked).id, force=True))
    assert code_of(authenticator, f"Bearer {revoked}") == "unauthenticated"
    drawn = runtime.new_token(TokenPurpose.API)
    runtime.apply(
        cm.IssueToken(id=drawn.id, purpose=TokenPurpose.API, digest=drawn.digest, expires_ms=runtime.clock_ms + 1000)
    )
    assert authenticator.bearer(f"Bearer {drawn.text}", "x")
    runtime.tick(1000)
    assert code_of(authenticator, f"Bearer {drawn.text}") == "unauthenticated"


def test_a_digest_by_a_key_that_is_not_here_opens_nothing(runtime: MemoryRuntime, authenticator: Authenticator) -> None:
    token = ApiToken("0000000000000000", b"s" * 20)
    runtime.apply(cm.IssueToken(id=token.id, purpose=TokenPurpose.API, digest="hmac-sha256:gone:00"))
    assert code_of(authenticator, f"Bearer {token.text}") == "unauthenticated"


def test_what_was_verified_once_is_still_looked_up_each_time(
    runtime: MemoryRuntime, authenticator: Authenticator
) -> None:
    texts = [runtime.api_token() for _ in range(MAX_VERIFIED + 10)]
    for text in texts:
        assert authenticator.bearer(f"Bearer {text}", "x")
    assert len(authenticator._verified) == MAX_VERIFIED
    runtime.apply(cm.RevokeToken(id=parse_api_token(texts[-1]).id, force=True))
    assert code_of(authenticator, f"Bearer {texts[-1]}") == "unauthenticated"
    assert authenticator.bearer(f"Bearer {texts[0]}", "x")


def test_who_keeps_on_trying_is_told_to_wait_and_others_are_not(
    runtime: MemoryRuntime, authenticator: Authenticator
) -> None:
    for _ in range(MAX_FAILURES):
        assert code_of(authenticator, "Bearer wrong") == "unauthenticated"
    assert code_of(authenticator, "Bearer wrong") == "throttled"
    assert code_of(authenticator, "Bearer wrong", "10.0.0.2") == "unauthenticated"
    assert authenticator.bearer(f"Bearer {runtime.api_token()}", "10.0.0.1")
    runtime.tick(WINDOW_MS)
    assert code_of(authenticator, "Bearer wrong") == "unauthenticated"


def test_showing_no_token_is_no_attempt(authenticator: Authenticator) -> None:
    for _ in range(MAX_FAILURES + 5):
        assert code_of(authenticator, None) == "unauthenticated"


def test_the_addresses_that_are_counted_are_bounded(authenticator: Authenticator) -> None:
    for number in range(MAX_ADDRESSES + 100):
        code_of(authenticator, "Bearer wrong", f"peer-{number}")
    assert len(authenticator._counts) == MAX_ADDRESSES


@given(st.text(max_size=120))
def test_no_text_opens_anything(text: str) -> None:
    runtime = MemoryRuntime()
    runtime.api_token()
    with pytest.raises(Failed):
        Authenticator(runtime).token(text, "x")


def test_messages_never_repeat_what_was_shown(runtime: MemoryRuntime, authenticator: Authenticator) -> None:
    text = runtime.api_token()
    for shown in (text[:-1], text.upper(), text + "x"):
        with pytest.raises(Failed) as caught:
            authenticator.token(shown, "x")
        assert shown not in repr(caught.value.problem)
    assert authenticate.MAX_FAILURES > 3
