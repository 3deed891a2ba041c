"""Why is this pending: a verdict, all reasons in numbers, what to wait for and the least change that would do."""

import msgspec
import pytest
from tests.unit.scheduler.world import GIB, PROCESS, World, spec, where

from omnitide.fabric import events as ev
from omnitide.fabric.state import DriverFact
from omnitide.model.spec import AgentSpec, Limits
from omnitide.scheduler.ask import requirements_of
from omnitide.scheduler.explain import explain, explain_instance
from omnitide.scheduler.explanation import Explanation
from omnitide.scheduler.table import NodeTable


def why(world: World, what: AgentSpec, nodes: int = 0) -> Explanation:
    return explain(NodeTable(world.state), requirements_of(what), node_limit=nodes)


def three_nodes() -> World:
    """alpha has 7.2 of 8 cpu free, beta 4 of 8, gamma 4 of 4."""
    world = World()
    world.node("alpha")
    world.node("beta")
    world.node("gamma", world.facts(cpu=4000))
    world.agent("small", spec(cpu=800))
    world.put("small.1.1", "alpha")
    world.agent("medium", spec(cpu=4000))
    world.put("medium.1.1", "beta")
    return world


def test_what_fits_now_names_its_first_choice() -> None:
    told = why(three_nodes(), spec(cpu=5000))
    assert (told.verdict, told.fitting, told.nodes, told.first_choice) == ("fits-now", 1, 3, "alpha")
    assert told.text == "fits now on 1 of 3 nodes, first on alpha."
    assert (told.nearest, told.when) == (None, ())


def test_more_than_any_node_has_is_never_with_the_nearest_that_would_do() -> None:
    told = why(three_nodes(), spec(cpu=16000))
    assert told.verdict == "never"
    assert told.text == (
        "needs 16 cpu; 0 of 3 nodes have it (largest free: alpha 7.2). "
        "No known node could take it as it is, even empty and open; it would fit on alpha with cpu 7.2."
    )
    (reason,) = told.reasons
    assert (reason.rule, reason.need, reason.best, reason.best_node) == ("cpu", 16000, 7200, "alpha")
    assert (reason.blocked, reason.alone, reason.nodes) == (3, 3, 3)
    assert told.nearest is not None
    (change,) = told.nearest.changes
    assert (told.nearest.name, change.rule, change.of, change.amount) == ("alpha", "cpu", "spec", 7200)


def test_what_a_busy_node_could_take_fits_when_it_frees_up() -> None:
    told = why(three_nodes(), spec(cpu=8000))
    assert told.verdict == "fits-when"
    assert [(way.name, way.text, way.changes[0].amount) for way in told.when] == [
        ("alpha", "0.8 cpu is freed on alpha", 800),
        ("beta", "4 cpu is freed on beta", 4000),
    ]
    assert told.text.endswith(
        "Fits when 0.8 cpu is freed on alpha, or 4 cpu is freed on beta. It would fit on alpha with cpu 7.2."
    )


def test_offline_and_cordoned_nodes_count_and_are_waited_for() -> None:
    world = World()
    for name in ("alpha", "beta"):
        world.node(name)
    world.node("gamma", connect=False)
    world.cordon("alpha")
    world.silent("beta")
    told = why(world, spec())
    assert told.verdict == "fits-when"
    assert [way.text for way in told.when] == ["alpha is uncordoned", "beta returns", "gamma connects"]
    assert [reason.text for reason in told.reasons] == [
        "2 of 3 nodes are offline (beta: unreachable, gamma: not connected yet)",
        "1 of 3 nodes is closed to new instances (alpha: cordoned)",
    ]
    assert told.nearest is not None
    assert told.nearest.text == "on alpha once it is uncordoned"


def test_a_node_that_said_goodbye_says_when_it_is_back() -> None:
    world = World()
    world.node("alpha")
    world.emit(ev.NodeDeparting(node="n-alpha", session=1, reason="restart", back_within_ms=120_000))
    world.silent("alpha")
    assert [way.text for way in why(world, spec()).when] == ["alpha returns (expected within 2 m)"]
    since = world.state.nodes["n-alpha"].since_ms

    def after(milliseconds: int) -> list[str]:
        told = explain(NodeTable(world.state), requirements_of(spec()), now_ms=since + milliseconds)
        return [way.text for way in told.when]

    assert after(90_000) == ["alpha returns (expected within 30 s)"]
    assert after(420_000) == ["alpha returns (it was expected back 5 m ago)"]


def test_a_missing_driver_is_never_and_a_broken_one_may_come_back() -> None:
    world = World()
    world.node("alpha")
    told = why(world, spec(driver="docker"))
    assert told.verdict == "never"
    assert told.text == (
        "needs the driver docker; 0 of 1 node has it. No known node could take it as it is, even empty and open; "
        "it would fit on alpha once it has the driver docker."
    )
    world.node("beta", world.facts(drivers=[DriverFact(name="docker", healthy=False, detail="socket refused")]))
    told = why(world, spec(driver="docker"))
    assert told.verdict == "fits-when"
    # Whether it ever did is not known.
    assert [way.text for way in told.when] == ["the driver docker works on beta"]
    assert "the driver docker does not work on 1 of 2 nodes (beta: socket refused)" in {r.text for r in told.reasons}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (2, "(n001, n002: no engine)"),
        (3, "(n001, n002, n003: no engine)"),
        (5, "(n001, n002, n003 and 2 more: no engine)"),
        (100, "(n001, n002, n003 and 97 more: no engine)"),
        (150, "(n001, n002, n003 and 97 more: no engine; and 50 more)"),
    ],
)
def test_what_several_nodes_say_alike_is_said_once(number: int, said: str) -> None:
    world = World()
    for one in range(1, number + 1):
        world.node(f"n{one:03}", world.facts(drivers=[DriverFact(name="docker", healthy=False, detail="no engine")]))
    (reason,) = why(world, spec(driver="docker")).reasons
    assert reason.text == f"the driver docker does not work on {number} of {number} nodes {said}"


def test_what_nodes_say_otherwise_is_told_apart_the_most_common_first() -> None:
    world = World()
    for name, detail in (("a", "refused"), ("b", "no engine"), ("c", "no engine"), ("d", ""), ("e", "too old")):
        world.node(name, world.facts(drivers=[DriverFact(name="docker", healthy=False, detail=detail)]))
    (reason,) = why(world, spec(driver="docker")).reasons
    assert reason.text == (
        "the driver docker does not work on 5 of 5 nodes (b, c: no engine; a: refused; d: no detail given; and 1 more)"
    )


def test_a_driver_that_has_nothing_to_run_on_is_not_waited_for_as_if_it_had_worked() -> None:
    world = World()
    none = DriverFact(name="docker", healthy=False, absent=True, detail="no engine: /var/run/docker.sock is not there")
    world.node("alpha", world.facts(drivers=[none]))
    told = why(world, spec(driver="docker"))
    assert told.verdict == "fits-when"
    assert [way.text for way in told.when] == ["alpha has what the driver docker needs"]
    assert "alpha: no engine: /var/run/docker.sock is not there" in told.text
    assert told.text.endswith("Fits when alpha has what the driver docker needs.")


def test_a_constraint_that_nobody_meets_says_what_there_is_instead() -> None:
    world = World()
    for number, zone in enumerate(("eu", "us", "us", "asia", "mars")):
        world.node(f"n{number}", world.facts(labels={"zone": zone}))
    told = why(world, spec(where=[where("zone", "=", "ue")]))
    assert told.verdict == "never"
    assert told.reasons[0].text == "needs zone = ue; 0 of 5 nodes meet it (there is us, asia, eu, ...)"
    assert told.nearest is not None
    assert told.nearest.text == "on n0 without zone = ue"
    told = why(world, spec(where=[where("gpu", "exists")]))
    assert told.reasons[0].text == "needs gpu exists; 0 of 5 nodes meet it (no node has a label gpu)"


def test_a_required_limit_that_cannot_be_enforced() -> None:
    world = World()
    world.node("alpha", world.facts(drivers=[DriverFact(name="process")]))
    told = why(world, spec(limits=Limits(memory=GIB, enforcement="required")))
    assert told.verdict == "never"
    assert told.text.endswith("; it would fit on alpha with the memory limit best-effort instead of required.")


def test_a_sandbox_that_no_node_can_make() -> None:
    world = World()
    world.node("alpha", world.facts(drivers=[DriverFact(name="process")]))
    told = why(world, spec(isolation="sandbox"))
    assert told.verdict == "never"
    assert told.reasons[0].text == "no node can sandbox processes; install bubblewrap on alpha"
    assert told.nearest is not None
    assert told.nearest.text == "on alpha once it can sandbox processes (install bubblewrap there)"


def test_a_host_port_in_use_is_waited_for_or_changed() -> None:
    world = World()
    world.node("alpha")
    world.agent("other", spec(cpu=100, ports={"http": 8080}))
    world.put("other.1.1", "alpha", (("http", 8080),))
    told = why(world, spec(ports={"http": 8080}), nodes=1)
    assert told.verdict == "fits-when"
    assert told.text == (
        "needs host port 8080; it is free on 0 of 1 node. Nothing else stands in the way. "
        "Fits when host port 8080 is freed on alpha. It would fit on alpha with another host port than 8080."
    )
    assert told.table[0].failures[0].have == "it used by other.1.1"


def test_too_few_host_ports() -> None:
    world = World()
    world.node("alpha", world.facts(ports=(20000, 20001)))
    told = why(world, spec(ports={"a": 0, "b": 0, "c": 0}))
    assert told.verdict == "never"
    assert told.reasons[0].text == "needs 3 free host ports; 0 of 1 node has it (largest free: alpha 2)"


def test_a_static_port_that_is_taken_is_not_counted_twice() -> None:
    world = World()
    world.node("alpha", world.facts(ports=(20000, 20001)))
    world.agent("other", spec(cpu=100, ports={"http": 20000}))
    world.put("other.1.1", "alpha", (("http", 20000),))
    told = why(world, spec(ports={"fixed": 20000, "any": 0}))
    assert [(reason.rule, reason.alone) for reason in told.reasons] == [("static-port", 1)]


def test_when_two_things_are_wrong_everywhere_both_are_told_and_both_would_change() -> None:
    told = why(three_nodes(), spec(cpu=9000, memory=9 * GIB))
    assert [reason.rule for reason in told.reasons] == ["cpu", "memory"]
    assert "Nothing else" not in told.text
    assert told.nearest is not None
    assert told.nearest.text == "on alpha with cpu 7.2 and with memory 7 GiB"


def test_reasons_are_ranked_by_what_alone_keeps_most_nodes_away() -> None:
    world = World()
    for number in range(4):
        world.node(f"busy-{number}", world.facts(cpu=500, labels={"zone": "eu"}))
    world.node("elsewhere", world.facts(labels={"zone": "us"}))
    told = why(world, spec(where=[where("zone", "=", "eu")]))
    assert [(reason.rule, reason.alone, reason.blocked) for reason in told.reasons] == [
        ("cpu", 4, 4),
        ("constraint", 1, 1),
    ]


def test_the_largest_free_is_that_of_a_node_that_nothing_else_forbids() -> None:
    world = World()
    world.node("alpha", world.facts(cpu=2000))
    world.node("huge", world.facts(cpu=64_000))
    world.cordon("huge")
    told = why(world, spec(cpu=3000))
    assert [reason.text for reason in told.reasons if reason.rule == "cpu"] == [
        "needs 3 cpu; the only node that could otherwise run it has less free (alpha 2)"
    ]
    world.node("beta", world.facts(cpu=1000))
    told = why(world, spec(cpu=3000))
    assert [reason.text for reason in told.reasons if reason.rule == "cpu"] == [
        "needs 3 cpu; 0 of the 2 nodes that could otherwise run it have it (largest free: alpha 2)"
    ]


def test_where_no_node_is_open_the_largest_free_is_of_all() -> None:
    world = World()
    world.node("alpha", world.facts(cpu=2000))
    world.node("huge", world.facts(cpu=64_000))
    world.cordon("alpha")
    world.cordon("huge")
    told = why(world, spec(cpu=3000))
    assert [reason.text for reason in told.reasons if reason.rule == "cpu"] == [
        "needs 3 cpu; 1 of 2 nodes has it (largest free: huge 64)"
    ]


def test_what_a_node_has_instead_stands_after_needs_and_has() -> None:
    world = World()
    broken = DriverFact(name="docker", healthy=False, detail="there is no container engine here")
    world.node("alpha", world.facts(drivers=[broken]))
    limits = Limits(memory=GIB, enforcement="required")
    told = why(world, spec(driver="docker", limits=limits, isolation="sandbox", ports={"x": 80, "y": 80}), nodes=1)
    assert [f"needs {one.need}, has {one.have}" for one in told.table[0].failures] == [
        "needs docker that works, has one that does not: there is no container engine here",
        "needs memory limit enforced, has no means to enforce it",
        "needs a sandbox, has no means to sandbox processes",
        "needs port 80 free, has it asked for twice",
    ]


def test_a_node_that_left_is_no_node_to_wait_for() -> None:
    """It has forgotten who it was. What it said last of its drivers, as it was shut down, is no cause of its own."""
    world = World()
    world.node("alpha", world.facts(cpu=500))
    down = DriverFact(name="process", healthy=False, detail="this node is being shut down")
    world.node("delta", world.facts(drivers=[down]))
    world.cordon("delta")
    world.emit(ev.NodeDeparting(node="n-delta", session=2, reason="left", back_within_ms=0))
    leaving = why(world, spec())
    assert [reason.text for reason in leaving.reasons if reason.rule != "cpu"] == [
        "1 of 2 nodes is closed to new instances (delta: about to leave)"
    ]
    world.silent("delta")
    told = why(world, spec(), nodes=2)
    assert told.verdict == "never"
    assert told.text == (
        "needs 1 cpu; the only node that could otherwise run it has less free (alpha 0.5). 1 of 2 nodes has left "
        "(delta). No known node could take it as it is, even empty and open; it would fit on alpha with cpu 0.5."
    )
    assert [one.lasting for row in told.table if row.name == "delta" for one in row.failures] == [True]


def test_a_fabric_of_which_all_have_left() -> None:
    world = World()
    world.node("delta")
    world.emit(ev.NodeDeparting(node="n-delta", session=1, reason="left", back_within_ms=0))
    world.silent("delta")
    told = why(world, spec())
    assert (told.verdict, told.nearest, told.when) == ("never", None, ())
    assert told.text == "1 of 1 node has left (delta). No known node could take it."


def test_the_back_off_is_a_reason_with_its_time() -> None:
    world = World()
    world.node("alpha")
    world.agent("hello", spec(), 0)
    world.want("hello", 1, not_before_ms=12_000)
    table = NodeTable(world.state)
    told = explain_instance(world.state, table, world.state.instances["hello.1.1"], now_ms=0)
    assert (told.verdict, told.not_before_ms, told.reasons[0].rule) == ("fits-when", 12_000, "back-off")
    assert told.text == "waits for its back-off, 12 s more. Then it fits on 1 of 1 node."
    told = explain_instance(world.state, table, world.state.instances["hello.1.1"], now_ms=12_000)
    assert (told.verdict, told.not_before_ms) == ("fits-now", 0)


def test_a_back_off_does_not_make_the_impossible_possible() -> None:
    world = World()
    world.node("alpha")
    told = explain(NodeTable(world.state), requirements_of(spec(cpu=9000)), now_ms=0, not_before_ms=100)
    assert (told.verdict, [reason.rule for reason in told.reasons]) == ("never", ["back-off", "cpu"])


def test_a_fabric_without_nodes() -> None:
    told = why(World(), spec())
    assert (told.verdict, told.text) == ("never", "the fabric has no nodes.")


def test_the_table_of_nodes_shows_need_and_have_nearest_first() -> None:
    world = three_nodes()
    world.node("delta", world.facts(labels={"zone": "us"}, drivers=[]))
    told = why(world, spec(cpu=5000, where=[where("zone", "absent")]), nodes=3)
    assert [(row.name, row.fits) for row in told.table] == [("alpha", True), ("beta", False), ("gamma", False)]
    told = why(world, spec(cpu=5000, where=[where("zone", "absent")]), nodes=100)
    failures = {row.name: [(f.rule, f.need, f.have, f.lasting) for f in row.failures] for row in told.table}
    assert failures == {
        "alpha": [],
        "beta": [("cpu", "5", "4", False)],
        "gamma": [("cpu", "5", "4", True)],
        "delta": [("driver", "process", "no driver", True), ("constraint", "zone absent", "zone = us", True)],
    }


def test_the_nodes_are_listed_only_on_request() -> None:
    assert why(three_nodes(), spec(cpu=16000)).table == ()


def test_many_reasons_are_cut_in_the_text_and_whole_in_the_data() -> None:
    world = World()
    world.node("alpha", world.facts(cpu=100, memory=100, ports=(0, 0), drivers=[DriverFact(name="process")]))
    world.cordon("alpha")
    limits = Limits(pids=1, enforcement="required")
    told = why(world, spec(limits=limits, ports={"a": 0}, where=[where("zone", "exists")]))
    # That it is closed would pass; the others would hold even then.
    assert [reason.rule for reason in told.reasons] == ["enforcement", "constraint", "ports", "cpu", "memory", "closed"]
    assert "There are 2 more reasons." in told.text
    assert told.nearest is not None
    assert told.nearest.text == (
        "on alpha once it is uncordoned and with the pids limit best-effort instead of required "
        "and without zone exists and without host ports and with cpu 0.1 and with memory 100 B"
    )


def test_an_overdrawn_node_says_what_has_to_be_freed() -> None:
    world = World()
    world.node("alpha")
    world.agent("hello", spec(cpu=6000))
    world.put("hello.1.1", "alpha")
    world.connect("alpha", world.facts(cpu=2000))
    told = why(world, spec(cpu=1000))
    assert told.reasons[0].text == "needs 1 cpu; 0 of 1 node has it (largest free: alpha 0)"
    assert [way.text for way in told.when] == ["5 cpu is freed on alpha"]
    assert told.nearest is not None
    assert told.nearest.text == "on alpha once 5 cpu is free there"


def test_an_explanation_goes_through_json() -> None:
    world = three_nodes()
    world.node("delta", world.facts(drivers=[PROCESS, DriverFact(name="wasm")]))
    told = why(world, spec(cpu=16000, ports={"x": 80, "y": 0}), nodes=10)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Explanation) == told
