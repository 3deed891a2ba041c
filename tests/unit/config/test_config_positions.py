"""Lines of a TOML document: every value that the reader gives has the line on which it is written."""

import tomllib
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from omnitide.config.positions import KeyPath, toml_lines


def paths(value: object, above: KeyPath = ()) -> Iterator[KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from paths(inner, (*above, key))


def test_tables_dotted_quoted_and_inline_keys_have_lines() -> None:
    text = "\n".join(
        [
            "a.b = 1",  # 1
            "[lease]",
            'keepalive_ms = "3s"',  # 3
            '"quoted \\u006bey" = { x = 1, y.z = [1, 2, { q = 3 }] }',
            "[[jobs]]",  # 5
            "name = 'one'",
            "[[jobs]]",  # 7
            "name = 'two'",
            "  [jobs.limits]",  # 9
            "  cpu = 1",
            "  [[jobs.ports]]",  # 11
            "  port = 80",
            '[a."c.d"]',  # 13
            "list = [",
            "  1,",  # 15
            "  # not an element",
            "  2,",  # 17
            "]",
        ]
    )
    lines = toml_lines(text)
    assert lines["a",] == lines["a", "b"] == 1
    assert lines["lease",] == 2
    assert lines["lease", "keepalive_ms"] == 3
    assert lines["lease", "quoted key", "y", "z", 2, "q"] == 4
    assert lines["jobs",] == lines["jobs", 0] == 5
    assert lines["jobs", 1] == 7
    assert lines["jobs", 1, "name"] == 8
    assert lines["jobs", 1, "limits", "cpu"] == 10
    assert lines["jobs", 1, "ports", 0, "port"] == 12
    assert lines["a", "c.d"] == 13
    assert lines["a", "c.d", "list", 1] == 17
    assert set(paths(tomllib.loads(text))) == set(lines)


def test_a_broken_document_gives_what_can_be_read() -> None:
    assert toml_lines("ok = 1\nbroken = = 3\n[t]\nx = 2\n")["t", "x"] == 4
    assert toml_lines("") == {}
    assert isinstance(toml_lines("[\n[[\n=\n'''"), dict)


@given(st.text(max_size=60) | st.text(" \n\t=[]{}\"'#.,abc123", max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    toml_lines(text)


keys = st.text('abcAB 1.-_é"\\', min_size=1, max_size=4)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.dictionaries(keys, st.dictionaries(keys, st.integers(0, 9), max_size=4), max_size=4), st.data())
def test_each_value_stands_on_the_line_that_was_told(tables: dict[str, dict[str, int]], data: st.DataObject) -> None:
    written: list[str] = []
    expected: dict[KeyPath, int] = {}
    for table, values in tables.items():
        written += data.draw(st.lists(st.sampled_from(["", "# note = 1", "   "]), max_size=2))
        inline = data.draw(st.booleans()) and not any(line.startswith("[") for line in written)
        if inline:
            inner = ", ".join(f"{quoted(key)} = {value}" for key, value in values.items())
            written.append(f"{quoted(table)} = {{ {inner} }}")
            expected |= {(table,): len(written)} | {(table, key): len(written) for key in values}
            continue
        written.append(f"[{quoted(table)}]")
        expected[table,] = len(written)
        for key, value in values.items():
            written += data.draw(st.lists(st.just("# [x]"), max_size=1))
            written.append(f"{quoted(key)} = {value}")
            expected[table, key] = len(written)
    text = "\n".join(written)
    assert tomllib.loads(text) == tables
    assert toml_lines(text) == expected
