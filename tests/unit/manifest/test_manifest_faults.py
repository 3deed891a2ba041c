"""A wrong manifest is refused as a whole, with file, line, field and the next step for each fault."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.model.manifest import MAX_MANIFEST_BYTES, Format, ManifestError, Source, read_manifests
from omnitide.model.yaml_documents import MAX_DEPTH, MAX_VALUES

GOOD = b'name = "hello"\ncommand = ["true"]\n'


def faults(text: str | bytes, form: Format = "toml", name: str = "a.toml") -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ManifestError) as caught:
        read_manifests([Source(name, data, form)])
    return [str(fault) for fault in caught.value.faults]


def test_all_faults_of_a_file_are_told_at_once_with_their_lines() -> None:
    text = """name = "Hello World"
commnd = ["x"]
replicas = "3"

[resources]
memory = "64MiBB"
cpu = true
"""
    told = faults(text)
    starts = [
        "a.toml:1: name: 'Hello World' cannot be used here: ",
        "a.toml:2: commnd: unknown field (did you mean 'command'?)",
        "a.toml:3: replicas: expected a whole number, got text",
        "a.toml:6: resources.memory: '64MiBB' is not a size: the unit 'mibb' is unknown",
        "a.toml:7: resources.cpu: cpu must be a number",
        "a.toml:1: command: is missing",
    ]
    assert [one[: len(start)] for one, start in zip(told, starts, strict=True)] == starts
    assert told[0].endswith("(try 'hello-world')")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("readiness = 1", "did you mean health.readiness?"),
        ("liveness = 1", "did you mean health.liveness?"),
        ("memory = '1 GiB'", "did you mean resources.memory or limits.memory?"),
        ("max_surge = 1", "did you mean update.max_surge?"),
        ("[resources]\nreplicas = 2", "did you mean replicas?"),
        ("[health]\ncommand = ['x']", "did you mean command, "),
        ("[volumes.data]\ntarget = 'data'\nowner_of_all = 1", "known here: "),
        ("port = 80", "did you mean 'ports'?"),
    ],
)
def test_a_field_that_stands_in_the_wrong_place_is_told_where_there_is_one_of_its_name(text: str, hint: str) -> None:
    (told,) = [one for one in faults(GOOD.decode() + text) if "unknown field" in one]
    assert f"unknown field ({hint}" in told


def test_names_of_variables() -> None:
    names = ["A", "_a1", "discovery.type", "x-pack.a_b", "a" * 128]
    text = "".join(f'"{name}" = "1"\n' for name in names)
    (agent,) = read_manifests([Source("a.toml", GOOD + f"[environment]\n{text}".encode(), "toml")])
    assert list(agent.manifest.environment) == names
    for name in (".a", "-a", "a.", "a-", "1a", "a b", "a=b", "é", "a" * 129):
        assert "environment" in faults(GOOD + f'[environment]\n"{name}" = "1"\n'.encode())[0]


@pytest.mark.parametrize(
    ("form", "text", "line", "message"),
    [
        ("toml", 'name = "a"\ncommand = [', 2, "is not TOML"),
        ("yaml", "name: a\ncommand: [true\n", 3, "is not YAML"),
        ("json", '{"name": "a",\n "command": }', 2, "is not JSON"),
        ("yaml", "name: a\nname: b\ncommand: [x]\n", 2, "the key 'name' is there twice"),
        ("json", '{"name": "a", "name": "b"}', 0, "the key 'name' is there twice"),
        ("yaml", "name: a\ncommand: !!python/object/apply:os.system [id]\n", 2, "cannot be used here"),
        ("yaml", "name: !secret a\ncommand: [x]\n", 1, "the tag !secret cannot be used here"),
        ("yaml", "base: &b {cpu: 1}\nname: a\nresources:\n  <<: *b\n", 4, "merge keys"),
        ("yaml", "a: &a [*a]\n", 1, ""),
        ("json", '{"name": NaN}', 0, "NaN is not JSON"),
        ("toml", "", 0, "is missing"),
        ("yaml", "# nothing\n", 0, "is empty"),
        ("yaml", "- a\n- b\n", 1, "expected fields, got a list"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(form: Format, text: str, line: int, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifests([Source("a." + form, text.encode(), form)])
    fault = caught.value.faults[0]
    assert message in fault.message
    if line:
        assert fault.line == line


def test_a_file_that_is_too_large_is_not_read() -> None:
    assert "262144 are the most" in faults(GOOD + b"#" * MAX_MANIFEST_BYTES)[0]


def test_a_file_that_is_not_text_says_where() -> None:
    assert faults(GOOD + b"# \xff\n") == ["a.toml:3: is not UTF-8 text"]


def test_aliases_cannot_make_a_small_file_large() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert f"more than {MAX_VALUES} values" in faults("\n".join(levels), "yaml", "bomb.yaml")[0]


@pytest.mark.parametrize(
    ("form", "opens", "line", "column"),
    [
        ("yaml", "[", 2, 66 + len("command: ")),
        ("yaml", "[\n", 67, 1),
        ("yaml", "{a: ", 2, 1 + 63 * len("{a: ") + len("command: {")),
        ("yaml", "- ", 2, 1 + 65 * len("- ")),
        ("yaml", "{[ ", 2, 0),
        ("json", "[", 2, 66 + len("command: ")),
        ("json", '{"a":\n', 67, 1),
    ],
)
def test_what_is_nested_too_deeply_is_refused_where_it_is_and_at_once(
    form: Format, opens: str, line: int, column: int
) -> None:
    key = "" if opens == "- " else "command: "
    text = f"{'name: a' if key and form == 'yaml' else ''}\n{key}{opens * 20_000}"
    began = time.process_time()
    (told,) = faults(text, form, "deep.yaml")
    # Seconds without a bound. Processor time, and a generous one.
    assert time.process_time() - began < 1
    assert told.startswith(f"deep.yaml:{line}: is nested more than {MAX_DEPTH} deep, at column {column or ''}")


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 20_000, "a = " + "{b = " * 20_000, ".".join("a" * 20_000) + " = 1", "a.b = [1]\n[c.d]\n"]
)
def test_so_is_toml_however_its_levels_are_written(text: str) -> None:
    deep = f"is nested more than {MAX_DEPTH} deep"
    assert any(deep in told for told in faults(text)) == (len(text) > 100)


@pytest.mark.parametrize(
    "text", ["a" + ".a" * 50_000 + " = 1", "[" + "a . " * 50_000 + "b]", "v = {" + '"a".' * 50_000 + "b = 1}"]
)
def test_a_toml_key_of_very_many_parts_is_refused_before_it_is_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's reader takes quadratic time for it."""
    monkeypatch.setattr("omnitide.model.manifest.tomllib.loads", lambda _: pytest.fail("it was read"))
    (told,) = faults(f"x = '{'.' * 200}' # {'a.' * 90}\n{text}")
    assert told.startswith(f"a.toml:2: is nested more than {MAX_DEPTH} deep")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = [\n" + "[" * 20_000, 2),
        ("a = " + "[\n" * 100, 65),
        ("a = " + "{b = " * 100, 1),
        ("a = '[['\nb = [ # [[\n" + "[" * 65, 3),
        ("[" + ".".join("a" * 40) + "]\n" + "b = 1\n" + "c = " + "[" * 30 + "1" + "]" * 30, 3),
        ("[[x]]\n[[x]]\n" + ".".join("a" * 60) + " = [\n[[\n[[1]]]]]", 5),
    ],
)
def test_toml_that_is_nested_too_deeply_has_the_line(text: str, line: int) -> None:
    assert faults(f'name = "a"\n{text}')[0].startswith(f"a.toml:{line + 1}: is nested more than {MAX_DEPTH} deep")


def test_toml_that_is_just_not_too_deep_is_read() -> None:
    text = "a = " + "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert not any("nested" in told for told in faults(text))


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_brackets_in_texts_and_side_by_side_are_not_deep(form: Format) -> None:
    beside = ", ".join(["[[]]"] * 500)
    text = '{"name": "a", "command": ["' + "[{" * 500 + '\\"' + "[" * 500 + f'"], "none": [{beside}]}}'
    (told,) = faults(text, form, "a.x")
    assert "none" in told


def test_an_alias_is_as_good_as_what_it_stands_for() -> None:
    text = "name: a\ncommand: &c [run, it]\nenvironment: {A: &x one, B: *x}\n"
    (found,) = read_manifests([Source("a.yaml", text.encode(), "yaml")])
    assert found.manifest.environment == {"A": "one", "B": "one"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[ports.http]\nport = 8080\n[ports.admin]\nport = 8080\n",
            "a.toml:6: ports.admin.port: 8080 is the number of the port 'http' already",
        ),
        (
            "[limits]\ncpu = 0.5\n[resources]\ncpu = 1\n",
            "a.toml:4: limits.cpu: 0.5 is below resources.cpu, 1",
        ),
        (
            '[limits]\nmemory = "16MiB"\n[resources]\nmemory = "32MiB"\n',
            "a.toml:4: limits.memory: 16 MiB is below resources.memory, 32 MiB",
        ),
        (
            'on_disconnect = "keep"\nlost_after = "5s"\n',
            'a.toml:4: lost_after: comes to nothing with on_disconnect = "keep"',
        ),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_line_and_field(text: str, told: str) -> None:
    (fault,) = faults(GOOD.decode() + text)
    assert fault.startswith(told)


def test_ports_that_may_be_any_do_not_contradict_each_other() -> None:
    assert read_manifests([Source("a.toml", GOOD + b"[ports.http]\n[ports.admin]\nport = 0\n", "toml")])


def test_a_command_without_a_program_is_refused_with_its_field() -> None:
    (fault,) = faults('name = "a"\ncommand = [" "]\n')
    assert fault.startswith("a.toml:2: command[0]: names no program")


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('name = "hello\\n"', "name"),
        ('namespace = "blue\\n"', "namespace"),
        ('driver = "process\\n"', "driver"),
        ('labels = {"team\\n" = "blue"}', "labels"),
        ('labels = {team = "blue\\n"}', "labels"),
        ('environment = {"A\\n" = "1"}', "environment"),
        ('ports = {"http\\n" = {}}', "ports"),
        ('constraints = [{label = "zone\\n", operator = "exists"}]', "constraints"),
        ('constraints = [{label = "zone", values = ["z1\\n"]}]', "constraints"),
    ],
)
def test_a_line_break_at_the_end_is_no_part_of_a_name_or_label(line: str, field: str) -> None:
    """`$` in a pattern stands before one, too."""
    text = GOOD.decode() if not line.startswith("name =") else 'command = ["true"]\n'
    (fault,) = faults(text + line + "\n")
    assert "cannot be used here" in fault
    assert f" {field}" in fault


def test_what_only_yaml_1_1_takes_for_something_else_is_text() -> None:
    text = "name: 'on'\ncommand: [yes, no, 'off', 1_000, 12:30:45, 2020-01-01]\n"
    (found,) = read_manifests([Source("a.yaml", text.encode(), "yaml")])
    assert found.manifest.command == ("yes", "no", "off", "1_000", "12:30:45", "2020-01-01")


def test_faults_of_yaml_documents_have_lines_of_their_own() -> None:
    text = "name: a\ncommand: [x]\n---\nname: b\ncommand:\n  - x\n  - 3\n"
    assert faults(text, "yaml", "two.yaml") == [
        "two.yaml:7: command[1]: expected text, got a whole number (put it in quotes)"
    ]


def test_one_name_in_two_files_is_refused_with_both_places() -> None:
    sources = [Source("one.toml", GOOD, "toml"), Source("two.yaml", b"name: hello\ncommand: [x]\n", "yaml")]
    with pytest.raises(ManifestError) as caught:
        read_manifests(sources)
    assert str(caught.value) == (
        "two.yaml:1: name: the agent default/hello is already in one.toml:1 (give one of them another name)"
    )


def test_one_name_in_two_namespaces_is_two_agents() -> None:
    other = b'name = "hello"\nnamespace = "team"\ncommand = ["true"]\n'
    found = read_manifests([Source("one.toml", GOOD, "toml"), Source("two.toml", other, "toml")])
    assert [one.manifest.namespace for one in found] == [None, "team"]


def test_the_faults_of_all_files_are_told_together() -> None:
    sources = [Source("one.toml", b"nam = 1", "toml"), Source("two.toml", GOOD, "toml"), Source("x.json", b"[", "json")]
    with pytest.raises(ManifestError) as caught:
        read_manifests(sources)
    assert {fault.file for fault in caught.value.faults} == {"one.toml", "x.json"}


@pytest.mark.parametrize("form", ["toml", "yaml", "json"])
def test_the_three_formats_say_the_same(form: Format) -> None:
    texts = {
        "toml": 'name="a"\ncommand=["x"]\nreplicas=2\nresources={cpu=0.5,memory="64MiB"}\nports={http={}}',
        "yaml": "name: a\ncommand: [x]\nreplicas: 2\nresources: {cpu: 0.5, memory: 64MiB}\nports: {http: {}}",
        "json": '{"name":"a","command":["x"],"replicas":2,"resources":{"cpu":"500m","memory":67108864},'
        '"ports":{"http":{}}}',
    }
    (found,) = read_manifests([Source("a", texts[form].encode(), form)])
    assert (found.manifest.resources.cpu, found.manifest.resources.memory) == (500, 64 << 20)
    assert (found.manifest.name, found.manifest.replicas, list(found.manifest.ports)) == ("a", 2, ["http"])


def read(data: bytes, form: Format) -> bool:
    """Whether it is refused; anything but a ManifestError fails the test."""
    try:
        read_manifests([Source("a", data, form)])
    except ManifestError as error:
        return bool(error.faults)
    return False


@given(st.binary(max_size=200), st.sampled_from(["toml", "yaml", "json"]))
def test_no_bytes_break_the_reader(data: bytes, form: Format) -> None:
    assert read(data, form)


@given(st.text(max_size=300), st.sampled_from(["toml", "yaml", "json"]))
def test_no_text_breaks_the_reader(text: str, form: Format) -> None:
    assert read(text.encode("utf-8", "replace"), form)


@pytest.mark.parametrize(
    ("form", "text"),
    [("json", '{"name": "a", "command": ["x", "\\ud800"]}'), ("yaml", 'name: a\ncommand: [x, "\\ud800"]\n')],
)
def test_half_of_a_surrogate_pair_is_named_with_its_place(form: Format, text: str) -> None:
    told = faults(text, form)
    assert len(told) == 1
    assert "command[1]: holds half of a surrogate pair" in told[0]
    told[0].encode()
