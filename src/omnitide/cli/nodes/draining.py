"""Waiting until a node is empty, and saying what that waits for."""

import time
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session
from omnitide.cli.show.words import ago, plural
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.inventory import Node
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client

QUIET_S: Final = 1.0
"""What takes no longer needs no words."""
LOOK_S: Final = 0.2
CHANGES_S: Final = 3.0
"""Between two tellings: what ends again and again changes many times a second."""
AGAIN_S: Final = 10.0
"""That the same is still waited for is told again after it."""
SHOWN: Final = 10
"""Lines."""
_GONE: Final = ("succeeded", "failed", "stopped", "lost")


def wait_until_empty(session: Session, client: "Client", name: str, limit_s: float) -> "Node":
    """The node, once nothing runs there. Raises Failure with what still does when the time is up."""
    began = time.monotonic()
    teller = _Teller(session, client)
    while True:
        node = client.get_node(name)
        # What is lost counts as there until it is known to be over, and Nexus does not wait for it.
        if not node.instances or node.scheduling == "drained":
            return node
        waited = time.monotonic() - began
        if waited > limit_s:
            # What it waits for is not told twice.
            still = "" if teller.told(node.name) else "".join(f"\n       {line}" for line in teller.lines(node.name))
            raise Failure(
                f"{node.name} still runs {plural(node.instances, 'instance')} after {waited:.0f} s{still}",
                f"it goes on being drained; {teller.ways(node.name)}",
                Exit.TIMEOUT,
            )
        if waited > QUIET_S:
            teller.tell(node.name, waited)
        time.sleep(LOOK_S)


_WAYS: Final = "add a node (omnitide token create), end the agent (omnitide stop), or omnitide nodes rm {node} --force"


class _Line(NamedTuple):
    """Of instances of one workload that are alike."""

    key: tuple[str, ...]
    """What is the same while nothing has changed that is worth another line."""
    text: str
    stays: bool
    """They have nowhere to go."""
    waits: str = ""
    """Agent of those that could go, and wait for another replica of it."""


class _Teller:
    """Says what is waited for: all of it first, then what changes of it, and now and then that it goes on."""

    def __init__(self, session: Session, client: "Client") -> None:
        self._session = session
        self._client = client
        self._told: set[tuple[str, ...]] = set()
        self._next = 0.0
        """What changes is not told before."""
        self._due = 0.0
        self._advised = False

    def tell(self, node: str, waited: float) -> None:
        if self._session.quiet or waited < self._next:
            return
        self._next = waited + CHANGES_S
        found = self._on(node)
        lines = self._explained(found)
        seen = {line.key for line in lines}
        if not found or (seen == self._told and waited < self._due):
            return
        changed = [line for line in lines if line.key not in self._told]
        self._told, self._due = seen, waited + AGAIN_S
        self._session.note(f"  waiting for {plural(len(found), 'instance')} on {node}, {waited:.0f} s so far")
        for line in changed:
            self._session.note(f"    {line.text}")
        if not self._advised and any(line.stays for line in lines):
            self._advised = True
            self._session.note(f"    what runs on has nowhere else to go: {_WAYS.format(node=node)};")
            self._session.note("    Ctrl-C or --no-wait: it goes on being drained, and moves when there is room")
        elif not self._advised and any(line.waits for line in lines):
            self._advised = True
            self._session.note("    it goes on once that is so; Ctrl-C or --no-wait: it goes on being drained")

    def told(self, node: str) -> bool:
        """What is on the node now is what was told last."""
        return bool(self._told) and {line.key for line in self._explained(self._on(node))} <= self._told

    def ways(self, node: str) -> str:
        """What may end the waiting."""
        lines = self._explained(self._on(node))
        waits = [line.waits for line in lines if line.waits]
        if waits and not any(line.stays for line in lines):
            return f"omnitide explain {waits[0]}"
        return _WAYS.format(node=node)

    def lines(self, node: str) -> list[str]:
        return [line.text for line in self._explained(self._on(node))]

    def _on(self, node: str) -> "list[Instance]":
        return [one for one in self._client.instances(node=node) if one.status not in _GONE]

    def _explained(self, found: "list[Instance]") -> list[_Line]:
        """A line for each workload, and for each way that its instances are in."""
        alike: dict[tuple[str, ...], list[Instance]] = {}
        for one in found:
            # What ends again and again is that, whatever it does at this moment.
            how = "failing" if one.failing else one.status
            alike.setdefault((one.kind, one.namespace, one.workload, how), []).append(one)
        lines = [self._line(key, those) for key, those in islice(alike.items(), SHOWN)]
        if len(alike) > SHOWN:
            more = sum(len(those) for those in islice(alike.values(), SHOWN, None))
            lines.append(_Line(("more", str(more)), f"and {plural(more, 'further instance')}", False))
        return lines

    def _line(self, key: tuple[str, ...], those: "list[Instance]") -> _Line:
        one, how = those[0], key[-1]
        others = f", and {len(those) - 1} more of {one.workload}" if len(those) > 1 else ""
        reason, waits = "", False
        if one.kind == "job":
            text = f"{one.name} is a job's task and runs to its end, {one.status} for {_for(one)}{others}"
        elif how == "stopping":
            text = f"{one.name} is ending, for {_for(one)}{others}"
        else:
            reason, waits = self._reason(one.namespace, one.workload, one.node)
            state = "ends again and again" if how == "failing" else f"{one.status} for {_for(one)}"
            text = f"{one.name} {state}{others}{f': {reason}' if reason else ''}"
        said = "" if how == "failing" else reason
        agent = called(one.namespace, one.workload) if waits else ""
        return _Line((*key, said, *(other.name for other in those)), text, bool(reason) and not waits, agent)

    def _reason(self, namespace: str, agent: str, node: str) -> tuple[str, bool]:
        """Why no further replica of an agent may be stopped: it fits nowhere else, or those that were wait for a
        place; and whether it is neither, but the update of its agent that keeps it."""
        from omnitide.sdk.errors import NotFound

        try:
            explanation = self._client.explain_agent(agent, namespace=namespace)
        except NotFound:
            return "", False
        for trouble in explanation.troubles:
            placement, instance = trouble.placement, trouble.instance
            if placement is not None and instance.status != "pending" and instance.node == node:
                reason = trouble.text.rpartition("being drained, and it ")[2]
                return reason, placement.verdict == "fits-now" and reason.startswith("stays until ")
        for trouble in explanation.troubles:
            if trouble.instance.status == "pending" and trouble.placement is not None:
                return f"stays until {trouble.instance.name} runs elsewhere: {trouble.placement.text}", False
        return "", False


def _for(one: "Instance") -> str:
    return ago(one.since_ms)
