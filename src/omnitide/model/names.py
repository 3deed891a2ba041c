"""The grammar of names and labels. One place, so that every surface refuses the same things with the same words."""

import re
from typing import Annotated

from msgspec import Meta

NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$(?!\n)"
"""Lower-case letters, digits and inner hyphens, a letter first, 40 at most: a DNS label with room for `-slot.gen`."""

LABEL_KEY_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?$(?!\n)"
LABEL_VALUE_PATTERN = r"^[A-Za-z0-9._:/+@-]{0,128}$(?!\n)"
ENVIRONMENT_KEY_PATTERN = r"^[A-Za-z_]([A-Za-z0-9_.-]{0,126}[A-Za-z0-9_])?$(?!\n)"
"""Wider than what a shell takes: images are configured by `discovery.type`. `${NAME}` refers to none with . or -."""
ID_PATTERN = r"^[a-z0-9][a-z0-9.-]{0,79}$(?!\n)"

RULES = {
    NAME_PATTERN: "lower-case letters, digits and inner hyphens, a letter first, 1 to 40 characters",
    LABEL_KEY_PATTERN: "letters, digits and inner _ . / -, 1 to 63 characters",
    LABEL_VALUE_PATTERN: "letters, digits and . _ : / + @ -, 128 characters at most",
    ENVIRONMENT_KEY_PATTERN: "letters, digits, _ and inner . -, no digit first, 1 to 128 characters",
    ID_PATTERN: "lower-case letters, digits, . and -, 1 to 80 characters",
}
"""Each pattern in words, for error messages."""

Name = Annotated[str, Meta(pattern=NAME_PATTERN, description="Lower-case letters, digits, inner hyphens; 1 to 40.")]
Id = Annotated[str, Meta(pattern=ID_PATTERN)]
LabelKey = Annotated[str, Meta(pattern=LABEL_KEY_PATTERN)]
LabelValue = Annotated[str, Meta(pattern=LABEL_VALUE_PATTERN)]
EnvironmentKey = Annotated[str, Meta(pattern=ENVIRONMENT_KEY_PATTERN)]

_NAME = re.compile(NAME_PATTERN)


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def suggest_name(text: str) -> str:
    """The nearest valid name, for error messages; empty if nothing of it can be kept."""
    kept = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")
    kept = re.sub(r"^[^a-z]+", "", kept)[:40].strip("-")
    return kept if is_name(kept) else ""


def called(namespace: str, name: str) -> str:
    """What a command takes for it, whatever its --namespace: `hello`, or `team/hello` outside of the default one."""
    return name if namespace == "default" else f"{namespace}/{name}"


def instance_name(workload: str, slot: int, generation: int) -> str:
    """`hello-2.1`: agent or job, slot, generation."""
    return f"{workload}-{slot}.{generation}"
