"""Settings: flags beat environment beats files beats defaults; what is wrong is named with its place."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.config import ConfigError, Origin, Problem, Settings, load
from omnitide.config.fields import catalogue
from omnitide.config.sources import MAX_FILE_BYTES, MAX_PROBLEMS, default_files

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "omnitide.toml"
        path.write_text(text)
        return path

    return written


def refused(flags: dict[str, object] | None = None, **given: object) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(flags, environ={}, **given) if "environ" not in given else load(flags, **given)  # type: ignore[arg-type]
    return caught.value.problems


def test_the_defaults_are_those_of_the_design() -> None:
    settings = load(environ={}, config=None).settings
    assert (settings.nexus.api_port, settings.nexus.node_port, settings.nexus.grpc_port) == (7400, 7401, 7402)
    assert settings.nexus.listen == "127.0.0.1"
    assert settings.node.port_range == (20000, 20999)
    assert msgspec.structs.astuple(settings.lease) == (1000, 1500, 400, 1500)
    assert (settings.limits.max_body_bytes, settings.limits.max_spec_bytes) == (1 << 20, 256 << 10)


def test_the_stronger_source_wins_and_is_named(write: Write) -> None:
    path = write('[log]\nlevel = "debug"\nformat = "json"\n[lease]\nkeepalive_ms = 2000\n')
    loaded = load(
        {"log.level": "error", "node.name": None},
        config=path,
        environ={"OMNITIDE_LOG_LEVEL": "warning", "OMNITIDE_LOG_FORMAT": "console"},
    )
    assert (loaded.settings.log.level, loaded.settings.log.format, loaded.settings.lease.keepalive_ms) == (
        "error",
        "console",
        2000,
    )
    assert loaded.origins["log.level"] == Origin("flag")
    assert loaded.origins["log.format"] == Origin("environment", "OMNITIDE_LOG_FORMAT")
    assert loaded.origins["lease.keepalive_ms"] == Origin("file", str(path))
    assert loaded.origins["node.name"] == Origin("default")
    assert set(loaded.origins) == set(catalogue())


def test_without_a_named_file_the_users_file_beats_the_machines(tmp_path: Path) -> None:
    machine, user = default_files({"HOME": str(tmp_path)})
    assert (machine, user) == ("/etc/omnitide/omnitide.toml", str(tmp_path / ".config/omnitide/config.toml"))
    Path(user).parent.mkdir(parents=True)
    Path(user).write_text("[nexus]\napi_port = 9000\n")
    loaded = load(environ={"HOME": str(tmp_path)})
    assert loaded.settings.nexus.api_port == 9000
    assert loaded.files == (machine, user)
    assert default_files({"HOME": "/h", "XDG_CONFIG_HOME": "/x"})[1] == "/x/omnitide/config.toml"


def test_a_named_file_is_the_only_one_and_must_exist(write: Write, tmp_path: Path) -> None:
    path = write("[nexus]\napi_port = 9000\n")
    assert load(environ={"OMNITIDE_CONFIG": str(path)}).settings.nexus.api_port == 9000
    assert load(environ={"OMNITIDE_CONFIG": "/nowhere"}, config=path).files == (str(path),)
    (problem,) = refused(config=tmp_path / "absent.toml")
    assert problem == Problem(str(tmp_path / "absent.toml"), 0, "", "there is no such file")
    (problem,) = refused(config=tmp_path)
    assert "cannot be read" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("[lease]\n\nkeepalive = 1\n", 3, "lease.keepalive", "did you mean keepalive_ms?"),
        ("[leases]\nkeepalive_ms = 1000\n", 1, "leases", "did you mean lease?"),
        ("[zzz]\n", 1, "zzz", "there are client, lease, limits, log, metrics, nexus, node, otel, panel, snapshots"),
        ("# x\nlease = 3\n", 2, "lease", "write [lease] and its keys below"),
        ('[lease]\nkeepalive_ms = "3 parsecs"\n', 2, "lease.keepalive_ms", "'parsecs' is unknown; write ms, s, m, h"),
        ("[lease]\nkeepalive_ms = true\n", 2, "lease.keepalive_ms", "must be a number or a text such as"),
        ("[lease]\nkeepalive_ms = 5\n", 2, "lease.keepalive_ms", "expected a whole number >= 100"),
        ('[limits]\nmax_body_bytes = "12 XB"\n', 2, "limits.max_body_bytes", "write KiB, MiB"),
        ('[limits]\nwatcher_buffer = "64"\n', 2, "limits.watcher_buffer", "expected a whole number, not a text"),
        ('[log]\nlevel = "loud"\n', 2, "log.level", "loud"),
        ("[log]\nlevel = 3\n", 2, "log.level", "expected a text, not a whole number"),
        ("[nexus]\napi_port = 70000\n", 2, "nexus.api_port", "<= 65535"),
        ('[nexus]\nlisten = "localhost"\n', 0, "nexus.listen", "is not an IP address; write 127.0.0.1"),
        ("[nexus]\napi_port = 7401\n", 0, "nexus.api_port", "must differ"),
        ('[nexus]\npublic_names = "one"\n', 2, "nexus.public_names", "expected a list, not a text"),
        ('[nexus]\npublic_names = ["a",\n"b", 3]\n', 2, "nexus.public_names", "not a whole number"),
        ('[node]\nport_range = "9-4"\n', 0, "node.port_range", "must go up"),
        ("[node]\nport_range = 9\n", 2, "node.port_range", "write it as 20000-20999"),
        ('[node]\nlabels = { "bad key" = "x" }\n', 2, "node.labels", "matching regex"),
        ('[node]\nreserve_cpu = "0.00001"\n', 2, "node.reserve_cpu", "finer than"),
        ("node.labels.zone = 3\n", 1, "node.labels", "expected a text"),
        ('[limits]\nmax_spec_bytes = "2MiB"\n', 0, "limits.max_spec_bytes", "max_body_bytes"),
        ('[client]\ntoken_file = "a\\u0000b"\n', 2, "client.token_file", "zero character"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_line_and_field(
    write: Write, text: str, line: int, field: str, says: str
) -> None:
    path = write(text)
    (problem,) = refused(config=path)
    assert (problem.where, problem.field) == (str(path), field)
    assert problem.line == line
    assert says in problem.message
    assert str(problem).startswith(f"{path}:{line}: {field}: " if line else f"{path}: {field}: ")


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"[lease\n", 1, "is not TOML"),
        (b"[lease]\n\n\nkeepalive_ms = = 3\n", 4, "is not TOML: invalid value"),
        (b"[lease]\nkeepalive_ms = 1000\nkeepalive_ms = 1000\n", 3, "overwrite"),
        (b"[lease]\nx = '''", 2, "is not TOML"),
        (b"[lease]\n# \xff\n", 2, "is not UTF-8"),
        (b"#" * (MAX_FILE_BYTES + 1), 0, "is larger than"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(tmp_path: Path, data: bytes, line: int, says: str) -> None:
    path = tmp_path / "omnitide.toml"
    path.write_bytes(data)
    (problem,) = refused(config=path)
    assert problem.line == line
    assert says in problem.message


def test_all_problems_of_all_sources_come_at_once(write: Write) -> None:
    path = write("[lease]\nkeepalive = 1\n[nexus]\napi_port = -1\n")
    problems = refused({"log.lvl": "x"}, config=path, environ={"OMNITIDE_LOG_LEVEL": "loud"})
    assert [problem.where for problem in problems] == [str(path), str(path), "OMNITIDE_LOG_LEVEL", "flag"]
    assert problems[3].message == "unknown key; did you mean log.level?"


def test_a_file_full_of_faults_is_given_up_on(write: Write) -> None:
    path = write("[lease]\n" + "".join(f"k{number} = 1\n" for number in range(5000)))
    assert len(refused(config=path)) == MAX_PROBLEMS


def test_the_environment_speaks_text_for_every_type() -> None:
    settings = load(
        environ={
            "OMNITIDE_NEXUS_API_PORT": "9000",
            "OMNITIDE_NEXUS_PUBLIC_NAMES": "a.example, 10.0.0.1",
            "OMNITIDE_NODE_LABELS": "zone=a, disk=ssd,empty=",
            "OMNITIDE_NODE_PORT_RANGE": "100-200",
            "OMNITIDE_NODE_RESERVE_CPU": "1.5",
            "OMNITIDE_LEASE_LOST_AFTER_MS": "2m",
            "OMNITIDE_LIMITS_OUTBOX_BYTES": "1GiB",
            "OMNITIDE_LIMITS_WATCHER_BUFFER": "100",
            "OMNITIDE_LOG_LEVEL": "",
        }
    ).settings
    assert settings.nexus.api_port == 9000
    assert settings.nexus.public_names == ("a.example", "10.0.0.1")
    assert settings.node.labels == {"zone": "a", "disk": "ssd", "empty": ""}
    assert settings.node.port_range == (100, 200)
    assert settings.node.reserve_cpu == 1500
    assert settings.lease.lost_after_ms == 120_000
    assert settings.limits.outbox_bytes == 1 << 30
    assert settings.limits.watcher_buffer == 100
    assert settings.log.level == "info"


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("OMNITIDE_LEASE_KEEPALIVE", "did you mean OMNITIDE_LEASE_KEEPALIVE_MS?"),
        ("OMNITIDE_LOGLEVEL", "did you mean OMNITIDE_LOG_LEVEL?"),
        ("OMNITIDE_NODE_LABELS", "'x' is not key=value"),
        ("OMNITIDE_NEXUS_API_PORT", "expected a whole number"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, says: str) -> None:
    (problem,) = refused(environ={variable: "x"})
    assert problem.where == variable
    assert says in problem.message


def test_a_variable_that_is_near_no_setting_is_someone_elses() -> None:
    """An agent's own variables (`node/launching.py`) must not keep the command line from running inside it."""
    own = ("AGENT", "JOB", "NAMESPACE", "INSTANCE", "INSTANCE_ID", "SLOT", "GENERATION", "ATTEMPT", "NODE", "VERSION")
    load(environ={f"OMNITIDE_{name}": "x" for name in (*own, "CORRELATION", "SPEC", "PORT_HTTP")} | {"OMNITIDE_": "x"})


def test_paths_are_made_absolute_from_where_they_are_written(write: Write, tmp_path: Path) -> None:
    path = write('[nexus]\ndata_dir = "data"\n[node]\ndata_dir = "~/node"\n')
    settings = load({"client.ca_file": "ca.pem"}, config=path, environ={}).settings
    assert settings.nexus.data_dir == str(tmp_path / "data")
    assert settings.node.data_dir == str(Path.home() / "node")
    assert settings.client.ca_file == str(Path.cwd() / "ca.pem")
    assert settings.client.token_file == ""


def test_a_refused_secret_is_not_repeated() -> None:
    (problem,) = refused(environ={"OMNITIDE_CLIENT_TOKEN": "hush" * 2000})
    assert "hush" not in str(problem)


def test_every_setting_can_be_given_in_every_way(write: Write) -> None:
    """Each field's shown value, written as text, is read back to itself from the environment and from a flag."""
    defaults = load(environ={})
    for key, field in catalogue().items():
        value = getattr(getattr(defaults.settings, field.section), field.name)
        if isinstance(value, tuple):
            text = ("-" if field.unit == "ports" else ",").join(map(str, value))
        else:
            text = f"{value}m" if field.unit == "cpu" else str(value) if value != {} else ""
        for loaded in (load(environ={field.variable: text}), load({key: text}, environ={})):
            assert getattr(getattr(loaded.settings, field.section), field.name) == value, key


def test_a_flag_may_be_the_value_itself() -> None:
    assert load({"nexus.api_port": 9000, "lease.keepalive_ms": 200}, environ={}).settings.nexus.api_port == 9000


def test_reading_again_sees_the_file_as_it_is_now(write: Write) -> None:
    path = write("[lease]\nkeepalive_ms = 1000\n")
    loaded = load({"log.level": "debug"}, config=path, environ={"OMNITIDE_LOG_FORMAT": "json"})
    path.write_text("[lease]\nkeepalive_ms = 2000\n")
    again = loaded.again().again()
    assert again.settings.lease.keepalive_ms == 2000
    assert (again.settings.log.level, again.settings.log.format) == ("debug", "json")


names = st.sampled_from(sorted({part for key in catalogue() for part in key.split(".")}))
toml_values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=12) | st.just("5s"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(flags=st.dictionaries(st.sampled_from(sorted(catalogue())) | st.text(max_size=8), toml_values, max_size=6))
def test_any_values_give_settings_or_a_config_error(flags: dict[str, object]) -> None:
    try:
        loaded = load(flags, environ={})
    except ConfigError as error:
        problems = error.problems
    else:
        # What was accepted is inside the model's own rules.
        assert msgspec.convert(msgspec.to_builtins(loaded.settings), Settings) == loaded.settings
        return
    assert 1 <= len(problems) <= MAX_PROBLEMS


def test_loading_the_configuration_loads_nothing_heavy(write: Write) -> None:
    path = write('[lease]\nkeepalive_ms = "3s"\n')
    program = (
        "import sys; from omnitide.config import load; load(); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'rich', 'typer', 'pydantic', 'tree_sitter', 'asyncio', 'difflib', 'watchfiles', 'numpy', 'ruamel'}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "OMNITIDE_CONFIG": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
