"""The wire under a join: name, address, TCP, TLS and one HTTP/1.1 exchange, each failure named by its hop.

Standard library alone, because the node process must stay small; a join makes two requests in its life.
"""

import asyncio
import errno
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from omnitide.security.join_contract import DEFAULT_PORT, MAX_BODY_BYTES, Hop, JoinFailed

MAX_ADDRESSES = 4
"""Addresses of one name that are tried, each for `Timeouts.connect`."""
_MAX_HEADER_LINES = 64
_PORT_SHUT = {errno.ECONNREFUSED, errno.ECONNRESET}


@dataclass(frozen=True)
class Timeouts:
    """Bounds in seconds for each step of a join."""

    resolve: float = 10.0
    connect: float = 5.0
    tls: float = 10.0
    request: float = 20.0


class Address(NamedTuple):
    host: str
    port: int

    @property
    def text(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Connection(NamedTuple):
    """An open TLS connection to a Nexus, or to what claims to be one."""

    address: Address
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def peer_certificate(self) -> bytes:
        """The server's leaf in DER, as it showed it."""
        tls: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return tls.getpeercert(binary_form=True) or b""


def parse_url(url: str) -> Address:
    """The address in `https://host[:port]` or `host[:port]`; the port is 7400 if none is given. Raises JoinFailed."""
    parts = None
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    wanted = "Give the address of Nexus as https://host:7400."
    if parts is not None and parts.scheme not in ("", "https"):
        raise JoinFailed(Hop.TLS, f"{parts.scheme}:// was asked for; a join is always encrypted", wanted)
    if not host or parts is None or parts.path not in ("", "/") or parts.query or parts.username is not None:
        raise JoinFailed(Hop.NAME, f"{url[:200]!r} is not the address of a Nexus", wanted)
    return Address(host, DEFAULT_PORT if port is None else port)


async def resolve(address: Address, timeouts: Timeouts) -> list[Address]:
    """IP addresses for the host, in the system's order of preference. Raises JoinFailed(name)."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeouts.resolve):
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        detail = f"looking up {address.host!r} took longer than {timeouts.resolve:g} s"
        raise JoinFailed(Hop.NAME, detail, "Check the name servers of this machine.", retryable=True) from error
    except (OSError, UnicodeError) as error:
        detail = f"the name {address.host!r} has no address ({_reason(error)})"
        hint = "Check the spelling, or use the IP address of Nexus; the certificate does not depend on the name."
        raise JoinFailed(Hop.NAME, detail, hint, retryable=isinstance(error, OSError)) from error
    unique = dict.fromkeys(Address(str(entry[4][0]), address.port) for entry in found)
    return list(unique)[:MAX_ADDRESSES]


async def connect(address: Address, candidates: Sequence[Address], timeouts: Timeouts) -> socket.socket:
    """A TCP connection to the first of the addresses that accepts one. Raises JoinFailed(route or port).

    If none does, the failure that came furthest is told: a refused port says more than an absent route.
    """
    failures: list[JoinFailed] = []
    for candidate in candidates:
        try:
            return await _connect(candidate, timeouts)
        except JoinFailed as failure:
            failures.append(failure)
    order = list(Hop)
    failures.sort(key=lambda failure: order.index(failure.hop), reverse=True)
    if failures:
        raise failures[0]
    raise JoinFailed(Hop.NAME, f"{address.host!r} has no address that can be used here", "Use an IP address.")


async def _connect(candidate: Address, timeouts: Timeouts) -> socket.socket:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ipaddress.ip_address(candidate.host.partition("%")[0]).version == 6 else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        detail = f"this machine cannot reach addresses like {candidate.host} ({_reason(error)})"
        raise JoinFailed(Hop.ROUTE, detail, "Use an address of the other IP version.") from error
    try:
        sock.setblocking(False)
        async with asyncio.timeout(timeouts.connect):
            await loop.sock_connect(sock, (candidate.host, candidate.port))
    except TimeoutError as error:
        sock.close()
        detail = f"{candidate.text} did not answer within {timeouts.connect:g} s"
        hint = "Check the network between here and there; a firewall that drops packets looks like this too."
        raise JoinFailed(Hop.ROUTE, detail, hint, retryable=True) from error
    except OSError as error:
        sock.close()
        if error.errno in _PORT_SHUT:
            detail = f"nothing listens on {candidate.text} ({_reason(error)})"
            hint = "Is Nexus running, and does it listen on more than loopback there? Its default port is 7400."
            raise JoinFailed(Hop.PORT, detail, hint, retryable=True) from error
        detail = f"no route to {candidate.text} ({_reason(error)})"
        raise JoinFailed(Hop.ROUTE, detail, "Check the network of this machine.", retryable=True) from error
    except BaseException:
        sock.close()
        raise
    return sock


@asynccontextmanager
async def open_tls(
    address: Address, candidates: Sequence[Address], context: ssl.SSLContext, timeouts: Timeouts
) -> AsyncGenerator[Connection]:
    """TCP and TLS. Raises JoinFailed(route, port or tls), or ssl.SSLCertVerificationError for the caller to explain."""
    sock = await connect(address, candidates, timeouts)
    try:
        async with asyncio.timeout(timeouts.tls):
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=context, server_hostname=address.host.partition("%")[0], limit=MAX_BODY_BYTES
            )
    except TimeoutError as error:
        sock.close()
        detail = f"{address.text} accepts connections but did not begin TLS within {timeouts.tls:g} s"
        raise JoinFailed(Hop.TLS, detail, "Is this the HTTPS port of Nexus (7400)?", retryable=True) from error
    except OSError as error:
        sock.close()
        if isinstance(error, ssl.SSLCertVerificationError):
            raise
        detail = f"{address.text} does not speak TLS as Nexus does ({_reason(error)})"
        raise JoinFailed(Hop.TLS, detail, "Is this the HTTPS port of Nexus (7400), with no proxy between?") from error
    except BaseException:
        sock.close()
        raise
    try:
        yield Connection(address, reader, writer)
    finally:
        # No polite shutdown: everything needed has been read, and a peer could delay one.
        writer.transport.abort()


async def request(
    connection: Connection, method: str, path: str, hop: Hop, timeouts: Timeouts, body: bytes | None = None
) -> Response:
    """One exchange. Raises JoinFailed(hop) if what answers does not speak HTTP/1.1 within the bounds."""
    head = [f"{method} {path} HTTP/1.1", f"Host: {connection.address.text}", "Connection: close"]
    head.append("Accept: application/json")
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    try:
        async with asyncio.timeout(timeouts.request):
            connection.writer.write("\r\n".join([*head, "", ""]).encode("ascii") + (body or b""))
            await connection.writer.drain()
            return await _read_response(connection.reader)
    except TimeoutError as error:
        detail = f"{connection.address.text} did not answer {path} within {timeouts.request:g} s"
        raise JoinFailed(hop, detail, _no_answer_hint(hop), retryable=True) from error
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        detail = f"{connection.address.text} gave no proper answer to {path} ({_reason(error)})"
        raise JoinFailed(hop, detail, _no_answer_hint(hop), retryable=isinstance(error, (OSError, EOFError))) from error


def _no_answer_hint(hop: Hop) -> str:
    if hop is Hop.PORT:
        return "Is this the HTTPS port of Nexus (7400)? Something else may listen there."
    return "Run the same again: it counts as the same join, even if Nexus did carry out the first one."


async def _read_response(reader: asyncio.StreamReader) -> Response:
    start = (await reader.readuntil(b"\r\n")).decode("latin-1")
    match = re.fullmatch(r"HTTP/1\.[01] (\d{3})(?: .*)?\r\n", start)
    if not match:
        raise ValueError("not HTTP/1.1")
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADER_LINES):
        line = (await reader.readuntil(b"\r\n")).decode("latin-1").rstrip("\r\n")
        if not line:
            break
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    else:
        raise ValueError("too many headers")
    return Response(int(match[1]), headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = bytearray()
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            if len(body) + size > MAX_BODY_BYTES:
                raise ValueError("answer too long")
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        return bytes(body)
    length = headers.get("content-length", "")
    if not re.fullmatch(r"\d{1,9}", length):
        # An answer that ends with the connection cannot be told from one that was cut.
        raise ValueError("an answer without a length")
    if int(length) > MAX_BODY_BYTES:
        raise ValueError("answer too long")
    return await reader.readexactly(int(length))


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        # asyncio puts the address in place of the system's words; name lookups have numbers of their own.
        return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    if isinstance(error, asyncio.IncompleteReadError):
        return "the connection ended early"
    return str(error) or type(error).__name__
