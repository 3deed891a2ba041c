"""What people and programs ask of agents and jobs, with sense and without."""

from msgspec.structs import replace
from tests.property.fabric.chance import NAMES, NAMESPACES, Chance
from tests.support.honest import GIB, first_fit, first_moves
from tests.support.spec import spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric.state import spec_of_instance
from omnitide.model.probes import Probe, Probes
from omnitide.model.provisions import ConfigUse, SecretUse, Volume
from omnitide.model.spec import AgentSpec, JobSpec, Limits, Port, Resources, Restart, Update

PROBED = Probes(readiness=Probe(type="exec", command=("true",)))
AGENTS = ("api", "db", "web", "cron", "mail", "cache")
JOBS = ("load", "report", "api")
"""One of them is the name of an agent, too."""

AGENT_SPECS: tuple[AgentSpec, ...] = (
    spec("serve"),
    spec("serve", "v2"),
    spec("serve", ports={"http": Port()}, update=Update(max_unavailable=2)),
    spec("serve", on_disconnect="keep"),
    spec("serve", lost_after=1_000, restart=Restart(attempts=0)),
    spec("once", restart=Restart(policy="never")),
    spec("until", restart=Restart(policy="on-failure", attempts=1), ports={"http": Port(), "admin": Port()}),
    spec("big", resources=Resources(cpu=2500, memory=5 * GIB)),
    spec("fixed", ports={"http": Port(port=8080)}),
    spec("boxed", limits=Limits(memory=GIB, enforcement="required")),
    spec("serve", "v3", update=Update(max_unavailable=0, max_surge=1)),
    spec("serve", "v4", update=Update(max_unavailable=1, max_surge=2, on_failure="rollback", min_healthy=0)),
    spec("serve", health=PROBED, update=Update(max_unavailable=0, max_surge=1)),
    spec("serve", needs={"db": "started"}),
    spec("serve", needs={"web": "ready", "load": "completed"}, update=Update(max_unavailable=0, max_surge=1)),
    spec("serve", together="pod"),
    spec("serve", "v2", together="pod", update=Update(max_unavailable=0, max_surge=1)),
    spec("keeps", volumes={"data": Volume(target="data")}),
    spec("reads", secrets={"db": SecretUse(on_change="restart")}, configs={"tls": ConfigUse(file="tls.pem")}),
    spec("other", driver="docker"),
    spec("huge", resources=Resources(cpu=10**6, memory=1 << 45)),
    spec("odd", limits=Limits(cpu=1), resources=Resources(cpu=500)),
)
JOB_SPECS: tuple[JobSpec, ...] = (
    task("work"),
    task("work", restart=Restart(policy="on-failure", attempts=1)),
    task("work", restart=Restart(policy="on-failure", attempts=0), ports={"http": Port()}),
    task("work", on_disconnect="keep"),
    task("work", needs={"api": "started"}),
    task("work", together="pod"),
    task("work", lost_after=0, resources=Resources(cpu=1500, memory=GIB)),
)


class Workloads(Chance):
    """Commands on agents, jobs and instances, and plans for those that wait."""

    def where(self) -> dict[str, str]:
        return {"namespace": self.pick(NAMESPACES), "name": self.pick(AGENTS)}

    def known(self) -> dict[str, str]:
        """Mostly the name of an agent that is there."""
        agents = sorted((agent.namespace, agent.name) for agent in self.fabric.state.agents.values())
        if not agents or self.maybe(8):
            return self.where()
        namespace, name = self.pick(agents)
        return {"namespace": namespace, "name": name}

    def if_match(self, name: dict[str, str]) -> int | None:
        if not self.maybe(6):
            return None
        known = self.fabric.state.agent_names.get(f"{name['namespace']}/{name['name']}")
        if known is None or self.maybe(2):
            return self.chance.randrange(3)
        return self.fabric.state.agents[known].revision

    def deploy(self) -> None:
        name = self.known() if self.maybe(2) else self.where()
        if self.maybe(30):
            name["name"] = self.pick(("Bad Name", "", "a" * 41, "x\n", "ünicode"))
        replicas = self.pick((None, 0, 1, 1, 2, 3, 5, -1) if self.maybe(10) else (None, 1, 2, 3))
        command = cm.DeployAgent(
            agent=self.fresh("ag"),
            spec=self.pick(AGENT_SPECS),
            replicas=replicas,
            take_over_replicas=self.maybe(3),
            if_match=self.if_match(name),
            **name,
        )
        if self.maybe(30):
            command = replace(command, agent=self.pick(sorted(self.fabric.state.agents) or [""]))
        self.do(command)

    def scale(self) -> None:
        name = self.known()
        replicas = self.pick((0, 1, 2, 3, 4, 5))
        if self.maybe(20):
            replicas = self.pick((-1, 10**6))
        self.do(cm.ScaleAgent(replicas=replicas, if_match=self.if_match(name), **name))

    def restart_agent(self) -> None:
        name = self.known()
        self.do(cm.RestartAgent(if_match=self.if_match(name), **name))

    def roll_back(self) -> None:
        name = self.known()
        version = self.pick((0, 0, 0, 1, 2, 9))
        self.do(cm.RollBackAgent(version=version, if_match=self.if_match(name), **name))

    def pause(self) -> None:
        name = self.known()
        self.do(cm.PauseRollout(if_match=self.if_match(name), **name))

    def resume(self) -> None:
        name = self.known()
        self.do(cm.ResumeRollout(if_match=self.if_match(name), **name))

    def advance(self) -> None:
        """The timer of rollouts, too early, too late, or of an agent that has none."""
        agents = [*self.fabric.state.rolling, *sorted(self.fabric.state.agents)[:2], "ag-none"]
        late = tuple(sorted(agents)) if self.fabric.state.revision % 2 else ()
        self.do(cm.AdvanceRollouts(agents=tuple(sorted(agents)), late=late), by="system:rollouts")

    def migrate(self) -> None:
        node = self.pick(("", "", *NAMES, "x"))
        leave = self.maybe(2)
        self.do(cm.MigrateInstance(instance=self.any_instance(), node=node, leave_volumes=leave))

    def stop_agent(self) -> None:
        name = self.known()
        self.do(cm.StopAgent(if_match=self.if_match(name), **name))

    def start_agent(self) -> None:
        name = self.known()
        self.do(cm.StartAgent(if_match=self.if_match(name), **name))

    def delete_agent(self) -> None:
        name = self.known()
        self.do(cm.DeleteAgent(if_match=self.if_match(name), **name))

    def restart_instance(self) -> None:
        self.do(cm.RestartInstance(instance=self.any_instance()))

    def run_job(self) -> None:
        self.do(
            cm.RunJob(
                job=self.fresh("jb"),
                namespace=self.pick(NAMESPACES),
                name=self.pick(JOBS),
                spec=self.pick(JOB_SPECS),
            )
        )

    def cancel_job(self) -> None:
        self.do(cm.CancelJob(namespace=self.pick(NAMESPACES), name=self.pick(JOBS)))

    def delete_job(self) -> None:
        self.do(cm.DeleteJob(namespace=self.pick(NAMESPACES), name=self.pick(JOBS)))

    def place(self) -> None:
        plan = first_fit(self.fabric.state, self.fabric.time_ms + 1)
        choices = tuple(choice for choice in plan.choices if not self.maybe(3))
        self.do(replace(plan, choices=choices), by="system:placer")

    def move(self) -> None:
        """What may leave draining nodes, and what may not."""
        choices = [choice for choice in first_moves(self.fabric.state).choices if not self.maybe(3)]
        nonsense = range(self.chance.randrange(3))
        choices += [cm.MoveChoice(self.any_instance(), f"n-{self.pick((*NAMES, 'x'))}") for _ in nonsense]
        self.do(cm.MoveInstances(seen_revision=0, choices=tuple(choices)), by="system:placer")

    def place_nonsense(self) -> None:
        """A plan made on another state, or on none: much more than there is room for, and everything twice."""
        state = self.fabric.state
        waiting = sorted(state.pending)
        live = [node.id for node in state.nodes.values() if node.schedulable]
        node = self.pick(sorted(live)) if live and not self.maybe(4) else f"n-{self.pick((*NAMES, 'x'))}"
        instances = [
            self.pick(waiting) if waiting and not self.maybe(6) else self.any_instance()
            for _ in range(self.chance.randrange(4))
        ]
        choices: list[cm.PlaceChoice] = []
        for instance in [*waiting, *instances]:
            ports: tuple[tuple[str, int], ...] = ()
            if instance in state.instances and not self.maybe(8):
                wanted = spec_of_instance(state, state.instances[instance]).ports
                numbers = (20000, 20001, 20001, 20002, 19000)
                ports = tuple((name, port.port or self.pick(numbers)) for name, port in sorted(wanted.items()))
            if self.maybe(8):
                node = f"n-{self.pick(NAMES)}"
            choices.append(cm.PlaceChoice(instance, node, ports))
        self.do(cm.PlaceInstances(seen_revision=0, choices=tuple(choices)), by="system:placer")
