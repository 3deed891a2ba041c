"""`decide`: a command, on a state, into events and the state after them, or a rejection. Pure."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, authorize
from omnitide.fabric.draft import Draft
from omnitide.fabric.events import Entry, encode_entry
from omnitide.fabric.evolve import close_entry, remembered_key
from omnitide.fabric.rejection import Refuse, Rejection
from omnitide.fabric.rules import (
    access,
    agents,
    jobs,
    migrating,
    moving,
    nodes,
    placing,
    reports,
    rolling,
    secrets,
    sessions,
)
from omnitide.fabric.rules.reactions import react
from omnitide.fabric.state import FabricState

__all__ = ["Decision", "decide"]


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What a command was decided into. Without a payload nothing is written and the state is as it was.

    An entry without events is written all the same where it has an idempotency key: it remembers the answer.
    """

    entry: Entry
    state: FabricState
    result: dict[str, str | int]
    revision: int
    """Of the entry; of the state, where nothing is written; of the first answer, where this one is remembered."""
    replayed: bool = False
    payload: bytes = b""
    """The entry as it goes into the log; empty if none does."""


UNCHANGED: Final = "unchanged"
"""In the result of a command with a key that changed nothing: 1."""
MAX_KEY: Final = 200
"""Longest idempotency key, in characters."""

Rule = Callable[[Draft, Any], None]
"""`Any`: the table pairs each rule with its own command type."""

_RULES: Final[dict[type, Rule]] = {
    cm.CreateFabric: access.create_fabric,
    cm.RaiseFeatureLevel: access.raise_feature_level,
    cm.CreateNamespace: access.create_namespace,
    cm.DeleteNamespace: access.delete_namespace,
    cm.IssueToken: access.issue_token,
    cm.OpenSession: sessions.open_session,
    cm.RevokeToken: access.revoke_token,
    cm.SetSecret: secrets.set_secret,
    cm.RemoveSecret: secrets.remove_secret,
    cm.SetConfig: secrets.set_config,
    cm.RemoveConfig: secrets.remove_config,
    cm.Forget: access.forget,
    cm.JoinNode: nodes.join_node,
    cm.ConnectNode: nodes.connect_node,
    cm.OfferKey: nodes.offer_key,
    cm.ChangeNodeFacts: nodes.change_facts,
    cm.ReportInstances: reports.report_instances,
    cm.DepartNode: nodes.depart_node,
    cm.SuspectNode: nodes.suspect_node,
    cm.DeclareLost: nodes.declare_lost,
    cm.LabelNode: nodes.label_node,
    cm.CordonNode: nodes.cordon_node,
    cm.UncordonNode: nodes.uncordon_node,
    cm.DrainNode: nodes.drain_node,
    cm.RemoveNode: nodes.remove_node,
    cm.DeployAgent: agents.deploy_agent,
    cm.ScaleAgent: agents.scale_agent,
    cm.RestartAgent: agents.restart_agent,
    cm.RollBackAgent: agents.roll_back_agent,
    cm.PauseRollout: agents.pause_rollout,
    cm.ResumeRollout: agents.resume_rollout,
    cm.AdvanceRollouts: rolling.advance_rollouts,
    cm.MigrateInstance: migrating.migrate_instance,
    cm.StopAgent: agents.stop_agent,
    cm.StartAgent: agents.start_agent,
    cm.DeleteAgent: agents.delete_agent,
    cm.RestartInstance: agents.restart_instance,
    cm.RunJob: jobs.run_job,
    cm.CancelJob: jobs.cancel_job,
    cm.DeleteJob: jobs.delete_job,
    cm.PlaceInstances: placing.place_instances,
    cm.MoveInstances: moving.move_instances,
}

if set(_RULES) != set(cm.COMMAND_TYPES):
    raise AssertionError(f"commands without a rule: {set(_RULES) ^ set(cm.COMMAND_TYPES)}")


def decide(state: FabricState, command: cm.Command, header: cm.Header) -> Decision | Rejection:
    """Authorize, look for a remembered answer, apply the rule, then let reactions follow. Never raises a refusal.

    Log time never goes back: a header that is behind the state is taken as of the state's time. An idempotency key is
    remembered with the entry that it led to, also where that has no events: a repetition that comes late, when what
    changed nothing at first would change something, must not do so, and the key is not free for another request. What
    was refused is decided anew.
    """
    if header.time_ms < state.time_ms:
        header = replace(header, time_ms=state.time_ms)
    subject = getattr(command, "node", "")
    refusal = authorize(state, header.principal, PERMISSIONS[type(command)], header.time_ms, subject)
    if refusal:
        return Rejection(code="forbidden", message=refusal)
    if header.idempotency_key:
        if len(header.idempotency_key) > MAX_KEY:
            return Rejection(code="invalid", message=f"an idempotency key has {MAX_KEY} characters at most")
        answer = _remembered(state, header)
        if answer is not None:
            return answer
    draft = Draft(state, header)
    try:
        _RULES[type(command)](draft, command)
        react(draft)
    except Refuse as refused:
        return refused.rejection
    if header.idempotency_key and not draft.events:
        draft.result = {**draft.result, UNCHANGED: 1}
    entry = Entry(
        time_ms=header.time_ms,
        principal=header.principal,
        events=tuple(draft.events),
        namespace=header.namespace,
        correlation=header.correlation,
        idempotency_key=header.idempotency_key,
        fingerprint=header.fingerprint,
        result=draft.result if header.idempotency_key else {},
    )
    if not draft.events and not header.idempotency_key:
        return Decision(entry=entry, state=state, result=draft.result, revision=state.revision)
    try:
        payload = encode_entry(entry)
    except (ValueError, OverflowError, TypeError) as error:
        # Half a surrogate pair, a number beyond 64 bits: nothing that the log could give back.
        return Rejection(code="invalid", message=f"the command holds what cannot be written to the log: {error}")
    after = close_entry(draft.state, entry, draft.moment)
    return Decision(entry=entry, state=after, result=draft.result, revision=after.revision, payload=payload)


def _remembered(state: FabricState, header: cm.Header) -> Decision | Rejection | None:
    key = remembered_key(header.principal, header.idempotency_key)
    answer = state.idempotency.recent.get(key) or state.idempotency.older.get(key)
    if answer is None:
        return None
    if answer.fingerprint != header.fingerprint:
        return Rejection(
            code="idempotency-mismatch",
            message=f"idempotency key {header.idempotency_key!r} was used for another request",
            hint="use a new key for a new request",
        )
    nothing = Entry(time_ms=header.time_ms, principal=header.principal, events=())
    return Decision(entry=nothing, state=state, result=answer.result, revision=answer.revision, replayed=True)
