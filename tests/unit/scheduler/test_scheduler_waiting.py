"""What waits: grouped by workload version and node to avoid, in slot order, only what is due."""

from tests.unit.scheduler.world import ALL_LIMITS, GIB, World, spec, where

from omnitide.model.spec import Limits
from omnitide.scheduler.ask import requirements_of
from omnitide.scheduler.waiting import Waiting


def test_requirements_are_what_the_spec_asks_of_a_node() -> None:
    zone = where("zone", "=", "eu")
    limits = Limits(cpu=2000, pids=10, enforcement="required")
    ports = {"web": 0, "admin": 8080, "api": 0}
    need = requirements_of(spec(cpu=500, memory=GIB, ports=ports, where=[zone], limits=limits, placement="pack"))
    assert (need.cpu_milli, need.memory_bytes, need.strategy, need.constraints) == (500, GIB, "pack", (zone,))
    assert need.static_ports == (("admin", 8080),)
    assert need.allocated_ports == ("api", "web")
    assert need.enforced == ("cpu", "pids")


def test_limits_that_are_best_effort_are_asked_of_no_node() -> None:
    assert requirements_of(spec(limits=Limits(cpu=1, memory=1, pids=1))).enforced == ()
    assert requirements_of(spec(limits=Limits(cpu=1, memory=1, pids=1, enforcement="required"))).enforced == ALL_LIMITS


def test_instances_of_one_version_are_one_ask_in_slot_order() -> None:
    world = World()
    world.agent("hello", spec(), 12, time_ms=5)
    (ask,) = world.asks().ready
    assert [waiter.slot for waiter in ask.waiters] == list(range(1, 13))
    assert (ask.workload, ask.version, ask.total, ask.since_ms) == ("hello", 1, 12, 5)


def test_those_that_avoid_a_node_are_an_ask_of_their_own() -> None:
    world = World()
    world.agent("hello", spec(), 2)
    world.want("hello", 3, avoid="alpha")
    assert [(ask.avoid, ask.total) for ask in world.asks().ready] == [((), 2), (("n-alpha",), 1)]


def test_what_is_in_its_back_off_is_not_asked_for_before_its_time() -> None:
    world = World()
    world.agent("hello", spec(), 1)
    world.want("hello", 2, not_before_ms=500)
    world.want("hello", 3, not_before_ms=900)
    waiting = Waiting(world.state)

    def slots(now_ms: int) -> list[int]:
        return [waiter.slot for ask in waiting.asks(now_ms, 10).ready for waiter in ask.waiters]

    assert (slots(0), waiting.asks(0, 10).next_due_ms) == ([1], 500)
    assert (slots(499), waiting.asks(499, 10).next_due_ms) == ([1], 500)
    assert (slots(500), waiting.asks(500, 10).next_due_ms) == ([1, 2], 900)
    assert (slots(2000), waiting.asks(2000, 10).next_due_ms) == ([1, 2, 3], None)


def test_one_that_left_during_its_back_off_wakes_nobody() -> None:
    world = World()
    world.node("alpha")
    world.agent("hello", spec(), 1)
    world.want("hello", 2, not_before_ms=500)
    waiting = Waiting(world.state)
    world.put("hello.2.1", "alpha")
    waiting.refresh(world.state, ["hello.2.1"])
    asks = waiting.asks(0, 10)
    assert asks.next_due_ms is None
    assert [ask.total for ask in asks.ready] == [1]


def test_placed_ones_leave_and_new_ones_come() -> None:
    world = World()
    world.node("alpha")
    world.agent("hello", spec(), 4)
    waiting = Waiting(world.state)
    waiting.asks(0, 10)
    for instance in ("hello.1.1", "hello.3.1"):
        world.put(instance, "alpha")
    world.agent("other", spec(), 1)
    waiting.refresh(world.state)
    asks = waiting.asks(0, 10).ready
    assert [[waiter.instance for waiter in ask.waiters] for ask in asks] == [["hello.2.1", "hello.4.1"], ["other.1.1"]]
    assert len(waiting) == 3


def test_an_ask_lists_no_more_than_the_limit_and_says_how_many_there_are() -> None:
    world = World()
    world.agent("hello", spec(), 9)
    (ask,) = Waiting(world.state).asks(0, 4).ready
    assert ([waiter.slot for waiter in ask.waiters], ask.total) == ([1, 2, 3, 4], 9)


def test_a_group_without_members_is_forgotten() -> None:
    world = World()
    world.node("alpha")
    world.agent("hello", spec(), 1)
    waiting = Waiting(world.state)
    world.put("hello.1.1", "alpha")
    waiting.refresh(world.state)
    assert waiting.asks(0, 10).ready == ()
    assert not waiting._groups  # pyright: ignore[reportPrivateUsage] that nothing is kept is the point
