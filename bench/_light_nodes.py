"""Light nodes in processes of their own, and their joining: for benchmarks of what many nodes cost Nexus.

A benchmark's own module runs them, told to by a hidden flag: `obey` there, and `crowds` in the measuring process.
"""

import asyncio
import contextlib
import json
import resource
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Protocol

import httpx
from bench._fabric import Fabric, environment

from omnitide.node.identities import IdentityView
from omnitide.sdk import AsyncClient
from omnitide.security.certificates import make_csr, new_private_key, private_key_pem
from omnitide.security.join_contract import JOIN_PATH
from omnitide.security.peer import TrustBundle
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

JOINS_AT_ONCE = 16
ANSWER_S = 600.0
"""Longest wait for what a process of them was told to do: thousands connect in it."""


# -- the light nodes' side ---------------------------------------------------------------------------------------------


class LightNodes(Protocol):
    """What obeys orders, made with (url, token, prefix of names)."""

    async def perform(self, order: dict[str, object], ca_file: str) -> object:
        """Whatever the measuring side is to be told. Raises LinkClosed and httpx.HTTPError."""
        ...


class Maker(Protocol):
    def __call__(self, url: str, token: str, prefix: str, /) -> LightNodes: ...


async def obey(make: Maker) -> None:
    """Orders as JSON lines on standard input, an answer to each on standard output."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    first = json.loads(await reader.readline())
    nodes = make(first["url"], first["token"], first["prefix"])
    while line := await reader.readline():
        try:
            answer = {"told": await nodes.perform(json.loads(line), first["ca_file"])}
        except (LinkClosed, httpx.HTTPError) as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


async def join(url: str, token: str, ca_file: str, names: list[str]) -> list[IdentityView]:
    """An identity for each name, with one token for all. Raises httpx.HTTPError."""
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False
    gate = asyncio.Semaphore(JOINS_AT_ONCE)
    async with httpx.AsyncClient(base_url=url, verify=context, timeout=60, trust_env=False) as http:

        async def one(name: str) -> IdentityView:
            async with gate:
                key = new_private_key()
                body = {"token": token, "csr_pem": make_csr(key).decode(), "facts": {"name": name}}
                answer = await http.post(JOIN_PATH, json=body)
                answer.raise_for_status()
                told = answer.json()
                return IdentityView(
                    fabric_id=told["fabric_id"],
                    node_id=told["node_id"],
                    roots_pem=TrustBundle.parse(told["trust_bundle_pem"]).roots_pem.decode(),
                    private_key_pem=private_key_pem(key).decode(),
                    certificate_pem=told["certificate_pem"],
                    endpoints=tuple(told["endpoints"]),
                    renew_at_ms=0,
                )

        return await asyncio.gather(*(one(name) for name in names))


def hello_of(identity: IdentityView) -> pb.Hello:
    return pb.Hello(
        protocol_min=1,
        protocol_max=1,
        features=["logs"],
        software="omnitide/bench",
        node_id=identity.node_id,
        boot_id="bench",
        outbox_id="bench",
        facts=pb.Facts(cpu_milli=4000, memory_bytes=8 << 30, drivers=[pb.DriverFact(name="process", healthy=True)]),
    )


# -- the measuring side ------------------------------------------------------------------------------------------------


class Crowd:
    """A process of light nodes, seen from here."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, **order: object):
        """What it answers. Raises RuntimeError for what it could not do, TimeoutError after ANSWER_S."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(ANSWER_S):
            answer = json.loads(await self.process.stdout.readline() or '{"error": "the light nodes have died"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["told"]


@contextlib.asynccontextmanager
async def crowds(fabric: Fabric, client: AsyncClient, count: int, module: str) -> AsyncGenerator[list[Crowd]]:
    """So many processes of `module`, whose nodes are named `light-NUMBER-...`; all are ended with the block."""
    token = await client.create_token("join", ttl="1h", uses=10_000)
    started: list[Crowd] = []
    try:
        for number in range(count):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                "--light-nodes",
                str(fabric.root),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**environment(fabric.root), "GRPC_VERBOSITY": "ERROR"},
            )
            started.append(Crowd(process))
            told = {
                "url": fabric.nexus.target.url,
                "token": token.text,
                "ca_file": str(fabric.directory / "nexus" / "ca.pem"),
                "prefix": f"light-{number}",
            }
            assert process.stdin is not None
            process.stdin.write(json.dumps(told).encode() + b"\n")
        yield started
    finally:
        for crowd in started:
            with contextlib.suppress(ProcessLookupError):
                crowd.process.kill()
            await crowd.process.wait()


def raise_descriptors() -> None:
    """Each session is a descriptor at either end. Children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
