"""The session, against a Nexus played by hand over links in memory, on a virtual clock."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

import pytest

from omnitide.node.endpoints import Endpoints
from omnitide.node.facts import Facts, HostUse
from omnitide.node.instructions import SendReport
from omnitide.node.outbox import Outbox, OutboxLimits, memory_connection
from omnitide.node.records import Goal, Phase, Report
from omnitide.node.session import MAX_IN_FLIGHT, End, Session, Who
from omnitide.node.stimuli import DesiredReceived
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed
from simulation.virtual_loop import run as run_virtual
from support.memory_link import HandNexus, NexusEnd


class Clock:
    def now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000) + 1_700_000_000_000


class FakeNode:
    """The node under a session: remembers what it is told."""

    def __init__(self) -> None:
        self.facts = Facts(name="alpha", cpu_milli=2000)
        self.log_id = "seen-log"
        self.revision = 41
        self.reports: list[Report] = []
        self.heard: list[DesiredReceived] = []
        self.logs: list[str] = []
        self.tunnels: list[tuple[str, str]] = []
        self.taken: list[pb.Settings] = []
        self.keeper_seconds = 0.0

    def inventory(self) -> list[Report]:
        return self.reports

    def live(self) -> int:
        return 3

    async def connected(self, log_id: str) -> None:
        self.logs.append(log_id)

    async def desired(self, stimulus: DesiredReceived) -> None:
        self.heard.append(stimulus)

    async def beat(self) -> tuple[bool, HostUse]:
        await asyncio.sleep(self.keeper_seconds)
        return True, HostUse(cpu_milli_used=250)

    def open_tunnel(self, endpoint: str, request: pb.OpenTunnel) -> None:
        self.tunnels.append((endpoint, request.tunnel))

    def settings(self, settings: pb.Settings) -> None:
        self.taken.append(settings)


class World:
    def __init__(self, endpoints: tuple[str, ...] = ("n1:1",)) -> None:
        self.nexus = HandNexus()
        self.node = FakeNode()
        numbers = iter(range(1, 1000))
        self.outbox = Outbox(
            memory_connection(),
            boot_id="boot",
            new_id=lambda: f"outbox-{next(numbers)}",
            limits=OutboxLimits(10_000, 1 << 20),
        )
        self.welcomes = self.failures = 0
        self.endpoints = Endpoints((), endpoints)
        self.session = Session(
            who=Who("node-1", "boot", "omnitide/test"),
            dialer=self.nexus,
            endpoints=self.endpoints,
            outbox=self.outbox,
            node=self.node,
            clock=Clock(),
            rng=random.Random(1),
            on_welcome=self.count_welcome,
            on_failure=self.count_failure,
        )

    def count_welcome(self) -> None:
        self.welcomes += 1

    def count_failure(self) -> None:
        self.failures += 1

    def report(self, *names: str) -> None:
        self.outbox.commit(
            [
                SendReport(report=Report(instance=name, generation=1, attempt=1, phase=Phase.RUNNING, at_ms=1))
                for name in names
            ]
        )
        self.session.changed()


def virtual(test: Callable[[World], Awaitable[None]], endpoints: tuple[str, ...] = ("n1:1",)) -> None:
    """Run a scenario beside a running session, which must end when told to, and not before."""

    async def main() -> None:
        world = World(endpoints)
        task = asyncio.create_task(world.session.run())
        await test(world)
        assert not task.done(), task
        world.session.stop("the test is over", 5_000)
        assert await asyncio.wait_for(task, 60) is End.STOPPED

    run_virtual(main())


async def receive(link: NexusEnd, kind: str) -> pb.NodeMessage:
    message = await asyncio.wait_for(link.receive(), 60)
    assert message.WhichOneof("body") == kind
    return message


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_hello_says_who_what_and_what_runs() -> None:
    async def scenario(world: World) -> None:
        world.node.reports = [Report(instance="a", generation=2, attempt=3, phase=Phase.ENDED, at_ms=9)]
        _, hello = await world.nexus.welcomed()
        assert (hello.protocol_min, hello.protocol_max) == (1, 1)
        assert (hello.node_id, hello.boot_id, hello.software) == ("node-1", "boot", "omnitide/test")
        assert (hello.facts.name, hello.facts.cpu_milli) == ("alpha", 2000)
        assert hello.outbox_id == "outbox-1"
        assert (hello.log_id, hello.desired_revision) == ("seen-log", 41)
        assert [(r.instance, r.generation, r.attempt, r.phase) for r in hello.instances] == [
            ("a", 2, 3, pb.PHASE_ENDED)
        ]
        assert "desired-parts" in hello.features
        await until(lambda: world.session.stands)
        assert world.node.logs == ["log"]
        assert world.welcomes == 1

    virtual(scenario)


def test_a_session_is_kept_on_disk_before_anything_is_said_in_it() -> None:
    """By its number Nexus tells this node from a copy of it."""

    async def scenario(world: World) -> None:
        world.report("a")
        link, hello = await world.nexus.welcomed(session=7)
        assert hello.last_session == 0
        assert (await receive(link, "kept")).kept.session == 7
        assert world.outbox.session == 7
        await receive(link, "reports")
        await link.close()
        link, hello = await world.nexus.welcomed(session=9)
        assert hello.last_session == 7
        assert (await receive(link, "kept")).kept.session == 9

    virtual(scenario)


def test_a_session_that_cannot_be_kept_is_not_said_to_be() -> None:
    """Nexus would hold the node to what it will have forgotten."""

    async def scenario(world: World) -> None:
        world.outbox.in_memory = True
        world.report("a")
        link, _ = await world.nexus.welcomed(session=7)
        await receive(link, "reports")

    virtual(scenario)


def test_desired_state_comes_in() -> None:
    async def scenario(world: World) -> None:
        link, _ = await world.nexus.welcomed()
        assignment = pb.Assignment(
            instance="i", name="a-0.1", goal=pb.GOAL_RUN, spec_key="a/1", ports={"http": 80}, attempts_seen=2
        )
        message = pb.Desired(full=True, revision=7, assignments=[assignment], specs={"a/1": b"{}"})
        await link.send(pb.NexusMessage(desired=message))
        await link.send(pb.NexusMessage(desired=pb.Desired(revision=8, removed=["i"])))
        await until(lambda: len(world.node.heard) == 2)
        first, second = world.node.heard
        assert (first.full, first.revision, first.specs) == (True, 7, {"a/1": b"{}"})
        assert (first.assignments[0].goal, first.assignments[0].ports) == (Goal.RUN, {"http": 80})
        assert (second.full, second.revision, second.removed) == (False, 8, ("i",))

    virtual(scenario)


def test_a_full_state_in_parts_is_one() -> None:
    """Else what is in the last part would be stopped for being absent from the first."""

    async def scenario(world: World) -> None:
        link, _ = await world.nexus.welcomed()
        parts = [
            pb.Desired(full=True, more=True, revision=7, assignments=[pb.Assignment(instance="lost")]),
            pb.Desired(full=True, more=True, revision=8, assignments=[pb.Assignment(instance="a")], specs={"k": b"1"}),
            pb.Desired(more=True, revision=8, assignments=[pb.Assignment(instance="b")], specs={"l": b"2"}),
        ]
        for part in parts:
            await link.send(pb.NexusMessage(desired=part))
        await asyncio.sleep(1)
        assert world.node.heard == []
        await link.send(pb.NexusMessage(desired=pb.Desired(revision=8, assignments=[pb.Assignment(instance="c")])))
        await until(lambda: world.node.heard)
        (heard,) = world.node.heard
        assert (heard.full, heard.revision, dict(heard.specs)) == (True, 8, {"k": b"1", "l": b"2"})
        assert [a.instance for a in heard.assignments] == ["a", "b", "c"]

    virtual(scenario)


def test_reports_go_out_in_order_and_are_forgotten_when_acknowledged() -> None:
    async def scenario(world: World) -> None:
        world.report("a", "b")
        link, _ = await world.nexus.welcomed()
        reports = (await receive(link, "reports")).reports
        assert reports.first_sequence == 1
        assert [r.instance for r in reports.reports] == ["a", "b"]
        world.report("c")
        assert (await receive(link, "reports")).reports.first_sequence == 3
        await link.send(pb.NexusMessage(ack=pb.Ack(outbox_id="outbox-1", sequence=2)))
        await until(lambda: world.outbox.pending_count == 1)

    virtual(scenario)


def test_what_was_not_acknowledged_is_sent_again_after_a_break() -> None:
    async def scenario(world: World) -> None:
        world.report("a", "b", "c")
        link, _ = await world.nexus.welcomed()
        await receive(link, "reports")
        await link.cut()
        link, _ = await world.nexus.welcomed(acknowledged=2)
        reports = (await receive(link, "reports")).reports
        assert (reports.first_sequence, [r.instance for r in reports.reports]) == (3, ["c"])
        assert world.outbox.pending_count == 1

    virtual(scenario)


def test_acknowledgements_of_other_things_are_ignored() -> None:
    async def scenario(world: World) -> None:
        world.report("a")
        link, _ = await world.nexus.welcomed()
        await receive(link, "reports")
        await link.send(pb.NexusMessage(ack=pb.Ack(outbox_id="another", sequence=1)))
        await link.send(pb.NexusMessage(ack=pb.Ack(outbox_id="outbox-1", sequence=99)))
        await asyncio.sleep(1)
        assert world.outbox.pending_count == 1

    virtual(scenario)


def test_only_so_many_reports_are_in_flight() -> None:
    async def scenario(world: World) -> None:
        world.report(*(f"i{n}" for n in range(MAX_IN_FLIGHT + 100)))
        link, _ = await world.nexus.welcomed()
        await asyncio.sleep(1)
        got = 0
        while got < MAX_IN_FLIGHT:
            message = (await receive(link, "reports")).reports
            assert message.first_sequence == got + 1
            got += len(message.reports)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.receive(), 5)
        await link.send(pb.NexusMessage(ack=pb.Ack(outbox_id="outbox-1", sequence=got)))
        assert (await receive(link, "reports")).reports.first_sequence == got + 1

    virtual(scenario)


def test_a_nexus_that_knows_reports_unknown_here_gets_a_new_outbox_id() -> None:
    async def scenario(world: World) -> None:
        world.report("a")
        _, hello = await world.nexus.welcomed(acknowledged=50)
        assert hello.outbox_id == "outbox-1"
        link, hello = await world.nexus.welcomed()
        assert hello.outbox_id == "outbox-2"
        assert (await receive(link, "reports")).reports.first_sequence == 1

    virtual(scenario)


def test_an_outbox_that_changed_during_the_greeting_greets_again() -> None:
    async def scenario(world: World) -> None:
        link = await world.nexus.accept()
        assert (await link.receive()).hello.outbox_id == "outbox-1"
        world.outbox.renew_id()
        await link.send(pb.NexusMessage(welcome=pb.Welcome(protocol=1)))
        _, hello = await world.nexus.welcomed()
        assert hello.outbox_id == "outbox-2"

    virtual(scenario)


def test_dropped_reports_are_made_good_by_a_new_hello() -> None:
    async def scenario(world: World) -> None:
        world.report("a")
        link, _ = await world.nexus.welcomed()
        await receive(link, "reports")
        world.outbox.dropped = 5
        await link.send(pb.NexusMessage(ack=pb.Ack(outbox_id="outbox-1", sequence=1)))
        await world.nexus.welcomed(acknowledged=1)
        await until(lambda: world.session.stands)
        assert world.outbox.dropped == 0

    virtual(scenario)


def test_a_beat_is_answered_with_what_the_host_uses() -> None:
    async def scenario(world: World) -> None:
        link, _ = await world.nexus.welcomed()
        await link.send(pb.NexusMessage(beat=pb.Beat(number=5)))
        beat = (await receive(link, "beat")).beat
        assert (beat.number, beat.keeper_alive, beat.host.cpu_milli_used, beat.host.instances_running) == (
            5,
            True,
            250,
            3,
        )

    virtual(scenario)


def test_a_slow_supervisor_holds_up_beats_and_nothing_else() -> None:
    async def scenario(world: World) -> None:
        link, _ = await world.nexus.welcomed()
        world.node.keeper_seconds = 20.0
        for number in (1, 2, 3):
            await link.send(pb.NexusMessage(beat=pb.Beat(number=number)))
        world.report("a")
        await receive(link, "reports")
        assert (await receive(link, "beat")).beat.number == 3, "beats that came meanwhile are answered together"

    virtual(scenario)


def test_facts_are_sent_when_they_change() -> None:
    async def scenario(world: World) -> None:
        link, _ = await world.nexus.welcomed()
        world.session.changed()
        world.node.facts = Facts(name="alpha", cpu_milli=4000)
        world.session.changed()
        assert (await receive(link, "facts")).facts.cpu_milli == 4000

    virtual(scenario)


def test_tunnels_and_settings_are_handed_on() -> None:
    async def scenario(world: World) -> None:
        link, _ = await world.nexus.welcomed(keepalive_ms=1000)
        await link.send(pb.NexusMessage(open_tunnel=pb.OpenTunnel(tunnel="t-1")))
        await link.send(pb.NexusMessage(settings=pb.Settings(keepalive_ms=700)))
        await until(lambda: len(world.node.taken) == 2)
        assert world.node.tunnels == [("n1:1", "t-1")]
        assert [s.keepalive_ms for s in world.node.taken] == [1000, 700]

    virtual(scenario)


def test_what_a_newer_nexus_adds_is_passed_over() -> None:
    async def scenario(world: World) -> None:
        link, _ = await world.nexus.welcomed()
        unknown = pb.NexusMessage.FromString(b"\xfa\x3e\x02hi")  # field 1007, a text
        assert unknown.WhichOneof("body") is None
        for _ in range(3):
            await link.send(unknown)
        desired = pb.Desired(full=True, revision=3, assignments=[pb.Assignment(instance="x", goal=77)])  # pyright: ignore[reportArgumentType]
        desired.MergeFromString(b"\xfa\x3e\x02hi")
        await link.send(pb.NexusMessage(desired=desired))
        await until(lambda: world.node.heard)
        assert world.node.heard[0].assignments[0].goal is Goal.KEEP

    virtual(scenario)


def test_goodbye_says_whether_the_node_comes_back() -> None:
    async def main() -> None:
        world = World()
        task = asyncio.create_task(world.session.run())
        link, _ = await world.nexus.welcomed()
        world.session.stop("restart", back_within_ms=5_000)
        goodbye = (await receive(link, "goodbye")).goodbye
        assert (goodbye.reason, goodbye.back_within_ms, goodbye.stopped) == ("restart", 5_000, False)
        assert await task is End.STOPPED
        with pytest.raises(LinkClosed):
            await link.receive()

    run_virtual(main())


# Being cut off


def test_the_first_retry_after_a_break_is_quick_and_the_waits_are_bounded() -> None:
    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        link, _ = await world.nexus.welcomed()
        await asyncio.sleep(60)
        await link.cut()
        broke = loop.time()
        world.nexus.down.add("*")
        await asyncio.sleep(120)
        times = [at - broke for at, _ in world.nexus.dialled[1:]]
        assert times[0] <= 0.2
        for before, after in itertools.pairwise(times):
            assert after - before <= min(max(0.3 * before, 0.2), 5.0) + 1e-6
        assert 30 < len(times) < 120
        assert world.failures == len(times)
        world.nexus.down.clear()
        back = loop.time()
        await world.nexus.welcomed()
        assert loop.time() - back <= 5.0

    virtual(scenario)


def test_after_a_short_restart_of_nexus_the_node_is_back_in_a_fraction_of_a_second() -> None:
    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        link, _ = await world.nexus.welcomed()
        await asyncio.sleep(60)
        await link.cut()
        world.nexus.down.add("*")
        await asyncio.sleep(2)
        world.nexus.down.clear()
        back = loop.time()
        await world.nexus.welcomed()
        assert loop.time() - back <= 0.6

    virtual(scenario)


def test_a_nexus_that_ends_every_session_at_once_is_not_hammered() -> None:
    async def scenario(world: World) -> None:
        for _ in range(40):
            link, _ = await world.nexus.welcomed()
            await link.close()
        assert asyncio.get_running_loop().time() > 10

    virtual(scenario)


def test_a_nexus_that_says_nothing_is_given_up() -> None:
    async def scenario(world: World) -> None:
        silent = await world.nexus.accept()
        await silent.receive()
        await world.nexus.welcomed()
        assert 10 <= asyncio.get_running_loop().time() < 11

    virtual(scenario)


def test_silence_for_three_beats_ends_a_session_that_no_carriage_found_dead() -> None:
    async def scenario(world: World) -> None:
        link, _ = await world.nexus.welcomed(beat_ms=1_000)
        await asyncio.sleep(2.9)
        await link.send(pb.NexusMessage(beat=pb.Beat(number=1)))
        await asyncio.sleep(2.9)
        assert world.session.stands
        await world.nexus.accept(seconds=1.0)

    virtual(scenario)


def test_all_endpoints_are_tried_before_waiting() -> None:
    async def scenario(world: World) -> None:
        world.nexus.down |= {"n1:1", "n2:2"}
        await world.nexus.welcomed()
        assert [endpoint for _, endpoint in world.nexus.dialled] == ["n1:1", "n2:2", "n3:3"]
        assert asyncio.get_running_loop().time() == 0

    virtual(scenario, ("n1:1", "n2:2", "n3:3"))


def test_a_redirect_is_followed_at_once_and_the_leader_is_remembered() -> None:
    async def scenario(world: World) -> None:
        link = await world.nexus.accept()
        await link.receive()
        others = [pb.Endpoint(address="f:1"), pb.Endpoint(address="leader:1", leader=True)]
        await link.send(pb.NexusMessage(redirect=pb.Redirect(endpoints=others)))
        await world.nexus.welcomed()
        assert [endpoint for _, endpoint in world.nexus.dialled] == ["n1:1", "leader:1"]
        assert asyncio.get_running_loop().time() == 0
        await until(lambda: world.session.stands)
        assert world.outbox.endpoints == ("leader:1", "n1:1")
        assert Endpoints(world.outbox.endpoints, ("n1:1",)).current == "leader:1"

    virtual(scenario)


def test_two_that_send_a_node_to_one_another_are_not_hammered() -> None:
    async def scenario(world: World) -> None:
        for n in range(20):
            link = await world.nexus.accept()
            await link.receive()
            other = pb.Endpoint(address=f"n{n % 2}:1", leader=True)
            await link.send(pb.NexusMessage(redirect=pb.Redirect(endpoints=[other])))
        assert asyncio.get_running_loop().time() > 0.1

    virtual(scenario)


def test_a_welcome_teaches_all_endpoints() -> None:
    async def scenario(world: World) -> None:
        link = await world.nexus.accept()
        await link.receive()
        endpoints = [pb.Endpoint(address="n2:2"), pb.Endpoint(address="n1:1", leader=True)]
        await link.send(pb.NexusMessage(welcome=pb.Welcome(protocol=1, endpoints=endpoints)))
        await until(lambda: world.session.stands)
        assert world.endpoints.known == ("n1:1", "n2:2")

    virtual(scenario)


async def refuse(world: World, reason: str, permanent: bool) -> None:
    link = await world.nexus.accept(seconds=120)
    await link.receive()
    refused = pb.Refused(reason=reason, message="because", permanent=permanent)
    await link.send(pb.NexusMessage(refused=refused))


def test_a_refusal_for_now_is_tried_again_soon() -> None:
    async def scenario(world: World) -> None:
        await refuse(world, "starting", permanent=False)
        await world.nexus.welcomed()
        assert asyncio.get_running_loop().time() <= 0.2
        assert world.failures == 0, "the identity was not the reason"

    virtual(scenario)


def test_a_refusal_for_good_is_tried_again_rarely() -> None:
    async def scenario(world: World) -> None:
        await refuse(world, "identity", permanent=True)
        await world.nexus.welcomed()
        assert 30 <= asyncio.get_running_loop().time() <= 60
        assert world.failures == 1

    virtual(scenario)


def test_a_protocol_that_is_not_known_here_is_a_refusal_for_good() -> None:
    async def scenario(world: World) -> None:
        link = await world.nexus.accept()
        await link.receive()
        await link.send(pb.NexusMessage(welcome=pb.Welcome(protocol=9)))
        await world.nexus.accept(seconds=120)
        assert asyncio.get_running_loop().time() >= 30
        assert not world.session.stands

    virtual(scenario)


def test_a_removed_node_ends() -> None:
    async def main() -> None:
        world = World()
        task = asyncio.create_task(world.session.run())
        await refuse(world, "removed", permanent=True)
        assert await asyncio.wait_for(task, 60) is End.REMOVED

    run_virtual(main())


def test_a_node_removed_during_a_session_ends_too() -> None:
    async def main() -> None:
        world = World()
        task = asyncio.create_task(world.session.run())
        link, _ = await world.nexus.welcomed()
        await link.send(pb.NexusMessage(refused=pb.Refused(reason="removed", permanent=True)))
        assert await asyncio.wait_for(task, 60) is End.REMOVED

    run_virtual(main())


def test_cancelling_a_session_leaves_no_task_behind() -> None:
    async def main() -> None:
        world = World()
        task = asyncio.create_task(world.session.run())
        link, _ = await world.nexus.welcomed()
        await until(lambda: world.session.stands)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with pytest.raises(LinkClosed):
            await link.receive()

    run_virtual(main())


def test_what_there_is_to_report_is_told_before_the_goodbye() -> None:
    async def main() -> None:
        world = World()
        task = asyncio.create_task(world.session.run())
        link, _ = await world.nexus.welcomed()
        world.report("a", "b")
        world.session.stop("shut down", 0)
        assert [report.instance for report in (await receive(link, "reports")).reports.reports] == ["a", "b"]
        assert (await receive(link, "goodbye")).goodbye.back_within_ms == 0
        assert await task is End.STOPPED
        assert world.session.said_goodbye

    run_virtual(main())
