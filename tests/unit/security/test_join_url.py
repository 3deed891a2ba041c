import pytest

from omnitide.security.join_contract import Hop, JoinFailed
from omnitide.security.join_transport import Address, parse_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://nexus.example:7400", Address("nexus.example", 7400)),
        ("https://nexus.example/", Address("nexus.example", 7400)),
        ("nexus.example", Address("nexus.example", 7400)),
        ("nexus.example:8443", Address("nexus.example", 8443)),
        ("https://[2001:db8::1]:443", Address("2001:db8::1", 443)),
        ("127.0.0.1:7400", Address("127.0.0.1", 7400)),
    ],
)
def test_the_ways_to_write_an_address(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    ("url", "hop"),
    [
        ("http://nexus.example:7400", Hop.TLS),
        ("ftp://nexus.example", Hop.TLS),
        ("", Hop.NAME),
        ("https://", Hop.NAME),
        ("https://nexus.example:port", Hop.NAME),
        ("https://nexus.example:99999", Hop.NAME),
        ("https://user:secret@nexus.example", Hop.NAME),
        ("https://nexus.example/v1/join", Hop.NAME),
        ("https://[::1", Hop.NAME),
    ],
)
def test_what_is_no_address_is_refused_with_the_form_that_is(url: str, hop: Hop) -> None:
    with pytest.raises(JoinFailed, match="https://host:7400") as failed:
        parse_url(url)
    assert failed.value.hop is hop
