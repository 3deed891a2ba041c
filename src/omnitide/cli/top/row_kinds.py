"""Rows of each kind, with the keys that open something of them or act on them."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from omnitide.cli.top.rows import Rows
from omnitide.cli.top.screens import action_bindings
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentSummary, Instance, JobSummary

_OUTPUT = Binding("l", "app.output", "Output")


class NodeRows(Rows[Node]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "app.instances_of", "Instances"),
        _OUTPUT,
        *action_bindings("node"),
    ]


class AgentRows(Rows[AgentSummary]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "app.instances_of", "Instances"),
        _OUTPUT,
        *action_bindings("agent"),
    ]


class InstanceRows(Rows[Instance]):
    BINDINGS: ClassVar[list[BindingType]] = [
        _OUTPUT,
        Binding("e", "app.terminal", "Terminal"),
        *action_bindings("instance"),
    ]


class EventRows(Rows[CloudEvent]):
    def nothing(self) -> str:
        """In a busy fabric the events that are here are of a few minutes."""
        if not self.filter_text:
            return super().nothing()
        return f"none of the newest {len(self.scene.events)} is so: Escape shows all; older ones: omnitide events"


class JobRows(Rows[JobSummary]):
    BINDINGS: ClassVar[list[BindingType]] = [_OUTPUT]


AnyRows = Rows[Node] | Rows[AgentSummary] | Rows[Instance] | Rows[CloudEvent] | Rows[JobSummary]
