"""No secret reaches a log, whatever its name, wherever it stands, however deep; no value is too large or too odd."""

import dataclasses
import enum
import json
import string
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.telemetry.masking import (
    MASK,
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_RECORD,
    MAX_TEXT,
    clean_fields,
    clean_tail,
    clean_text,
    is_secret_name,
    mask_text,
)

NEEDLE = "Xq7Zk2Wv9"
"""Stands for the secret; made so that nothing else in a record contains it."""

token_bodies = st.text(string.ascii_letters + string.digits + "_-.", max_size=60).map(lambda rest: NEEDLE + rest)
tokens = st.tuples(st.sampled_from(["omt_", "oma_"]), token_bodies).map("".join)
# `-` and `_` are left out of what may precede a token, so that the token is not the tail of some longer word.
around = st.text(st.characters(exclude_characters="\x00"), max_size=40)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=30)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12) | st.integers(), inner, max_size=5)
    ),
    max_leaves=30,
)


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "Token",
        "TOKEN",
        "api_token",
        "apiToken",
        "x-api-token",
        "authtoken",
        "APIToken",
        "token_hash",
        "tokens",
        "secret",
        "client_secret",
        "secret_value",
        "db.password",
        "PGPASSWORD",
        "passwd",
        "passphrase",
        "Authorization",
        "Proxy-Authorization",
        "cookie",
        "credentials",
        "private_key",
        "privateKey",
        "api-key",
        "SIGNING_KEY",
    ],
)
def test_a_name_that_means_a_secret_is_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "public_key",
        "token_id",
        "token_kind",
        "token_file",
        "secret_name",
        "secret_version",
        "idempotency_key",
        "node",
        "correlation",
        "authority",
        "author",
        "passed",
        "42",
        "…",
    ],
)
def test_a_name_that_only_speaks_of_one_is_left(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("secret", [NEEDLE, 12345, 1.5, b"abc", [NEEDLE], {"value": NEEDLE}, (NEEDLE,)])
def test_whatever_a_secret_field_holds_is_masked(secret: object) -> None:
    assert clean_fields({"join_token": secret}) == {"join_token": MASK}


def test_that_a_secret_is_absent_may_be_seen() -> None:
    assert clean_fields({"token": None, "password": "", "secret": True}) == {
        "token": None,
        "password": "",
        "secret": True,
    }


@given(before=around, token=tokens, after=around)
def test_a_token_in_a_text_is_masked_wherever_it_stands(before: str, token: str, after: str) -> None:
    assert NEEDLE not in mask_text(f"{before} {token} {after}")


@given(before=around, token=tokens.filter(lambda text: len(text) >= 16), after=around)
def test_a_token_glued_to_other_text_is_masked_too(before: str, token: str, after: str) -> None:
    assert NEEDLE not in mask_text(before + token + after)


@given(token=tokens, depth=st.integers(0, MAX_DEPTH + 2), value=values, data=st.data())
def test_a_token_is_masked_at_any_depth_as_value_and_as_key(
    token: str, depth: int, value: object, data: st.DataObject
) -> None:
    nested: object = token
    for _ in range(depth):
        wrap = data.draw(st.sampled_from(["list", "value", "key", "tuple", "error"]))
        if wrap == "key":
            nested = {f"see {token}": nested}
        elif wrap == "error":
            nested = [ValueError(f"refused {token!r}"), nested]
        else:
            nested = [value, nested] if wrap == "list" else {"x": nested} if wrap == "value" else (nested, value)
    assert NEEDLE not in json.dumps(clean_fields({"field": nested}))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"Authorization: Bearer {NEEDLE}", "Authorization: ***"),
        (f"{{'authorization': 'Basic {NEEDLE}'}}", "{'authorization': '***'}"),
        (f"sent bearer {NEEDLE}, refused", "sent bearer ***, refused"),
        (f"postgres://nexus:{NEEDLE}@db:5432/log", "postgres://nexus:***@db:5432/log"),
        (f"https://127.0.0.1:7400/?login={NEEDLE}&x=1", "https://127.0.0.1:7400/?login=***&x=1"),
        (f"PGPASSWORD={NEEDLE} psql", "PGPASSWORD=*** psql"),
        (f"Settings(url='x', token='{NEEDLE}')", "Settings(url='x', token=***"),
        (f'{{"db_password": "{NEEDLE}", "port": 1}}', '{"db_password": \'***\', "port": 1}'),
        (f"-----BEGIN EC PRIVATE KEY-----\n{NEEDLE}\n{NEEDLE}", "-----BEGIN EC PRIVATE KEY----- ***"),
        (f"token omt_{NEEDLE} refused", "token omt_*** refused"),
    ],
)
def test_other_forms_of_secrets_are_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "token: has expired 3 s ago",
        "bearer token refused",
        "node alpha joined from 10.0.0.7:41230",
        "https://nexus.example:7400/v1/agents?namespace=default",
        "the custom_template of diploma_id",
        "password must have 12 characters",
    ],
)
def test_plain_words_about_secrets_stay_readable(text: str) -> None:
    assert mask_text(text) == text


class _Colour(enum.Enum):
    RED = "red"


class _Client(msgspec.Struct):
    url: str
    token: str


@dataclasses.dataclass
class _Account:
    name: str
    password: str


class _Pair(NamedTuple):
    user: str
    secret: str


def test_structs_dataclasses_and_named_tuples_are_shown_by_field() -> None:
    fields = {"a": _Client("u", NEEDLE), "b": _Account("n", NEEDLE), "c": _Pair("u", NEEDLE), "d": _Colour.RED}
    assert clean_fields(fields) == {
        "a": {"url": "u", "token": MASK},
        "b": {"name": "n", "password": MASK},
        "c": {"user": "u", "secret": MASK},
        "d": "red",
    }


class _Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class _BadMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        return 1


def test_a_value_that_cannot_be_shown_does_not_lose_the_record() -> None:
    shown = clean_fields({"a": _Unprintable(), "b": _BadMapping(), "c": ValueError(_Unprintable()), "d": 1})
    assert shown == {
        "a": "<unprintable _Unprintable>",
        "b": "<unprintable _BadMapping>",
        "c": "<unprintable ValueError>",
        "d": 1,
    }


@given(st.dictionaries(st.text(max_size=20), values, max_size=8))
def test_any_record_is_json_and_bounded(fields: dict[str, object]) -> None:
    written = msgspec.json.encode(clean_fields(fields))
    assert json.loads(written) is not None
    assert len(written) < 8 * MAX_RECORD


def test_numbers_that_json_cannot_hold_become_text() -> None:
    shown = clean_fields({"a": 2**70, "b": float("nan"), "c": float("-inf"), "d": 10**5000, "e": "\ud800"})
    assert shown == {"a": "<integer of 71 bits>", "b": "nan", "c": "-inf", "d": "<integer of 16610 bits>", "e": "?"}


def test_sizes_are_bounded_in_every_direction() -> None:
    deep: object = "bottom"
    for _ in range(50):
        deep = [deep]
    shown = clean_fields(
        {"long": "x" * 1_000_000, "wide": list(range(10_000)), "deep": deep, "bytes": bytes(5_000_000)}
        | {f"f{number}": "y" * MAX_TEXT for number in range(40)}
    )
    assert shown["long"] == "x" * MAX_TEXT + "… (1000000 characters)"
    assert isinstance(shown["wide"], list)
    assert len(shown["wide"]) == MAX_ITEMS + 1
    assert "too deep" in json.dumps(shown["deep"])
    assert shown["bytes"] == "<5000000 bytes>"
    assert len(json.dumps(shown)) < MAX_RECORD + 8192
    assert list(shown)[-1] == "…"


def test_a_container_that_holds_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "too deep" in json.dumps(clean_fields({"loop": loop}))


@given(prefix=st.integers(0, 200), token=tokens.filter(lambda text: len(text) >= 16))
def test_cutting_a_text_never_uncovers_half_a_token(prefix: int, token: str) -> None:
    text = "x" * prefix + " " + token + " " + "y" * prefix
    for limit in (1, 50, 100, 150):
        assert NEEDLE[1:] not in clean_text(text, limit)
        assert token[-8:] not in clean_tail(text, limit)
