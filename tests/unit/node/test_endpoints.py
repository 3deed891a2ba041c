"""Which Nexus a node dials first, next, and after it was told of others."""

from omnitide.node.endpoints import MAX_ENDPOINTS, Endpoints


def tried(endpoints: Endpoints) -> list[str]:
    """In the order in which they are dialled while none serves."""
    found = [endpoints.current]
    while not endpoints.failed():
        found.append(endpoints.current)
    return found


def test_what_was_given_now_is_tried_before_what_was_learned_then_what_the_join_told() -> None:
    endpoints = Endpoints(("learned:1", "learned:2"), ("join:1",), given=("given:1",))
    assert tried(endpoints) == ["given:1", "learned:1", "learned:2", "join:1"]
    assert endpoints.current == "given:1", "and from the beginning again"


def test_a_wrong_one_that_was_given_keeps_nobody_from_those_that_serve() -> None:
    endpoints = Endpoints(("learned:1",), (), given=("given:1",))
    endpoints.failed()
    endpoints.welcomed(("learned:1", "learned:2"), "learned:1")
    assert tried(endpoints) == ["learned:1", "learned:2", "given:1"]


def test_one_place_is_dialled_once_and_there_is_a_bound() -> None:
    assert Endpoints(("a:1", "a:1"), ("a:1",), given=("a:1",)).known == ("a:1",)
    many = Endpoints((f"learned:{n}" for n in range(100)), (), given=("given:1",))
    assert len(many.known) == MAX_ENDPOINTS
    assert many.current == "given:1"
