"""The agents of a demo: what people run, with the shape of its load and the ways in which it fails. Pure."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from omnitide.demo.world import Curve
from omnitide.model.container import Container, Wasm
from omnitide.model.probes import Probe, Probes
from omnitide.model.provisions import Volume
from omnitide.model.spec import AgentSpec, Constraint, JobSpec, Resources, Restart, Update

MIB: Final = 1 << 20
GIB: Final = 1 << 30
RELEASE: Final = "RELEASE"
FATE: Final = "DEMO_FATE"
"""Variable by which a spec says how its simulated instances fare: see `life.Wish`. Empty: as its kind does."""
HEALTHCHECK: Final = "healthcheck"
"""The one program that can be run in a simulated instance: its own probe."""

Voice = Literal["access", "api", "worker", "cache", "database", "stream", "model", "sensor", "plain"]
"""What its lines of output look like."""


class Shape(NamedTuple):
    """What agents of a kind have in common."""

    driver: Literal["process", "docker", "wasm"]
    voice: Voice
    curve: Curve
    cpu: int
    """Thousandths of a core, reserved; at the height of its load it uses most of them."""
    memory: int
    weight: float
    """How many replicas it has, compared with others."""
    mtbf_h: float
    """Hours between two failures of one instance."""
    exits: tuple[int, ...]
    """Codes with which it fails; 137 is the kernel's, for want of memory."""
    start_ms: tuple[int, int]
    ready_ms: tuple[int, int]
    """From its start until its probe is content."""
    probed: bool = True
    kept: str = ""
    """Where it finds its volume."""


_WEB: Final = Shape("docker", "access", "day", 300, 384 * MIB, 5, 300, (1, 137), (80, 300), (400, 1500))
_API: Final = Shape("docker", "api", "day", 500, 512 * MIB, 5, 160, (1, 1, 137, 139), (100, 400), (700, 3000))
_WORKER: Final = Shape("process", "worker", "office", 800, 768 * MIB, 4, 120, (1, 2, 137), (40, 150), (100, 300), False)
_CACHE: Final = Shape("docker", "cache", "day", 250, 2 * GIB, 2, 700, (137, 1), (50, 150), (100, 400))
_DB: Final = Shape(
    "docker", "database", "day", 2000, 8 * GIB, 0, 2500, (1,), (300, 900), (1500, 5000), True, "/var/lib/data"
)
_INGEST: Final = Shape("wasm", "sensor", "flat", 60, 32 * MIB, 5, 200, (134, 1), (10, 40), (50, 150), False)
_STREAM: Final = Shape("process", "stream", "flat", 400, 384 * MIB, 2, 500, (1, 139), (60, 200), (500, 1500))
_MODEL: Final = Shape("docker", "model", "evening", 3000, 8 * GIB, 1.5, 180, (137, 137, 1), (400, 1200), (3000, 9000))
_NIGHT: Final = Shape("process", "worker", "night", 500, 384 * MIB, 1.5, 250, (1, 75), (40, 150), (100, 300), False)
_EVENING: Final = Shape("docker", "access", "evening", 500, 512 * MIB, 4, 250, (1, 137), (100, 400), (500, 2000))
PLAIN: Final = Shape("process", "plain", "flat", 100, 32 * MIB, 0, 1e9, (1,), (20, 80), (50, 200))
"""Of what is not the demo's own."""

Entry = tuple[str, str, Shape]

ENTRIES: Final[tuple[Entry, ...]] = (
    ("shop", "storefront", _WEB),
    ("shop", "checkout-api", _API),
    ("shop", "orders-db", _DB),
    ("office", "legacy-sync", _NIGHT),
    ("sensors", "sensor-filter", _INGEST),
    ("research", "llm-finetune", _MODEL),
    ("shop", "session-cache", _CACHE),
    ("media", "transcoder", _WORKER),
    ("media", "player-web", _EVENING),
    ("sensors", "mqtt-broker", _STREAM),
    ("shop", "recommendations", _MODEL),
    ("shop", "catalog-api", _API),
    ("platform", "log-shipper", _STREAM),
    ("office", "wiki", _WEB),
    ("sensors", "ingest-gateway", _INGEST),
    ("shop", "cart-api", _API),
    ("shop", "order-worker", _WORKER),
    ("media", "thumbnailer", _INGEST),
    ("platform", "id-service", _API),
    ("shop", "search", _API),
    ("media", "playlist-api", _API),
    ("sensors", "telemetry-db", _DB),
    ("research", "notebook-hub", _WEB),
    ("office", "build-runner", _WORKER),
    ("shop", "product-cache", _CACHE),
    ("media", "live-edge", _EVENING),
    ("platform", "trace-collector", _STREAM),
    ("shop", "payments", _API),
    ("sensors", "anomaly-watch", _MODEL),
    ("shop", "mailer", _WORKER),
    ("media", "upload-api", _API),
    ("platform", "feature-flags", _API),
    ("office", "chat", _STREAM),
    ("shop", "fraud-scores", _MODEL),
    ("media", "media-cache", _CACHE),
    ("sensors", "field-agent", _INGEST),
    ("office", "backup-agent", _NIGHT),
    ("platform", "webhooks", _API),
    ("shop", "inventory-sync", _WORKER),
    ("media", "captions", _MODEL),
    ("shop", "catalog-db", _DB),
    ("office", "tickets-web", _WEB),
    ("platform", "rate-limiter", _CACHE),
    ("sensors", "dashboards", _WEB),
    ("media", "media-db", _DB),
    ("research", "paper-index", _NIGHT),
    ("platform", "audit-log", _DB),
    ("office", "directory-api", _API),
    ("shop", "image-resizer", _WORKER),
    ("shop", "gateway", _WEB),
)
CRASHING: Final = "legacy-sync"
"""It never gets far: an old program, and nobody knows what it wants."""
WAITING: Final = "llm-finetune"
"""It asks for a machine that nobody has."""
_SENSORS: Final = ("pi", "edge", "cam")
_DESKS: Final = ("desk", "nuc", "ws", "mini", "cbox", "book")
_NEAR_PEOPLE: Final = ("vm",)
_KINDS: Final = {
    "sensor-filter": _SENSORS,
    "ingest-gateway": _SENSORS,
    "field-agent": _SENSORS,
    "build-runner": _DESKS,
    "backup-agent": _DESKS,
    "player-web": _NEAR_PEOPLE,
    "live-edge": _NEAR_PEOPLE,
}
"""Of machines on which an agent is to run, where it does not care for all."""
_REGIONS: Final = ("eu", "us", "asia", "test")
DB_REPLICAS: Final = 2


class Workload(NamedTuple):
    namespace: str
    name: str
    shape: Shape
    replicas: int

    @property
    def own(self) -> str:
        """The name without the region."""
        return next((name for _, name, _ in ENTRIES if self.name in (name, *(f"{name}-{one}" for one in _REGIONS))), "")

    @property
    def scales(self) -> bool:
        return self.shape.weight > 0 and self.own not in (CRASHING, WAITING)


MAX_AGENTS: Final = len(ENTRIES) * (1 + len(_REGIONS))
EACH: Final = 6
"""Instances for one machine, where nobody says how many."""
MANY: Final = 200
"""Machines; of those beyond there is one instance for each, as all of them are simulated on one."""


def usual_instances(nodes: int) -> int:
    """So many that hardly one of the machines is idle."""
    return EACH * min(nodes, MANY) + max(0, nodes - MANY)


def workloads(agents: int, instances: int) -> list[Workload]:
    """So many agents, with about so many replicas together."""
    found: list[Entry] = []
    for suffix in ("", *(f"-{region}" for region in _REGIONS)):
        found += [(namespace, name + suffix, shape) for namespace, name, shape in ENTRIES]
    found = found[:agents]
    plain = [Workload(namespace, name, shape, 1) for namespace, name, shape in found]
    fixed = sum(DB_REPLICAS if not one.shape.weight else 1 for one in plain if not one.scales)
    weights = sum(one.shape.weight for one in plain if one.scales)
    left = max(0, instances - fixed)
    return [
        one._replace(replicas=max(1, round(left * one.shape.weight / weights)))
        if one.scales
        else one._replace(replicas=1 if one.shape.weight else min(DB_REPLICAS, max(1, instances // 10)))
        for one in plain
    ]


def spec_of(workload: Workload, release: str = "", fate: str = "") -> AgentSpec:
    """As a person would have written it. `release`: empty is the first."""
    shape, release = workload.shape, release or release_of(workload, 0)
    environment = {RELEASE: release}
    kinds = _KINDS.get(workload.own, ())
    constraints = (Constraint(label="kind", operator="in", values=kinds),) if kinds else ()
    resources = Resources(cpu=shape.cpu, memory=shape.memory)
    restart = Restart(attempts=4, backoff=500, backoff_max=10_000)
    if workload.own == CRASHING:
        fate = fate or "crash-loop"
        restart = Restart(attempts=1000, backoff=1000, backoff_max=20_000)
    if workload.own == WAITING:
        constraints = (Constraint(label="gpu", operator="=", values=("h100",)),)
        resources = Resources(cpu=16_000, memory=96 * GIB)
    if fate:
        environment[FATE] = fate
    what = f"{workload.namespace}/{workload.name}:{release}"
    probe = Probe(type="exec", command=(HEALTHCHECK,), interval=15_000, timeout=2_000)
    surge = max(1, workload.replicas // 10)
    volumes = {"data": Volume(target=shape.kept, on_move="stay")} if shape.kept else {}
    return AgentSpec(
        driver=shape.driver,
        command=(f"/opt/{workload.name}/{workload.name}", "--config", "/etc/app.toml")
        if shape.driver == "process"
        else (),
        container=Container(image=f"registry.example/{what}") if shape.driver == "docker" else None,
        wasm=Wasm(module=f"/opt/modules/{workload.name}-{release}.wasm") if shape.driver == "wasm" else None,
        environment=environment,
        health=Probes(readiness=probe) if shape.probed else Probes(),
        resources=resources,
        constraints=constraints,
        volumes=volumes,
        restart=restart,
        update=Update(
            max_unavailable=surge, max_surge=0 if shape.kept else surge, min_healthy=2_000, on_failure="rollback"
        ),
        labels={"team": workload.namespace, "demo": "true"},
    )


def release_of(workload: Workload, number: int) -> str:
    """Its releases count up from a number of its own."""
    first = sum(map(ord, workload.name)) % 9 + 1
    return f"{first}.{4 + number}.{number * 7 % 4}"


class Cron(NamedTuple):
    """A job that comes again and again."""

    namespace: str
    name: str
    every_h: float
    takes_s: tuple[float, float]
    """Of our time."""
    fails: float
    """How often, of 1."""
    spec: JobSpec


def _job(*command: str, cpu: int, memory: int) -> JobSpec:
    return JobSpec(command=command, resources=Resources(cpu=cpu, memory=memory), labels={"demo": "true"})


CRONS: Final = (
    Cron("shop", "report", 1.0, (4, 15), 0.02, _job("/opt/jobs/report", "--hourly", cpu=500, memory=256 * MIB)),
    Cron("office", "backup", 6.0, (20, 60), 0.08, _job("/opt/jobs/backup", "--incremental", cpu=300, memory=128 * MIB)),
    Cron("sensors", "compact", 2.0, (6, 20), 0.04, _job("/opt/jobs/compact", "--keep", "30d", cpu=800, memory=GIB)),
    Cron("research", "reindex", 4.0, (10, 40), 0.15, _job("/opt/jobs/reindex", cpu=1500, memory=2 * GIB)),
)


def namespaces(found: Sequence[Workload]) -> list[str]:
    """Of these agents and of the jobs."""
    return sorted({one.namespace for one in found} | {cron.namespace for cron in CRONS})
