"""A join over real TLS on loopback: that it works, and that each thing that can be wrong is named by its hop."""

import asyncio
import datetime as dt
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omnitide.security import pki
from omnitide.security.certificates import certificates_pem, make_csr, new_private_key
from omnitide.security.identity import IdentityStore
from omnitide.security.join import JoinResult, join
from omnitide.security.join_contract import CaAnswer, Hop, JoinAnswer, JoinFailed
from omnitide.security.join_transport import Timeouts
from omnitide.security.pki import Authority, Credentials
from omnitide.security.tokens import JoinToken, new_api_token, new_join_token

Start = Callable[..., Awaitable[Any]]

FACTS = {"hostname": "alpha", "cpus": 2, "labels": {"zone": "a"}}
PATIENT = Timeouts()
QUICK = Timeouts(resolve=10, connect=1, tls=1, request=1)


def wall() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "identity"


async def failed(
    server_or_url: Any, token: JoinToken | str, home: Path, timeouts: Timeouts = PATIENT, **options: Any
) -> JoinFailed:
    """The failure of a join that has to fail; nothing may have been stored by it, and no secret may be in its text."""
    url = server_or_url if isinstance(server_or_url, str) else server_or_url.url
    text = token if isinstance(token, str) else token.text
    with pytest.raises(JoinFailed) as failure:
        await join(url, text, FACTS, home, timeouts=timeouts, **options)
    assert not (home / "identity.json").exists()
    assert text not in str(failure.value)
    assert failure.value.hint
    return failure.value


def token_was_sent(server: Any, token: JoinToken) -> bool:
    return token.text.encode() in bytes(server.received)


class TestSuccess:
    async def test_a_join_gives_the_node_its_identity(self, start: Start, token: JoinToken, home: Path) -> None:
        server = await start()
        result = await join(server.url, token.text, FACTS, home)
        assert isinstance(result, JoinResult)
        assert IdentityStore(home).load() == result.identity
        assert result.identity.verify(wall()).id == "alpha"
        assert result.identity.endpoints == ("127.0.0.1:7401",)
        assert result.warnings == ()
        assert abs(result.clock_skew_ms) < 5000
        assert server.requests == [("GET", "/v1/ca"), ("POST", "/v1/join")]
        assert os.listdir(home) == ["identity.json"]

    async def test_the_private_key_never_leaves(self, start: Start, token: JoinToken, home: Path) -> None:
        server = await start()
        result = await join(server.url, token.text, FACTS, home)
        lines = result.identity.private_key_pem.splitlines()[1:-1]
        assert lines
        assert not any(line in bytes(server.received) for line in lines)
        assert b"PRIVATE" not in bytes(server.received)

    async def test_any_name_by_which_nexus_is_reached_will_do(self, start: Start, token: JoinToken, home: Path) -> None:
        server = await start()
        url = f"https://127.0.0.2:{server.port}"  # not in its certificate

        # A plain TCP relay, as NAT or a tunnel would be.
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", server.port)

            async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                try:
                    while data := await source.read(4096):
                        sink.write(data)
                        await sink.drain()
                except ConnectionError:
                    pass
                sink.close()

            await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

        tunnel = await asyncio.start_server(relay, "127.0.0.2", server.port)
        try:
            assert (await join(url, token.text, FACTS, home)).identity.node_id == "alpha"
        finally:
            tunnel.close()

    async def test_the_ca_may_be_told_as_json_too(
        self, start: Start, authority: Authority, token: JoinToken, home: Path
    ) -> None:
        body = msgspec.json.encode(CaAnswer(authority.trust_bundle().pem.decode(), "fhome"))
        server = await start(ca_body=body)
        assert (await join(server.url, token.text, FACTS, home)).identity.node_id == "alpha"

    async def test_the_hops_are_told_as_they_are_taken(self, start: Start, token: JoinToken, home: Path) -> None:
        hops: list[Hop] = []
        server = await start()
        await join(server.url, token.text, FACTS, home, on_hop=hops.append)
        assert hops == [
            Hop.NAME,
            Hop.ROUTE,
            Hop.PORT,
            Hop.FINGERPRINT,
            Hop.CLOCK,
            Hop.TLS,
            Hop.TOKEN,
            Hop.IDENTITY,
        ]

    async def test_a_join_whose_answer_was_lost_is_repeated_with_the_same_key(
        self, start: Start, token: JoinToken, home: Path
    ) -> None:
        def lose(_answer: JoinAnswer) -> JoinAnswer:
            raise ConnectionResetError

        server = await start(change=lose)
        failure = await failed(server, token, home)
        assert (failure.hop, failure.retryable) == (Hop.TOKEN, True)
        key = (home / "join.key").read_bytes()
        server.change = lambda answer: answer
        result = await join(server.url, token.text, FACTS, home)
        assert result.identity.private_key_pem == key

    async def test_a_machine_that_has_joined_joins_again_only_when_told_to(
        self, start: Start, token: JoinToken, home: Path
    ) -> None:
        server = await start()
        first = await join(server.url, token.text, FACTS, home)
        server.requests.clear()
        with pytest.raises(JoinFailed, match="already node alpha of fabric fhome") as failure:
            await join(server.url, token.text, FACTS, home)
        assert failure.value.hop is Hop.IDENTITY
        assert server.requests == []
        second = await join(server.url, token.text, FACTS, home, replace=True)
        assert second.identity.private_key_pem != first.identity.private_key_pem
        assert IdentityStore(home).load() == second.identity


class TestReaching:
    async def test_a_name_that_does_not_exist(self, token: JoinToken, home: Path) -> None:
        failure = await failed("https://no-such-host.invalid:7400", token, home)
        assert failure.hop is Hop.NAME
        assert "no-such-host.invalid" in failure.detail

    async def test_a_port_on_which_nothing_listens(self, token: JoinToken, home: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else can take it
            failure = await failed(f"https://127.0.0.1:{taken.getsockname()[1]}", token, home)
        assert failure.hop is Hop.PORT
        assert failure.retryable
        assert "Connection refused" in failure.detail

    async def test_an_address_to_which_there_is_no_route(self, token: JoinToken, home: Path) -> None:
        failure = await failed("https://255.255.255.255:7400", token, home, QUICK)  # broadcast: refused by the kernel
        assert failure.hop is Hop.ROUTE

    async def test_a_port_that_does_not_answer_in_tls(self, token: JoinToken, home: Path) -> None:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(64)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        async with server:
            failure = await failed(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", token, home)
        assert failure.hop is Hop.TLS

    async def test_a_port_that_accepts_and_stays_silent(self, token: JoinToken, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"https://127.0.0.1:{silent.getsockname()[1]}"
            failure = await failed(url, token, home, replace_tls(QUICK, 0.2))
        assert failure.hop is Hop.TLS
        assert "0.2 s" in failure.detail

    @pytest.mark.parametrize(
        "raw",
        [
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"400\r\n%b\r\n" % (b" " * 1024) * 300
            + b"0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b" " * 300_000,
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100 + b"\r\n",
            b"x" * 300_000,
            b"",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        ],
        ids=lambda raw: raw[:60].decode(),
    )
    async def test_what_speaks_tls_but_is_no_nexus(
        self, start: Start, token: JoinToken, home: Path, raw: bytes
    ) -> None:
        server = await start(raw=raw)
        failure = await failed(server, token, home)
        assert failure.hop is Hop.PORT

    async def test_a_chunked_answer_is_read(
        self, start: Start, authority: Authority, token: JoinToken, home: Path
    ) -> None:
        pem = authority.trust_bundle().pem
        parts = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (pem[:1000], pem[1000:]))
        server = await start(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n")
        assert (await failed(server, token, home)).hop is Hop.IDENTITY  # past the fingerprint: the POST got it too


def replace_tls(timeouts: Timeouts, seconds: float) -> Timeouts:
    return replace(timeouts, tls=seconds)


class TestImpostors:
    async def test_a_man_in_the_middle_with_another_ca_never_sees_the_token(
        self, start: Start, impostor: Authority, token: JoinToken, home: Path
    ) -> None:
        server = await start(authority=impostor, credentials=pki.issue_nexus(impostor, "n1", (), wall()))
        failure = await failed(server, token, home)
        assert failure.hop is Hop.FINGERPRINT
        assert server.requests == [("GET", "/v1/ca")]
        assert not token_was_sent(server, token)

    async def test_nor_one_that_shows_the_true_ca_and_a_certificate_of_its_own(
        self, start: Start, impostor: Authority, token: JoinToken, home: Path
    ) -> None:
        server = await start(credentials=pki.issue_nexus(impostor, "n1", (), wall()))
        failure = await failed(server, token, home)
        assert failure.hop is Hop.TLS
        assert server.requests == [("GET", "/v1/ca")]
        assert not token_was_sent(server, token)

    async def test_nor_one_that_slips_its_own_root_in_beside_the_true_one(
        self, start: Start, authority: Authority, impostor: Authority, token: JoinToken, home: Path
    ) -> None:
        both = authority.trust_bundle().pem + impostor.trust_bundle().pem
        server = await start(ca_body=both, credentials=pki.issue_nexus(impostor, "n1", (), wall()))
        failure = await failed(server, token, home)
        assert failure.hop is Hop.TLS
        assert not token_was_sent(server, token)

    async def test_a_node_that_plays_nexus_is_refused(
        self, start: Start, mallory: Credentials, token: JoinToken, home: Path
    ) -> None:
        server = await start(credentials=mallory)
        failure = await failed(server, token, home)
        assert failure.hop is Hop.TLS
        assert "purpose" in failure.detail
        assert not token_was_sent(server, token)

    async def test_a_service_that_plays_nexus_is_refused(
        self, start: Start, authority: Authority, token: JoinToken, home: Path
    ) -> None:
        """TLS accepts it (services may be servers); the application does not."""
        server = await start(credentials=pki.issue_service(authority, "metrics", wall()))
        failure = await failed(server, token, home)
        assert failure.hop is Hop.TLS
        assert "proves to be a service" in failure.detail
        assert not token_was_sent(server, token)

    async def test_a_token_of_another_fabric_stops_at_the_fingerprint(self, start: Start, home: Path) -> None:
        foreign = new_join_token(b"\x01" * 32)
        server = await start()
        failure = await failed(server, foreign, home)
        assert failure.hop is Hop.FINGERPRINT
        assert not token_was_sent(server, foreign)

    @pytest.mark.parametrize(
        "body", [b"", b"{}", b"<html>", b"\xff\xfe", b"[" * 200_000, b"-----BEGIN CERTIFICATE-----"]
    )
    async def test_what_shows_no_ca_stops_there_too(
        self, start: Start, token: JoinToken, home: Path, body: bytes
    ) -> None:
        server = await start(ca_body=body)
        assert (await failed(server, token, home)).hop is Hop.FINGERPRINT


def problem(detail: str, **more: str) -> bytes:
    return msgspec.json.encode({"title": "refused", "detail": detail, **more})


class TestToken:
    @pytest.mark.parametrize(
        ("status", "detail"),
        [(410, "the token expired 2 h ago"), (403, "the token is used up"), (401, "unknown token")],
    )
    async def test_a_token_that_nexus_refuses(
        self, start: Start, token: JoinToken, home: Path, status: int, detail: str
    ) -> None:
        server = await start(refuse=(status, problem(detail)))
        failure = await failed(server, token, home)
        assert failure.hop is Hop.TOKEN
        assert detail in failure.detail
        assert "omnitide token create" in failure.hint
        assert not failure.retryable

    async def test_a_mistyped_token_is_told_before_anything_is_asked(
        self, start: Start, token: JoinToken, home: Path
    ) -> None:
        server = await start()
        mistyped = token.text[:-1] + ("a" if token.text[-1] != "a" else "b")
        for text in (mistyped, "", new_api_token().text):
            assert (await failed(server, text or "x", home)).hop is Hop.TOKEN
        assert server.requests == []

    async def test_a_busy_nexus_is_tried_again(self, start: Start, token: JoinToken, home: Path) -> None:
        server = await start(refuse=(503, b"<html>busy</html>"))
        failure = await failed(server, token, home)
        assert (failure.hop, failure.retryable) == (Hop.IDENTITY, True)
        assert "status 503" in failure.detail


class TestClock:
    @pytest.mark.parametrize("behind", [dt.timedelta(minutes=10), dt.timedelta(days=300), dt.timedelta(days=20000)])
    async def test_a_clock_that_is_behind_stops_the_join_before_the_token_is_used(
        self, start: Start, authority: Authority, token: JoinToken, home: Path, behind: dt.timedelta
    ) -> None:
        # Nexus's own certificate is old enough to be valid here: a node's would not be.
        server = await start(credentials=pki.issue_nexus(authority, "n1", (), wall() - dt.timedelta(days=10)))
        failure = await failed(server, token, home, clock=lambda: wall() - behind)
        assert failure.hop is Hop.CLOCK
        assert "behind" in failure.detail
        assert not token_was_sent(server, token)

    async def test_a_clock_that_is_ahead_by_less_than_a_lifetime_is_warned_of(
        self, start: Start, token: JoinToken, home: Path
    ) -> None:
        server = await start()
        result = await join(server.url, token.text, FACTS, home, clock=lambda: wall() + dt.timedelta(minutes=10))
        assert len(result.warnings) == 1
        assert "600 s ahead" in result.warnings[0]
        assert abs(result.clock_skew_ms + 600_000) < 5000

    async def test_a_clock_that_is_a_year_ahead_cannot_join(self, start: Start, token: JoinToken, home: Path) -> None:
        server = await start()
        failure = await failed(server, token, home, clock=lambda: wall() + dt.timedelta(days=365))
        assert failure.hop is Hop.CLOCK
        assert "ahead" in failure.detail
        assert not token_was_sent(server, token)

    async def test_a_nexus_whose_certificate_ended_though_the_clocks_agree_is_not_a_matter_of_clocks(
        self, start: Start, authority: Authority, token: JoinToken, home: Path
    ) -> None:
        old = pki.issue_nexus(authority, "n1", (), wall() - dt.timedelta(days=100))
        server = await start(credentials=old)
        failure = await failed(server, token, home)
        assert failure.hop is Hop.TLS
        assert "expired" in failure.detail
        assert not token_was_sent(server, token)

    async def test_a_nexus_that_lives_in_the_past_is(
        self, start: Start, authority: Authority, token: JoinToken, home: Path
    ) -> None:
        """Its certificate is expired by our clock and by OpenSSL's; its own says something else."""
        past = wall() - dt.timedelta(days=100)
        server = await start(credentials=pki.issue_nexus(authority, "n1", (), past), clock=lambda: past)
        assert (await failed(server, token, home)).hop is Hop.CLOCK

    async def test_a_certificate_that_begins_in_our_future_is_a_matter_of_clocks(
        self, start: Start, authority: Authority, token: JoinToken, home: Path
    ) -> None:
        """Nexus told a fine time at first contact, and in its answer another."""

        def late(answer: JoinAnswer) -> JoinAnswer:
            future = wall() + dt.timedelta(hours=1)
            csr = make_csr(IdentityStore(home).join_key())
            chain = pki.sign_node_csr(authority, csr, "alpha", future).chain_pem
            return msgspec.structs.replace(
                answer, certificate_pem=chain, server_time_ms=round(future.timestamp() * 1000)
            )

        server = await start(change=late)
        failure = await failed(server, token, home)
        assert failure.hop is Hop.CLOCK
        assert "3600 s behind" in failure.detail


class TestIdentity:
    async def test_a_node_known_with_another_key(self, start: Start, token: JoinToken, home: Path) -> None:
        server = await start(refuse=(409, problem("node alpha is known with another key")))
        failure = await failed(server, token, home)
        assert failure.hop is Hop.IDENTITY
        assert "remove that node first" in failure.hint

    async def test_nexus_may_name_the_hop_itself(self, start: Start, token: JoinToken, home: Path) -> None:
        server = await start(refuse=(422, problem("this token is for edge nodes", hop="token")))
        assert (await failed(server, token, home)).hop is Hop.TOKEN

    async def test_a_certificate_for_another_key(
        self, start: Start, authority: Authority, token: JoinToken, home: Path
    ) -> None:
        chain = pki.sign_node_csr(authority, make_csr(new_private_key()), "alpha", wall()).chain_pem
        server = await start(change=lambda answer: msgspec.structs.replace(answer, certificate_pem=chain))
        failure = await failed(server, token, home)
        assert failure.hop is Hop.IDENTITY
        assert "another key" in failure.detail

    async def test_a_bundle_without_the_ca_of_the_token(
        self, start: Start, impostor: Authority, token: JoinToken, home: Path
    ) -> None:
        def swap(answer: JoinAnswer) -> JoinAnswer:
            chain = pki.sign_node_csr(impostor, make_csr(IdentityStore(home).join_key()), "alpha", wall()).chain_pem
            pem = impostor.trust_bundle().pem.decode()
            return msgspec.structs.replace(answer, certificate_pem=chain, trust_bundle_pem=pem)

        server = await start(change=swap)
        failure = await failed(server, token, home)
        assert failure.hop is Hop.IDENTITY
        assert "lacks the CA" in failure.detail

    @pytest.mark.parametrize(
        "fields",
        [
            {"node_id": "beta"},
            {"fabric_id": "fother"},
            {"endpoints": []},
            {"endpoints": ["nexus"]},
            {"endpoints": ["nexus:0"]},
            {"certificate_pem": "hello"},
            {"trust_bundle_pem": ""},
        ],
        ids=str,
    )
    async def test_an_answer_that_does_not_hold_together(
        self, start: Start, token: JoinToken, home: Path, fields: dict[str, Any]
    ) -> None:
        server = await start(change=lambda answer: msgspec.structs.replace(answer, **fields))
        assert (await failed(server, token, home)).hop is Hop.IDENTITY

    async def test_an_answer_that_is_no_answer(self, start: Start, token: JoinToken, home: Path) -> None:
        for body in (b"", b"{}", b"[]", b"\xff", b'{"node_id": 1}'):
            server = await start(refuse=(200, body))
            assert (await failed(server, token, home)).hop is Hop.IDENTITY

    async def test_a_second_root_told_by_the_verified_nexus_is_taken_over(
        self, start: Start, authority: Authority, impostor: Authority, token: JoinToken, home: Path
    ) -> None:
        rotating = replace(authority, also_trusted=(impostor.root.certificate,))
        server = await start(authority=rotating)
        result = await join(server.url, token.text, FACTS, home)
        assert certificates_pem(result.identity.trust_bundle.roots) == rotating.trust_bundle().roots_pem
        assert len(result.identity.trust_bundle.roots) == 2

    async def test_facts_are_bounded(self, start: Start, token: JoinToken, home: Path) -> None:
        server = await start()
        with pytest.raises(JoinFailed, match="facts"):
            await join(server.url, token.text, {"x": "y" * 70_000}, home)
        assert server.requests == []
