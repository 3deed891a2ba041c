"""The plan: what goes where, in which order, and what is left waiting."""

from collections import Counter

from msgspec.structs import replace
from tests.unit.scheduler.world import GIB, PROCESS, World, spec, where

from omnitide.fabric import events as ev
from omnitide.fabric.state import DriverFact
from omnitide.model.spec import AgentSpec, Limits
from omnitide.scheduler.ask import Ask, Waiter, requirements_of
from omnitide.scheduler.place import Plan, first_choice, place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import Waiting


def plan(world: World, most: int = 1000, now_ms: int = 0) -> Plan:
    return place(NodeTable(world.state), world.asks(now_ms).ready, max_placements=most)


def placed(made: Plan) -> dict[str, str]:
    """Instance -> node name."""
    return {choice.instance: choice.node.removeprefix("n-") for choice in made.choices}


def where_it_goes(world: World, what: AgentSpec) -> str:
    """The node of one instance, or the rule that most keeps it from all of them."""
    world.agent("probe", what)
    made = plan(world)
    return placed(made).get("probe.1.1") or f"no: {made.unplaced[0].reasons[0].rule}"


def test_a_plan_names_the_revision_it_saw() -> None:
    world = World()
    world.node("a")
    assert plan(world).seen_revision == world.state.revision


def test_without_nodes_nothing_is_placed_and_it_says_so() -> None:
    world = World()
    assert where_it_goes(world, spec()) == "no: no-nodes"


def test_nodes_that_are_not_live_and_open_take_nothing() -> None:
    world = World()
    for name in ("a", "b", "c"):
        world.node(name)
    world.silent("a")
    world.cordon("b")
    world.agent("hello", spec(), 20)
    made = plan(world)
    assert set(placed(made).values()) == {"c"}
    assert (len(made.choices), made.unplaced[0].count) == (8, 12)


def test_a_driver_must_be_there_and_work() -> None:
    world = World()
    world.node("a")
    world.node("b", world.facts(drivers=[PROCESS, DriverFact(name="docker", healthy=False)]))
    assert where_it_goes(world, spec(driver="docker")) == "no: driver"
    world.node("c", world.facts(drivers=[DriverFact(name="docker")]))
    assert placed(plan(world)) == {"probe.1.1": "c"}


def test_a_required_limit_needs_a_node_that_enforces_it() -> None:
    world = World()
    world.node("a", world.facts(drivers=[DriverFact(name="process", enforces=("pids",))]))
    required = Limits(memory=GIB, enforcement="required")
    assert where_it_goes(world, spec(limits=required)) == "no: enforcement"
    world.node("b", world.facts(drivers=[DriverFact(name="process", enforces=("memory",))]))
    assert placed(plan(world)) == {"probe.1.1": "b"}


def test_a_sandbox_needs_a_node_that_can_make_one() -> None:
    world = World()
    world.node("a", world.facts(drivers=[DriverFact(name="process", enforces=("cpu", "memory", "pids"))]))
    assert where_it_goes(world, spec(isolation="sandbox")) == "no: enforcement"
    world.node("b", world.facts(drivers=[DriverFact(name="process", enforces=("sandbox",))]))
    assert placed(plan(world)) == {"probe.1.1": "b"}


def test_a_best_effort_limit_goes_anywhere() -> None:
    world = World()
    world.node("a", world.facts(drivers=[DriverFact(name="process")]))
    assert where_it_goes(world, spec(limits=Limits(memory=GIB))) == "a"


def test_constraints_by_operator() -> None:
    for constraint, wanted in {
        where("zone", "=", "eu"): {"a"},
        where("zone", "!=", "eu"): {"b", "c"},
        where("zone", "in", "eu", "us", "mars"): {"a", "b"},
        where("zone", "not-in", "eu", "us"): {"c"},
        where("zone", "exists"): {"a", "b"},
        where("zone", "absent"): {"c"},
        where("zone", "=", "mars"): set[str](),
        where("node", "=", "b"): {"b"},
        where("os", "!=", "linux"): set[str](),
    }.items():
        world = World()
        world.node("a", world.facts(labels={"zone": "eu"}))
        world.node("b", world.facts(labels={"zone": "us"}))
        world.node("c")
        world.agent("hello", spec(where=[constraint]), 3)
        assert set(placed(plan(world)).values()) == wanted, constraint


def test_a_label_that_a_running_node_is_given_counts_at_once() -> None:
    world = World()
    world.node("a", world.facts(labels={"zone": "eu"}))
    world.node("b")
    wanted = spec(where=[where("zone", "=", "attic")])
    assert where_it_goes(world, wanted) == "no: constraint"
    world.emit(ev.NodeLabelled(node="n-b", labels={"zone": "attic"}))
    assert placed(plan(world)) == {"probe.1.1": "b"}
    world.emit(ev.NodeLabelled(node="n-b"))
    assert placed(plan(world)) == {}


def test_a_static_port_is_given_once_a_node() -> None:
    world = World()
    for name in ("a", "b", "c"):
        world.node(name)
    world.refuse_port("b", 8080)  # found taken some time ago: whoever names it tries it there all the same
    world.agent("web", spec(ports={"http": 8080}), 4)
    made = plan(world)
    assert Counter(placed(made).values()) == {"a": 1, "b": 1, "c": 1}
    assert {choice.ports for choice in made.choices} == {(("http", 8080),)}
    assert (made.unplaced[0].count, made.unplaced[0].reasons[0].rule) == (1, "static-port")


def test_a_port_asked_for_twice_is_on_no_node() -> None:
    world = World()
    world.node("a")
    assert where_it_goes(world, spec(ports={"http": 8080, "admin": 8080})) == "no: static-port"


def test_a_number_may_be_one_for_tcp_and_one_for_udp_and_is_one_of_the_range() -> None:
    world = World()
    world.node("a", world.facts(ports=(20000, 20001)))
    world.agent("dns", spec(cpu=100, ports={"tcp": 20000, "udp": 20000, "any": 0}))
    (choice,) = plan(world).choices
    assert choice.ports == (("any", 20001), ("tcp", 20000), ("udp", 20000))


def test_a_marked_port_that_is_named_is_counted_once() -> None:
    world = World()
    world.node("a", world.facts(ports=(20000, 20001)))
    world.refuse_port("a", 20000)
    world.agent("web", spec(cpu=100, ports={"any": 0, "http": 20000}))
    (choice,) = plan(world).choices
    assert choice.ports == (("any", 20001), ("http", 20000))


def test_allocated_ports_are_of_the_range_and_free_and_all_different() -> None:
    world = World()
    world.node("a", world.facts(ports=(20000, 20006)))
    world.refuse_port("a", 20003)
    world.agent("fixed", spec(cpu=100, ports={"x": 20001}), time_ms=1)
    world.agent("web", spec(cpu=100, ports={"http": 0, "admin": 0}), 3, time_ms=2)
    made = plan(world)
    given = [port for choice in made.choices for _, port in choice.ports]
    assert len(given) == len(set(given)) == 5
    assert set(given) <= {20000, 20001, 20002, 20004, 20005, 20006}
    assert (made.unplaced[0].count, made.unplaced[0].reasons[0].rule) == (1, "ports")


def test_the_next_generation_gets_another_port() -> None:
    world = World()
    world.node("a")
    world.agent("web", spec(ports={"http": 0}))
    before = plan(world).choices[0].ports
    world.put("web.1.1", "a", before)
    world.end("web.1.1")
    world.want("web", 1, generation=2)
    after = plan(world).choices[0]
    assert after.instance == "web.1.2"
    assert after.ports != before


def test_spread_takes_the_node_with_fewest_of_the_same_workload_first() -> None:
    world = World()
    for name in ("a", "b", "c"):
        world.node(name)
    world.agent("other", spec(cpu=6000))
    world.put("other.1.1", "b")
    world.agent("hello", spec(cpu=500), 4)
    world.put("hello.1.1", "a")
    world.put("hello.2.1", "c")
    assert placed(plan(world))["hello.3.1"] == "b"


def test_a_lone_replica_goes_where_the_others_are_not() -> None:
    world = World()
    world.node("a", world.facts(cpu=64_000, memory=64 * GIB))
    world.node("b", world.facts(cpu=2000))
    world.agent("hello", spec(cpu=500), 2)
    world.put("hello.1.1", "a")
    world.agent("alike", spec(cpu=500))
    assert placed(plan(world)) == {"alike.1.1": "a", "hello.2.1": "b"}


def test_replicas_that_are_asked_for_apart_are_spread_together() -> None:
    world = World()
    world.node("a", world.facts(cpu=64_000, memory=64 * GIB))
    world.node("b", world.facts(cpu=2000))
    world.node("gone")
    world.cordon("gone")
    world.agent("hello", spec(cpu=500), 1)
    world.want("hello", 2, avoid="gone")
    world.agent("alike", spec(cpu=500))
    made = placed(plan(world))
    assert made["hello.1.1"] != made["hello.2.1"]


def test_spread_takes_the_least_loaded_node_among_equals() -> None:
    world = World()
    world.node("a", world.facts(cpu=2000))
    world.node("b", world.facts(cpu=8000))
    world.node("c", world.facts(cpu=8000, memory=2 * GIB))
    assert where_it_goes(world, spec(cpu=1000)) == "b"


def test_lone_jobs_spread_by_load_too() -> None:
    world = World()
    world.node("a", world.facts(cpu=4000))
    world.node("b", world.facts(cpu=8000))
    for number in range(6):
        world.agent(f"job-{number}", spec(cpu=1000, memory=0))
    assert Counter(placed(plan(world)).values()) == {"a": 2, "b": 4}


def test_what_weighs_nothing_is_spread_by_number() -> None:
    world = World()
    for name in ("a", "b"):
        world.node(name)
    for number in range(6):
        world.agent(f"job-{number}", spec(cpu=0, memory=0))
    assert Counter(placed(plan(world)).values()) == {"a": 3, "b": 3}


def test_pack_fills_the_most_loaded_node_that_still_fits() -> None:
    world = World()
    for name in ("a", "b", "c"):
        world.node(name, world.facts(cpu=3000))
    world.agent("other", spec(cpu=1000))
    world.put("other.1.1", "b")
    world.agent("hello", spec(cpu=1000, placement="pack"), 4)
    assert list(placed(plan(world)).values()) == ["b", "b", "a", "a"]


def test_pack_takes_the_tightest_of_the_empty_nodes() -> None:
    world = World()
    world.node("a", world.facts(cpu=8000))
    world.node("b", world.facts(cpu=2000))
    assert where_it_goes(world, spec(cpu=1500, placement="pack")) == "b"


def test_of_several_nodes_to_avoid_none_is_taken_while_another_fits() -> None:
    world = World()
    for name in ("a", "b", "c"):
        world.node(name)
    world.agent("hello", spec(), 1)
    table = NodeTable(world.state)
    need = requirements_of(spec())
    rows = [first_choice(table, need, "hello", avoid) for avoid in (("n-a", "n-b"), ("n-c", "n-a", "n-c"))]
    assert [table.nodes[row].id for row in rows if row is not None] == ["n-c", "n-b"]
    assert first_choice(table, need, "hello", ("n-b", "n-c", "n-a")) == table.rows["n-b"], "all of them: in their order"


def test_the_node_to_avoid_is_taken_only_if_nothing_else_fits() -> None:
    world = World()
    world.node("a")
    world.node("b", world.facts(cpu=2000))
    world.agent("filler", spec(cpu=1000))
    world.put("filler.1.1", "b")
    world.agent("hello", spec(cpu=1000), 0)
    world.want("hello", 1, 2, avoid="a")
    assert placed(plan(world)) == {"hello.1.1": "b", "hello.2.1": "a"}


def test_what_does_not_fit_stands_in_nobodys_way() -> None:
    world = World()
    world.node("a")
    world.agent("big", spec(cpu=16000), time_ms=1)
    world.agent("small", spec(cpu=1000), time_ms=2)
    made = plan(world)
    assert placed(made) == {"small.1.1": "a"}
    assert [(left.workload, left.count, left.reasons[0].rule) for left in made.unplaced] == [("big", 1, "cpu")]


def test_what_is_bound_to_a_full_node_does_not_keep_the_same_need_from_the_others() -> None:
    """Of two agents that need the same, the one that may go to one node alone is looked at first, and finds no room."""
    world = World()
    for name in ("a", "b"):
        world.node(name)
    world.agent("held", spec(cpu=8000, memory=1))
    world.put("held.1.1", "a")
    alike = Ask(workload="", version=1, need=requirements_of(spec()), waiters=(), total=1)
    bound = replace(alike, workload="bound", waiters=[Waiter(1, 1, "bound.1.1")], only=("n-a",), since_ms=1)
    free = replace(alike, workload="free", waiters=[Waiter(1, 1, "free.1.1")], since_ms=2)
    made = place(NodeTable(world.state), [bound, free])
    assert placed(made) == {"free.1.1": "b"}
    assert [(left.workload, left.count) for left in made.unplaced] == [("bound", 1)]


def test_a_large_ask_does_not_take_all_that_is_left_before_a_small_one_has_its_turn() -> None:
    world = World()
    world.node("a", world.facts(cpu=40_000, memory=80 * GIB))
    world.agent("many", spec(cpu=1000), 100, time_ms=1)
    world.agent("few", spec(cpu=1000), 3, time_ms=2)
    counts = Counter(instance.split(".")[0] for instance in placed(plan(world)))
    assert counts == {"many": 37, "few": 3}


def test_the_one_that_waits_longest_comes_first() -> None:
    world = World()
    world.node("a", world.facts(cpu=1000))
    world.agent("early", spec(cpu=1000), time_ms=10)
    world.agent("afresh", spec(cpu=1000), time_ms=20)
    assert placed(plan(world)) == {"early.1.1": "a"}


def test_a_plan_is_cut_at_its_largest_size_and_says_so() -> None:
    world = World()
    world.node("a", world.facts(cpu=64_000, memory=64 * GIB))
    for number in range(3):
        world.agent(f"agent-{number}", spec(cpu=100), 4)
    made = plan(world, most=5)
    assert (len(made.choices), made.cut, made.unplaced) == (5, True, ())
    whole = plan(world, most=12)
    assert (len(whole.choices), whole.cut) == (12, False)


def test_a_plan_of_asks_that_list_only_some_of_what_waits_is_cut() -> None:
    world = World()
    world.node("a", world.facts(cpu=64_000, memory=64 * GIB))
    world.agent("hello", spec(cpu=100), 9)
    made = place(NodeTable(world.state), Waiting(world.state).asks(0, 4).ready)
    assert (len(made.choices), made.cut) == (4, True)


def test_planning_changes_neither_table_nor_asks() -> None:
    world = World()
    for name in ("a", "b"):
        world.node(name)
    world.agent("hello", spec(ports={"x": 0, "y": 8080}), 5)
    table = NodeTable(world.state)
    asks = world.asks().ready
    assert place(table, asks) == place(table, asks)
    assert table.cpu_free.tolist() == [8000, 8000]
    assert table.ports_free.tolist() == [100, 100]


def test_an_overdrawn_node_takes_nothing_not_even_what_weighs_nothing() -> None:
    world = World()
    world.node("a")
    world.agent("hello", spec(cpu=6000))
    world.put("hello.1.1", "a")
    world.connect("a", world.facts(cpu=2000))
    assert where_it_goes(world, spec(cpu=0, memory=0)) == "no: cpu"
