"""What a node is told, in the words of the wire."""

import pytest
from msgspec.structs import replace
from tests.support.spec import Fabric, spec

from omnitide.nexus.translate import MAX_ENDS, assignment_of
from omnitide.wire import node_pb2 as pb


@pytest.mark.parametrize(("known", "told"), [(3, 3), (MAX_ENDS, MAX_ENDS), (MAX_ENDS + 1, MAX_ENDS)])
def test_of_ends_in_a_row_a_node_is_told_as_many_as_the_wire_can_say(known: int, told: int) -> None:
    """The count goes on over generations without an end; the field has 32 bits."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec())
    fabric.settle()
    crashed = replace(fabric.instance("hello.1.1"), ends_before=known)
    assignment = assignment_of(fabric.state, crashed, pb.GOAL_RUN)
    assert pb.Assignment.FromString(assignment.SerializeToString()).ends_before == told
