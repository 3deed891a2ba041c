"""What keeps a scene true: the live view, the stream of events, the status, the charts of the whole. No terminal."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from omnitide.cli.top.details import FABRIC_CHARTS, SPAN_MS, Chart
from omnitide.cli.top.scene import EVENTS, Connection, Scene
from omnitide.model.metrics import MetricAnswer
from omnitide.sdk.errors import FabricError, Trimmed, Unauthorized, UnknownRevision
from omnitide.sdk.view import Changes

if TYPE_CHECKING:
    from omnitide.sdk.async_client import AsyncClient, AsyncViewWatch

SILENCE_S: Final = 5.0
"""Beats come every 2 s: two may be late."""
AGAIN_S: Final = 2.0
BUSY_S: Final = 2.0
IDLE_S: Final = 10.0
"""Between two questions for the status while the fabric changes, and while it does not: concerns come with time too."""
CHARTS_S: Final = 5.0
STEP_MS: Final = 5_000
LOOK_MS: Final = 2_000
"""Of charts of one node: who asks in so small steps looks at it, and it sends each second as long as that goes on."""
BATCH_MS: Final = 11_000
"""A node of which nobody asks sends so seldom: a sum is only of what all have sent."""
SUM_END_MS: Final = -(BATCH_MS + STEP_MS)
"""Where charts of many nodes end: their last step is then whole, and also a batch that is late is there for it."""


class Following:
    """One fabric, followed for as long as `run` does."""

    def __init__(self, client: "AsyncClient", scene: Scene, changed: Callable[[frozenset[str]], None]) -> None:
        """`changed`: told what is another: kinds of the view, `use`, `event`, `status`, `chart`."""
        self.client = client
        self.scene = scene
        self.wants_charts = True
        """Whether anybody looks at the charts of the whole."""
        self._changed = changed
        self._watch: AsyncViewWatch | None = None
        self._heard: float | None = None
        self._refusal = ""
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_view())
            tasks.create_task(self._follow_events())
            tasks.create_task(self._ask_status())
            tasks.create_task(self._ask_charts())

    def refresh(self) -> bool:
        """Bring clock and connection up to now; whether it is live or not has changed."""
        before = self.scene.connection
        heard, now = self._heard, asyncio.get_running_loop().time()
        time_ms = self.scene.view.time_ms
        if heard is not None:
            self.scene.now_ms = time_ms + round((now - heard) * 1000)
        trouble = self._watch.trouble if self._watch is not None else ""
        if self._refusal:
            self.scene.connection = Connection(trouble=self._refusal, heard_ms=time_ms, final=True)
        elif trouble:
            self.scene.connection = Connection(trouble=trouble, heard_ms=time_ms)
        elif heard is None or not self.scene.view.filled:
            self.scene.connection = Connection(trouble="")
        elif now - heard > SILENCE_S:
            self.scene.connection = Connection(trouble="nothing is heard from Nexus", heard_ms=time_ms)
        else:
            self.scene.connection = Connection(live=True, heard_ms=time_ms)
        return self.scene.connection._replace(heard_ms=0) != before._replace(heard_ms=0)

    async def _follow_view(self) -> None:
        while not self._refusal:
            try:
                await self._follow_one_view()
            except Unauthorized as error:
                self._refusal = error.detail
            except FabricError as error:
                # A Nexus of another version, or no Nexus at all: what is shown stays, and says why it is old.
                self._refusal = "" if error.retryable else error.detail
                if not self._refusal:
                    await asyncio.sleep(AGAIN_S)

    async def _follow_one_view(self) -> None:
        async with self.client.watch_view(patience_s=float("inf")) as watch:
            self._watch = watch
            async for changes in watch:
                self._heard = asyncio.get_running_loop().time()
                if self.scene.view is not watch.view:
                    if not watch.view.filled:
                        continue
                    self.scene.view = watch.view
                    self.scene.began_ms = self.scene.began_ms or watch.view.time_ms
                self._tell(changes)

    def _tell(self, changes: Changes) -> None:
        kinds = changes.kinds
        if changes.use:
            self.scene.keep_use()
            kinds |= {"use"}
        if changes.kinds:
            self.scene.changed(changes.kinds)
            self._moved.set()
        if kinds:
            self._changed(kinds)

    async def _follow_events(self) -> None:
        while not self._refusal:
            try:
                page = await self.client.list_events(last=EVENTS)
                self.scene.events.clear()
                self.scene.events.extend(page.items)
                self._changed(frozenset({"event"}))
                async with self.client.watch_events(after=page.revision, patience_s=float("inf")) as watch:
                    async for batch in watch.batches():
                        if batch:
                            self.scene.events.extend(batch)
                            self._changed(frozenset({"event"}))
            except (Trimmed, UnknownRevision):
                # Away for too long, or the fabric was restored: begin anew with the newest.
                await asyncio.sleep(AGAIN_S)
            except Unauthorized:
                return
            except FabricError:
                await asyncio.sleep(AGAIN_S)

    async def _ask_status(self) -> None:
        while not self._refusal:
            self._moved.clear()
            try:
                self.scene.status = await self.client.get_fabric()
                self._changed(frozenset({"status"}))
            except Unauthorized:
                return
            except FabricError:
                await asyncio.sleep(AGAIN_S)
                continue
            await asyncio.sleep(BUSY_S)
            try:
                async with asyncio.timeout(IDLE_S - BUSY_S):
                    await self._moved.wait()
            except TimeoutError:
                pass

    async def _ask_charts(self) -> None:
        while not self._refusal:
            if self.wants_charts:
                try:
                    self.scene.charts = await self.ask_fabric()
                    self._changed(frozenset({"chart"}))
                except Unauthorized:
                    return
                except FabricError:
                    # What follows the view says that Nexus does not answer.
                    self.scene.charts = {}
            await asyncio.sleep(CHARTS_S)

    async def ask_fabric(self) -> dict[str, MetricAnswer]:
        """Charts of the whole, by key. Raises FabricError."""
        return await self.ask(FABRIC_CHARTS, end_ms=SUM_END_MS)

    async def ask(self, charts: Sequence[Chart], *, end_ms: int = 0) -> dict[str, MetricAnswer]:
        """By key; `end_ms` 0: of one node, up to now. Raises FabricError."""
        step_ms = STEP_MS if end_ms else LOOK_MS
        return {
            chart.key: await self.client.query_metrics(
                chart.selector, start_ms=-SPAN_MS, end_ms=end_ms, step_ms=step_ms, by=("-",)
            )
            for chart in charts
        }
