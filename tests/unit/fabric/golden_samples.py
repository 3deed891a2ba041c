"""A full and a bare example of every event, on a base state that has what they speak of.

Used only to make golden files that do not exist yet; what is there was made once and is never made again.
"""

from msgspec.structs import replace
from tests.support.spec import Fabric, spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.state import DriverFact, ExitRecord, Health, NodeFacts, TokenPurpose
from omnitide.model.spec import (
    AgentSpec,
    Constraint,
    JobSpec,
    Limits,
    Logs,
    Port,
    Resources,
    Restart,
    Stop,
    Update,
)

FULL_EXIT = ExitRecord(
    attempt=2,
    code=137,
    signal=9,
    reason="signalled",
    message="killed",
    cause="limits",
    out_of_memory=True,
    permanent=True,
    ended_ms=1_700_000_000_123,
)
FULL_FACTS = NodeFacts(
    labels={"zone": "z1"},
    cpu_milli=8000,
    memory_bytes=1 << 34,
    disk_bytes=1 << 40,
    drivers=(DriverFact(name="process", version="1.2", healthy=False, detail="no cgroup", enforces=("pids",)),),
    port_first=20000,
    port_last=29999,
    address="10.0.0.7",
    platform={"os": "linux", "arch": "x86_64"},
    software="omnitide/0.1.0",
    boot_id="b7",
)
_WORKLOAD: dict[str, object] = {
    "driver": "docker",
    "command": ("serve", "--port", "${PORT_HTTP}"),
    "environment": {"MODE": "fast"},
    "working_directory": "/srv",
    "user": "web",
    "resources": Resources(cpu=250, memory=64 << 20),
    "limits": Limits(cpu=500, memory=128 << 20, pids=64, enforcement="required"),
    "ports": {"http": Port(port=8080)},
    "constraints": (Constraint(label="zone", operator="in", values=("z1", "z2")),),
    "placement": "pack",
    "restart": Restart(policy="on-failure", attempts=3, backoff=100, backoff_max=1000, reset_after=5000),
    "stop": Stop(signal="SIGINT", grace=2000),
    "logs": Logs(max_file=1 << 20, max_files=7),
    "on_disconnect": "keep",
    "lost_after": 9000,
    "labels": {"team": "blue"},
}
FULL_AGENT = AgentSpec(**_WORKLOAD, update=Update(max_unavailable=2))  # type: ignore[arg-type]
FULL_JOB = JobSpec(**_WORKLOAD)  # type: ignore[arg-type]


def base() -> list[ev.Entry]:
    """hello-1 runs on alpha, hello-2 was lost with beta and waits anew; fresh is placed; work runs on draining delta;
    done is finished; idle has no replicas; gamma has joined and never connected."""
    fabric = Fabric()
    fabric.given(cm.CreateNamespace(name="blue"))
    fabric.join("alpha", "beta", "delta")
    gamma = replace(fabric.nodes["alpha"].join("join"), node="n-gamma", name="gamma", key_digest="k-gamma")
    fabric.given(gamma, by="token:join")
    fabric.deploy(spec(ports={"http": Port()}), replicas=2)
    fabric.deploy(name="idle", replicas=0)
    fabric.place(hello_1_1="alpha", hello_2_1="beta")
    fabric.run()
    fabric.run(task("true"), name="done")
    fabric.place(work_1_1="delta", done_1_1="delta")
    fabric.round()
    fabric.exit("done.1.1", code=0)
    fabric.given(cm.DrainNode(node="delta"))
    fabric.lose("beta")
    fabric.deploy(name="fresh")
    fabric.place(fresh_1_1="alpha")
    return fabric.log


Pair = tuple[ev.Event, ev.Event]

SAMPLES: tuple[Pair, ...] = (
    (ev.FabricCreated(fabric_id="f2"), ev.FabricCreated(fabric_id="")),
    (ev.FeatureLevelRaised(level=2), ev.FeatureLevelRaised(level=1)),
    (ev.NamespaceCreated(name="green"), ev.NamespaceCreated(name="")),
    (ev.NamespaceDeleted(name="blue"), ev.NamespaceDeleted(name="blue")),
    (
        ev.TokenIssued(
            id="t9",
            purpose=TokenPurpose.JOIN,
            digest="hmac:9",
            expires_ms=1_800_000_000_000,
            uses=5,
            note="lab",
            labels={"zone": "z9"},
        ),
        ev.TokenIssued(id="t9", purpose=TokenPurpose.API, digest="hmac:9"),
    ),
    (ev.TokenUsed(id="join", node="n-new"), ev.TokenUsed(id="join", node="")),
    (ev.TokenRevoked(id="join"), ev.TokenRevoked(id="join")),
    (ev.TokensForgotten(ids=("join", "admin")), ev.TokensForgotten(ids=())),
    (
        ev.NodeJoined(
            node="n-new", name="new", key_digest="k-new", token="join", facts=FULL_FACTS, labels={"zone": "z9"}
        ),
        ev.NodeJoined(node="n-new", name="new", key_digest="", token="", facts=NodeFacts()),
    ),
    (
        ev.NodeConnected(node="n-beta", session=99, outbox="o9", facts=FULL_FACTS, sequence=17),
        ev.NodeConnected(node="n-alpha", session=99, outbox="", facts=NodeFacts()),
    ),
    (
        ev.NodeFactsChanged(node="n-alpha", facts=FULL_FACTS),
        ev.NodeFactsChanged(node="n-alpha", facts=NodeFacts()),
    ),
    (
        ev.NodeDriverSilent(node="n-alpha", driver="docker", detail="the engine has hung up"),
        ev.NodeDriverSilent(node="n-delta", driver="process"),
    ),
    (
        ev.NodeDriverAnswers(node="n-alpha", driver="docker"),
        ev.NodeDriverAnswers(node="n-delta", driver="process"),
    ),
    (
        ev.NodeReported(node="n-alpha", outbox="o1", sequence=44),
        ev.NodeReported(node="n-alpha", outbox="", sequence=0),
    ),
    (
        ev.NodeDeparting(node="n-alpha", session=99, reason="restart", back_within_ms=5000),
        ev.NodeDeparting(node="n-alpha", session=99, reason=""),
    ),
    (ev.NodeUnreachable(node="n-alpha", session=99), ev.NodeUnreachable(node="n-alpha", session=0)),
    (ev.NodeLost(node="n-alpha", session=99), ev.NodeLost(node="n-alpha", session=0)),
    (ev.NodePortRefused(node="n-alpha", port=20001), ev.NodePortRefused(node="n-alpha", port=20000)),
    (
        ev.NodeKeyOffered(node="n-alpha", key_digest="sha256:next"),
        ev.NodeKeyOffered(node="n-delta", key_digest="sha256:other"),
    ),
    (
        ev.NodeKeyChanged(node="n-alpha", key_digest="sha256:next"),
        ev.NodeKeyChanged(node="n-delta", key_digest="sha256:other"),
    ),
    (ev.NodeLabelled(node="n-alpha", labels={"zone": "z1", "gpu": "a10"}), ev.NodeLabelled(node="n-delta")),
    (ev.NodeCordoned(node="n-alpha"), ev.NodeCordoned(node="n-delta")),
    (ev.NodeUncordoned(node="n-delta"), ev.NodeUncordoned(node="n-alpha")),
    (ev.NodeDrainStarted(node="n-alpha"), ev.NodeDrainStarted(node="n-delta")),
    (ev.NodeDrained(node="n-delta"), ev.NodeDrained(node="n-alpha")),
    (ev.NodeRemoved(node="n-gamma"), ev.NodeRemoved(node="n-delta")),
    (
        ev.AgentCreated(agent="web", namespace="blue", name="web", spec=FULL_AGENT, replicas=3, owner="scale"),
        ev.AgentCreated(agent="web", namespace="default", name="web", spec=AgentSpec(command=("x",)), replicas=0),
    ),
    (
        ev.AgentUpdated(agent="hello", version=2, spec=FULL_AGENT),
        ev.AgentUpdated(agent="hello", version=2, spec=AgentSpec(command=("x",))),
    ),
    (ev.AgentRestarted(agent="hello", version=2), ev.AgentRestarted(agent="idle", version=2)),
    (
        ev.AgentRolledBack(agent="hello", version=2, source=1, cause="hello-1.2 of version 1 failed for good: user"),
        ev.AgentRolledBack(agent="idle", version=2, source=1),
    ),
    (ev.VersionProven(agent="hello", version=1), ev.VersionProven(agent="idle", version=1)),
    (ev.RolloutPaused(agent="hello"), ev.RolloutPaused(agent="idle")),
    (ev.RolloutResumed(agent="hello"), ev.RolloutResumed(agent="idle")),
    (ev.RolloutStumbled(agent="hello", slot=1), ev.RolloutStumbled(agent="hello", slot=0)),
    (ev.RolloutLate(agent="hello", slot=1), ev.RolloutLate(agent="hello", slot=0)),
    (
        ev.AgentScaled(agent="hello", replicas=7, owner="scale"),
        ev.AgentScaled(agent="hello", replicas=0, owner="manifest"),
    ),
    (ev.AgentStopped(agent="hello"), ev.AgentStopped(agent="idle")),
    (ev.AgentStarted(agent="hello"), ev.AgentStarted(agent="idle")),
    (ev.AgentDeleted(agent="hello"), ev.AgentDeleted(agent="idle")),
    (ev.AgentRemoved(agent="hello"), ev.AgentRemoved(agent="idle")),
    (ev.RolloutAdvanced(agent="hello", cursor=2), ev.RolloutAdvanced(agent="hello", cursor=0)),
    (ev.SlotsRetired(agent="hello", slots=(1, 2)), ev.SlotsRetired(agent="hello", slots=())),
    (
        ev.JobCreated(job="etl", namespace="blue", name="etl", spec=FULL_JOB),
        ev.JobCreated(job="etl", namespace="default", name="etl", spec=JobSpec(command=("x",))),
    ),
    (ev.JobCancelled(job="work"), ev.JobCancelled(job="done")),
    (
        ev.JobFinished(job="work", outcome="failed", exit=FULL_EXIT),
        ev.JobFinished(job="work", outcome="cancelled"),
    ),
    (ev.JobDeleted(job="work"), ev.JobDeleted(job="done")),
    (ev.JobsRemoved(jobs=("done", "work")), ev.JobsRemoved(jobs=())),
    (
        ev.InstancesCreated(
            workload_kind="agent",
            workload="hello",
            version=1,
            slots=(ev.SlotGeneration(1, 2), ev.SlotGeneration(3, 1)),
            not_before_ms=1_700_000_500_000,
            avoid="n-alpha",
            reason="rescheduled",
        ),
        ev.InstancesCreated(workload_kind="job", workload="work", version=1, slots=(ev.SlotGeneration(1, 2),)),
    ),
    (
        ev.InstancesPlaced(node="n-alpha", placements=(ev.Placement("hello.2.2", 100, 1 << 20, (("http", 20005),)),)),
        ev.InstancesPlaced(node="n-alpha", placements=()),
    ),
    (ev.InstanceStarting(instance="fresh.1.1", attempt=1), ev.InstanceStarting(instance="hello.1.1", attempt=2)),
    (
        ev.InstanceRunning(
            instance="fresh.1.1", attempt=1, handle="pid-7", unenforced=("cpu", "pids"), health=Health.HEALTHY
        ),
        ev.InstanceRunning(instance="fresh.1.1", attempt=1),
    ),
    (
        ev.InstanceExited(instance="hello.1.1", exit=FULL_EXIT, next_attempt_ms=1_700_000_000_500),
        ev.InstanceExited(instance="hello.1.1", exit=ExitRecord()),
    ),
    (
        ev.InstanceHealthChanged(instance="hello.1.1", health=Health.UNHEALTHY),
        ev.InstanceHealthChanged(instance="hello.1.1", health=Health.UNKNOWN),
    ),
    (
        ev.InstanceStopRequested(instance="hello.1.1", reason="drain"),
        ev.InstanceStopRequested(instance="hello.1.1", reason=""),
    ),
    (
        ev.InstanceEnded(instance="hello.1.1", status="failed", exit=FULL_EXIT),
        ev.InstanceEnded(instance="hello.2.1", status="lost"),
    ),
    (
        ev.InstancesLost(node="n-alpha", instances=("fresh.1.1", "hello.1.1")),
        ev.InstancesLost(node="n-alpha", instances=()),
    ),
    (ev.InstanceRecovered(instance="hello.2.1", attempt=3), ev.InstanceRecovered(instance="hello.1.1", attempt=0)),
    (
        ev.SecretChanged(
            id="s1",
            namespace="blue",
            name="db",
            version=2,
            digest="hmac-sha256:ab",
            blob="sha256:cd",
            size=9,
        ),
        ev.SecretChanged(id="s2", namespace="default", name="x", version=1, digest="", blob=""),
    ),
    (
        ev.SecretRemoved(id="s1", namespace="blue", name="db"),
        ev.SecretRemoved(id="s2", namespace="default", name="x"),
    ),
    (
        ev.ConfigChanged(
            id="c1",
            namespace="blue",
            name="nginx",
            version=2,
            digest="hmac-sha256:ab",
            blob="sha256:cd",
            size=9,
        ),
        ev.ConfigChanged(id="c2", namespace="default", name="x", version=1, digest="", blob=""),
    ),
    (
        ev.ConfigRemoved(id="c1", namespace="blue", name="nginx"),
        ev.ConfigRemoved(id="c2", namespace="default", name="x"),
    ),
)
