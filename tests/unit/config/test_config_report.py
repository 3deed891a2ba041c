"""What `config show` and `config schema` are made of."""

from pathlib import Path

import jsonschema
import msgspec
import pytest

from omnitide.config import load
from omnitide.config.fields import catalogue
from omnitide.config.report import Row, rows, schema


def by_key(shown: list[Row]) -> dict[str, Row]:
    return {row.key: row for row in shown}


def test_each_value_is_shown_with_its_source_to_the_line(tmp_path: Path) -> None:
    path = tmp_path / "omnitide.toml"
    path.write_text('[log]\n# chatty\nlevel = "debug"\n\n[lease]\nkeepalive_ms = "2s"\n')
    shown = by_key(rows(load({"node.name": "alpha"}, config=path, environ={"OMNITIDE_LIMITS_OUTBOX_BYTES": "64MiB"})))
    assert list(shown) == list(catalogue())
    assert shown["log.level"].source == f"{path}:3"
    assert (shown["lease.keepalive_ms"].value, shown["lease.keepalive_ms"].text) == (2000, "2 s")
    assert shown["lease.keepalive_ms"].source == f"{path}:6"
    assert (shown["node.name"].value, shown["node.name"].source) == ("alpha", "flag")
    assert shown["limits.outbox_bytes"].text == "64 MiB"
    assert shown["limits.outbox_bytes"].source == "environment OMNITIDE_LIMITS_OUTBOX_BYTES"
    assert (shown["nexus.api_port"].source, shown["nexus.api_port"].reloadable) == ("default", False)
    assert shown["lease.lost_after_ms"].reloadable
    assert all(row.description for row in shown.values())
    assert msgspec.json.encode(list(shown.values()))


def test_a_file_that_went_away_since_is_still_named(tmp_path: Path) -> None:
    path = tmp_path / "omnitide.toml"
    path.write_text('[log]\nlevel = "debug"\n')
    loaded = load(config=path, environ={})
    path.unlink()
    assert by_key(rows(loaded))["log.level"].source == str(path)


def test_a_secret_is_never_shown() -> None:
    set_one = by_key(rows(load(environ={"OMNITIDE_CLIENT_TOKEN": "oma_hush"})))["client.token"]
    assert (set_one.value, set_one.text) == ("***", "***")
    unset = by_key(rows(load(environ={})))["client.token"]
    assert (unset.value, unset.text) == ("", "")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"lease": {"keepalive_ms": 1000, "lost_after_ms": "3s"}},
        {"node": {"reserve_cpu": 0.5, "port_range": "1-2", "labels": {"zone": "a"}}},
        {"nexus": {"public_names": ["a", "b"], "api_port": 0}, "log": {"level": "debug"}},
    ],
)
def test_the_schema_accepts_what_is_right(document: object) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(document, schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "document",
    [
        {"leases": {}},
        {"lease": {"keepalive": 1}},
        {"lease": {"keepalive_ms": True}},
        {"lease": {"keepalive_ms": 5}},
        {"log": {"level": "loud"}},
        {"node": {"port_range": [1, 2]}},
        {"nexus": {"public_names": "a"}},
    ],
)
def test_the_schema_refuses_what_is_wrong(document: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema(), jsonschema.Draft202012Validator)


def test_the_schema_tells_what_can_be_reloaded() -> None:
    lease = schema()["$defs"]["LeaseSettings"]["properties"]["keepalive_ms"]
    assert lease["x-reloadable"] is True
    assert "Milliseconds" in lease["description"]


def test_the_schema_takes_its_own_defaults() -> None:
    document = {
        section: {
            key: field["default"]
            for key, field in schema()["$defs"][reference["$ref"].rpartition("/")[2]]["properties"].items()
            if "default" in field
        }
        for section, reference in schema()["properties"].items()
    }
    jsonschema.validate(document, schema(), jsonschema.Draft202012Validator)
    assert document["node"]["port_range"] == "20000-20999"
    flags = {f"{section}.{key}": value for section, keys in document.items() for key, value in keys.items()}
    assert load(flags, environ={}).settings == load(environ={}).settings
