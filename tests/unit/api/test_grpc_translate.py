"""Between structs and messages: the same fields on both sides, and the same meaning of what is left out."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.api.grpc_errors import encode_problem, status_of
from omnitide.api.grpc_service import ParityError, check_parity
from omnitide.api.grpc_translate import fill, mismatches, parse
from omnitide.model.container import Container, Ulimit
from omnitide.model.normalise import Invalid, read
from omnitide.model.objects import Agent, InstanceCounts, InstanceExit
from omnitide.model.problem import KINDS, FieldFault, problem
from omnitide.model.spec import AgentSpec, Constraint, Limits, Port, Resources, Restart, Update
from omnitide.operations.agents import DeployAgentRequest, ScaleAgentRequest
from omnitide.operations.registry import REGISTRY, Registry
from omnitide.wire import fabric_pb2 as pb


def test_registry_and_proto_agree() -> None:
    check_parity(REGISTRY)


def test_an_operation_without_its_method_does_not_start() -> None:
    with pytest.raises(ParityError, match="ScaleAgent is in the proto only"):
        check_parity(Registry(one for one in REGISTRY if one.name != "agents.scale"))


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    number: int = 7


def test_every_way_to_differ_is_found() -> None:
    found = mismatches(Thing, pb.Difference.DESCRIPTOR, given=True)
    assert set(found) == {
        "Thing is called Difference on the wire",
        "Difference.name is not on the wire",
        "Difference.number is not on the wire",
        "Difference.path is on the wire only",
        "Difference.before is on the wire only",
        "Difference.after is on the wire only",
    }


class Port2(msgspec.Struct, frozen=True, kw_only=True):
    port: str = ""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    asked: int
    replicas: int | None = None
    halted: str = ""
    paused: bool = False


def test_a_field_of_another_kind_or_without_presence_is_found() -> None:
    assert "omnitide.v1.Port.port is integer on the wire and string in the struct" in mismatches(
        Port2, pb.Port.DESCRIPTOR, given=True
    )
    assert mismatches(Rollout, pb.Rollout.DESCRIPTOR, given=False) == [
        "omnitide.v1.Rollout.replicas needs presence: zero and left out are not the same"
    ]
    assert "omnitide.v1.Rollout.version needs presence: zero and left out are not the same" in mismatches(
        Rollout, pb.Rollout.DESCRIPTOR, given=True
    )


def test_what_is_left_out_takes_the_default_and_zero_is_zero() -> None:
    request = pb.DeployAgentRequest(namespace="default", name="web", spec=pb.AgentSpec(command=["x"]))
    assert parse(request, DeployAgentRequest).spec == AgentSpec(command=("x",))
    request.spec.resources.cpu_milli = 0
    request.spec.restart.attempts = 0
    spec = parse(request, DeployAgentRequest).spec
    assert (spec.resources.cpu, spec.resources.memory, spec.restart.attempts) == (0, 32 << 20, 0)


def test_to_scale_without_a_number_is_no_way_to_scale_to_zero() -> None:
    with pytest.raises(Invalid) as caught:
        parse(pb.ScaleAgentRequest(namespace="default", name="web"), ScaleAgentRequest)
    assert caught.value.faults[0].path == ("replicas",)
    assert parse(pb.ScaleAgentRequest(namespace="default", name="web", replicas=0), ScaleAgentRequest).replicas == 0


def test_faults_of_a_message_name_the_fields() -> None:
    request = pb.DeployAgentRequest(
        namespace="No",
        name="web",
        spec=pb.AgentSpec(
            command=["x"], restart=pb.Restart(policy="sometimes"), resources=pb.Resources(memory_bytes=-1)
        ),
    )
    with pytest.raises(Invalid) as caught:
        parse(request, DeployAgentRequest)
    assert {fault.path for fault in caught.value.faults} == {
        ("namespace",),
        ("spec", "restart", "policy"),
        ("spec", "resources", "memory"),
    }


def test_a_number_or_a_struct_is_on_the_wire_what_it_was() -> None:
    spec = AgentSpec(
        driver="docker",
        container=Container(image="a", ulimits={"nofile": 512, "core": 0, "nproc": Ulimit(soft=0, hard=-1)}),
    )
    message = pb.DeployAgentRequest(namespace="default", name="web")
    fill(message.spec, spec)
    carried = pb.DeployAgentRequest.FromString(message.SerializeToString())
    assert parse(carried, DeployAgentRequest).spec == spec


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("many", "expected a whole number, got text"),
        ({"soft": 1}, "is missing"),
        ({"soft": 1, "hard": 2, "harder": 3}, "unknown field"),
        ({"soft": 1, "hard": -2}, "must be at least -1, is -2"),
    ],
)
def test_what_is_neither_is_told_with_its_path(wrong: object, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        read({"driver": "docker", "container": {"image": "a", "ulimits": {"nofile": wrong}}}, AgentSpec)
    (fault,) = caught.value.faults
    assert (fault.path[:3], fault.message) == (("container", "ulimits", "nofile"), message)


WORDS = st.text("abc", min_size=1, max_size=4)
SPECS = st.builds(
    AgentSpec,
    command=st.tuples(WORDS, WORDS),
    environment=st.dictionaries(st.sampled_from(["A", "B_2"]), WORDS, max_size=2),
    resources=st.builds(Resources, cpu=st.integers(0, 2**40), memory=st.integers(0, 2**53)),
    limits=st.builds(Limits, cpu=st.integers(0, 10**6), pids=st.integers(0, 1000)),
    ports=st.dictionaries(WORDS, st.builds(Port, port=st.integers(0, 65535)), max_size=2),
    constraints=st.tuples(st.builds(Constraint, label=WORDS, values=st.tuples(WORDS))),
    restart=st.builds(Restart, attempts=st.integers(0, 9), backoff=st.integers(0, 10**6)),
    update=st.builds(Update, max_unavailable=st.integers(1, 9)),
    lost_after=st.none() | st.integers(0, 10**6),
    working_directory=st.sampled_from(["", "/srv"]),
)


@given(SPECS)
def test_any_spec_survives_the_wire(spec: AgentSpec) -> None:
    message = pb.DeployAgentRequest(namespace="default", name="web")
    fill(message.spec, spec)
    carried = pb.DeployAgentRequest.FromString(message.SerializeToString())
    assert parse(carried, DeployAgentRequest).spec == spec


def test_what_is_none_is_absent_and_what_is_empty_is_there() -> None:
    message = pb.InstanceExit()
    fill(message, InstanceExit(attempt=1, code=0))
    assert (message.HasField("code"), message.code, message.HasField("signal")) == (True, 0, False)
    agent = pb.Agent()
    fill(
        agent,
        Agent(
            id="a",
            namespace="default",
            name="web",
            status="running",
            version=1,
            replicas=0,
            running=0,
            replicas_owner="scale",
            counts=InstanceCounts(),
            driver="process",
            cpu_milli=100,
            memory_bytes=1,
            created_ms=1,
            revision=1,
            spec=AgentSpec(command=("x",)),
        ),
    )
    assert (agent.HasField("counts"), agent.HasField("rollout")) == (True, False)


@pytest.mark.parametrize("code", KINDS)
def test_every_problem_has_a_status(code: str) -> None:
    if code not in ("no-route", "not-acceptable", "uri-too-long", "unsupported-media-type", "upgrade-required"):
        assert status_of(problem(code, "x")).name != "UNKNOWN"


def test_a_problem_with_many_faults_fits_into_metadata() -> None:
    errors = tuple(FieldFault(field=f"f{n}", pointer=f"/f{n}", message="m" * 200) for n in range(500))
    encoded = encode_problem(problem("invalid", "many", errors=errors))
    assert len(encoded) < 8192
    assert msgspec.json.decode(encoded)["errors"][0]["field"] == "f0"
