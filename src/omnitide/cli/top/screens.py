"""The screen over the pages of one object: a node, an agent, an instance."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from omnitide.cli.top.actions import ACTIONS
from omnitide.cli.top.details import OWN, charts_of, detail_lines, subject, title_of
from omnitide.cli.top.drawing import Bar, Text
from omnitide.cli.top.following import SUM_END_MS, Following
from omnitide.cli.top.footing import Footing
from omnitide.cli.top.keys import shown_key
from omnitide.cli.top.lines import Cell, Line, line, mark
from omnitide.cli.top.reasons import node_why, reason_lines, version_lines
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.targets import Kind, Target, kind_of_target
from omnitide.cli.top.words import visible
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import Node
from omnitide.model.metrics import MetricAnswer
from omnitide.model.objects import AgentSummary, AgentVersion, Instance
from omnitide.sdk.errors import FabricError

CHARTS_S: Final = 3.0
PAST: Final = 50
"""Events of it that are asked for: some of them are bookkeeping."""
_OUTPUT: Final = ("l", "app.output", "Output")


def action_bindings(kind: Kind) -> list[BindingType]:
    return [
        Binding(one.key, f"app.act('{one.id}')", one.title, key_display=shown_key(one.key), priority=True)
        for one in ACTIONS
        if one.kind == kind
    ]


class Detail(Screen[None]):
    """One object, as long as it is there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", priority=True),
    ]

    def __init__(self, target: Target, scene: Scene, following: Following) -> None:
        super().__init__()
        self.target = target
        self.gone = False
        self.head = Bar(id="head")
        self.shown = Text(id="object")
        self._scene = scene
        self._following = following
        self._charts: dict[str, MetricAnswer] = {}
        self._failed = ""
        self._why = ""
        """Why it is as it is, in Nexus's words."""
        self._versions: Sequence[AgentVersion] = ()
        self._past: Sequence[CloudEvent] | None = None
        """What happened to it until it was opened; what comes later the scene has. None: not known yet."""
        kind = kind_of_target(target)
        own = ("e", "app.terminal", "Terminal") if kind == "instance" else ("i", "app.instances_of", "Instances")
        opened = (_OUTPUT, own)
        done = [(one.key, f"app.act('{one.id}')", one.title) for one in ACTIONS if one.kind == kind]
        for key, action, title in (*opened, *done):
            self._bindings.bind(key, action, title, key_display=shown_key(key), priority=True)

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.shown
        yield Footing()

    def on_mount(self) -> None:
        self.shown.focus()
        self.redraw()
        self.run_worker(self._ask(), group="charts")

    def on_resize(self) -> None:
        self.redraw()

    async def _ask(self) -> None:
        while not self.gone:
            try:
                end_ms = SUM_END_MS if isinstance(self.target, AgentSummary) else 0
                self._charts = await self._following.ask(charts_of(self.target), end_ms=end_ms)
                self._failed = ""
                await self._ask_why()
                await self._ask_past()
            except FabricError as error:
                self._charts, self._failed = {}, error.detail
            self.redraw()
            await asyncio.sleep(CHARTS_S)

    async def _ask_why(self) -> None:
        """Raises FabricError."""
        client, target = self._following.client, self.target
        if isinstance(target, Instance):
            self._why = (await client.explain_instance(target.id)).text
        elif isinstance(target, AgentSummary):
            self._why = (await client.explain_agent(target.name, namespace=target.namespace)).text
            self._versions = (await client.list_agent_versions(target.name, namespace=target.namespace)).items

    async def _ask_past(self) -> None:
        """Raises FabricError."""
        if self._past is None:
            client, of, kind = self._following.client, subject(self.target), kind_of_target(self.target)
            found = await client.list_events(subject=of, last=PAST)
            # Of a node or an agent its instances tell so much that what it told itself is not among them.
            own = await client.list_events(subject=of, kinds=(kind,), last=OWN) if kind != "instance" else found
            self._past = (*own.items, *found.items)

    def redraw(self) -> None:
        view, target = self._scene.view, self.target
        tables = {"node": view.nodes, "agent": view.agents, "instance": view.instances}
        found = tables[kind_of_target(target)].get(target.id)
        self.gone = found is None
        if found is not None:
            self.target = found
        width = self.size.width - 2
        past = self._past or ()
        why = self._why
        if isinstance(self.target, Node):
            why = node_why(self.target, (*past, *self._scene.events))
        before = [*reason_lines(why, width), *version_lines(self._versions, self._scene, width)]
        lines = detail_lines(self.target, self._scene, self._charts, width, before=before, events=past)
        if self._failed:
            lines.append(line(mark("unknown"), f" no charts and reasons: {visible(self._failed)}"))
        if self.gone:
            lines.insert(0, line(mark("off"), " It is gone. This is how it was last."))
        self.shown.show(lines)

    @property
    def title_cells(self) -> Line:
        return line(Cell(f" {title_of(self.target)}", "strong"))

    def action_back(self) -> None:
        self.dismiss()
