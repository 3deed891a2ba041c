"""The one decision point: may this principal do this? Pure, and asked on the very state that `decide` sees (law 11).

One role exists so far: whoever holds an API token administers the fabric. A token for metrics reads those alone, a node
may speak for itself alone, a join token may join, the fabric's own parts may do what they are for. Roles, audit and
tenancy come in here.
"""

from typing import Final, NamedTuple

from omnitide.fabric import commands as cm
from omnitide.fabric.state import FabricState, TokenPurpose

SYSTEM: Final = "system"
NODE: Final = "node"
TOKEN: Final = "token"  # noqa: S105 a kind of principal


class Permission(NamedTuple):
    """What a surface or command needs."""

    verb: str
    """create, read, update, delete, operate, report."""
    resource: str
    namespaced: bool = False


PERMISSIONS: Final[dict[type, Permission]] = {
    cm.CreateFabric: Permission("create", "fabric"),
    cm.RaiseFeatureLevel: Permission("operate", "fabric"),
    cm.CreateNamespace: Permission("create", "namespace"),
    cm.DeleteNamespace: Permission("delete", "namespace"),
    cm.IssueToken: Permission("create", "token"),
    cm.OpenSession: Permission("create", "session"),
    cm.RevokeToken: Permission("delete", "token"),
    cm.SetSecret: Permission("update", "secret", namespaced=True),
    cm.RemoveSecret: Permission("delete", "secret", namespaced=True),
    cm.SetConfig: Permission("update", "config", namespaced=True),
    cm.RemoveConfig: Permission("delete", "config", namespaced=True),
    cm.JoinNode: Permission("join", "node"),
    cm.ConnectNode: Permission("report", "node"),
    cm.OfferKey: Permission("report", "node"),
    cm.ChangeNodeFacts: Permission("report", "node"),
    cm.ReportInstances: Permission("report", "node"),
    cm.DepartNode: Permission("report", "node"),
    cm.SuspectNode: Permission("judge", "node"),
    cm.DeclareLost: Permission("judge", "node"),
    cm.LabelNode: Permission("operate", "node"),
    cm.CordonNode: Permission("operate", "node"),
    cm.UncordonNode: Permission("operate", "node"),
    cm.DrainNode: Permission("operate", "node"),
    cm.RemoveNode: Permission("delete", "node"),
    cm.DeployAgent: Permission("update", "agent", namespaced=True),
    cm.ScaleAgent: Permission("update", "agent", namespaced=True),
    cm.RestartAgent: Permission("operate", "agent", namespaced=True),
    cm.RollBackAgent: Permission("operate", "agent", namespaced=True),
    cm.PauseRollout: Permission("operate", "agent", namespaced=True),
    cm.ResumeRollout: Permission("operate", "agent", namespaced=True),
    cm.AdvanceRollouts: Permission("judge", "agent"),
    cm.MigrateInstance: Permission("operate", "instance", namespaced=True),
    cm.StopAgent: Permission("operate", "agent", namespaced=True),
    cm.StartAgent: Permission("operate", "agent", namespaced=True),
    cm.DeleteAgent: Permission("delete", "agent", namespaced=True),
    cm.RestartInstance: Permission("operate", "instance", namespaced=True),
    cm.RunJob: Permission("create", "job", namespaced=True),
    cm.CancelJob: Permission("operate", "job", namespaced=True),
    cm.DeleteJob: Permission("delete", "job", namespaced=True),
    cm.PlaceInstances: Permission("place", "instance"),
    cm.MoveInstances: Permission("place", "instance"),
    cm.Forget: Permission("forget", "fabric"),
}

READ_METRICS: Final = Permission("read", "metric")
"""All that a token for metrics opens."""
BLOB_PUT: Final = Permission("create", "blob")
BLOB_REMOVE: Final = Permission("delete", "blob")
VOLUME_REMOVE: Final = Permission("delete", "volume", namespaced=True)
BESIDE_THE_LOG: Final = frozenset({BLOB_PUT, BLOB_REMOVE, VOLUME_REMOVE})
"""What changes what the fabric holds and is no command: user data is never in the log."""

if set(PERMISSIONS) != set(cm.COMMAND_TYPES):
    raise AssertionError(f"commands without a permission: {set(PERMISSIONS) ^ set(cm.COMMAND_TYPES)}")

_SYSTEM_ONLY: Final = frozenset({"judge", "place", "forget"})
_NODE_VERBS: Final = frozenset({"report"})


def authorize(state: FabricState, principal: str, permission: Permission, time_ms: int, subject: str = "") -> str:
    """Empty if allowed, else why not. `subject` is the node spoken for, where the resource is a node."""
    kind, _, identifier = principal.partition(":")
    if kind == SYSTEM:
        return ""
    if kind == NODE:
        if permission.verb in _NODE_VERBS and identifier == subject and identifier in state.nodes:
            return ""
        return f"node {identifier} may only report for itself"
    if kind != TOKEN:
        return f"principal {principal!r} is of no known kind"
    token = state.tokens.get(identifier)
    if token is None or token.revoked:
        ended = token is not None and token.purpose is TokenPurpose.SESSION
        return "the session was ended" if ended else "the token is unknown or was revoked"
    if token.purpose is TokenPurpose.JOIN:
        # Whether it has expired or is used up is for the joining itself to say, by a code of its own.
        return "" if permission == PERMISSIONS[cm.JoinNode] else "a join token can only join a node"
    if token.expires_ms and token.expires_ms <= time_ms:
        return "the session has ended" if token.purpose is TokenPurpose.SESSION else "the token has expired"
    if token.purpose is TokenPurpose.LOGIN:
        return "a login opens a session and nothing else"
    if token.purpose is TokenPurpose.METRICS:
        return "" if permission == READ_METRICS else "a token for metrics reads metrics and nothing else"
    if token.purpose is TokenPurpose.SESSION and not opens(state, token.principal, time_ms):
        return "the token by which this session was opened was revoked or has expired"
    if permission.verb in _SYSTEM_ONLY or permission.verb in _NODE_VERBS or permission.verb == "join":
        return f"{permission.verb} {permission.resource} is for the fabric's own parts"
    return ""


def opens(state: FabricState, principal: str, time_ms: int) -> bool:
    """Whether this is an API token that is valid: what it has let in stays in as long as it is."""
    kind, _, identifier = principal.partition(":")
    token = state.tokens.get(identifier) if kind == TOKEN else None
    if token is None or token.purpose is not TokenPurpose.API or token.revoked:
        return False
    return not token.expires_ms or token.expires_ms > time_ms
