"""What `top` draws of the whole fabric, over a real server of the API."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest
from tests.support.memory_runtime import MemoryRuntime
from tests.unit.cli.top.scenes import node, scene

from omnitide.api.app import make_app
from omnitide.api.server import ApiServer
from omnitide.cli.top.following import SILENCE_S, Following
from omnitide.cli.top.lines import printed
from omnitide.cli.top.overview import overview_lines
from omnitide.model.metrics import MetricAnswer, MetricSeries
from omnitide.sdk.async_client import AsyncClient
from omnitide.sdk.target import Target
from omnitide.telemetry.series.definition import SeriesInfo

SENT_S = 10
"""Between two batches of a node of which nobody asks."""
UNDER_WAY_S = 2
"""A batch of a busy machine."""


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[MemoryRuntime, AsyncClient]]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    runtime.add_node("beta")
    server = await ApiServer.start(make_app(runtime), "127.0.0.1", 0, None)
    async with AsyncClient(Target(server.url, runtime.api_token())) as made:
        yield runtime, made
    await server.close()


def sampled(runtime: MemoryRuntime, name: str, start_s: int, until_s: int) -> None:
    recent = runtime.metrics().recent
    info = SeriesInfo("omnitide_node_memory_used_bytes", (("node", name),), "gauge", "By", "Used.")
    entry = recent.entry(runtime.state.node_names[name], info, 1)
    assert entry is not None
    values = np.full((1, until_s - start_s), 1024.0)
    entry.ring.write(np.array([entry.row]), start_s, values, np.array([False]), None)


async def test_a_sum_ends_before_the_batches_that_are_still_to_come(client: tuple[MemoryRuntime, AsyncClient]) -> None:
    """Else the newest step is of some nodes alone, and what the chart says is now is less than is used."""
    runtime, asked = client
    start = runtime.metrics().now_s()
    last_sent = start + 60
    runtime.tick(60_000)
    sampled(runtime, "alpha", start, last_sent + SENT_S + UNDER_WAY_S)
    sampled(runtime, "beta", start, last_sent)
    following = Following(asked, scene(), lambda _: None)
    for _ in range(SENT_S + UNDER_WAY_S + 1):
        (found,) = (await following.ask_fabric())["memory"].items
        assert [value for value in found.values if value is not None][-1] == 2048
        runtime.tick(1000)


async def test_a_sum_is_little_older_than_the_batches_that_it_waits_for(
    client: tuple[MemoryRuntime, AsyncClient],
) -> None:
    runtime, asked = client
    start = runtime.metrics().now_s()
    runtime.tick(60_000)
    for name in ("alpha", "beta"):
        sampled(runtime, name, start, start + 90)
    following = Following(asked, scene(), lambda _: None)
    for _ in range(20):
        found = (await following.ask_fabric())["memory"]
        last = max(at for at, value in enumerate(found.items[0].values) if value is not None)
        old_s = runtime.metrics().now_s() - (found.start_ms + (last + 1) * found.step_ms) / 1000
        assert old_s <= SENT_S + UNDER_WAY_S + 5
        runtime.tick(1000)


@pytest.mark.parametrize(("told", "said"), [(2, "now 2.5 of 8, at most 2.5 in"), (1, "0.5 of 8 20s ago")])
def test_the_charts_figure_is_that_beside_the_bar_where_all_nodes_have_told_theirs(told: int, said: str) -> None:
    shown = scene(node("alpha"), node("beta"))
    for one in ("n-alpha", "n-beta")[:told]:
        shown.view.use[one] = (1250, 1 << 30)
    for key in ("cpu", "memory"):
        shown.charts[key] = MetricAnswer(
            name="m",
            kind="gauge",
            unit="",
            help="",
            aggregate="avg",
            start_ms=shown.now_ms - 620_000,
            step_ms=5000,
            resolution_ms=1000,
            items=(MetricSeries(labels={}, values=(0.5,) * 120),),
            revision=1,
        )
    (head,) = [row for row in printed(overview_lines(shown, 160, 60), color=False).splitlines() if "CPU, cores" in row]
    assert f"CPU, cores {said}" in head


async def test_a_nexus_of_which_nothing_is_heard_is_not_live(client: tuple[MemoryRuntime, AsyncClient]) -> None:
    """Its connection may stand while it hangs: then no beat comes, and nothing says that it broke."""
    _, asked = client
    following = Following(asked, scene(), lambda _: None)
    now = asyncio.get_running_loop().time()
    for silent_s, live in ((0.0, True), (SILENCE_S - 1, True), (SILENCE_S + 1, False)):
        following._heard = now - silent_s
        following.refresh()
        connection = following.scene.connection
        assert (connection.live, bool(connection.trouble)) == (live, not live)
    assert following.scene.connection.trouble == "nothing is heard from Nexus"
