"""Objects of what is seen beforehand: manifests as they were read, what would come of changes, what an import makes."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from omnitide.model.objects import Object, Revision

Fate = Literal["starts", "moves", "renews", "stops", "blocked", "stays", "unheard", "waits"]


class ForeseenReplica(Object, frozen=True, kw_only=True):
    """What becomes of one replica."""

    agent: str
    namespace: str
    slot: int
    fate: Fate
    """starts; moves to another node; renews: another generation on the same node; stops; stays: it should leave its
    node and fits on no other; blocked: it should, and fits on another, but its agent's update lets no more be away at
    once; unheard: it should, and nothing is heard from its node; waits: it fits on no node."""
    before: str = ""
    """Name of the node that it is on."""
    after: str = ""
    why: str = ""
    """It stays, or is blocked: what keeps it. It is unheard: what becomes of it instead. It waits: in the scheduler's
    words, given for the first 20. It stops: only where the one that it was to replace goes on."""


class Outlook(Object, frozen=True, kw_only=True):
    """What would come of changes if nodes do as they are told and nothing else changes. What would happen without them
    as well, as of a rollout that is under way, is not told."""

    replicas: tuple[ForeseenReplica, ...]
    """300 at most, those that are worse off first."""
    counts: dict[str, int]
    """By fate, of all."""
    kept: int = 0
    """Replicas that a rollback would keep as they are: they run the spec that it goes back to."""
    held: int = 0
    """Replicas that would stay at an older version: the rollout does not get to them. Where it is not finished, also
    those that were to leave a node and were not looked ahead to."""
    tasks: int = 0
    """Of jobs, on nodes that are to be drained: they run to their end there."""
    lost: Annotated[int, Meta(ge=0)] = 0
    """Replicas that are lost on such nodes: their next generations are there, or wait for a node."""
    finished: bool
    """False: it goes on for longer than was looked ahead."""
    unseen: Annotated[int, Meta(ge=0)] = 0
    """Replicas that the changes are about and that were not looked at, as they are too many: those that one change adds
    beyond 10,000, and those for which the time did not suffice."""
    revision: Revision


class ManifestFaultFound(Object, frozen=True, kw_only=True):
    """One thing that is wrong with a text."""

    line: int
    """From 1; 0: not known."""
    field: str
    message: str
    hint: str = ""


class ManifestRead(Object, frozen=True, kw_only=True):
    """One agent of a text."""

    name: str
    namespace: str
    """Empty: the text does not say."""
    replicas: int | None
    line: int
    spec: dict[str, Any]
    """As `agents.deploy` takes it. `Any`: JSON of any shape."""


class ManifestsRead(Object, frozen=True, kw_only=True):
    """What a text says: its agents, or all that is wrong with it."""

    agents: tuple[ManifestRead, ...] = ()
    faults: tuple[ManifestFaultFound, ...] = ()
    text: str = ""
    """The same agents in the format that was asked for."""
    revision: Revision


class ManifestWritten(Object, frozen=True, kw_only=True):
    """An agent as the file that would make it."""

    text: str
    agent_revision: int
    """For `If-Match`: whoever changes the text changes this state of the agent."""
    revision: Revision


class OfferedFile(Object, frozen=True, kw_only=True):
    """A file that is handed over."""

    path: str
    """Below the folder."""
    text: str


class ComposeOffer(Object, frozen=True, kw_only=True):
    """What is to be imported: the question to `omnitide.compose.offered`."""

    folder: str
    """Where the files would lie: relative paths of mounts are below it."""
    compose: tuple[str, ...]
    """Paths of the Compose files; a later one changes an earlier one."""
    files: tuple[OfferedFile, ...]
    project: str
    profiles: tuple[str, ...]
    variables: dict[str, str]


class ImportRemark(Object, frozen=True, kw_only=True):
    """A key of the files that is not simply carried over."""

    file: str
    line: int
    key: str
    message: str


class ImportNeed(Object, frozen=True, kw_only=True):
    """What has to be there before the agents can run."""

    kind: Literal["image", "secret", "config", "file", "volume"]
    name: str
    command: str = ""
    """That makes it; empty where there is none."""
    reason: str = ""


class ImportValue(Object, frozen=True, kw_only=True):
    """A secret or config whose value the files give: whoever sent them has it already."""

    kind: Literal["secret", "config"]
    name: str
    value: bytes
    """Base64."""


class ImportedAgent(Object, frozen=True, kw_only=True):
    name: str
    image: str
    needs: dict[str, str]
    """Agents that it waits for, and until when."""
    together: str = ""
    """Those with the same word are kept on one node, where they reach each other by name."""


class ComposeImported(Object, frozen=True, kw_only=True):
    """What a Compose project is as agents. With faults there is nothing else."""

    project: str = ""
    agents: tuple[ImportedAgent, ...] = ()
    manifest: str = ""
    """All of them as one YAML text, what is waited for before what waits."""
    losses: tuple[ImportRemark, ...] = ()
    notes: tuple[ImportRemark, ...] = ()
    create: tuple[ImportNeed, ...] = ()
    left_out: tuple[str, ...] = ()
    """Services whose profiles were not asked for."""
    values: tuple[ImportValue, ...] = ()
    faults: tuple[ImportRemark, ...] = ()
    revision: Revision
