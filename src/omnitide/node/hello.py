"""The inventory in a hello: one message, whatever there is, since Nexus decides on all of it at once."""

from collections.abc import Sequence
from typing import Final

from omnitide.node.records import Report
from omnitide.node.translate import report_message
from omnitide.wire import node_pb2 as pb

INVENTORY_BYTES: Final = 6 << 20
"""Of the reports in a hello: Nexus takes messages of 8 MiB from a node. It gives a node 10,000 instances at most; a
report without its texts has some 200 bytes, 400 at worst, and so many of them fit."""
SHORT: Final = 100
"""Characters of each text where they do not fit in full."""


def fitting_inventory(reports: Sequence[Report]) -> list[pb.InstanceReport]:
    """The reports as they are, or with texts for people cut short, or without them: what is known of an instance
    counts; why it once ended has been reported before, or is found in its logs."""
    messages = [report_message(report) for report in reports]
    for characters in (SHORT, 0):
        # A repeated field takes a few bytes a piece: a tag and a length of at most three.
        if sum(message.ByteSize() + 4 for message in messages) <= INVENTORY_BYTES:
            return messages
        for message in messages:
            message.health_message = message.health_message[:characters]
            if message.HasField("exit"):
                message.exit.message = message.exit.message[:characters]
    return messages
