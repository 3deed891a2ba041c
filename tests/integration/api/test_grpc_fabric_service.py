"""FabricService over a real gRPC server: every method, every kind of refusal, the streams, health and reflection."""

import asyncio
import datetime as dt
import hashlib
import json
import math
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.support.memory_runtime import MemoryRuntime, until

from omnitide.api import grpc_service
from omnitide.api.grpc_server import GrpcServer
from omnitide.api.server import PlaintextRefused
from omnitide.fabric import commands as cm
from omnitide.model.spec import AgentSpec
from omnitide.operations import events
from omnitide.operations.happenings.hub import hub_of
from omnitide.operations.registry import REGISTRY, Registry
from omnitide.operations.runtime import Check, Limits, NodeVolume, NotServing
from omnitide.security.names import NEXUS_SERVER_NAME
from omnitide.security.pki import create_authority, issue_nexus
from omnitide.security.tls import server_material
from omnitide.security.tokens import parse_api_token
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.wire import fabric_pb2 as pb
from omnitide.wire import fabric_pb2_grpc

SPEC = pb.AgentSpec(command=["serve"], resources=pb.Resources(cpu_milli=100), ports={"http": pb.Port()})
DATA = "b3Blbi1zZXNhbWU="
DEADLINE_S = 10.0


@dataclass
class Wired:
    runtime: MemoryRuntime
    server: GrpcServer
    channel: grpc.aio.Channel
    token: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)

    def call(self, method: str, request: Any, **options: Any) -> Any:
        """The call, with a token unless other metadata are given."""
        stub = fabric_pb2_grpc.FabricServiceStub(self.channel)
        return getattr(stub, method)(request, **{"metadata": self.metadata, "timeout": DEADLINE_S, **options})

    async def deploy(self, name: str = "hello", **fields: Any) -> Any:
        made = await self.call(
            "DeployAgent", pb.DeployAgentRequest(namespace="default", name=name, spec=SPEC, **fields)
        )
        self.runtime.settle()
        return made

    async def refused(self, method: str, request: Any, **options: Any) -> tuple[grpc.StatusCode, dict[str, Any]]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(method, request, **options)
        return problem_of(caught.value)


def problem_of(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, dict[str, Any]]:
    trailing = dict(error.trailing_metadata() or ())
    problem = json.loads(trailing["omnitide-problem-bin"])
    assert problem["detail"] == error.details()
    assert problem["correlation"] == trailing["omnitide-correlation"]
    return error.code(), problem


@pytest.fixture
async def wired() -> AsyncGenerator[Wired]:
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    runtime.add_node("beta")
    server = await GrpcServer.start(runtime, "127.0.0.1", 0, None)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Wired(runtime, server, channel, runtime.api_token())
    await server.close()


CALLS: dict[str, dict[str, Any]] = {
    "GetFabric": {},
    "GetVersion": {},
    "RaiseFeatureLevel": {"level": 1},
    "ListNamespaces": {"limit": 1},
    "CreateNamespace": {"name": "team"},
    "DeleteNamespace": {"name": "spare"},
    "ListTokens": {"purpose": "api"},
    "CreateToken": {"purpose": "join", "ttl_ms": 60_000, "uses": 3, "labels": {"zone": "a"}},
    "RevokeToken": {"id": "{token}"},
    "ListNodes": {"status": "live"},
    "GetNode": {"node": "alpha"},
    "LabelNode": {"node": "alpha", "labels": {"zone": "attic"}},
    "CordonNode": {"node": "alpha"},
    "UncordonNode": {"node": "alpha"},
    "DrainNode": {"node": "beta"},
    "RemoveNode": {"node": "beta", "force": True},
    "ListAgents": {},
    "GetAgent": {"namespace": "default", "name": "hello"},
    "DeployAgent": {"namespace": "default", "name": "new", "spec": SPEC, "replicas": 2},
    "ScaleAgent": {"namespace": "default", "name": "hello", "replicas": 3},
    "RestartAgent": {"namespace": "default", "name": "hello"},
    "StopAgent": {"namespace": "default", "name": "hello"},
    "StartAgent": {"namespace": "default", "name": "hello"},
    "DeleteAgent": {"namespace": "default", "name": "hello"},
    "RollBackAgent": {"namespace": "default", "name": "hello", "version": 1},
    "GetRollout": {"namespace": "default", "name": "hello"},
    "PauseRollout": {"namespace": "default", "name": "hello"},
    "ResumeRollout": {"namespace": "default", "name": "hello"},
    "ListAgentVersions": {"namespace": "default", "name": "hello"},
    "ExplainAgent": {"namespace": "default", "name": "hello", "nodes": 3},
    "ListJobs": {"status": "active"},
    "GetJob": {"namespace": "default", "name": "long"},
    "RunJob": {"namespace": "default", "spec": pb.JobSpec(command=["true"])},
    "CancelJob": {"namespace": "default", "name": "long"},
    "DeleteJob": {"namespace": "default", "name": "long"},
    "ListInstances": {"agent": "hello", "all": True},
    "GetInstance": {"instance": "{instance}"},
    "RestartInstance": {"instance": "{instance}"},
    "MigrateInstance": {"instance": "{instance}"},
    "ExplainInstance": {"instance": "{instance}", "nodes": 1},
    "ReadLogs": {"instance": "{instance}"},
    "SearchLogs": {"of": ["agent:hello"], "last": 5},
    "ListSecrets": {"namespace": "default"},
    "GetSecret": {"namespace": "default", "name": "word"},
    "SetSecret": {"namespace": "default", "name": "new", "data": DATA},
    "RemoveSecret": {"namespace": "default", "name": "word"},
    "ListConfigs": {"namespace": "default"},
    "GetConfig": {"namespace": "default", "name": "proxy"},
    "SetConfig": {"namespace": "default", "name": "new", "data": DATA},
    "RemoveConfig": {"namespace": "default", "name": "proxy"},
    "ListServices": {"namespace": "default"},
    "GetService": {"namespace": "default", "name": "hello"},
    "QueryMetrics": {"name": "omnitide_node_load1", "match": ["node=alpha"], "step_ms": 1000},
    "ListMetrics": {"prefix": "omnitide_"},
    "ListVolumes": {"node": "alpha"},
    "RemoveVolume": {"node": "alpha", "namespace": "default", "name": "spare"},
    "ListBlobs": {},
    "RemoveBlob": {"digest": "{blob}"},
    "PutBlob": {"digest": "any", "data": b"more"},
    "GetBlob": {"digest": "{blob}"},
    "ListEvents": {"last": 3, "kinds": ["agent"]},
    "WatchEvents": {"after": 0},
}


INWARDS = ("PutBlob",)
"""Whose requests are streams."""
OUTWARDS = ("ReadLogs", "SearchLogs", "WatchEvents", "GetBlob")
"""Whose answers are."""


async def some(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


def test_every_method_is_called_below() -> None:
    assert set(CALLS) == {one.rpc for one in REGISTRY if one.rpc}


@pytest.mark.parametrize("method", CALLS)
async def test_each_method_answers(wired: Wired, method: str) -> None:
    runtime = wired.runtime
    await wired.deploy()
    await wired.call("CreateNamespace", pb.CreateNamespaceRequest(name="spare"))
    await wired.call("RunJob", pb.RunJobRequest(namespace="default", name="long", spec=pb.JobSpec(command=["sleep"])))
    runtime.settle()
    await wired.call("SetSecret", pb.SetSecretRequest(namespace="default", name="word", data=DATA))
    await wired.call("SetConfig", pb.SetConfigRequest(namespace="default", name="proxy", data=DATA))
    if method in ("RollBackAgent", "PauseRollout", "ResumeRollout"):
        other = pb.AgentSpec(command=["other"])
        await wired.call("DeployAgent", pb.DeployAgentRequest(namespace="default", name="hello", spec=other))
    instance = next(one.id for one in runtime.state.instances.values() if one.kind == "agent")
    runtime.writes(instance).write("hello\n")
    runtime.volumes[runtime.state.node_names["alpha"]] = [NodeVolume("default", "spare", 5)]
    blob = await runtime.blobs().put(some(b"bytes"))
    places = {"{blob}": blob.digest, "{instance}": instance, "{token}": min(runtime.state.tokens)}
    fields = {
        key: places.get(value, value) if isinstance(value, str) else value for key, value in CALLS[method].items()
    }
    request = getattr(pb, f"{method}Request")(**fields)
    call = wired.call(method, some(request) if method in INWARDS else request)
    if method in OUTWARDS:
        assert await call.read()
        call.cancel()
        return
    answer = await call
    assert answer.DESCRIPTOR.full_name.startswith("omnitide.v1.")
    trailing = dict(await call.trailing_metadata())
    assert 0 < int(trailing["omnitide-revision"]) <= runtime.state.revision
    assert trailing["omnitide-correlation"]


@pytest.mark.parametrize("method", CALLS)
async def test_no_method_is_open(wired: Wired, method: str) -> None:
    request = getattr(pb, f"{method}Request")()
    for metadata in ((), (("authorization", "Bearer nonsense"),), (("authorization", "Basic x"),)):
        call = wired.call(method, some(request) if method in INWARDS else request, metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call.read() if method in OUTWARDS else call)
        assert problem_of(caught.value)[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_what_is_answered_is_what_rest_answers(wired: Wired) -> None:
    made = await wired.deploy(replicas=2)
    assert (made.change, made.plan.instances_created, made.agent.spec.resources.cpu_milli) == ("created", 2, 100)
    listed = await wired.call("ListInstances", pb.ListInstancesRequest())
    assert [one.name for one in listed.items] == ["hello-1.1", "hello-2.1"]
    assert listed.items[0].urls["http"] == "http://127.0.0.1:20000"
    assert not listed.items[0].HasField("exit")


async def test_what_was_read_can_be_put_back_and_changes_nothing(wired: Wired) -> None:
    await wired.deploy()
    agent = await wired.call("GetAgent", pb.GetAgentRequest(namespace="default", name="hello"))
    again = await wired.call("DeployAgent", pb.DeployAgentRequest(namespace="default", name="hello", spec=agent.spec))
    assert again.change == "unchanged"


async def test_faults_are_named(wired: Wired) -> None:
    request = pb.DeployAgentRequest(
        namespace="default", name="Web", spec=pb.AgentSpec(restart=pb.Restart(policy="odd"))
    )
    code, problem = await wired.refused("DeployAgent", request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert {error["field"] for error in problem["errors"]} == {"name", "spec.restart.policy"}
    bare = pb.DeployAgentRequest(namespace="default", name="web", spec=pb.AgentSpec(restart=pb.Restart(policy="never")))
    code, problem = await wired.refused("DeployAgent", bare)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert {error["field"] for error in problem["errors"]} == {"spec.command"}


async def test_refusals_have_their_status(wired: Wired) -> None:
    await wired.deploy()
    options = pb.WriteOptions
    for method, request, status, code in (
        ("GetAgent", pb.GetAgentRequest(namespace="default", name="none"), "NOT_FOUND", "not-found"),
        ("CreateNamespace", pb.CreateNamespaceRequest(name="default"), "ALREADY_EXISTS", "already-exists"),
        ("DeleteNamespace", pb.DeleteNamespaceRequest(name="default"), "FAILED_PRECONDITION", "conflict"),
        (
            "ScaleAgent",
            pb.ScaleAgentRequest(namespace="default", name="hello", replicas=2, options=options(if_match=1)),
            "ABORTED",
            "precondition-failed",
        ),
        (
            "DeployAgent",
            pb.DeployAgentRequest(namespace="default", name="hello", spec=SPEC, options=options(if_match=0)),
            "ABORTED",
            "precondition-failed",
        ),
        (
            "DeployAgent",
            pb.DeployAgentRequest(
                namespace="default",
                name="big",
                spec=pb.AgentSpec(command=["x"], resources=pb.Resources(cpu_milli=10**6)),
            ),
            "FAILED_PRECONDITION",
            "impossible",
        ),
        (
            "CreateNamespace",
            pb.CreateNamespaceRequest(name="x", options=options(if_match=3)),
            "INVALID_ARGUMENT",
            "invalid",
        ),
        (
            "CreateNamespace",
            pb.CreateNamespaceRequest(name="x", options=options(idempotency_key="k" * 300)),
            "INVALID_ARGUMENT",
            "invalid",
        ),
        (
            "ListAgents",
            pb.ListAgentsRequest(options=pb.ReadOptions(min_revision=-1)),
            "INVALID_ARGUMENT",
            "invalid",
        ),
        ("ListAgents", pb.ListAgentsRequest(cursor="AAAA"), "INVALID_ARGUMENT", "invalid"),
        ("ListAgents", pb.ListAgentsRequest(limit=0), "INVALID_ARGUMENT", "invalid"),
    ):
        found, problem = await wired.refused(method, request)
        assert (found.name, problem["code"]) == (status, code), method


async def test_trimmed_events_and_a_full_disk(wired: Wired) -> None:
    wired.runtime.trim(4)
    code, problem = await wired.refused("ListEvents", pb.ListEventsRequest(after=1))
    assert (code, problem["first_revision"]) == (grpc.StatusCode.OUT_OF_RANGE, 4)
    wired.runtime.refusing = NotServing("the disk of the event log is full")
    code, problem = await wired.refused("CreateNamespace", pb.CreateNamespaceRequest(name="x"))
    assert (code, problem["code"], problem["retryable"]) == (grpc.StatusCode.UNAVAILABLE, "not-serving", True)
    assert (await wired.call("GetFabric", pb.GetFabricRequest())).fabric_id == "home"


async def test_a_revision_that_has_never_been_is_out_of_range(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_FUTURE_WAIT_S", 0.01)
    newest = wired.runtime.state.revision
    code, problem = await wired.refused("ListEvents", pb.ListEventsRequest(after=newest + 900))
    assert (code, problem["code"]) == (grpc.StatusCode.OUT_OF_RANGE, "unknown-revision")
    code, problem = await stream_failure(wired.call("WatchEvents", pb.WatchEventsRequest(after=newest + 900)))
    assert (code, problem["resume_revision"]) == (grpc.StatusCode.OUT_OF_RANGE, newest)


async def test_a_fault_of_ours_tells_nothing_of_the_inside(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(wired.runtime, "endpoints", broken)
    code, problem = await wired.refused("GetFabric", pb.GetFabricRequest())
    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in str(problem)


async def test_a_dry_run_a_repetition_and_a_revision_to_wait_for(wired: Wired) -> None:
    before = wired.runtime.state
    tried = await wired.deploy(options=pb.WriteOptions(dry_run=True))
    assert (tried.dry_run, wired.runtime.state is before) == (True, True)
    request = pb.RunJobRequest(
        namespace="default", spec=pb.JobSpec(command=["true"]), options=pb.WriteOptions(idempotency_key="k")
    )
    first, again = await wired.call("RunJob", request), await wired.call("RunJob", request)
    assert (first.job.id, again.replayed) == (again.job.id, True)
    assert len(wired.runtime.state.jobs) == 1
    request.name = "another"
    assert (await wired.refused("RunJob", request))[1]["code"] == "idempotency-mismatch"
    wanted = wired.runtime.state.revision + 1
    reading = asyncio.ensure_future(
        wired.call("ListAgents", pb.ListAgentsRequest(options=pb.ReadOptions(min_revision=wanted)))
    )
    await until(lambda: wired.runtime.reads_waiting == 1)
    assert not reading.done()
    await wired.deploy()
    assert (await reading).revision >= wanted


async def test_the_correlation_is_taken_from_the_caller(wired: Wired) -> None:
    metadata = (*wired.metadata, ("x-request-id", "deploy-42"))
    await wired.call("CreateNamespace", pb.CreateNamespaceRequest(name="x"), metadata=metadata)
    assert wired.runtime.log[-1].correlation == "deploy-42"


# -- services, volumes, blobs ----------------------------------------------------------------------------------------


async def test_a_service_is_what_rest_shows(wired: Wired) -> None:
    await wired.deploy()
    found = await wired.call("GetService", pb.GetServiceRequest(namespace="default", name="hello"))
    assert [(one.port_name, one.name, one.port) for one in found.endpoints] == [("http", "hello-1.1", 20000)]
    assert (await wired.call("ListServices", pb.ListServicesRequest(namespace="default"))).items[0] == found


async def test_a_node_that_is_away_is_named_beside_the_volumes_of_others(wired: Wired) -> None:
    names = wired.runtime.state.node_names
    wired.runtime.volumes[names["alpha"]] = [NodeVolume("default", "a", 5), NodeVolume("other", "b", None)]
    del wired.runtime.live[names["beta"]]
    found = await wired.call("ListVolumes", pb.ListVolumesRequest())
    assert [(one.namespace, one.name, one.node) for one in found.items] == [
        ("default", "a", "alpha"),
        ("other", "b", "alpha"),
    ]
    assert (found.items[0].size_bytes, found.items[1].HasField("size_bytes")) == (5, False)
    assert [one.node for one in found.silent] == ["beta"]
    request = pb.RemoveVolumeRequest(node="beta", namespace="default", name="a")
    assert (await wired.refused("RemoveVolume", request))[1]["code"] == "node-away"


async def test_a_number_that_is_not_known_is_nan(wired: Wired) -> None:
    recent, now = wired.runtime.metrics().recent, wired.runtime.metrics().now_s()
    info = SeriesInfo("omnitide_node_load1", (("node", "alpha"),), "gauge", "", "Load.")
    entry = recent.entry(wired.runtime.state.node_names["alpha"], info, 1)
    assert entry is not None
    entry.ring.write(np.array([entry.row]), now - 2, np.array([[0.5, 1.5]]), np.array([False]), None)
    request = pb.QueryMetricsRequest(name="omnitide_node_load1", start_ms=-3000, step_ms=1000)
    wired.runtime.tick(2000)
    found = await wired.call("QueryMetrics", request)
    (series,) = found.items
    assert dict(series.labels) == {"node": "alpha"}
    known = [value for value in series.values if not math.isnan(value)]
    assert known == [1.5]
    assert len(series.values) == 4
    code, problem = await wired.refused("QueryMetrics", pb.QueryMetricsRequest(name="no name"))
    assert (code, problem["code"]) == (grpc.StatusCode.INVALID_ARGUMENT, "invalid")


async def test_a_volume_that_is_used_is_not_removed(wired: Wired) -> None:
    spec = pb.AgentSpec(command=["x"], volumes={"data": pb.Volume(target="store")})
    await wired.call("DeployAgent", pb.DeployAgentRequest(namespace="default", name="db", spec=spec))
    wired.runtime.settle()
    (instance,) = wired.runtime.state.instances.values()
    wired.runtime.volumes[instance.node] = [NodeVolume("default", "data", 5), NodeVolume("other", "data", 5)]
    found = await wired.call("ListVolumes", pb.ListVolumesRequest(node=instance.node))
    assert [(list(one.used_by), list(one.instances)) for one in found.items] == [
        (["agent default/db"], ["db-1.1"]),
        ([], []),
    ]
    request = pb.RemoveVolumeRequest(node=instance.node, namespace="default", name="data", force=True)
    code, problem = await wired.refused("RemoveVolume", request)
    assert (code, problem["code"]) == (grpc.StatusCode.FAILED_PRECONDITION, "conflict")
    assert "db-1.1" in problem["detail"]
    request.namespace = "other"
    assert (await wired.call("RemoveVolume", request)).node
    assert len(wired.runtime.volumes[instance.node]) == 1


async def test_a_blob_goes_in_and_out_in_pieces(wired: Wired) -> None:
    data = bytes(range(256)) * 4096
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    parts = [pb.PutBlobRequest(digest=digest)]
    parts += [pb.PutBlobRequest(data=data[at : at + 100_000]) for at in range(0, len(data), 100_000)]
    stored = await wired.call("PutBlob", some(*parts))
    assert (stored.digest, stored.size_bytes) == (digest, len(data))
    assert [one.digest for one in (await wired.call("ListBlobs", pb.ListBlobsRequest())).items] == [digest]
    got = [part.data async for part in wired.call("GetBlob", pb.GetBlobRequest(digest=digest, offset=1000))]
    assert b"".join(got) == data[1000:]
    assert [part async for part in wired.call("GetBlob", pb.GetBlobRequest(digest=digest, offset=len(data)))] == []


async def test_what_is_wrong_with_a_blob_is_told(wired: Wired) -> None:
    wrong = pb.PutBlobRequest(digest=f"sha256:{'0' * 64}", data=b"other")
    for requests, expected in (
        ([wrong], "digest-mismatch"),
        ([pb.PutBlobRequest(digest="odd")], "malformed"),
        ([], "malformed"),
        ([pb.PutBlobRequest(digest="any", data=b"x" * (300 << 10))], "too-large"),
    ):
        assert (await wired.refused("PutBlob", some(*requests)))[1]["code"] == expected
    assert list(await wired.runtime.blobs().all()) == []
    nothing = pb.GetBlobRequest(digest=f"sha256:{'0' * 64}")
    assert (await stream_failure(wired.call("GetBlob", nothing)))[1]["code"] == "not-found"


# -- streams ---------------------------------------------------------------------------------------------------------


async def take_until(stream: Any, revision: int) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(DEADLINE_S):
        while True:
            batch = await stream.read()
            found += batch.items
            if batch.resume >= revision:
                return found


async def test_events_from_a_revision_on_and_as_they_come(wired: Wired) -> None:
    stream = wired.call("WatchEvents", pb.WatchEventsRequest(after=0, kinds=["agent", "instance"]))
    await wired.deploy()
    seen = await take_until(stream, wired.runtime.state.revision)
    assert seen[0].subject == "agent/default/hello"
    assert seen[0].data["spec"]["resources"] == {} or seen[0].data["replicas"] == 1
    assert {one.type.split(".")[1] for one in seen} == {"agent", "instance"}
    await wired.deploy("other")
    more = await take_until(stream, wired.runtime.state.revision)
    assert more[0].subject == "agent/default/other"
    stream.cancel()


async def stream_failure(stream: Any) -> tuple[grpc.StatusCode, dict[str, Any]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(DEADLINE_S):
            while await stream.read() is not grpc.aio.EOF:
                pass
    return problem_of(caught.value)


async def test_a_kind_of_event_that_there_is_not_is_refused(wired: Wired) -> None:
    code, problem = await wired.refused("ListEvents", pb.ListEventsRequest(kinds=["instnace"]))
    assert (code, problem["code"]) == (grpc.StatusCode.INVALID_ARGUMENT, "invalid")
    assert "'instance'" in problem["hint"]
    code, problem = await stream_failure(wired.call("WatchEvents", pb.WatchEventsRequest(kinds=["zzz"])))
    assert (code, problem["errors"][0]["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, "kinds[0]")


async def test_streams_end_with_a_reason(wired: Wired) -> None:
    runtime = wired.runtime
    runtime.trim(4)
    code, problem = await stream_failure(wired.call("WatchEvents", pb.WatchEventsRequest(after=1)))
    assert (code, problem["first_revision"]) == (grpc.StatusCode.OUT_OF_RANGE, 4)
    stream = wired.call("WatchEvents", pb.WatchEventsRequest())
    await stream.read()
    runtime.stopped.set()
    code, problem = await stream_failure(stream)
    assert (code, problem["code"]) == (grpc.StatusCode.UNAVAILABLE, "not-serving")


async def test_a_token_that_is_revoked_ends_its_streams(wired: Wired) -> None:
    stream = wired.call("WatchEvents", pb.WatchEventsRequest())
    await stream.read()
    wired.runtime.apply(cm.RevokeToken(id=parse_api_token(wired.token).id, force=True))
    assert (await stream_failure(stream))[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_a_watcher_that_leaves_frees_its_place(wired: Wired) -> None:
    stream = wired.call("WatchEvents", pb.WatchEventsRequest())
    await stream.read()
    assert hub_of(wired.runtime).watchers == 1
    stream.cancel()
    async with asyncio.timeout(DEADLINE_S):
        while hub_of(wired.runtime).watchers:
            await asyncio.sleep(0.01)


async def test_a_slow_watcher_is_told_where_to_resume(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = wired.runtime
    runtime.bounds = Limits(watcher_events=20)
    stream = wired.call("WatchEvents", pb.WatchEventsRequest(), timeout=60)
    await stream.read()
    number = 0
    async with asyncio.timeout(60):
        while not _lagging(runtime):
            for _ in range(8):
                spec = AgentSpec(command=("x" * 30_000, "y" * 30_000))
                runtime.apply(
                    cm.DeployAgent(agent=f"a{number}", namespace="default", name=f"a{number}", spec=spec, replicas=0)
                )
                number += 1
            await asyncio.sleep(0.04)
    code, problem = await stream_failure(stream)
    assert (code, problem["code"]) == (grpc.StatusCode.ABORTED, "lagged")
    resumed = wired.call("WatchEvents", pb.WatchEventsRequest(after=problem["resume_revision"]))
    assert await take_until(resumed, runtime.state.revision)
    resumed.cancel()


def _lagging(runtime: MemoryRuntime) -> bool:
    live = hub_of(runtime)._live
    return live is not None and any(watcher.lagged for watcher in live.watchers())


async def test_a_reader_that_stands_still_is_left(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_service, "WRITE_TIME_S", 0.2)
    runtime = wired.runtime
    await wired.deploy()
    instance = min(runtime.state.instances)
    output = runtime.writes(instance)
    stream = wired.call("ReadLogs", pb.ReadLogsRequest(instance=instance, follow=True), timeout=60)
    output.write("x\n")
    await stream.read()
    async with asyncio.timeout(60):
        while runtime.log_streams:
            for _ in range(20):
                output.write("x" * 60_000)
            await asyncio.sleep(0.01)
    stream.cancel()


async def test_output_and_a_node_that_is_away(wired: Wired) -> None:
    await wired.deploy()
    instance = min(wired.runtime.state.instances)
    wired.runtime.writes(instance).write("hello\n")
    stream = wired.call("ReadLogs", pb.ReadLogsRequest(instance=instance))
    assert [chunk.text async for chunk in stream] == ["hello\n"]
    wired.runtime.silence("alpha")
    code, problem = await stream_failure(wired.call("ReadLogs", pb.ReadLogsRequest(instance=instance, follow=True)))
    assert (code, problem["code"]) == (grpc.StatusCode.UNAVAILABLE, "node-away")
    assert problem["since_ms"] == wired.runtime.clock_ms


# -- the server ------------------------------------------------------------------------------------------------------


async def test_health(wired: Wired) -> None:
    """Probes have no token; they hear yes or no."""
    stub = health_pb2_grpc.HealthStub(wired.channel)
    for service in ("", "omnitide.v1.FabricService"):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="other"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    wired.runtime.checks = [Check("event-log", False, "disk full")]
    async with asyncio.timeout(DEADLINE_S):
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()


async def test_reflection_lists_the_services_to_holders_of_a_token(wired: Wired) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(wired.channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = stub.ServerReflectionInfo(iter([question]), metadata=wired.metadata)
    names = [one.name async for answer in answers for one in answer.list_services_response.service]
    assert set(names) >= {"omnitide.v1.FabricService", "grpc.health.v1.Health"}
    symbol = reflection_pb2.ServerReflectionRequest(file_containing_symbol="omnitide.v1.FabricService")
    answers = stub.ServerReflectionInfo(iter([symbol]), metadata=wired.metadata)
    assert [len(answer.file_descriptor_response.file_descriptor_proto) > 0 async for answer in answers] == [True]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.ServerReflectionInfo(iter([question])):
            pass
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_method_that_there_is_not(wired: Wired) -> None:
    call = wired.channel.unary_unary("/omnitide.v1.FabricService/Nonsense")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"", metadata=wired.metadata)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_bytes_that_are_no_message(wired: Wired) -> None:
    call = wired.channel.unary_unary("/omnitide.v1.FabricService/GetAgent")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\xff\xff\xff", metadata=wired.metadata)
    assert problem_of(caught.value)[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert problem_of(caught.value)[1]["code"] == "malformed"
    assert (await wired.call("GetFabric", pb.GetFabricRequest())).fabric_id == "home"


async def test_a_message_that_is_too_large(wired: Wired) -> None:
    request = pb.DeployAgentRequest(namespace="default", name="x", spec=pb.AgentSpec(command=["x" * 3_000_000]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wired.call("DeployAgent", request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_over_tls_with_the_fabrics_own_ca() -> None:
    now = dt.datetime.now(dt.UTC)
    authority = create_authority("home", now)
    material = server_material(issue_nexus(authority, "nexus-1", (), now), authority.trust_bundle())
    runtime = MemoryRuntime()
    server = await GrpcServer.start(runtime, "127.0.0.1", 0, grpc.ssl_server_credentials([material.pair]))
    try:
        trusted = grpc.ssl_channel_credentials(material.root_certificates)
        name = (("grpc.ssl_target_name_override", NEXUS_SERVER_NAME),)
        async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", trusted, options=name) as channel:
            stub = fabric_pb2_grpc.FabricServiceStub(channel)
            metadata = (("authorization", f"Bearer {runtime.api_token()}"),)
            assert (await stub.GetFabric(pb.GetFabricRequest(), metadata=metadata, timeout=5)).fabric_id == "home"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await fabric_pb2_grpc.FabricServiceStub(channel).GetFabric(pb.GetFabricRequest(), timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        await server.close()


async def test_off_loopback_nothing_is_served_in_plaintext() -> None:
    with pytest.raises(PlaintextRefused):
        await GrpcServer.start(MemoryRuntime(), "0.0.0.0", 0, None)


async def test_a_port_that_is_taken_is_said_so(wired: Wired) -> None:
    with pytest.raises(OSError, match=str(wired.server.port)):
        await GrpcServer.start(MemoryRuntime(), "127.0.0.1", wired.server.port, None)


async def test_a_registry_without_one_of_its_methods_does_not_start() -> None:
    fewer = Registry(one for one in REGISTRY if one.name != "agents.scale")
    with pytest.raises(grpc_service.ParityError):
        await GrpcServer.start(MemoryRuntime(), "127.0.0.1", 0, None, fewer)
