import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.security import tokens
from omnitide.security.tokens import ALPHABET, MalformedToken, UnknownDigest

ENTROPY = st.binary(min_size=30, max_size=30)
FINGERPRINTS = st.binary(min_size=32, max_size=32)
FINGERPRINT = hashlib.sha256(b"a root").digest()
JOIN = tokens.make_join_token(bytes(range(30)), FINGERPRINT)
API = tokens.make_api_token(bytes(range(30)))
KEYS = {"k1": b"1" * 32, "k2": b"2" * 32}


class TestText:
    @given(ENTROPY, FINGERPRINTS)
    def test_a_join_token_is_read_back(self, entropy: bytes, fingerprint: bytes) -> None:
        token = tokens.make_join_token(entropy, fingerprint)
        assert tokens.parse_join_token(token.text) == token
        assert token.trusts(fingerprint)

    @given(ENTROPY)
    def test_an_api_token_is_read_back(self, entropy: bytes) -> None:
        token = tokens.make_api_token(entropy)
        assert tokens.parse_api_token(token.text) == token

    @pytest.mark.parametrize("place", range(tokens.FINGERPRINT_BYTES))
    def test_a_join_token_trusts_no_root_that_differs_in_any_byte_it_carries(self, place: int) -> None:
        other = bytearray(FINGERPRINT)
        other[place] ^= 1
        assert JOIN.trusts(FINGERPRINT)
        assert not JOIN.trusts(bytes(other))

    def test_the_grammar_is_what_is_documented(self) -> None:
        prefix, identifier, secret, rest = JOIN.text.split("_")
        assert (prefix, identifier, len(secret), len(rest)) == ("omt", JOIN.id, 32, 26 + 7)
        assert [len(part) for part in API.text.split("_")] == [3, 16, 32 + 7]
        assert not set("ilou") & set(ALPHABET)

    @given(data=st.data())
    def test_any_change_of_one_character_is_rejected(self, data: st.DataObject) -> None:
        entropy, fingerprint = data.draw(ENTROPY), data.draw(FINGERPRINTS)
        for text, parse in (
            (tokens.make_join_token(entropy, fingerprint).text, tokens.parse_join_token),
            (tokens.make_api_token(entropy).text, tokens.parse_api_token),
        ):
            place = data.draw(st.integers(0, len(text) - 1))
            other = data.draw(st.sampled_from(ALPHABET + "_") | st.characters(exclude_characters=text[place]))
            if other == text[place]:
                continue
            changed = text[:place] + other + text[place + 1 :]
            if changed.strip() == text:
                continue
            with pytest.raises(MalformedToken):
                parse(changed)

    @pytest.mark.parametrize("text", [JOIN.text, API.text])
    def test_every_single_change_within_the_alphabet_is_rejected(self, text: str) -> None:
        parse = tokens.parse_join_token if text.startswith("omt") else tokens.parse_api_token
        for place, character in enumerate(text):
            for other in ALPHABET + "_":
                if other != character:
                    with pytest.raises(MalformedToken):
                        parse(text[:place] + other + text[place + 1 :])

    @given(st.integers(0, 90), st.integers(1, 90))
    def test_a_part_that_is_missing_is_noticed(self, start: int, length: int) -> None:
        text = JOIN.text
        cut = text[:start] + text[start + length :]
        if cut != text:
            with pytest.raises(MalformedToken):
                tokens.parse_join_token(cut)

    @given(st.text(max_size=120))
    def test_no_text_fails_in_another_way(self, text: str) -> None:
        for prefix in ("", "omt_", "oma_"):
            for parse in (tokens.parse_join_token, tokens.parse_api_token):
                with pytest.raises(MalformedToken):
                    parse(prefix + text)

    def test_white_space_from_copying_is_no_error(self) -> None:
        assert tokens.parse_join_token(f"  {JOIN.text}\n") == JOIN

    @pytest.mark.parametrize(
        ("text", "problem", "says"),
        [
            ("", "empty", "empty"),
            ("hello", "kind", "begins with omt_"),
            (API.text, "kind", "this is an API token"),
            (JOIN.text.rpartition("_")[0], "shape", "copy all of it"),
            (JOIN.text.upper().replace("OMT", "omt"), "character", "lower case"),
            (JOIN.text[:5] + "o" + JOIN.text[6:], "character", "a zero?"),
            (JOIN.text[:5] + "l" + JOIN.text[6:], "character", "a one?"),
            (JOIN.text[:-1], "length", "missing"),
            (JOIN.text[:-1] + ("a" if JOIN.text[-1] != "a" else "b"), "checksum", "typing error"),
            ("omt_" + "a" * 5000, "length", "too many"),
        ],
    )
    def test_an_error_says_what_is_wrong_and_never_repeats_the_token(self, text: str, problem: str, says: str) -> None:
        with pytest.raises(MalformedToken, match=says) as error:
            tokens.parse_join_token(text)
        assert error.value.problem == problem
        assert text[20:60] not in str(error.value) or not text[20:60]

    def test_a_text_with_a_right_checksum_over_impossible_bits_is_rejected(self) -> None:
        # 128 bits in 26 symbols of 5 leave two bits that must be zero.
        head, _, _ = JOIN.text.rpartition("_")
        body = f"{head}_{'z' * 26}"
        forged = tokens._with_checksum(body)  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(MalformedToken):
            tokens.parse_join_token(forged)

    def test_new_tokens_are_all_different(self) -> None:
        assert len({tokens.new_join_token(FINGERPRINT).text for _ in range(100)}) == 100
        assert len({tokens.new_api_token().text for _ in range(100)}) == 100

    def test_the_text_form_of_the_object_shows_no_secret(self) -> None:
        for token in (JOIN, API):
            assert "secret" not in repr(token)

    def test_another_amount_of_randomness_is_refused(self) -> None:
        with pytest.raises(ValueError, match="30 random bytes"):
            tokens.make_api_token(b"x" * 29)
        with pytest.raises(ValueError, match="whole SHA-256"):
            tokens.make_join_token(bytes(30), b"short")


class TestDigests:
    @given(ENTROPY, ENTROPY)
    def test_a_digest_fits_its_own_token_alone(self, one: bytes, other: bytes) -> None:
        token, second = tokens.make_api_token(one), tokens.make_api_token(other)
        for stored in (tokens.digest(token, "k1", KEYS["k1"]), tokens.plain_digest(token)):
            assert tokens.matches(token, stored, KEYS)
            assert tokens.matches(second, stored, KEYS) is (one == other)

    def test_it_names_its_algorithm_and_key_and_holds_no_secret(self) -> None:
        stored = tokens.digest(JOIN, "k1", KEYS["k1"])
        assert stored.startswith("hmac-sha256:k1:")
        assert JOIN.secret.hex() not in stored
        assert tokens.plain_digest(JOIN).startswith("sha256:")

    def test_older_keys_still_verify(self) -> None:
        assert tokens.matches(JOIN, tokens.digest(JOIN, "k1", KEYS["k1"]), KEYS)
        assert tokens.matches(JOIN, tokens.digest(JOIN, "k2", KEYS["k2"]), KEYS)

    def test_kinds_are_not_exchangeable(self) -> None:
        same = tokens.ApiToken(JOIN.id, JOIN.secret)
        assert not tokens.matches(same, tokens.digest(JOIN, "k1", KEYS["k1"]), KEYS)

    @pytest.mark.parametrize("token", [JOIN, API], ids=["join", "api"])
    def test_the_same_secret_under_another_id_does_not_fit(self, token: tokens.Token) -> None:
        other = replace(token, id=tokens.make_api_token(bytes(range(1, 31))).id)
        assert other.id != token.id
        for stored in (tokens.digest(token, "k1", KEYS["k1"]), tokens.plain_digest(token)):
            assert tokens.matches(token, stored, KEYS)
            assert not tokens.matches(other, stored, KEYS)

    @pytest.mark.parametrize("stored", ["", "md5:00", "hmac-sha256:k9:00", "00"])
    def test_an_unknown_algorithm_or_key_is_an_error_and_never_a_match(self, stored: str) -> None:
        with pytest.raises(UnknownDigest):
            tokens.matches(JOIN, stored, KEYS)

    def test_a_cut_digest_does_not_fit(self) -> None:
        stored = tokens.digest(JOIN, "k1", KEYS["k1"])
        assert not tokens.matches(JOIN, stored[:-1], KEYS)
        assert not tokens.matches(JOIN, "sha256:", KEYS)
