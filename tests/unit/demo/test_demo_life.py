"""The life of a demo: the same seed tells the same one, and it is one that can be believed."""

import itertools
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitide.demo.life import being_of, cpu_milli, fate_of, memory_bytes, well
from omnitide.demo.log_lines import SLOT_MS, first_lines, last_lines, line_at
from omnitide.demo.machines import KINDS, machines
from omnitide.demo.plot import BAD, Happening, plot, replicas_at
from omnitide.demo.workloads import CRONS, FATE, MAX_AGENTS, Workload, release_of, spec_of, workloads
from omnitide.demo.world import DAY_H, START_HOUR, World, busy
from omnitide.drivers.protocol import Launch, RunKey
from omnitide.model.faults import Fault
from omnitide.model.names import is_name
from omnitide.model.runtime_checks import probe_faults, provision_faults, runtime_faults

WORLD = World(seed=7, speed=60, began_ms=1_700_000_000_000)


def launched(agent: Workload, instance: str = "i1", attempt: int = 1, **environment: str) -> Launch:
    return Launch(
        key=RunKey(instance, attempt),
        name=f"{agent.name}-1.1",
        command=(),
        environment=environment,
        namespace=agent.namespace,
        workload=agent.name,
    )


def story(seed: int, count: int, nodes: int = 60, agents: int = 20) -> list[Happening]:
    return list(itertools.islice(plot(seed, machines(nodes, seed), workloads(agents, nodes)), count))


# Machines


@given(st.integers(0, 1 << 31), st.integers(1, 400), st.integers(0, 400))
@settings(max_examples=30, deadline=None)
def test_a_larger_demo_has_the_machines_of_a_smaller_one_and_more(seed: int, few: int, more: int) -> None:
    small, large = machines(few, seed), machines(few + more, seed)
    assert large[:few] == small
    assert len({one.name for one in large}) == len({one.address for one in large}) == few + more
    assert all(is_name(one.name) for one in large)


def test_a_thousand_machines_are_of_all_kinds_and_even_twenty_are_of_many() -> None:
    assert {one.kind for one in machines(1000, 1)} == set(KINDS)
    few = machines(20, 1)
    assert len({one.kind for one in few}) >= 8
    assert any(one.kind.link == "lte" for one in few)
    assert len({one.zone for one in few}) >= 5


# Agents


def faults_of(agent: Workload) -> Sequence[Fault]:
    spec = spec_of(agent)
    return [*runtime_faults(spec), *probe_faults(spec), *provision_faults(spec)]


def test_every_agent_has_a_spec_that_a_fabric_takes() -> None:
    found = workloads(MAX_AGENTS, 2000)
    assert len({(one.namespace, one.name) for one in found}) == MAX_AGENTS == 250
    for one in found:
        assert is_name(one.name)
        assert faults_of(one) == []
    assert {spec_of(one).driver for one in found} == {"process", "docker", "wasm"}


@pytest.mark.parametrize("instances", [20, 100, 1000, 5000])
def test_the_replicas_together_are_about_as_many_as_asked_for(instances: int) -> None:
    total = sum(one.replicas for one in workloads(min(50, instances // 4), instances))
    assert abs(total - instances) <= max(12, instances // 20)


def test_releases_differ_and_a_bad_one_says_so() -> None:
    (agent,) = workloads(1, 5)
    assert len({release_of(agent, number) for number in range(20)}) == 20
    assert spec_of(agent, "9.9.9", "unready").environment == {"RELEASE": "9.9.9", FATE: "unready"}


# Fates


def test_an_attempt_fares_the_same_whenever_it_is_asked_for_and_differently_with_another_seed() -> None:
    being = being_of(launched(workloads(2, 10)[1]))
    assert fate_of(being, WORLD) == fate_of(being, WORLD)
    assert fate_of(being, WORLD) != fate_of(being, WORLD._replace(seed=8))
    assert fate_of(being, WORLD) != fate_of(being._replace(attempt=2), WORLD)


def test_failures_come_as_often_as_its_kind_fails_and_sooner_where_time_is_faster() -> None:
    agent = workloads(2, 10)[1]
    lasts = [fate_of(being_of(launched(agent, f"i{number}")), WORLD).ends_after for number in range(4000)]
    mean_h = sum(lasts) / len(lasts) * WORLD.speed / 3600
    assert abs(mean_h - agent.shape.mtbf_h) < agent.shape.mtbf_h * 0.1
    slow = fate_of(being_of(launched(agent)), WORLD._replace(speed=1))
    assert slow.ends_after == pytest.approx(60 * fate_of(being_of(launched(agent)), WORLD).ends_after)


def test_what_a_spec_wishes_happens() -> None:
    agent = workloads(1, 5)[0]

    def fate(wish: str):
        return fate_of(being_of(launched(agent, **{FATE: wish})), WORLD)

    assert fate("crash-loop").ends_after < 3
    assert fate("crash-loop").exit.code == 78
    assert fate("out-of-memory").exit.out_of_memory
    unready = being_of(launched(agent, **{FATE: "unready"}))
    assert not well(unready, fate_of(unready, WORLD), WORLD, 1e9, 12.0)
    assert fate("of somebody's own") == fate("")


def test_what_is_not_of_the_demo_runs_quietly_until_it_is_stopped() -> None:
    stranger = Launch(key=RunKey("x", 1), name="hello-1.1", command=("sleep",), environment={}, workload="hello")
    assert fate_of(being_of(stranger), WORLD).ends_after > 30 * 86_400


def test_memory_grows_to_its_bound_where_that_is_how_it_ends() -> None:
    being = being_of(launched(workloads(1, 5)[0], **{FATE: "out-of-memory"}))
    fate = fate_of(being, WORLD)
    used = [memory_bytes(being, fate, WORLD, fate.ends_after * share, 12.0) for share in (0.3, 0.6, 0.9, 1.0)]
    assert used == sorted(used)
    assert used[-1] == being.memory


def test_load_follows_the_time_of_day_and_stays_below_what_is_reserved() -> None:
    being = being_of(launched(workloads(1, 5)[0]))
    by_hour = [cpu_milli(being, WORLD, hour / 4) for hour in range(4 * DAY_H)]
    assert sum(by_hour[48:52]) > 2 * sum(by_hour[12:16]), "at noon more than at three in the night"
    assert max(by_hour) < 2 * being.shape.cpu
    assert 0 < busy("office", 3.0) < 0.2 < 0.8 < busy("office", 10.5)


# Output


def test_output_is_the_same_whoever_reads_it_and_is_in_order() -> None:
    for agent in {one.shape: one for one in workloads(50, 50)}.values():
        being = being_of(launched(agent))
        lines = [line for slot in range(200) if (line := line_at(being, WORLD, WORLD.began_ms // SLOT_MS + slot))]
        again = [line for slot in range(200) if (line := line_at(being, WORLD, WORLD.began_ms // SLOT_MS + slot))]
        assert lines == again
        assert [line.at_ms for line in lines] == sorted(line.at_ms for line in lines)
        assert len({line.text for line in lines}) > 0.9 * len(lines)


def test_first_and_last_words_say_what_it_is_and_why_it_ended() -> None:
    being = being_of(launched(workloads(1, 5)[0], RELEASE="3.1.4", **{FATE: "crash-loop"}))
    assert "3.1.4 starting (simulated)" in first_lines(being, 0)[0].text
    assert "sync.mode" in last_lines(being, 0, 78, out_of_memory=False, asked=False)[0].text
    assert "SIGTERM" in last_lines(being, 0, 0, out_of_memory=False, asked=True)[0].text


# The story


@given(st.integers(0, 1 << 31))
@settings(max_examples=20, deadline=None)
def test_the_same_seed_tells_the_same_story_in_order_of_time(seed: int) -> None:
    told = story(seed, 150)
    assert told == story(seed, 150)
    assert [one.hour for one in told] == sorted(one.hour for one in told)
    assert told[0].hour >= START_HOUR


def test_another_seed_tells_another_story() -> None:
    assert story(1, 50) != story(2, 50)


def test_within_an_hour_there_is_something_of_everything_to_see() -> None:
    first = [one for one in story(1, 400) if one.hour < START_HOUR + 1]
    assert {one.what for one in first} >= {"release", "bad-release", "scale", "drain", "power-off", "flap", "job"}


def test_whatever_is_taken_away_comes_back_and_nothing_is_taken_twice() -> None:
    for begin, end in (("drain", "reopen"), ("power-off", "power-on")):
        away: set[str] = set()
        for one in story(3, 3000, nodes=6):
            if one.what == begin:
                assert one.subject not in away
                away.add(one.subject)
            elif one.what == end:
                away.remove(one.subject)
        assert len(away) < 6


def test_the_story_goes_on_for_days_and_names_what_there_is() -> None:
    agents = {f"{one.namespace}/{one.name}" for one in workloads(20, 60)}
    nodes = {one.name for one in machines(60, 5)}
    jobs = {f"{cron.namespace}/{cron.name}" for cron in CRONS}
    told = story(5, 5000)
    assert told[-1].hour > START_HOUR + 5 * DAY_H
    counts = Counter(one.what for one in told)
    assert counts["release"] > counts["bad-release"] > 20
    for one in told:
        match one.what:
            case "release" | "bad-release":
                assert one.subject in agents
                assert one.what == "release" or one.value in BAD
            case "drain" | "reopen" | "power-off" | "power-on" | "flap":
                assert one.subject in nodes
            case "job":
                assert one.subject.rpartition("-")[0] in jobs
            case "scale":
                pass


def test_a_demo_without_agents_and_with_one_machine_has_a_story_too() -> None:
    told = list(itertools.islice(plot(1, machines(1, 1), []), 100))
    assert {one.what for one in told} >= {"scale", "job", "power-off", "drain"}


def test_agents_have_more_replicas_when_there_is_more_to_do() -> None:
    agent = next(one for one in workloads(20, 500) if one.shape.curve == "day")
    assert replicas_at(agent, 12.0) > agent.replicas > replicas_at(agent, 3.0) >= 1
