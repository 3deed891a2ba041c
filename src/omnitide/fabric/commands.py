"""Requests to change the fabric. Each is decided into events or refused; each says what permission it needs.

Time, ids and digests come in the command, stamped or drawn by the shell: a command decided twice gives the same events.
Commands are not stored; they may change from release to release.
"""

from typing import Final, NamedTuple, get_args

import msgspec

from omnitide.fabric.state import ExitRecord, Health, NodeFacts, Phase, TokenPurpose
from omnitide.model.spec import AgentSpec, JobSpec


class Header(msgspec.Struct, frozen=True, gc=False):
    """Who asks, why, and when (law 11)."""

    principal: str
    """`system:<part>`, `node:<id>` or `token:<id>`: opaque, never a name or an e-mail."""
    time_ms: int = 0
    """Stamped by the engine: wall clock, never behind the last."""
    correlation: str = ""
    namespace: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""
    """Digest of the request, to tell a repetition from another request with the same key."""


class _Command(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    pass


class CreateFabric(_Command, frozen=True, kw_only=True):
    fabric_id: str


class RaiseFeatureLevel(_Command, frozen=True, kw_only=True):
    """Allow the events of a level. For who knows that every replica runs a release that knows them; there is no way
    back."""

    level: int


class CreateNamespace(_Command, frozen=True, kw_only=True):
    name: str


class DeleteNamespace(_Command, frozen=True, kw_only=True):
    name: str


class IssueToken(_Command, frozen=True, kw_only=True):
    id: str
    purpose: TokenPurpose
    digest: str
    expires_ms: int = 0
    uses: int = 1
    note: str = ""
    labels: dict[str, str] = {}


class OpenSession(_Command, frozen=True, kw_only=True):
    """Let a browser in by a login or an API token, which the shell has verified."""

    by: str
    """Id of the login or API token."""
    id: str
    """Of the session."""
    digest: str
    expires_ms: int
    note: str = ""


class RevokeToken(_Command, frozen=True, kw_only=True):
    id: str
    force: bool = False
    """Also the last API token that opens anything."""


class SetSecret(_Command, frozen=True, kw_only=True):
    """Give a secret a value, which the shell has closed and put away before."""

    id: str
    """Of the secret; a new one if there is none of this name."""
    namespace: str
    name: str
    digest: str
    blob: str
    size: int


class RemoveSecret(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str
    force: bool = False
    """Also one that an agent or job would miss."""


class SetConfig(_Command, frozen=True, kw_only=True):
    """As SetSecret."""

    id: str
    namespace: str
    name: str
    digest: str
    blob: str
    size: int


class RemoveConfig(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str
    force: bool = False
    """Also one that an agent or job would miss."""


class JoinNode(_Command, frozen=True, kw_only=True):
    """The principal is `token:<id>` of a join token whose text the shell has verified."""

    token: str
    node: str
    name: str
    key_digest: str
    facts: NodeFacts


class ConnectNode(_Command, frozen=True, kw_only=True):
    """A node opened a session. `instances` is everything that it knows."""

    node: str
    key_digest: str
    facts: NodeFacts
    outbox: str
    instances: "tuple[InstanceReport, ...]" = ()


class OfferKey(_Command, frozen=True, kw_only=True):
    """A node asks for a certificate for a new key, over a session of its present identity."""

    node: str
    key_digest: str


class ChangeNodeFacts(_Command, frozen=True, kw_only=True):
    node: str
    session: int
    facts: NodeFacts


class InstanceReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The state of one instance, as its node sees it."""

    instance: str
    attempt: int
    phase: Phase
    stopping: bool = False
    exit: ExitRecord | None = None
    next_attempt_ms: int = 0
    handle: str = ""
    unenforced: tuple[str, ...] = ()
    health: Health = Health.UNKNOWN
    health_message: str = ""
    outcome: str = ""
    """With Phase.ENDED: succeeded, failed or stopped."""


class ReportInstances(_Command, frozen=True, kw_only=True):
    """Reports `first_sequence`, `first_sequence + 1`, ... of the node's outbox. Taken once each."""

    node: str
    session: int
    outbox: str
    first_sequence: int
    reports: tuple[InstanceReport, ...]


class DepartNode(_Command, frozen=True, kw_only=True):
    node: str
    session: int
    reason: str
    back_within_ms: int = 0
    stopped: bool = False
    """By its operator: nobody has said when it is back, whatever it is waited for."""


class SuspectNode(_Command, frozen=True, kw_only=True):
    """The node's lease ended."""

    node: str
    session: int
    cause: str = ""
    """As in NodeUnreachable."""
    waited_ms: int = 0


class DeclareLost(_Command, frozen=True, kw_only=True):
    """The node has been unreachable for `silent_ms` by the leader's monotonic clock."""

    node: str
    session: int
    silent_ms: int
    default_lost_after_ms: int


class LabelNode(_Command, frozen=True, kw_only=True):
    """Labels that the fabric gives a node, beside and before those that the node says of itself."""

    node: str
    labels: dict[str, str] = {}
    """Set, whatever they were; others stay."""
    remove: tuple[str, ...] = ()


class CordonNode(_Command, frozen=True, kw_only=True):
    node: str


class UncordonNode(_Command, frozen=True, kw_only=True):
    node: str


class DrainNode(_Command, frozen=True, kw_only=True):
    node: str


class RemoveNode(_Command, frozen=True, kw_only=True):
    node: str
    force: bool = False
    """Even if it is live: its instances are lost to the fabric at once."""


class DeployAgent(_Command, frozen=True, kw_only=True):
    """Create an agent, or give an existing one a new version (none if its spec is the same)."""

    agent: str
    """Id for a new agent."""
    namespace: str
    name: str
    spec: AgentSpec
    replicas: int | None = None
    take_over_replicas: bool = False
    """Set `replicas` even where `scale` set them last."""
    if_match: int | None = None
    """Refuse unless the agent's own last revision is this one; 0: refuse unless it does not exist."""


class ScaleAgent(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str
    replicas: int
    if_match: int | None = None


class RestartAgent(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str
    max_unavailable: int = 0
    """How many replicas may be away at once by it; 0: as many as its update allows."""
    if_match: int | None = None


class RollBackAgent(_Command, frozen=True, kw_only=True):
    """A new version with the spec of an earlier one."""

    namespace: str
    name: str
    version: int = 0
    """0: the newest earlier one that is known to work, with another spec."""
    if_match: int | None = None


class PauseRollout(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str
    if_match: int | None = None


class ResumeRollout(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str
    if_match: int | None = None


class AdvanceRollouts(_Command, frozen=True, kw_only=True):
    """Some replica of these agents may have been ready for long enough by now. Looked at by log time."""

    agents: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    """Agents whose rollout may not have come further for too long. By log time as well, but only these: whether nodes
    have had the time to tell how they are is known to who asks, and not to the log."""


class MigrateInstance(_Command, frozen=True, kw_only=True):
    """Start the next generation of a replica on another node, and stop it once that is available."""

    instance: str
    node: str = ""
    """Name or id; empty: any other that can take it."""
    leave_volumes: bool = False
    """Even if it leaves volumes behind that are to stay with it."""


class StopAgent(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str
    if_match: int | None = None


class StartAgent(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str
    if_match: int | None = None


class DeleteAgent(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str
    if_match: int | None = None


class RestartInstance(_Command, frozen=True, kw_only=True):
    """Replace one replica by its next generation."""

    instance: str


class RunJob(_Command, frozen=True, kw_only=True):
    job: str
    namespace: str
    name: str
    spec: JobSpec


class CancelJob(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str


class DeleteJob(_Command, frozen=True, kw_only=True):
    namespace: str
    name: str


class PlaceChoice(NamedTuple):
    instance: str
    node: str
    ports: tuple[tuple[str, int], ...]


class PlaceInstances(_Command, frozen=True, kw_only=True):
    """The scheduler's plan, made on the state at `seen_revision`. What no longer holds is left out."""

    seen_revision: int
    choices: tuple[PlaceChoice, ...]


class MoveChoice(NamedTuple):
    instance: str
    node: str
    """One that could take its replacement."""


class MoveInstances(_Command, frozen=True, kw_only=True):
    """The scheduler's finding which instances on draining nodes have somewhere to go. What no longer holds is left
    out."""

    seen_revision: int
    choices: tuple[MoveChoice, ...]


class Forget(_Command, frozen=True, kw_only=True):
    """Drop what is finished and no longer interesting: bounded state (law 10)."""

    finished_before_ms: int
    keep_jobs: int
    keep_tokens: int = 0
    """Of those that ended before, the newest so many of each purpose that can have asked for something: they say who
    did what."""


Command = (
    CreateFabric
    | RaiseFeatureLevel
    | CreateNamespace
    | DeleteNamespace
    | IssueToken
    | OpenSession
    | RevokeToken
    | SetSecret
    | RemoveSecret
    | SetConfig
    | RemoveConfig
    | JoinNode
    | ConnectNode
    | OfferKey
    | ChangeNodeFacts
    | ReportInstances
    | DepartNode
    | SuspectNode
    | DeclareLost
    | LabelNode
    | CordonNode
    | UncordonNode
    | DrainNode
    | RemoveNode
    | DeployAgent
    | ScaleAgent
    | RestartAgent
    | RollBackAgent
    | PauseRollout
    | ResumeRollout
    | AdvanceRollouts
    | MigrateInstance
    | StopAgent
    | StartAgent
    | DeleteAgent
    | RestartInstance
    | RunJob
    | CancelJob
    | DeleteJob
    | PlaceInstances
    | MoveInstances
    | Forget
)

COMMAND_TYPES: Final[tuple[type[_Command], ...]] = get_args(Command)
