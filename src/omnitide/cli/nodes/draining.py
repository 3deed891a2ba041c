"""Waiting until a node is empty, and saying what that waits for."""

import time
from typing import TYPE_CHECKING, Final

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session
from omnitide.cli.show.words import ago, plural

if TYPE_CHECKING:
    from omnitide.model.inventory import Node
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client

QUIET_S: Final = 1.0
"""What takes no longer needs no words."""
LOOK_S: Final = 0.2
AGAIN_S: Final = 10.0
"""The same is told again after it."""
SHOWN: Final = 10
_GONE: Final = ("succeeded", "failed", "stopped", "lost")


def wait_until_empty(session: Session, client: "Client", name: str, limit_s: float) -> "Node":
    """The node, once nothing runs there. Raises Failure with what still does when the time is up."""
    began = time.monotonic()
    teller = _Teller(session, client)
    while True:
        node = client.get_node(name)
        if not node.instances:
            return node
        waited = time.monotonic() - began
        if waited > limit_s:
            # What it waits for is not told twice.
            still = "" if teller.told(node.name) else "".join(f"\n       {line}" for line in teller.lines(node.name))
            raise Failure(
                f"{node.name} still runs {plural(node.instances, 'instance')} after {waited:.0f} s{still}",
                f"it goes on being drained; {_WAYS.format(node=node.name)}",
                Exit.TIMEOUT,
            )
        if waited > QUIET_S:
            teller.tell(node.name, waited)
        time.sleep(LOOK_S)


_WAYS: Final = "add a node (omnitide token create), end the agent (omnitide stop), or omnitide nodes rm {node} --force"


class _Teller:
    """Says what is waited for when that changes, and now and then."""

    def __init__(self, session: Session, client: "Client") -> None:
        self._session = session
        self._client = client
        self._told: tuple[tuple[str, str], ...] = ()
        self._due = 0.0
        self._advised = False

    def tell(self, node: str, waited: float) -> None:
        if self._session.quiet:
            return
        found = self._on(node)
        seen = tuple((one.name, one.status) for one in found)
        if not found or (seen == self._told and waited < self._due):
            return
        self._told, self._due = seen, waited + AGAIN_S
        self._session.note(f"  waiting for {plural(len(found), 'instance')} on {node}, {waited:.0f} s so far")
        stuck = False
        for line, stays in self._explained(found):
            stuck = stuck or stays
            self._session.note(f"    {line}")
        if stuck and not self._advised:
            self._advised = True
            self._session.note(f"    what runs on has nowhere else to go: {_WAYS.format(node=node)};")
            self._session.note("    Ctrl-C or --no-wait: it goes on being drained, and moves when there is room")

    def told(self, node: str) -> bool:
        """What is on the node now is what was told last."""
        return bool(self._told) and tuple((one.name, one.status) for one in self._on(node)) == self._told

    def lines(self, node: str) -> list[str]:
        return [line for line, _ in self._explained(self._on(node))]

    def _on(self, node: str) -> "list[Instance]":
        return [one for one in self._client.instances(node=node) if one.status not in _GONE]

    def _explained(self, found: "list[Instance]") -> list[tuple[str, bool]]:
        """A line each, and whether it has nowhere to go."""
        reasons: dict[tuple[str, str], str] = {}
        told: list[tuple[str, bool]] = []
        for one in found[:SHOWN]:
            if one.kind == "job":
                told.append((f"{one.name} is a job's task and runs to its end, {one.status} for {_for(one)}", False))
            elif one.status == "stopping":
                told.append((f"{one.name} is ending, for {_for(one)}", False))
            else:
                agent = (one.namespace, one.workload)
                if agent not in reasons:
                    reasons[agent] = self._reason(*agent, one.node)
                reason = reasons[agent]
                told.append((f"{one.name} {one.status} for {_for(one)}{f': {reason}' if reason else ''}", bool(reason)))
        if len(found) > SHOWN:
            told.append((f"and {len(found) - SHOWN} more", False))
        return told

    def _reason(self, namespace: str, agent: str, node: str) -> str:
        """Why no further replica of an agent may be stopped: it fits nowhere else, or those that were wait for a
        place."""
        from omnitide.sdk.errors import NotFound

        try:
            explanation = self._client.explain_agent(agent, namespace=namespace)
        except NotFound:
            return ""
        for trouble in explanation.troubles:
            placement, instance = trouble.placement, trouble.instance
            if placement is not None and instance.status != "pending" and instance.node == node:
                return trouble.text.rpartition("being drained, and it ")[2]
        for trouble in explanation.troubles:
            if trouble.instance.status == "pending" and trouble.placement is not None:
                return f"stays until {trouble.instance.name} runs elsewhere: {trouble.placement.text}"
        return ""


def _for(one: "Instance") -> str:
    return ago(one.since_ms)
