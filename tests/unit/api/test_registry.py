"""The registry: each operation says what it is and what it needs, and no surface has anything else."""

import pytest

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission
from omnitide.model.problem import KINDS
from omnitide.operations.inputs import Request
from omnitide.operations.namespaces import OPERATIONS as NAMESPACES
from omnitide.operations.operation import OPEN, Answer, AnyDeclaration, Context, Operation, Stream
from omnitide.operations.registry import REGISTRY, Registry
from omnitide.operations.runtime import Runtime

COMMANDS = {
    "fabric.raise": cm.RaiseFeatureLevel,
    "namespaces.create": cm.CreateNamespace,
    "namespaces.delete": cm.DeleteNamespace,
    "tokens.create": cm.IssueToken,
    "tokens.revoke": cm.RevokeToken,
    "sessions.close": cm.RevokeToken,
    "secrets.set": cm.SetSecret,
    "secrets.remove": cm.RemoveSecret,
    "configs.set": cm.SetConfig,
    "configs.remove": cm.RemoveConfig,
    "nodes.label": cm.LabelNode,
    "nodes.cordon": cm.CordonNode,
    "nodes.uncordon": cm.UncordonNode,
    "nodes.drain": cm.DrainNode,
    "nodes.remove": cm.RemoveNode,
    "agents.deploy": cm.DeployAgent,
    "agents.scale": cm.ScaleAgent,
    "agents.restart": cm.RestartAgent,
    "agents.rollback": cm.RollBackAgent,
    "agents.pause": cm.PauseRollout,
    "agents.resume": cm.ResumeRollout,
    "agents.stop": cm.StopAgent,
    "agents.start": cm.StartAgent,
    "agents.delete": cm.DeleteAgent,
    "instances.restart": cm.RestartInstance,
    "instances.migrate": cm.MigrateInstance,
    "jobs.run": cm.RunJob,
    "jobs.cancel": cm.CancelJob,
    "jobs.delete": cm.DeleteJob,
}


class LookRequest(Request, frozen=True, kw_only=True):
    name: str = ""


async def look(runtime: Runtime, _: Context, __: LookRequest) -> Answer[LookRequest]:
    return Answer(LookRequest(), runtime.committed().revision)


def operation(**changes: object) -> AnyDeclaration:
    fields: dict[str, object] = {
        "name": "things.look",
        "summary": "Look.",
        "method": "GET",
        "path": "/v1/things",
        "input": LookRequest,
        "output": LookRequest,
        "permission": Permission("read", "thing"),
        "handler": look,
        **changes,
    }
    return Operation(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("declaration", list(REGISTRY), ids=lambda one: one.name)
def test_each_operation_is_described_and_its_failures_are_known(declaration: AnyDeclaration) -> None:
    assert declaration.summary.endswith(".")
    assert set(declaration.failures) <= set(KINDS)
    assert declaration.path.startswith(("/v1/", "/health/"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_change_needs_the_permission_of_its_command(name: str) -> None:
    assert REGISTRY[name].permission == PERMISSIONS[COMMANDS[name]]


def test_the_table_above_is_complete() -> None:
    writes = {one.name for one in REGISTRY.unary() if one.writes and not one.open}
    assert writes == {*COMMANDS, "blobs.remove", "volumes.remove"}, "a blob is no command: it is not in the log"


def test_only_health_joining_and_logging_in_are_open() -> None:
    opened = {one.name for one in REGISTRY if one.open}
    assert opened == {"health.live", "health.ready", "join.ca", "join.node", "sessions.open"}
    assert {one.name for one in REGISTRY if one.more_with_token} == {"health.ready"}


def test_only_what_belongs_to_http_has_no_grpc_method() -> None:
    without = {one.name for one in REGISTRY if not one.rpc}
    of_browsers = {"sessions.open", "sessions.read", "sessions.close", "view.watch"}
    of_browsers |= {"manifests.read", "manifests.write", "changes.foresee", "metrics.use"}
    assert without == {"health.live", "health.ready", "join.ca", "join.node", *of_browsers}


def test_what_ends_something_says_so() -> None:
    destructive = {one.name for one in REGISTRY.unary() if one.destructive}
    assert {"agents.delete", "agents.stop", "jobs.delete", "nodes.remove", "tokens.revoke"} <= destructive
    assert not {one.name for one in REGISTRY.unary() if one.destructive and not one.writes}


def test_what_is_not_idempotent_says_so() -> None:
    once = {one.name for one in REGISTRY.unary() if not one.idempotent}
    tokens = {"tokens.create", "sessions.open"}
    assert once == {"namespaces.create", *tokens, "agents.restart", "agents.rollback", "jobs.run"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "look"}, "noun.verb"),
        ({"path": "/v1/things/{thing}"}, "fields that the input does not have"),
        ({"permission": Permission("", "")}, "no permission"),
        ({"writes": True}, "GET changes nothing"),
        ({"dry_run": True}, "only a change"),
        ({"rpc": "LookAt"}, "LookAtRequest"),
    ],
)
def test_an_operation_that_contradicts_itself_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        operation(**changes)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ({}, "two operations are called"),
        ({"name": "things.see"}, "two operations answer GET /v1/things"),
        ({"name": "things.see", "path": "/v1/see", "permission": Permission("update", "thing")}, "reads and declares"),
        (
            {"name": "things.see", "path": "/v1/see", "method": "POST", "writes": True},
            "declares the permission of no command",
        ),
    ],
)
def test_a_registry_that_contradicts_itself_is_refused(second: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Registry([operation(), operation(**second)])


def test_two_operations_cannot_be_one_grpc_method() -> None:
    create = NAMESPACES[1]
    twin = Operation(**{**vars(create), "name": "spaces.create", "path": "/v1/spaces"})
    with pytest.raises(ValueError, match="two operations are the gRPC method CreateNamespace"):
        Registry([create, twin])


def test_a_stream_is_no_question_and_answer() -> None:
    streams = {one.name for one in REGISTRY if isinstance(one, Stream)}
    assert streams == {"instances.logs", "logs.search", "events.watch", "view.watch"}


def test_an_open_operation_is_open_on_purpose() -> None:
    assert OPEN.verb == "none"
    assert not operation().open
