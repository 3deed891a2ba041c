"""What an instance is started with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.drivers.protocol import Limit, LogPolicy, RunKey
from omnitide.model.container import Container
from omnitide.model.spec import AgentSpec, Limits, Logs, Port, Stop
from omnitide.node.launching import LaunchRefused, NodeContext, make_launch
from omnitide.node.records import Assignment, Goal

CONTEXT = NodeContext(node_name="alpha", base_environment={"PATH": "/usr/bin", "LANG": "C.UTF-8"})
ASSIGNMENT = Assignment(
    instance="web-1.2",
    name="web-1.2",
    namespace="default",
    kind="agent",
    workload="web",
    version=7,
    slot=1,
    generation=2,
    goal=Goal.RUN,
    spec_key="web/7",
    ports={"http": 20417, "admin-ui": 20418},
    correlation="c-1",
)


def launch(command: tuple[str, ...] = ("serve",), environment: dict[str, str] | None = None):
    spec = AgentSpec(command=command, environment=environment or {})
    return make_launch(ASSIGNMENT, spec, "sha256:00", 3, CONTEXT)


def test_the_fabric_tells_an_instance_who_it_is() -> None:
    assert launch().environment == {
        "PATH": "/usr/bin",
        "LANG": "C.UTF-8",
        "OMNITIDE_NAMESPACE": "default",
        "OMNITIDE_AGENT": "web",
        "OMNITIDE_INSTANCE": "web-1.2",
        "OMNITIDE_INSTANCE_ID": "web-1.2",
        "OMNITIDE_SLOT": "1",
        "OMNITIDE_GENERATION": "2",
        "OMNITIDE_ATTEMPT": "3",
        "OMNITIDE_NODE": "alpha",
        "OMNITIDE_VERSION": "7",
        "OMNITIDE_CORRELATION": "c-1",
        "PORT_ADMIN_UI": "20418",
        "PORT_HTTP": "20417",
    }


def test_a_container_has_the_programs_and_the_language_of_its_image() -> None:
    spec = AgentSpec(driver="docker", container=Container(image="web:1"))
    environment = make_launch(ASSIGNMENT, spec, "", 1, CONTEXT).environment
    assert not {"PATH", "LANG"} & environment.keys()
    assert environment["OMNITIDE_AGENT"] == "web"


def test_a_job_is_told_its_job() -> None:
    import msgspec

    job = msgspec.structs.replace(ASSIGNMENT, kind="job", workload="count")
    environment = make_launch(job, AgentSpec(command=("x",)), "", 1, CONTEXT).environment
    assert environment["OMNITIDE_JOB"] == "count"
    assert "OMNITIDE_AGENT" not in environment


def test_names_are_expanded_in_the_command_and_in_the_environment() -> None:
    made = launch(
        ("serve", "--port=${PORT_HTTP}", "--name", "${GREETING}!"),
        {"GREETING": "hello from ${WHERE}", "WHERE": "${OMNITIDE_NODE}"},
    )
    assert list(made.command) == ["serve", "--port=20417", "--name", "hello from alpha!"]
    assert made.environment["GREETING"] == "hello from alpha"


def test_two_dollars_are_one_and_a_lone_dollar_is_left_to_the_shell() -> None:
    assert list(launch(("sh", "-c", "echo $HOME $${HOME} $$1 ${PORT_HTTP} a$")).command) == [
        "sh",
        "-c",
        "echo $HOME ${HOME} $1 20417 a$",
    ]


def test_what_the_spec_sets_wins_and_may_build_on_what_is_given() -> None:
    environment = launch(environment={"PATH": "/opt/bin:${PATH}", "LANG": "de", "PORT_HTTP": "80"}).environment
    assert (environment["PATH"], environment["LANG"], environment["PORT_HTTP"]) == ("/opt/bin:/usr/bin", "de", "80")


def test_variables_whose_names_no_shell_would_take_are_handed_over_and_cannot_be_referred_to() -> None:
    made = launch(environment={"discovery.type": "on ${WHERE}", "x-y": "1", "WHERE": "alpha"}).environment
    assert (made["discovery.type"], made["x-y"]) == ("on alpha", "1")
    assert "is no ${NAME}" in refusal(("serve", "${discovery.type}"), {"discovery.type": "one"})


def refusal(command: tuple[str, ...] = ("x",), environment: dict[str, str] | None = None) -> str:
    with pytest.raises(LaunchRefused) as caught:
        launch(command, environment)
    assert caught.value.cause == "environment"
    return str(caught.value)


def test_an_unknown_name_is_refused_by_name_with_the_next_step() -> None:
    message = refusal(("serve", "--key=${API_KEY}"))
    assert message.startswith("argument 1: the variable API_KEY is not set")
    assert "$${API_KEY}" in message
    assert "environment variable A: the variable B is not set" in refusal(environment={"A": "${B}"})


@pytest.mark.parametrize("text", ["${", "${A", "${}", "${A-b}", "${VAR:-default}"])
def test_what_looks_like_a_name_and_is_none_is_refused(text: str) -> None:
    assert "write $$" in refusal((text,), {"A": "1"})


def test_a_circle_is_refused() -> None:
    assert "A -> B -> C -> A refers to itself" in refusal(environment={"A": "${B}", "B": "${C}", "C": "${A}"})
    assert "the variable A is not set" in refusal(environment={"A": "${A}"})


def test_an_expansion_that_explodes_is_refused_before_it_fills_the_memory() -> None:
    doubling = {f"V{n}": f"${{V{n - 1}}}" * 100 for n in range(1, 40)} | {"V0": "x"}
    assert "characters when expanded" in refusal(environment=doubling)


def test_a_command_that_no_kernel_takes_is_refused() -> None:
    assert "longer than" in refusal(("x",) * 2 + ("y" * 100_000,) * 11)


def test_all_of_the_spec_reaches_the_driver() -> None:
    spec = AgentSpec(
        command=("serve",),
        working_directory="/srv/${OMNITIDE_SLOT}",
        user="web:www",
        limits=Limits(cpu=500, memory=1 << 20, pids=9, enforcement="required"),
        logs=Logs(max_file=8192, max_files=2),
        stop=Stop(signal="SIGINT", grace=1_500),
        ports={"http": Port()},
    )
    made = make_launch(ASSIGNMENT, spec, "sha256:ab", 4, CONTEXT)
    assert made.key == RunKey("web-1.2", 4)
    assert made.name == "web-1.2"
    assert made.working_directory == "/srv/${OMNITIDE_SLOT}", "only command and environment are expanded"
    assert made.user == "web:www"
    assert made.limits == Limit(cpu_milli=500, memory_bytes=1 << 20, pids=9)
    assert made.limits_required
    assert made.log_policy == LogPolicy(max_file_bytes=8192, max_files=2)
    assert (made.stop_signal, made.stop_grace_ms, made.fence_ms) == ("SIGINT", 1_500, 0)
    assert made.labels == {"generation": "2", "spec_digest": "sha256:ab", "name": "web-1.2"}


@given(st.text(alphabet=st.characters(exclude_characters="$", exclude_categories=("Cs",)), max_size=200))
def test_text_without_a_dollar_stays_as_it_is(text: str) -> None:
    assert list(launch((text or "x",)).command) == [text or "x"]


@given(st.text(alphabet="$a{}", max_size=30))
def test_escaping_every_dollar_gives_the_text_back(text: str) -> None:
    assert list(launch(("x", text.replace("$", "$$"))).command) == ["x", text]
