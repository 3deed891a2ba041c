"""No value is changed in silence: of every number that the specification knows, as small and as large as it may be
written, an agent has just that, or a loss names its key, or the file is refused for it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from omnitide.compose.importing import import_compose
from omnitide.compose.keys import fate_of_pattern
from omnitide.compose.report import Imported
from omnitide.compose.schema import every_key, specification
from omnitide.model.container import Container
from omnitide.model.manifest import ManifestError
from omnitide.model.probes import Probe
from omnitide.model.spec import AgentManifest

MANY = str(2**53)
NUMBERS = {"0": 0, "1": 1, "5": 5, "-7": -7, "1000000": 10**6, MANY: 2**53}
SIZES = {"1": 1, "5k": 5 << 10, "1m": 1 << 20, "7m": 7 << 20, "64m": 64 << 20, MANY: 2**53}
TIMES = {"1us": 1, "1ms": 1, "10ms": 10, "5s": 5000, "25h": 90_000_000, f"{2**53}ms": 2**53}
CPUS = {"0.0001": 1, "0.004": 4, "0.5": 500, "1000000": 10**9}
Get = Callable[[AgentManifest], object]


def health(agent: AgentManifest) -> Probe:
    assert agent.health.readiness is not None
    return agent.health.readiness


def own(agent: AgentManifest) -> Container:
    assert agent.container is not None
    return agent.container


def given_up(agent: AgentManifest) -> int | None:
    """After how many restarts; None: never."""
    return agent.restart.attempts if agent.restart.reschedules == 0 else None


def port(agent: AgentManifest) -> Any:
    (one,) = agent.ports.values()
    return one


def below(*keys: str) -> str:
    """A service's key, and those below it, with a place for the value."""
    return ": {{".join(keys) + ": {}" + "}}" * (len(keys) - 1)


CASES: dict[str, tuple[str, dict[str, Any], Get]] = {
    "cpus": (below("cpus"), CPUS, lambda agent: agent.limits.cpu),
    "cpu_quota": (below("cpu_quota"), {"1": -1, "-1": 0, "50000": 500, "1500000": 15_000},
                  lambda agent: agent.limits.cpu),
    "cpu_period": ("cpu_quota: 50000\n    cpu_period: {}", {"1": -1, "-5": -1, "50000": 1000, MANY: -1},
                   lambda agent: agent.limits.cpu),
    "mem_limit": (below("mem_limit"), SIZES, lambda agent: agent.limits.memory),
    "mem_reservation": (below("mem_reservation"), SIZES, lambda agent: agent.resources.memory),
    "pids_limit": (below("pids_limit"), {"1": 1, "-1": 0, "0": 0, "5000000": 5_000_000},
                   lambda agent: agent.limits.pids),
    "shm_size": (below("shm_size"), SIZES, lambda agent: own(agent).shm_size),
    "scale": (below("scale"), NUMBERS, lambda agent: agent.replicas),
    "stop_grace_period": (below("stop_grace_period"), TIMES, lambda agent: agent.stop.grace),
    "ulimits.*.soft": ("ulimits: {{nofile: {{soft: {0}, hard: {0}}}}}", NUMBERS | {"-1": -1},
                       lambda agent: own(agent).ulimits.get("nofile")),
    "ulimits.*.hard": ("ulimits: {{nofile: {{soft: 1, hard: {0}}}}}", {"0": -9, MANY: 2**53, "-2": -9},
                       lambda agent: getattr(own(agent).ulimits.get("nofile"), "hard", None)),
    "healthcheck.interval": ("healthcheck: {{test: [CMD, a], timeout: 100ms, interval: {}}}", TIMES,
                             lambda agent: health(agent).interval),
    "healthcheck.timeout": ("healthcheck: {{test: [CMD, a], interval: 1s, timeout: {}}}", TIMES,
                            lambda agent: health(agent).timeout),
    "healthcheck.retries": ("healthcheck: {{test: [CMD, a], retries: {}}}", NUMBERS | {"0": 3},
                            lambda agent: health(agent).failure_threshold),
    "ports[].target": ("ports: [{{target: {}}}]", NUMBERS, lambda agent: port(agent).target),
    "ports[].published": ("ports: [{{target: 1, published: {}}}]", NUMBERS, lambda agent: port(agent).port),
    "volumes[].tmpfs.size": ("volumes: [{{type: tmpfs, target: /a, tmpfs: {{size: {}}}}}]", SIZES,
                             lambda agent: own(agent).tmpfs.get("/a")),
    "secrets[].mode": ("secrets: [{{source: one, mode: {}}}]", {"0400": "0400", "0777": "0777", "07777": "07777"},
                       lambda agent: agent.secrets["one"].mode),
    "configs[].mode": ("configs: [{{source: one, mode: {}}}]", {"0400": "0400", "0777": "0777", "07777": "07777"},
                       lambda agent: agent.configs["one"].mode),
    "deploy.replicas": (below("deploy", "replicas"), NUMBERS, lambda agent: agent.replicas),
    "deploy.resources.limits.cpus": (below("deploy", "resources", "limits", "cpus"), CPUS,
                                     lambda agent: agent.limits.cpu),
    "deploy.resources.limits.memory": (below("deploy", "resources", "limits", "memory"), SIZES,
                                       lambda agent: agent.limits.memory),
    "deploy.resources.limits.pids": (below("deploy", "resources", "limits", "pids"),
                                     {"1": 1, "0": 0, "5000000": 5_000_000}, lambda agent: agent.limits.pids),
    "deploy.resources.reservations.cpus": (below("deploy", "resources", "reservations", "cpus"), CPUS,
                                           lambda agent: agent.resources.cpu),
    "deploy.resources.reservations.memory": (below("deploy", "resources", "reservations", "memory"), SIZES,
                                             lambda agent: agent.resources.memory),
    "deploy.restart_policy.delay": (below("deploy", "restart_policy", "delay"), TIMES,
                                    lambda agent: agent.restart.backoff),
    "deploy.restart_policy.window": (below("deploy", "restart_policy", "window"), TIMES,
                                     lambda agent: agent.restart.reset_after),
    "deploy.restart_policy.max_attempts": (below("deploy", "restart_policy", "max_attempts"), NUMBERS | {"0": None},
                                           lambda agent: given_up(agent)),
    "deploy.update_config.parallelism": (below("deploy", "update_config", "parallelism"), NUMBERS | {"0": 100_000},
                                         lambda agent: agent.update.max_unavailable),
    "deploy.update_config.monitor": (below("deploy", "update_config", "monitor"), TIMES,
                                     lambda agent: agent.update.min_healthy),
    "restart": (below("restart"), {"on-failure:0": None, "on-failure:3": 3, "on-failure:12345678": 12345678},
                lambda agent: given_up(agent)),
    "logging.options": ("logging: {{options: {{max-size: {}}}}}", SIZES, lambda agent: agent.logs.max_file),
    "logging.options ": ("logging: {{options: {{max-file: {}}}}}", NUMBERS, lambda agent: agent.logs.max_files),
}  # fmt: skip
NO_QUANTITY = {
    "version", "name", "annotations", "environment", "labels", "user", "extra_hosts", "sysctls", "ports[].name",
    "stop_signal", "platform", "group_add", "env_file[].required", "depends_on.*.required", "tty", "stdin_open", "init",
    "read_only",
    "healthcheck.disable", "volumes[].read_only", "volumes[].volume.nocopy", "ulimits", "command", "entrypoint",
}  # fmt: skip
"""Texts and truths, of which a number is one way to write them."""
TIMED = {
    "healthcheck.interval", "healthcheck.timeout", "stop_grace_period", "deploy.restart_policy.delay",
    "deploy.restart_policy.window", "deploy.update_config.monitor",
}  # fmt: skip
"""Durations, which the schema has as texts."""


def imported(folder: Path, service: str) -> Imported:
    file = folder / "compose.yaml"
    file.write_text(
        f"name: shop\nservices:\n  web:\n    image: nginx\n    {service}\n"
        "secrets: {one: {environment: A}}\nconfigs: {one: {content: a}}\n"
    )
    return import_compose([str(file)], {"A": "a"})


def cases() -> Iterator[Any]:
    for key, (text, values, get) in CASES.items():
        for written, expected in values.items():
            yield pytest.param(key.strip(), text.format(written), expected, get, id=f"{key.strip()}={written}")


@pytest.mark.parametrize(("key", "text", "expected", "get"), list(cases()))
def test_a_number_is_carried_over_as_it_is_or_named(
    tmp_path: Path, key: str, text: str, expected: object, get: Get
) -> None:
    first, last = key.partition(".")[0].removesuffix("[]"), key.replace("[]", "").rpartition(".")[2]
    try:
        made = imported(tmp_path, text)
    except ManifestError as error:
        refused = error.faults
    else:
        if not any(one.key.startswith(f"services.web.{first}") for one in made.losses):
            assert get(made.agents[0]) == expected, f"{key}: {text!r} is another value here, and no loss says so"
        return
    assert all(last in str(fault) for fault in refused), refused


def numeric(schema: dict[str, Any], path: str) -> Iterator[str]:
    """The keys of a schema that may hold a number or a duration, as patterns."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rsplit("/", 1)[-1]
        if name not in ("service", "list_or_dict", "list_of_strings"):
            yield from numeric(specification()["$defs"][name], path)
    types = schema.get("type", [])
    if {"number", "integer"} & set([types] if isinstance(types, str) else types) or path in TIMED:
        yield path
    for word in ("oneOf", "anyOf", "allOf"):
        for one in cast("list[dict[str, Any]]", schema.get(word, [])):
            yield from numeric(one, path)
    for key, one in cast("dict[str, dict[str, Any]]", schema.get("properties", {})).items():
        yield from numeric(one, f"{path}.{key}".lstrip("."))
    for pattern, one in cast("dict[str, dict[str, Any]]", schema.get("patternProperties", {})).items():
        if pattern != "^x-":
            yield from numeric(one, f"{path}.*" if one.get("type") == "object" or "oneOf" in one else path)
    if isinstance(schema.get("items"), dict):
        yield from numeric(schema["items"], f"{path}[]")


def test_every_number_has_its_case() -> None:
    service = specification()["$defs"]["service"]
    known = set(every_key())
    found = {key for key in numeric(service, "") if f"services.*.{key}" in known}
    carried = {key for key in found if (fate := fate_of_pattern(f"services.*.{key}")) and fate.kind == "carried"}
    assert carried - {key.strip() for key in CASES} - NO_QUANTITY == set()
    assert {"mem_limit", "pids_limit", "healthcheck.interval", "ports[].target"} <= carried, "the walk finds them"
