"""What Nexus and node proxy are told when they are started, and whether a restart would change anything."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from omnitide.cli.session import load_settings

if TYPE_CHECKING:
    from omnitide.cli.fabric.layout import Ready
    from omnitide.config.settings import Settings

Flags = dict[str, tuple[str, ...]]
"""By flag, with its values: `--listen`, `--public-name`."""

_KEYS: Final = {
    "--listen": "nexus.listen",
    "--api-port": "nexus.api_port",
    "--node-port": "nexus.node_port",
    "--grpc-port": "nexus.grpc_port",
    "--public-name": "nexus.public_names",
}
FLAGS: Final = {key: flag for flag, key in _KEYS.items()}
_SECTIONS: Final = {
    "nexus": ("nexus", "lease", "log", "limits", "snapshots", "panel", "metrics", "otel"),
    "node": ("node", "log", "limits", "metrics", "otel"),
}
_TELEMETRY: Final = "OTEL_"
_PLACES: Final = {"nexus.api_port": "url", "nexus.node_port": "node_endpoint", "nexus.grpc_port": "grpc_endpoint"}
"""Which of the addresses of a running Nexus tells which port it got."""


def flags_of(arguments: Sequence[str]) -> Flags:
    """Pairs of flag and value, as words of a command line."""
    found: Flags = {}
    for flag, value in zip(arguments[::2], arguments[1::2], strict=False):
        found[flag] = (*found.get(flag, ()), value)
    return found


def config_of(flags: Flags) -> str:
    return flags.get("--config", ("",))[-1]


def words_of(flags: Flags) -> list[str]:
    return [word for flag, values in flags.items() for value in values for word in (flag, value)]


def values_of(flags: Flags) -> dict[str, object]:
    """What flags set, by key."""
    return {
        _KEYS[flag]: values if flag == "--public-name" else values[-1]
        for flag, values in flags.items()
        if flag in _KEYS
    }


def settings_of(name: str, flags: Flags) -> dict[str, str]:
    """The settings that a start with these flags would bring into force, as text. Raises Failure."""
    return texts_of(name, load_settings(config_of(flags), flags=values_of(flags)).settings)


def texts_of(name: str, settings: "Settings") -> dict[str, str]:
    """Those that concern Nexus or the node, as text."""
    from omnitide.config.fields import catalogue

    return {
        key: str(getattr(getattr(settings, field.section), field.name))
        for key, field in catalogue().items()
        # Folders are the caller's affair.
        if field.section in _SECTIONS[name] and field.name != "data_dir"
    }


def ports_of(ready: "Ready") -> dict[str, str]:
    """The ports that a running Nexus got, by key; empty for one that it does not tell."""
    return {key: getattr(ready, place).rpartition(":")[2] for key, place in _PLACES.items()}


def telemetry_changes(before: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    """The standard's variables for OpenTelemetry that are given otherwise than a process was started with, in words;
    one that is not given stays as it was. Their values may be keys of others' services, and are not told."""
    return [
        f"{key} {'(set)' if before.get(key) else '(none)'} -> (as set now)"
        for key, value in sorted(given.items())
        if key.startswith(_TELEMETRY) and value and before.get(key, "") != value
    ]


def changes(
    before: Mapping[str, str], after: Mapping[str, str], ready: "Ready | None" = None, *, other_file: bool = False
) -> list[str]:
    """What a restart would change, in words. Any port at all (0) is also the one that Nexus has.

    What is live is taken over from its file without a restart, but not from a file that the process does not know
    (`other_file`).
    """
    from omnitide.config.fields import catalogue

    found: list[str] = []
    for key, wanted in after.items():
        had = before.get(key)
        if catalogue()[key].live and not other_file:
            continue
        if key in _PLACES and ready is not None:
            got = ports_of(ready)[key]
            if wanted in ("0", got):
                continue
            had = got
        if had is not None and had != wanted:
            found.append(f"{key} {had or '(none)'} -> {wanted or '(none)'}")
    return found
