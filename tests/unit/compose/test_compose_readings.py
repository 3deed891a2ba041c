"""How files are read where reading is more than YAML: command lines, aliases that multiply, raw files of variables."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.compose.document import MAX_DEPTH, MAX_VALUES, read_documents
from omnitide.compose.importing import import_compose
from omnitide.compose.quantities import NotThat
from omnitide.compose.report import Imported
from omnitide.compose.shellwords import split
from omnitide.model.manifest import ManifestError


def imported(folder: Path, text: str, **environment: str) -> Imported:
    file = folder / "compose.yaml"
    file.write_text(text)
    return import_compose([str(file)], environment)


@pytest.mark.parametrize(
    ("line", "words", "rest"),
    [
        ("sh -c 'a b'", ["sh", "-c", "a b"], ""),
        ('printf "a\\nb" c\\ d', ["printf", "anb", "c d"], ""),
        ("serve --at $(hostname -i) `date +%s`", ["serve", "--at", "$(hostname -i)", "`date +%s`"], ""),
        ("a '' \"\"", ["a", "", ""], ""),
        ("migrate && serve", ["migrate"], "&& serve"),
        ("serve 2>/dev/null", ["serve"], ">/dev/null"),
        ("a; b", ["a"], "; b"),
        ("", [], ""),
    ],
)
def test_a_command_line_is_split_as_compose_splits_it(line: str, words: list[str], rest: str) -> None:
    """Each seen at mattn/go-shellwords 1.0.12; 60,000 random lines were compared with it once."""
    assert split(line) == (words, rest)


@pytest.mark.parametrize("line", ["'a", '"a', "a\\", "a (b)", "$(a", "a)", "`a"])
def test_a_command_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(NotThat):
        split(line)


@given(st.text(alphabet="ab '\"\\$`();&|<>\n"))
def test_words_have_no_more_than_the_line(line: str) -> None:
    try:
        made = split(line)
    except NotThat:
        return
    assert sum(map(len, made.words)) + len(made.rest) <= len(line)


def test_where_compose_ends_a_command_is_told(tmp_path: Path) -> None:
    made = imported(tmp_path, "services: {a: {image: x, command: migrate && serve}}")
    assert made.agents[0].command == ("migrate",)
    (note,) = [one for one in made.notes if one.key == "services.a.command"]
    assert "&& serve" in note.message


def test_a_hook_is_no_shells_affair_unless_it_says_so(tmp_path: Path) -> None:
    made = imported(tmp_path, "services: {a: {image: x, pre_stop: [{command: nginx -s quit}]}}")
    assert made.agents[0].stop.pre_stop == ("nginx", "-s", "quit")


@pytest.mark.parametrize("kind", ["lists", "merges"])
def test_aliases_that_multiply_are_refused_before_they_are_expanded(kind: str) -> None:
    lines = ["x0: &x0 [a]" if kind == "lists" else "x0: &x0 {a: 1}"]
    for n in range(1, 25):
        many = ", ".join(f"*x{n - 1}" for _ in range(9))
        lines.append(f"x{n}: &x{n} [{many}]" if kind == "lists" else f"x{n}: &x{n} {{<<: [{many}]}}")
    began = time.process_time()
    with pytest.raises(ManifestError, match=f"holds more than {MAX_VALUES} values"):
        read_documents("\n".join(lines).encode(), "compose.yaml")
    # Nine to the power of 24 values: none of them may be made. Processor time, and a generous bound.
    assert time.process_time() - began < 5


@pytest.mark.parametrize("opens", ["[", "{a: ", "{[ "])
def test_what_is_nested_too_deeply_is_refused_where_it_is_and_at_once(opens: str) -> None:
    began = time.process_time()
    with pytest.raises(ManifestError, match=f"c.yaml:2: .*is nested more than {MAX_DEPTH} deep, at column [0-9]+"):
        read_documents(f"services:\n  a: {opens * 20_000}".encode(), "c.yaml")
    assert time.process_time() - began < 1


def test_aliases_cannot_nest_deeper_than_what_is_written(tmp_path: Path) -> None:
    lines = ["x0: &x0 [a]", *(f"x{n}: &x{n} [*x{n - 1}]" for n in range(1, 400))]
    with pytest.raises(ManifestError, match="nested more than"):
        imported(tmp_path, "\n".join([*lines, "services: {a: {image: x}}"]))


def test_raw_files_of_variables_are_taken_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "raw.env").write_text("A='quoted'\nB=$HOME # said\n")
    text = "services: {a: {image: x, env_file: [{path: raw.env, format: raw}, {path: no.env, required: false}]}}"
    made = imported(tmp_path, text, HOME="/root")
    assert made.agents[0].environment == {"A": "'quoted'", "B": "$$HOME # said"}
    assert made.losses == ()


def test_only_the_key_that_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as refused:
        imported(tmp_path, "services:\n  a:\n    image: 5\n    commnd: x\n    ports: [80]\n")
    said = {fault.field: fault.message for fault in refused.value.faults}
    assert set(said) == {"services.a", "services.a.image"}
    assert "'commnd'" in said["services.a"]
    assert "'command'" in said["services.a"]
    assert "ports" not in said["services.a"].replace("'ports'?", "")


def test_who_is_linked_or_shared_with_is_waited_for(tmp_path: Path) -> None:
    made = imported(
        tmp_path,
        "services:\n"
        '  a: {image: x, network_mode: "service:b", volumes_from: ["c:ro"], links: [d]}\n'
        "  b: {image: x}\n  c: {image: x}\n  d: {image: x}\n",
    )
    assert made.agents[0].needs == {"b": "started", "c": "started", "d": "started"}
