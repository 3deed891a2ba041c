"""Renewal of the node's certificate: when, in which order, and what a failure at each step leaves behind."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from omnitide.node.identities import Identities, IdentityUnusable
from omnitide.node.identity_view import IdentityView, Renewed, Shown
from omnitide.node.renewal import Renewal
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed
from simulation.virtual_loop import run as run_virtual

HOUR_MS = 3_600_000


def identity(name: str, renew_at_ms: int = 10 * HOUR_MS) -> IdentityView:
    return IdentityView(
        fabric_id="f",
        node_id="n1",
        roots_pem="roots",
        private_key_pem="secret key",
        certificate_pem=name,
        endpoints=("n1:1",),
        renew_at_ms=renew_at_ms,
    )


class World:
    """The vault, Nexus and the session, as far as a renewal sees them."""

    def __init__(self, staged: IdentityView | None = None) -> None:
        self.identities = Identities(Shown(identity("old"), staged))
        self.steps: list[str] = []
        self.broken: set[str] = set()
        self.endpoint: str | None = "n1:1"
        self.renewal = Renewal(
            vault=self,
            identities=self.identities,
            renewer=self,
            endpoint=lambda: self.endpoint,
            renewed=lambda: self.steps.append("new session"),
            clock=self,
            rng=random.Random(3),
        )

    def now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.broken:
            raise IdentityUnusable(name)

    async def signing_request(self) -> bytes:
        self._step("request")
        return b"csr"

    async def stage(self, renewed: Renewed) -> IdentityView:
        self._step("stage")
        return identity(renewed.certificate_pem, self.now_ms() + 100 * HOUR_MS)

    async def promote(self) -> None:
        self._step("promote")

    async def discard(self) -> None:
        self._step("discard")

    async def renew(self, endpoint: str, csr_pem: bytes) -> pb.RenewResponse:
        self.steps.append("ask")
        if "ask" in self.broken:
            raise LinkClosed("no")
        return pb.RenewResponse(certificate_pem=b"new", trust_bundle_pem=b"bundle")


def virtual(test: Callable[[World], Awaitable[None]], staged: IdentityView | None = None) -> None:
    async def main() -> None:
        world = World(staged)
        task = asyncio.create_task(world.renewal.run())
        await test(world)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(main())


async def until(condition: Callable[[], object], hours: float) -> None:
    async with asyncio.timeout(hours * 3600):
        while not condition():
            await asyncio.sleep(1)


def test_a_certificate_is_renewed_at_half_of_its_life_and_proved_before_it_replaces_the_old_one() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(9.9 * 3600)
        assert world.steps == []
        await until(lambda: "new session" in world.steps, 1.1)
        assert world.steps == ["request", "ask", "stage", "new session"]
        assert world.identities.shown.certificate_pem == "new"
        world.identities.welcomed()
        await until(lambda: "promote" in world.steps, 0.01)
        assert world.identities.shown.certificate_pem == "new"
        await asyncio.sleep(90 * 3600)
        assert world.steps[4:] == ["promote"]

    virtual(scenario)


def test_a_renewed_certificate_that_does_not_serve_is_dropped_and_asked_for_again() -> None:
    async def scenario(world: World) -> None:
        await until(lambda: "new session" in world.steps, 12)
        world.identities.failed()
        assert world.identities.shown.certificate_pem == "old"
        world.identities.welcomed()
        await until(lambda: "discard" in world.steps, 0.01)
        assert world.identities.shown.certificate_pem == "old"
        await until(lambda: world.steps.count("request") == 2, 1.1)

    virtual(scenario)


def test_while_nexus_is_away_both_are_tried_in_turn_and_nothing_is_dropped() -> None:
    async def scenario(world: World) -> None:
        shown: list[str] = []
        for _ in range(4):
            shown.append(world.identities.shown.certificate_pem)
            world.identities.failed()
        assert shown == ["staged", "old", "staged", "old"]
        world.identities.welcomed()
        await until(lambda: world.steps, 0.01)
        assert world.steps == ["promote"]

    virtual(scenario, identity("staged"))


def test_the_old_one_that_serves_before_the_new_one_was_tried_proves_nothing() -> None:
    async def scenario(world: World) -> None:
        await until(lambda: "new session" in world.steps, 12)
        world.identities.welcomed()
        assert world.identities.shown.certificate_pem == "new"

    virtual(scenario)


def test_without_a_session_it_waits_for_one() -> None:
    async def scenario(world: World) -> None:
        world.endpoint = None
        await asyncio.sleep(20 * 3600)
        assert world.steps == []
        world.endpoint = "n1:1"
        await until(lambda: "stage" in world.steps, 0.02)

    virtual(scenario)


def test_whatever_fails_is_tried_again_soon_but_not_at_once() -> None:
    async def scenario(world: World) -> None:
        for step in ("request", "ask", "stage"):
            world.broken = {step}
            await until(lambda step=step: step in world.steps, 12)
            count = len(world.steps)
            await asyncio.sleep(20)
            assert len(world.steps) == count
        world.broken = {"promote"}
        await until(lambda: "new session" in world.steps, 0.05)
        world.identities.welcomed()
        await until(lambda: world.steps.count("promote") == 2, 0.05)
        world.broken.clear()
        await until(lambda: world.steps.count("promote") == 3, 0.05)

    virtual(scenario)


def test_what_is_printed_of_an_identity_has_no_key() -> None:
    assert "secret" not in repr(Shown(identity("a"), identity("b")))
