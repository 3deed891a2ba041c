"""What something can be done to, and what it is called: by people, by the shell, by who asks for its output."""

import shlex
from typing import Final, Literal

from omnitide.cli.top.tables import full_name
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentSummary, Instance

Kind = Literal["node", "agent", "instance"]
Target = Node | AgentSummary | Instance

MOST_SUBJECTS: Final = 200
"""Things whose output can be asked for together."""


def subject_of(target: Target) -> str:
    """As output is asked for."""
    if isinstance(target, Node):
        return f"node:{target.name}"
    return f"agent:{target.namespace}/{target.name}" if isinstance(target, AgentSummary) else f"instance:{target.id}"


def name_of(target: Target) -> str:
    return target.name if isinstance(target, Node) else full_name(target)


def kind_of_target(target: Target) -> Kind:
    if isinstance(target, Node):
        return "node"
    return "agent" if isinstance(target, AgentSummary) else "instance"


def shell_name(target: Target) -> str:
    return shlex.quote(name_of(target))
