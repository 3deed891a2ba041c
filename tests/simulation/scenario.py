"""A seeded life: people ask for things, everything fails, then the faults stop and the fabric must come right."""

import asyncio
import hashlib
import random
from typing import Final, NamedTuple

from omnitide.drivers.protocol import Exit
from omnitide.fabric import commands as cm
from omnitide.fabric.events import InstanceEnded, decode_entry, kind_of
from omnitide.fabric.invariants import violations
from omnitide.fabric.rules.failing import gave_up, halted_by
from omnitide.fabric.state import (
    ENDED,
    Agent,
    InstanceStatus,
    JobStatus,
    NodeStatus,
    Scheduling,
    find_agent,
)
from omnitide.model.probes import Probe, Probes
from omnitide.model.provisions import Volume
from omnitide.model.spec import AgentSpec, JobSpec, Port, Resources, Restart, Stop, Update
from omnitide.scheduler.moving import plan_moves
from omnitide.scheduler.place import place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import derive_asks
from omnitide.store.memory import AppendFault
from simulation.clocks import Clocks
from simulation.network import Weather
from simulation.oddities import Oddities
from simulation.virtual_loop import run
from simulation.world import World
from support.fake_driver import NO_FAULTS, Faults

AGENTS: Final = ("blue", "red", "green", "gold")
PICKY: Final = ("refuse", "needs")
"""Programs that some nodes, or all, say at once that they can never start."""
PROBED: Final = Probes(readiness=Probe(type="exec", command=("well",), interval=500, timeout=400, failure_threshold=2))
STEADY: Final = ("run", "stubborn")
CONVERGE_S: Final = 400.0


class Outcome(NamedTuple):
    seed: int
    faults: tuple[str, ...]
    """Empty: all went well."""
    entries: int
    virtual_s: float
    trace: str
    """Digest of all that happened."""


def simulate(seed: int, *, verbose: bool = False) -> Outcome:
    """One life, from its seed."""
    return run(_life(seed, verbose))


async def _live(seed: int, verbose: bool) -> World:
    rng = random.Random(f"scenario {seed}")
    nodes = [rng.choice((2_000, 4_000, 8_000)) for _ in range(rng.randrange(1, 6))]
    world = World(seed, nodes)
    await world.start_nexus()
    for number, node in enumerate(world.nodes):
        node.runtime.lacks = ("gpu",) if number % 3 else ()
    await world.join_all()
    life = _Life(world, rng, verbose)
    oddities = Oddities(world, seed, life.dead, life.say)
    clocks = Clocks(world, seed)
    oddities.begin()
    clocks.begin()
    await life.turbulence(rng.uniform(20, 90))
    await clocks.end()
    await oddities.end()
    await life.calm()
    await life.converge()
    await oddities.verify()
    return world


async def _life(seed: int, verbose: bool) -> Outcome:
    world = await _live(seed, verbose)
    faults = list(world.faults_found)
    for node in world.nodes:
        faults += [f"{node.name}: {found}" for found in node.runtime.violations]
    trace = world.trace()
    if verbose:
        print("\n".join(trace))
    return Outcome(
        seed=seed,
        faults=tuple(faults),
        entries=world.storage.tail.position,
        virtual_s=asyncio.get_running_loop().time(),
        trace=hashlib.sha256("\n".join(trace).encode()).hexdigest(),
    )


def census(seeds: range) -> dict[str, int]:
    """How often each kind of event, and what else makes a life eventful, occurs in these lives."""
    seen: dict[str, int] = {}

    async def live(seed: int) -> None:
        world = await _live(seed, verbose=False)
        for record in world.storage.records(world.storage.first - 1, 10**9, 10**12):
            for event in decode_entry(record.payload).events:
                seen[kind_of(event)] = seen.get(kind_of(event), 0) + 1
                if isinstance(event, InstanceEnded) and event.exit is not None and event.exit.permanent:
                    seen["permanent failures"] = seen.get("permanent failures", 0) + 1
        seen["nexus restarts"] = seen.get("nexus restarts", 0) + world.nexus_starts - 1
        seen["sessions"] = seen.get("sessions", 0) + world.network.dials

    for seed in seeds:
        run(live(seed))
    return seen


class _Life:
    def __init__(self, world: World, rng: random.Random, verbose: bool) -> None:
        self.world = world
        self.rng = rng
        self.verbose = verbose
        self.ids = 0
        self.dead: dict[str, None] = {}
        """Nodes that never come back."""
        self.emptied = ""
        """A node that is drained at the end: what can leave it has to, and what cannot has to stay."""

    def say(self, text: str) -> None:
        if self.verbose:
            print(f"[{asyncio.get_running_loop().time():8.3f}] {text}")

    # -- turbulence --------------------------------------------------------------------------------------------------

    async def turbulence(self, seconds: float) -> None:
        rng, world = self.rng, self.world
        if rng.random() < 0.7:
            world.network.weather = Weather(
                slow=rng.choice((0.0, 0.02, 0.2)),
                slow_s=rng.choice((0.1, 1.0, 4.0)),
                repeat=rng.choice((0.0, 0.1, 0.5)),
                late_copy=rng.choice((0.0, 0.05, 0.3)),
            )
        for node in world.nodes:
            if rng.random() < 0.5:
                node.set_faults(
                    Faults(
                        start_fails=rng.choice((0.0, 0.1)),
                        start_answer_lost=rng.choice((0.0, 0.1)),
                        stop_fails=rng.choice((0.0, 0.1)),
                        start_seconds=(0.0, rng.choice((0.01, 1.0))),
                        stop_seconds=(0.0, rng.choice((0.01, 3.0))),
                        call_seconds=(0.0, 0.01),
                    )
                )
        end = asyncio.get_running_loop().time() + seconds
        pace = rng.choice((0.2, 1.0, 3.0))
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(rng.expovariate(1 / pace))
            if rng.random() < 0.6:
                await self.wish()
            else:
                await self.mishap()

    async def wish(self) -> None:
        """Something that a person asks for."""
        rng = self.rng
        name = rng.choice(AGENTS)
        choice = rng.randrange(53) // 2
        if choice == 20:
            await self.broken_update(name)
            return
        if choice == 25:
            await self.hurried_update(name)
            return
        command: cm.Command
        if choice < 7:
            self.ids += 1
            command = cm.DeployAgent(
                agent=f"a{self.ids}",
                namespace="default",
                name=name,
                spec=self._spec(),
                replicas=rng.choice((None, 1, 2, 3, 6)),
                take_over_replicas=rng.random() < 0.5,
            )
        elif choice < 11:
            command = cm.ScaleAgent(namespace="default", name=name, replicas=rng.randrange(0, 8))
        elif choice == 11:
            command = cm.RestartAgent(namespace="default", name=name)
        elif choice == 12:
            command = cm.StopAgent(namespace="default", name=name)
        elif choice == 13:
            command = cm.DeleteAgent(namespace="default", name=name)
        elif choice == 14:
            command = cm.DrainNode(node=rng.choice(self.world.nodes).id)
        elif choice == 15:
            command = cm.UncordonNode(node=rng.choice(self.world.nodes).id)
        elif choice == 16:
            command = cm.CordonNode(node=rng.choice(self.world.nodes).id)
        elif choice == 17:
            instances = sorted(self.world.state().instances) if self.world.nexus else []
            command = cm.RestartInstance(instance=rng.choice(instances or ["a0.1.1"]))
        elif choice == 18:
            self.ids += 1
            command = cm.RunJob(job=f"j{self.ids}", namespace="default", name=f"job{self.ids}", spec=self._job_spec())
        elif choice == 21:
            command = self._back(name)
        elif choice == 22:
            pauses = rng.random() < 0.5
            command = (cm.PauseRollout if pauses else cm.ResumeRollout)(namespace="default", name=name)
        elif choice in (23, 24):
            instances = sorted(self.world.state().instances) if self.world.nexus else []
            node = rng.choice(("", rng.choice(self.world.nodes).name))
            leave = rng.random() < 0.3
            command = cm.MigrateInstance(instance=rng.choice(instances or ["a0.1.1"]), node=node, leave_volumes=leave)
        else:
            command = cm.CancelJob(namespace="default", name=f"job{rng.randrange(1, self.ids + 2)}")
        self.say(f"wish {command}")
        answer = await self.world.submit(command)
        self.say(f"  -> {getattr(answer, 'result', answer)}")

    def _back(self, name: str) -> cm.Command:
        """To an earlier version, by its number or by its file."""
        rng = self.rng
        version = rng.choice((0, 0, 1))
        state = self.world.state() if self.world.nexus else None
        agent = find_agent(state, "default", name) if state is not None else None
        if agent is None or rng.random() < 0.5:
            return cm.RollBackAgent(namespace="default", name=name, version=version)
        earlier = agent.versions[rng.choice(sorted(agent.versions)[-3:])].spec
        self.ids += 1
        return cm.DeployAgent(agent=f"a{self.ids}", namespace="default", name=name, spec=earlier)

    async def broken_update(self, name: str) -> None:
        """What runs well is given a version that can start nowhere, or on some nodes alone, and for a while nobody but
        the faults interferes."""
        rng = self.rng
        update = Update(max_unavailable=rng.choice((1, 2, 3)))
        restart = Restart(policy=rng.choice(("always", "never")), attempts=2, backoff=100, backoff_max=2000)
        for command in (("run",), rng.choice((("refuse", "user"), ("needs", "gpu")))):
            self.ids += 1
            spec = AgentSpec(
                command=command, update=update, restart=restart, lost_after=2000, resources=Resources(cpu=100)
            )
            deployed = cm.DeployAgent(
                agent=f"a{self.ids}",
                namespace="default",
                name=name,
                spec=spec,
                replicas=rng.choice((3, 5)),
                take_over_replicas=True,
            )
            self.say(f"wish {deployed}")
            await self.world.submit(deployed)
            await asyncio.sleep(rng.uniform(2, 6))
            if rng.random() < 0.5:
                await self.mishap()
                await asyncio.sleep(rng.uniform(2, 6))
        if rng.random() < 0.5:
            await self.world.submit(cm.ScaleAgent(namespace="default", name=name, replicas=rng.choice((4, 6))))

    async def hurried_update(self, name: str) -> None:
        """What runs well is given another version, and the next one before that has shown what it is worth."""
        rng = self.rng
        surge = rng.choice((1, 2))
        for number, command in enumerate((("run",), ("run",), rng.choice((("run",), ("refuse", "user"))))):
            self.ids += 1
            # Each has to run for long enough, which the one after it asks less of.
            update = Update(max_unavailable=0, max_surge=surge, min_healthy=(0, 8000, 500)[number])
            deployed = cm.DeployAgent(
                agent=f"a{self.ids}",
                namespace="default",
                name=name,
                spec=AgentSpec(command=command, update=update, lost_after=2000, resources=Resources(cpu=100)),
                replicas=rng.choice((1, 2)),
                take_over_replicas=True,
            )
            self.say(f"wish {deployed}")
            await self.world.submit(deployed)
            for _ in range(30):
                await asyncio.sleep(0.3)
                if self._runs_newest(name, all_=number == 0):
                    break

    def _runs_newest(self, name: str, *, all_: bool) -> bool:
        """Whether an instance of an agent runs in its newest version; `all_`: and its rollout is over."""
        nexus = self.world.nexus
        agent = find_agent(nexus.committed(), "default", name) if nexus is not None else None
        if nexus is None or agent is None:
            return True
        if all_:
            return not agent.rollout_cursor and agent.counts.running >= agent.replicas
        known = [nexus.committed().instances.get(slot.current) for slot in agent.slots.values()]
        return any(one is not None and one.version == agent.version and one.started_ms for one in known)

    def _spec(self) -> AgentSpec:
        rng = self.rng
        steady = (("run",), ("run",), ("run",), ("stubborn",))
        command = rng.choice(
            (*steady, ("exit", "1", "700"), ("exit", "0", "2500"), ("needs", "gpu"), ("refuse", "user"))
        )
        volumes = {"data": Volume(target="data")} if rng.random() < 0.12 else {}
        return AgentSpec(
            command=command,
            resources=Resources(cpu=rng.choice((100, 500, 1500)), memory=1 << 20),
            ports={"http": Port()} if rng.random() < 0.3 else {},
            placement=rng.choice(("spread", "pack")),
            restart=Restart(
                policy=rng.choice(("always", "always", "on-failure", "never")),
                attempts=rng.choice((0, 2, 5)),
                backoff=100,
                backoff_max=2000,
            ),
            stop=Stop(grace=rng.choice((0, 500, 4000))),
            update=self._update(stays=bool(volumes)),
            volumes=volumes,
            health=PROBED if rng.random() < 0.3 else Probes(),
            needs={rng.choice(AGENTS): rng.choice(("started", "ready"))} if rng.random() < 0.15 else {},
            together=rng.choice(("pod", "pod", "other")) if rng.random() < 0.15 else None,
            on_disconnect=rng.choice(("replace", "replace", "replace", "keep")),
            lost_after=rng.choice((None, None, 0, 8000)),
        )

    def _update(self, *, stays: bool) -> Update:
        rng = self.rng
        unavailable, surge = rng.choice(((1, 0), (2, 0), (10, 0), (0, 1), (0, 2), (1, 1), (1, 3)))
        return Update(
            max_unavailable=max(unavailable, 1) if stays else unavailable,
            max_surge=surge,
            min_healthy=rng.choice((0, 1000, 4000)),
            on_failure=rng.choice(("halt", "rollback")),
        )

    def _job_spec(self) -> JobSpec:
        rng = self.rng
        return JobSpec(
            command=rng.choice((("exit", "0", "3000"), ("exit", "3", "500"), ("exit", "0", "20000"))),
            restart=Restart(policy=rng.choice(("never", "on-failure")), attempts=1, backoff=100),
        )

    async def mishap(self) -> None:
        """Something that goes wrong."""
        rng, world = self.rng, self.world
        node = rng.choice(world.nodes)
        choice = rng.randrange(15)
        self.say(f"mishap {choice} {node.name}")
        if choice == 0:
            await world.kill_nexus()
        elif choice == 1:
            if world.nexus is None:
                await world.start_nexus()
        elif choice in (2, 3):
            if node.process is None:
                node.start()
            else:
                await node.kill_proxy()
        elif choice == 4:
            await node.kill_machine()
        elif choice in (5, 6):
            if world.network.is_cut(node.id):
                world.network.heal(node.id)
            else:
                world.network.partition(node.id)
        elif choice == 7:
            world.network.reset_one(node.id)
        elif choice == 8:
            node.runtime.crash()
        elif choice == 9:
            live = node.runtime.live()
            if live:
                node.runtime.finish(rng.choice(live), Exit(code=None, signal=9, reason="signal"))
        elif choice == 10:
            world.break_log(rng.choice(list(AppendFault)))
        elif choice == 11:
            world.set_full(not world.storage.full)
        elif choice in (13, 14):
            node.runtime.unwell.symmetric_difference_update(sorted({key.instance for key in node.runtime.live()})[:3])
        else:
            node.host.busy.symmetric_difference_update(rng.sample(range(20_000, 20_100), 40))

    # -- calm --------------------------------------------------------------------------------------------------------

    async def calm(self) -> None:
        """Every fault ends: machines are up, the network carries, disks have room, all nodes are open. In some lives
        one machine has died for good, and what can run elsewhere has to; in some one is drained."""
        world = self.world
        if len(world.nodes) > 1 and self.rng.random() < 0.4:
            last = world.nodes[-1]
            self.dead[last.id] = None
            await last.kill_machine()
            self.say(f"{last.name} is gone for good")
        self.say("calm")
        world.network.weather = Weather()
        world.set_full(False)
        for node in world.nodes:
            world.network.heal(node.id)
            node.set_faults(NO_FAULTS)
            node.host.busy.clear()
            node.runtime.unwell.clear()
            if node.process is None and node.id not in self.dead:
                node.start()
        if world.nexus is None or world.nexus.engine.failed.done():
            await world.kill_nexus()
            await world.start_nexus()
        await asyncio.sleep(15)
        if world.nexus is not None and world.nexus.engine.failed.done():
            await world.kill_nexus()
            await world.start_nexus()
        for node in world.nodes:
            for _ in range(20):
                if await world.submit(cm.UncordonNode(node=node.id)) is not None:
                    break
                await asyncio.sleep(1)
        for agent in sorted(world.state().agents.values(), key=lambda agent: agent.id):
            for _ in range(20):
                resumed = cm.ResumeRollout(namespace="default", name=agent.name)
                if not agent.paused or await world.submit(resumed) is not None:
                    break
                await asyncio.sleep(1)
        if len(world.nodes) > 1 and self.rng.random() < 0.4:
            self.emptied = world.nodes[0].id
            self.say(f"{world.nodes[0].name} is to be emptied")
            for _ in range(20):
                if await world.submit(cm.DrainNode(node=self.emptied)) is not None:
                    break
                await asyncio.sleep(1)

    async def converge(self) -> None:
        """Wait until nothing is wrong any more; what is still wrong at the end is a fault of the fabric's."""
        deadline = asyncio.get_running_loop().time() + CONVERGE_S
        wrong = self.wrong()
        while wrong and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(1)
            wrong = self.wrong()
        self.world.faults_found += [f"not converged: {found}" for found in wrong]
        self.world._verify_promises()

    def wrong(self) -> list[str]:
        """What differs from what is desired."""
        world = self.world
        if world.nexus is None or world.nexus.engine.failed.done():
            return ["Nexus is down"]
        state = world.state()
        found = list(violations(state))
        if world.nexus.engine.stumbles:
            found.append("a part did not follow a commit")
        if found:
            return found  # what is not sound cannot be compared with anything
        for node in sorted(state.nodes.values(), key=lambda node: node.id):
            if node.id in self.dead:
                continue
            if node.status is not NodeStatus.LIVE:
                found.append(f"node {node.name} is {node.status.value}")
            if node.scheduling is not Scheduling.OPEN and node.id != self.emptied:
                found.append(f"node {node.name} is {node.scheduling.value}")
        asks = derive_asks(state, world.nexus.now_ms())
        if place(NodeTable(state), asks.ready).choices:
            found.append("something that fits is pending")
        if plan_moves(state, NodeTable(state)).choices:
            found.append("something that could leave a draining node is still there")
        found += self._agents()
        found += self._jobs()
        found += self._reality()
        return found

    def _agents(self) -> list[str]:
        found: list[str] = []
        state = self.world.state()
        for agent in sorted(state.agents.values(), key=lambda agent: agent.id):
            label = f"agent {agent.name}"
            strays = [
                stray
                for stray in sorted(agent.strays)
                if state.instances[stray].node not in self.dead and not self._runs_on_rightly(agent, stray)
            ]
            left = (*(slot.current for slot in agent.slots.values()), *agent.strays)
            if agent.deleting and all(state.instances[one].node not in self.dead for one in left):
                found.append(f"{label} is not gone")
            if strays:
                found.append(f"{label} has strays {strays}")
            for slot, place_ in sorted(agent.slots.items()):
                current = state.instances[place_.current]
                if current.node in self.dead and current.status not in ENDED:
                    spec = agent.versions[current.version].spec
                    if spec.on_disconnect == "replace":
                        found.append(f"{label} slot {slot} is {current.status.value} on a dead node")
                    continue
                if not agent.wants(slot):
                    found.append(f"{label} has slot {slot}, which nobody wants")
                # A replica that fits nowhere, or that nobody can know anything of, uses up the update's budget: the old
                # version rightly stays.
                # So it does once the new one has failed for good somewhere: nothing more is taken for it.
                halted = halted_by(state, agent) is not None
                # What comes and goes is never available for long enough to let the next one be replaced.
                flaps = agent.spec.command[0] not in STEADY or self._flaps(agent)
                waits = agent.counts.pending > 0 or self._unknown(agent) or halted or flaps
                settled = not waits and not agent.superseded and agent.active and not agent.deleting
                if settled and agent.rollout_cursor and agent.counts.running >= agent.replicas:
                    found.append(f"{label} has all that it wants, and its rollout is not over ({agent.rollout_cursor})")
                if current.version != agent.version and current.status is not InstanceStatus.PENDING and not waits:
                    found.append(f"{label} runs version {current.version} of {agent.version} in slot {slot}")
                steady = agent.spec.command[0] in STEADY
                done = current.status in ENDED and not steady
                if steady and current.status not in (InstanceStatus.RUNNING, InstanceStatus.PENDING):
                    finished = agent.spec.restart.policy == "never" and current.status is InstanceStatus.FAILED
                    if not finished:
                        found.append(f"{label} slot {slot} is {current.status.value}")
                elif agent.spec.command[0] in PICKY and current.version == agent.version:
                    # Either it has found a node that can, or everyone has stopped trying.
                    rests = current.status in (InstanceStatus.RUNNING, InstanceStatus.PENDING)
                    once = agent.spec.restart.policy == "never" and current.status is InstanceStatus.FAILED
                    if not rests and not once and not gave_up(current, place_, agent.spec.restart):
                        found.append(f"{label} slot {slot} is {current.status.value}, and cannot start")
                elif current.status is InstanceStatus.STOPPING and not done:
                    found.append(f"{label} slot {slot} is stopping")
        return found

    def _flaps(self, agent: Agent) -> bool:
        """Whether a replica that runs is of a version that does not do so steadily."""
        state = self.world.state()
        currents = [state.instances[slot.current] for slot in agent.slots.values()]
        return any(agent.versions[current.version].spec.command[0] not in STEADY for current in currents)

    def _runs_on_rightly(self, agent: Agent, identifier: str) -> bool:
        """Whether it is superseded by what is not there yet, and cannot be: it fits nowhere, or cannot run."""
        state = self.world.state()
        if identifier not in agent.superseded:
            return False
        current = state.instances[agent.slots[state.instances[identifier].slot].current]
        steady = agent.versions[current.version].spec.command[0] in STEADY
        return current.status is not InstanceStatus.RUNNING or not steady or current.node in self.dead

    def _unknown(self, agent: Agent) -> bool:
        """Whether replicas of it stay on a node that is gone for good."""
        current = [self.world.state().instances[slot.current] for slot in agent.slots.values()]
        return any(instance.node in self.dead and instance.status not in ENDED for instance in current)

    def _jobs(self) -> list[str]:
        state = self.world.state()
        return [
            f"job {job.name} is still {job.status.value}"
            for job in sorted(state.jobs.values(), key=lambda job: job.id)
            if job.status is JobStatus.ACTIVE and state.instances[job.slot.current].status is not InstanceStatus.PENDING
        ]

    def _reality(self) -> list[str]:
        """What really runs on the nodes is what the fabric believes."""
        found: list[str] = []
        state = self.world.state()
        for node in self.world.nodes:
            if node.id in self.dead or node.id not in state.nodes:
                continue
            runs = {key.instance for key in node.runtime.live()}
            believed = {
                identifier
                for identifier in state.nodes[node.id].instances
                if state.instances[identifier].status is InstanceStatus.RUNNING
            }
            found += [
                f"{identifier} runs on {node.name} and should not"
                for identifier in sorted(runs - set(state.nodes[node.id].instances))
            ]
            for identifier in sorted(believed - runs):
                instance = state.instances[identifier]
                if instance.kind == "agent" and state.agents[instance.workload].spec.command[0] in STEADY:
                    found.append(f"{identifier} does not run on {node.name} and should")
        return found
