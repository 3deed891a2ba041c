"""The settings as Nexus and node of this machine have them: with the flags that `up` keeps for them, which no file and
no variable tells of."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from omnitide.cli.fabric import kept, told
from omnitide.cli.fabric.layout import layout_of
from omnitide.cli.fabric.memory import recall
from omnitide.cli.session import load_settings
from omnitide.config.sources import Origin

if TYPE_CHECKING:
    from omnitide.cli.session import Session
    from omnitide.config import Loaded

KEPT: Final = "kept by up"
NAME_VARIABLE: Final = "OMNITIDE_NODE_NAME"


class InForce(NamedTuple):
    loaded: "Loaded"
    got: dict[str, str]
    """By key of a port that may be any (0): the one that Nexus has now."""
    waiting: tuple[str, ...]
    """What the next `up` would restart Nexus or node for, in words."""


def in_force(session: "Session") -> InForce:
    """Raises Failure where the settings cannot be read."""
    layout = layout_of(session)
    nexus, node = kept.kept(layout, "nexus"), kept.kept(layout, "node")
    # As `up` chooses: what was not ended goes on as it was told, what was ended as it last came up.
    flags = told.flags_of(nexus.arguments) if nexus.wanted else recall(layout).flags
    named = str(Path(session.options.config).expanduser().absolute()) if session.options.config else ""
    given = told.values_of(flags)
    config = named or told.config_of(flags) or kept.told_config(node.arguments)
    loaded = load_settings(config, session.options.data, given)

    origins = {key: Origin("flag", f"{told.FLAGS[key]}, {KEPT}") for key in given}
    settings = loaded.settings
    name = node.told.get(NAME_VARIABLE, "")
    if name and settings.node.name != name:
        settings = replace(settings, node=replace(settings.node, name=name))
        origins["node.name"] = Origin("environment", f"{NAME_VARIABLE}, {KEPT}")

    ready = layout.ready() if nexus.alive else None
    ports = told.ports_of(ready) if ready is not None else {}
    got = {key: port for key, port in ports.items() if port and told.texts_of("nexus", settings)[key] == "0"}
    waiting: dict[str, None] = {}
    for part, one in (("nexus", nexus), ("node", node)):
        if one.alive:
            other = bool(named) and named != kept.told_config(one.arguments)
            after = told.texts_of(part, loaded.settings)
            waiting |= dict.fromkeys(told.changes(one.settings, after, ready, other_file=other))
    return InForce(replace(loaded, settings=settings, origins={**loaded.origins, **origins}), got, tuple(waiting))
