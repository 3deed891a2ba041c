"""Everything that can be done from `top`, once, as the panel has it (web/src/actions/registry.ts)."""

from typing import Final

from omnitide.cli.top.action import Action
from omnitide.cli.top.agent_actions import AGENT_ACTIONS
from omnitide.cli.top.instance_actions import INSTANCE_ACTIONS
from omnitide.cli.top.node_actions import NODE_ACTIONS

ACTIONS: Final[tuple[Action, ...]] = (*AGENT_ACTIONS, *INSTANCE_ACTIONS, *NODE_ACTIONS)
BY_ID: Final = {one.id: one for one in ACTIONS}
