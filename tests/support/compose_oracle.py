"""What compose-go makes of Compose files against what we do: the same values, whatever form they were written in."""

from collections.abc import Mapping, Sequence
from typing import Any

from omnitide.compose.importing import import_compose
from omnitide.compose.loading import load_project
from omnitide.compose.quantities import NotThat, duration, size, text
from omnitide.compose.tree import Map

PLAIN = (
    "image",
    "user",
    "working_dir",
    "restart",
    "hostname",
    "network_mode",
    "platform",
    "stop_signal",
    "container_name",
)
LISTS = ("command", "entrypoint", "dns", "cap_add", "cap_drop", "tmpfs", "expose", "profiles")
KEYED = ("labels", "sysctls")


def differences(files: Sequence[str], environment: Mapping[str, str], expected: dict[str, Any]) -> list[str]:
    """`expected`: a project as compose-go writes it in JSON. Each difference as a text."""
    project = load_project(files, environment)
    found: list[str] = []

    def same(what: str, ours: object, theirs: object) -> None:
        if ours != theirs:
            found.append(f"{what}: we {ours!r}, they {theirs!r}")

    same("name", project.name, expected["name"])
    agents = {agent.name: agent for agent in import_compose(files, environment).agents}
    services = {name: one for name, one in project.document.map("services").items() if isinstance(one, Map)}
    theirs_all: dict[str, Any] = expected.get("services") or {}
    same("services", sorted(name for name in services if name in agents or "_" in name), sorted(theirs_all))
    for name, theirs in theirs_all.items():
        ours = services[name]
        for key in PLAIN:
            same(f"{name}.{key}", text(ours.get(key)), text(theirs.get(key)))
        for key in LISTS:
            same(
                f"{name}.{key}",
                [text(one) for one in _listed(ours.get(key))],
                [text(one) for one in theirs.get(key) or []],
            )
        for key in KEYED:
            pairs = {one: text(value) for one, value in ours.map(key).items()}
            same(f"{name}.{key}", pairs, theirs.get(key) or {})
        same(f"{name}.ports", _ports(ours.get("ports")), _ports(theirs.get("ports")))
        same(f"{name}.volumes", _volumes(ours.get("volumes")), _volumes(theirs.get("volumes")))
        for key in ("secrets", "configs"):
            same(f"{name}.{key}", _uses(ours.get(key), key), _uses(theirs.get(key), key))
        same(f"{name}.depends_on", _needs(ours.map("depends_on")), _needs(theirs.get("depends_on") or {}))
        networks = sorted(ours.map("networks")) or ([] if ours.get("network_mode") else ["default"])
        same(f"{name}.networks", networks, sorted(theirs.get("networks") or {}))
        same(f"{name}.healthcheck", _health(ours.map("healthcheck")), _health(theirs.get("healthcheck") or {}))
        same(f"{name}.extra_hosts", _hosts(ours.get("extra_hosts")), _hosts(theirs.get("extra_hosts")))
        same(f"{name}.grace", _time(ours.get("stop_grace_period")), _time(theirs.get("stop_grace_period")))
        limits = (theirs.get("deploy") or {}).get("resources", {}).get("limits") or {}
        own = ours.map("deploy").map("resources").map("limits")
        same(f"{name}.limits.memory", _size(own.get("memory")), _size(limits.get("memory")))
        same(
            f"{name}.replicas",
            text(ours.map("deploy").get("replicas")),
            text((theirs.get("deploy") or {}).get("replicas")),
        )
        same(
            f"{name}.logging",
            text(ours.map("logging").get("driver")),
            text((theirs.get("logging") or {}).get("driver")),
        )
        if name in agents:
            variables = {key: value.replace("$$", "$") for key, value in agents[name].environment.items()}
            wanted = {k: v for k, v in (theirs.get("environment") or {}).items() if v is not None and "." not in k}
            same(f"{name}.environment", variables, wanted)
    return found


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _ports(listed: Any) -> list[tuple[str, ...]]:
    keys = ("target", "published", "protocol", "host_ip")
    plain = {"protocol": "tcp"}  # where nothing is said
    return sorted(tuple(text(one.get(key)) or plain.get(key, "") for key in keys) for one in listed or [])


def _volumes(listed: Any) -> list[tuple[str, ...]]:
    keys = ("type", "source", "target")
    return sorted((*(text(one.get(key)) for key in keys), text(bool(one.get("read_only")))) for one in listed or [])


def _uses(listed: Any, kind: str) -> list[tuple[str, str]]:
    folder = "/run/secrets/" if kind == "secrets" else "/"
    return sorted(
        (text(one["source"]), (text(one.get("target")) or text(one["source"])).removeprefix(folder))
        for one in listed or []
    )


def _needs(waits: Mapping[str, Any]) -> dict[str, str]:
    return {name: text(how.get("condition")) for name, how in waits.items()}


def _health(health: Mapping[str, Any]) -> dict[str, object]:
    times = {key: _time(health.get(key)) for key in ("interval", "timeout", "start_period")}
    return {"test": _listed(health.get("test")), "retries": text(health.get("retries")), **times}


def _hosts(listed: Any) -> list[str]:
    return sorted(one.replace(":", "=", 1) if "=" not in one else one for one in listed or [])


def _time(value: object) -> int:
    return duration(value) if value else 0


def _size(value: object) -> int:
    try:
        return size(value) if value else 0
    except NotThat:
        return -1
