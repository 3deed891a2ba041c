"""What runs beside everything else: a service that breaks is seen, named while it is down, and begun again."""

import asyncio
import logging

import pytest

from omnitide.nexus.services import Pauses, Services
from simulation.virtual_loop import run as run_virtual


class Brittle:
    """Breaks as many times as it is told to."""

    def __init__(self, breaks: int) -> None:
        self.breaks = breaks
        self.began: list[float] = []

    async def run(self) -> None:
        self.began.append(asyncio.get_running_loop().time())
        if len(self.began) <= self.breaks:
            raise RuntimeError("by order")
        await asyncio.Event().wait()


def test_a_service_that_breaks_is_logged_named_and_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        services, brittle = Services(Pauses(0.5, 60, 5)), Brittle(1)
        services.begin("brittle", brittle.run)
        services.begin("steady", asyncio.Event().wait)  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        assert {check.name: check.ok for check in services.checks()} == {"brittle": False, "steady": True}
        assert "RuntimeError: by order" in services.checks()[0].detail
        await asyncio.sleep(0.6)
        assert len(brittle.began) == 2
        assert not services.checks()[0].ok, "it has not proved itself yet"
        await asyncio.sleep(6)
        assert all(check.ok for check in services.checks())
        await services.end()

    with caplog.at_level(logging.ERROR):
        run_virtual(main())
    assert any(record.exc_info for record in caplog.records), "with its traceback"


def test_pauses_grow_to_a_bound_and_are_short_again_after_a_good_run() -> None:
    async def main() -> None:
        services, brittle = Services(Pauses(1, 4, 5)), Brittle(5)
        services.begin("brittle", brittle.run)
        await asyncio.sleep(100)
        assert brittle.began == [0, 1, 3, 7, 11, 15]
        await services.end()

    run_virtual(main())


def test_a_service_that_ends_by_itself_is_begun_again() -> None:
    async def main() -> None:
        services, ends = Services(), 0

        async def end() -> None:
            nonlocal ends
            ends += 1

        services.begin("short", end)
        await asyncio.sleep(3)
        assert ends >= 2
        assert "ended by itself" in services.checks()[0].detail
        await services.end()
        seen = ends
        await asyncio.sleep(100)
        assert ends == seen

    run_virtual(main())
