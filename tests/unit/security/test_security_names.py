import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.security.names import InvalidName, Role, fabric_uri, parse_fabric_uri, parse_spiffe_id, spiffe_id

FABRIC_IDS = st.from_regex(r"\A[a-z]([a-z0-9-]{0,30}[a-z0-9])?\Z")
IDS = st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")


@given(FABRIC_IDS, st.sampled_from(Role), IDS)
def test_an_identity_is_read_back_from_its_uri(fabric_id: str, role: Role, identifier: str) -> None:
    identity = spiffe_id(fabric_id, role, identifier)
    assert parse_spiffe_id(identity.uri) == identity
    assert parse_fabric_uri(fabric_uri(fabric_id)) == fabric_id


@pytest.mark.parametrize("identifier", ["", ".", "..", "a/b", "-a", "a-", "a b", "a" * 64, "ä", "a\n", "a%2fb"])
def test_ids_that_could_be_read_two_ways_are_refused(identifier: str) -> None:
    with pytest.raises(InvalidName):
        spiffe_id("fhome", Role.NODE, identifier)


@pytest.mark.parametrize("fabric_id", ["", "1", "10.0.0.1", "Home", "a.b", "a_b", "-a", "a-", "a" * 64, "a\n"])
def test_a_fabric_id_is_one_dns_label_that_cannot_be_an_address(fabric_id: str) -> None:
    with pytest.raises(InvalidName):
        spiffe_id(fabric_id, Role.NODE, "alpha")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://fhome",
        "spiffe://fhome/node",
        "spiffe://fhome/node/",
        "spiffe://fhome/node/a/b",
        "spiffe://fhome/admin/a",
        "spiffe:///node/a",
        "SPIFFE://fhome/node/a",
        "https://fhome/node/a",
        "spiffe://fhome/node/a?x",
        "spiffe://fhome:1/node/a",
    ],
)
def test_only_exactly_our_form_is_an_identity(uri: str) -> None:
    with pytest.raises(InvalidName):
        parse_spiffe_id(uri)


@given(st.text(alphabet=string.printable))
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    try:
        parse_spiffe_id("spiffe://" + text)
    except InvalidName:
        pass
