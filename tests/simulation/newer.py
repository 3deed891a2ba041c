"""A Nexus of another release, or one that is confused: changes what nodes are told, as the protocol must bear."""

import random
from typing import Final

from omnitide.wire import node_pb2 as pb

SILENT: Final = 0.002
"""Chance with each message that a stream carries nothing more."""


def _strange_assignments(rng: random.Random, number: int) -> pb.Desired:
    """Instances that no release knows, of specs that this one cannot carry out. None of them can ever run."""
    name = f"strange{number}.1.1"
    spec, goal = rng.choice(
        (
            (b'{"command":["run"],"driver":"quantum"}', pb.GOAL_RUN),
            (b'{"command":["run"],"restart":{"policy":"when-the-moon-is-full"}}', pb.GOAL_RUN),
            (b'{"command":["run","${ABSENT}"]}', pb.GOAL_RUN),
            (b"not json", pb.GOAL_STOP),
        )
    )
    assignment = pb.Assignment(
        instance=name,
        name=name,
        namespace="default",
        kind="agent",
        workload="strange",
        version=1,
        slot=1,
        generation=1,
        goal=goal,
        spec_key=f"strange{number}",
    )
    return pb.Desired(assignments=[assignment], specs={f"strange{number}": spec})


class Newer:
    """What becomes of each message from Nexus to a node."""

    def __init__(self, rng: random.Random, endpoint: str, level: float) -> None:
        """`level`: how often something is odd, 0 to 1."""
        self._rng = rng
        self._endpoint = pb.Endpoint(address=endpoint, leader=True)
        self._level = level
        self._number = 0
        self._silent: set[int] = set()
        self.changed: dict[str, None] = {}
        """Nodes that were told anything that Nexus has not said."""

    def __call__(self, node: str, stream: int, message: pb.NexusMessage) -> list[pb.NexusMessage]:
        rng = self._rng
        if stream in self._silent:
            return []
        if rng.random() >= self._level:
            return [message]
        self.changed[node] = None
        if rng.random() < SILENT / self._level:
            self._silent.add(stream)
            return []
        match message.WhichOneof("body"):
            case "ack" if rng.random() < 0.5:
                return self._more(message)
            case "welcome":
                return self._other_welcome(message)
            case "desired":
                return self._other_desired(message)
            case "ack":
                wrong = pb.Ack(outbox_id=message.ack.outbox_id, sequence=message.ack.sequence + 10**6)
                return [pb.NexusMessage(ack=wrong), message]
            case _:
                return self._more(message)

    def _other_welcome(self, message: pb.NexusMessage) -> list[pb.NexusMessage]:
        rng, welcome = self._rng, message.welcome
        choice = rng.randrange(6)
        if choice == 0:
            return [pb.NexusMessage(redirect=pb.Redirect(endpoints=[self._endpoint] * rng.randrange(2)))]
        if choice == 1:
            reason = rng.choice(("identity", "in-use", "version", "busy"))
            refused = pb.Refused(reason=reason, message="not now", permanent=rng.random() < 0.3)
            return [pb.NexusMessage(refused=refused)]
        if choice == 2:
            welcome.protocol = 9
        elif choice == 3:
            welcome.acknowledged_sequence += 10**6
        elif choice == 4:
            return [pb.NexusMessage(), message]
        else:
            welcome.endpoints.append(pb.Endpoint(address="elsewhere:7401"))
        return [message]

    def _other_desired(self, message: pb.NexusMessage) -> list[pb.NexusMessage]:
        desired = message.desired
        choice = self._rng.randrange(4)
        if choice == 0:
            desired.full = False
        elif choice == 1:
            desired.specs.clear()
        else:
            self._number += 1
            strange = _strange_assignments(self._rng, self._number)
            desired.MergeFrom(strange)
        return [message]

    def _more(self, message: pb.NexusMessage) -> list[pb.NexusMessage]:
        choice = self._rng.randrange(4)
        if choice == 0:
            return [pb.NexusMessage(), message]
        if choice == 1:
            return [message, pb.NexusMessage(welcome=pb.Welcome(protocol=1))]
        if choice == 2:
            return [message, pb.NexusMessage(redirect=pb.Redirect(endpoints=[self._endpoint]))]
        return [message, pb.NexusMessage(refused=pb.Refused(reason="busy", message="come back later"))]
