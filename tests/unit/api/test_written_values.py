"""What people and programs write becomes structs; what is wrong with it is told all at once, each with its place."""

import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.model.checks import spec_faults
from omnitide.model.faults import MAX_FAULTS, Fault, field_of, pointer_of
from omnitide.model.names import is_name
from omnitide.model.normalise import Invalid, present, read
from omnitide.model.spec import AgentSpec, Constraint, Limits, Resources, Restart, WorkloadSpec


def faults_of(data: object) -> list[Fault]:
    with pytest.raises(Invalid) as caught:
        read(data, AgentSpec)
    return list(caught.value.faults)


def test_quantities_may_be_text_or_numbers() -> None:
    written = {
        "command": ["serve"],
        "resources": {"cpu": "250m", "memory": "64MiB"},
        "limits": {"cpu": 1.5, "memory": 1048576},
        "restart": {"backoff": "2s", "backoff_max": 60000},
        "lost_after": "5m",
    }
    spec = read(written, AgentSpec)
    assert spec.resources == Resources(cpu=250, memory=64 << 20)
    assert spec.limits == Limits(cpu=1500, memory=1 << 20)
    assert (spec.restart.backoff, spec.restart.backoff_max, spec.lost_after) == (2000, 60_000, 300_000)


def test_what_is_shown_can_be_written_back_and_means_the_same() -> None:
    """Cpu above all: 300 is kept for 0.3 cores, and would be read as three hundred."""
    spec = AgentSpec(command=("serve",), resources=Resources(cpu=300), limits=Limits(cpu=2000))
    shown = present(spec)
    assert shown["resources"]["cpu"] == 0.3  # type: ignore[index]
    assert shown["limits"]["cpu"] == 2  # type: ignore[index]
    assert read(msgspec.json.decode(msgspec.json.encode(shown)), AgentSpec) == spec


SPECS = st.builds(
    AgentSpec,
    command=st.tuples(st.text(min_size=1, max_size=5)),
    resources=st.builds(Resources, cpu=st.integers(0, 10**9), memory=st.integers(0, 2**53)),
    restart=st.builds(Restart, backoff=st.integers(0, 10**9)),
    lost_after=st.none() | st.integers(0, 10**9),
)


@given(SPECS)
def test_any_spec_survives_being_shown_and_read(spec: AgentSpec) -> None:
    assert read(msgspec.json.decode(msgspec.json.encode(present(spec))), AgentSpec) == spec


def test_every_fault_is_told_with_its_path() -> None:
    found = faults_of(
        {
            "command": ["ok", 7],
            "resorces": {},
            "resources": {"cpu": "lots"},
            "restart": {"policy": "onfailure", "attempts": -1},
            "ports": {"Web": {"port": 70_000}},
        }
    )
    assert {field_of(fault.path) for fault in found} == {
        "command[1]",
        "resorces",
        "resources.cpu",
        "restart.policy",
        "restart.attempts",
        "ports.Web",
        "ports.Web.port",
    }
    hints = {field_of(fault.path): fault.hint for fault in found}
    assert hints["resorces"] == "did you mean 'resources'?"
    assert hints["restart.policy"] == "did you mean 'on-failure'?"
    assert hints["ports.Web"] == "try 'web'"


def test_a_missing_field_is_named() -> None:
    assert faults_of({"constraints": [{"values": ["a"]}]}) == [Fault(("constraints", 0, "label"), "is missing")]


def test_a_wrong_quantity_does_not_hide_the_other_faults() -> None:
    paths = {fault.path for fault in faults_of({"resources": {"cpu": "x"}, "surplus": 1, "placement": 2})}
    assert paths == {("resources", "cpu"), ("surplus",), ("placement",)}


def test_the_number_of_faults_is_bounded() -> None:
    assert len(faults_of({f"surplus-{number}": 1 for number in range(1000)})) == MAX_FAULTS


def test_a_list_where_fields_are_expected() -> None:
    assert faults_of([])[0].message == "expected fields, got a list"


def test_what_has_fields_says_which() -> None:
    (constraint,) = faults_of({"constraints": ["zone=attic"]})
    assert constraint.message == "expected fields, got text"
    assert constraint.hint == (
        "its fields: label (must be there), operator (!=, =, absent, exists, in or not-in), values (a list)"
    )
    (resources,) = faults_of({"resources": 2})
    assert resources.hint == "its fields: cpu, memory"
    (ports,) = faults_of({"ports": {"http": 80}})
    assert "its fields: port, " in ports.hint
    assert faults_of([])[0].hint == ""


@pytest.mark.parametrize("text", ["hello\n", "\nhello", "hello\r", "Hello", "-hello", "hello-", "h" * 41, ""])
def test_a_name_outside_the_grammar_is_refused_a_newline_at_its_end_included(text: str) -> None:
    assert not is_name(text)
    assert faults_of({"command": ["x"], "driver": text})[0].path == ("driver",)


def test_pointers_escape_what_json_pointers_must() -> None:
    assert pointer_of(("environment", "a/b~c", 0)) == "/environment/a~1b~0c/0"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(string.printable, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*AgentSpec.__struct_fields__, "x", "cpu", "port", ""]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_document_does_anything_but_be_read_or_refused_with_reasons(data: object) -> None:
    try:
        faults: tuple[Fault, ...] = ()
        assert isinstance(read(data, AgentSpec), AgentSpec)
    except Invalid as refused:
        faults = refused.faults or (Fault((), ""),)
    assert all(fault.message for fault in faults)


def test_no_program_can_be_given_a_nul() -> None:
    spec = AgentSpec(command=("a\0b",), environment={"KEY": "\0"}, user="\0")
    assert {fault.path for fault in spec_faults(spec)} == {("command", 0), ("environment", "KEY"), ("user",)}


@pytest.mark.parametrize(
    ("operator", "values", "right"),
    [
        ("=", ("a",), True),
        ("=", (), False),
        ("!=", ("a", "b"), False),
        ("in", ("a", "b"), True),
        ("not-in", (), False),
        ("exists", (), True),
        ("absent", ("a",), False),
    ],
)
def test_a_constraint_has_as_many_values_as_its_operator_takes(operator: str, values: tuple[str], right: bool) -> None:
    constraint = msgspec.convert({"label": "zone", "operator": operator, "values": values}, Constraint)
    assert (spec_faults(WorkloadSpec(command=("x",), constraints=(constraint,))) == []) is right


class Weighed(msgspec.Struct):
    weight: float


def test_a_fault_of_a_kind_that_the_collector_has_no_words_for_is_told_in_msgspecs() -> None:
    with pytest.raises(Invalid) as caught:
        read({"weight": "much"}, Weighed)
    assert caught.value.faults == (Fault(("weight",), "Expected `float`, got `str`"),)
