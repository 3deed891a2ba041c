"""What an instance finds when it starts: files that are fetched, volumes, secrets and configuration."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from omnitide.model.names import EnvironmentKey, Name
from omnitide.model.part import Part, PathText

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$(?!\n)"
Digest = Annotated[str, Meta(pattern=DIGEST_PATTERN, description="sha256:<64 hex digits>.")]
FileMode = Annotated[str, Meta(pattern=r"^0?[0-7]{3}$(?!\n)", description="Octal, as for chmod: 0400.")]
INSIDE: Final = {"secrets": "/run/secrets", "configs": "/run/configs"}
"""Where files of secrets and configs are in a container or a module, which see paths of their own."""
VALUES_CHANGED: Final = "values-changed"
"""Cause of the end of a run that was stopped so that the next one has a newer secret or config; the message says of
which."""
Signal = Literal["SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"]


class Artifact(Part, frozen=True, kw_only=True):
    """A file or archive that is in the instance's directory before it starts."""

    source: Annotated[str, Meta(pattern=r"^(https?://[^\s]+|sha256:[0-9a-f]{64})$(?!\n)", max_length=2048)]
    """A URL, or the digest of a blob of the fabric's own store."""
    checksum: Digest | None = None
    """What a URL must give. Without it any content is taken. A blob's is its `source`."""
    path: PathText = ""
    """Below the instance's directory; empty: the last part of the URL, or the first of the digest. With `unpack`: the
    directory."""
    unpack: bool = False
    """A tar archive (plain, gz, bz2, xz) or a zip."""
    executable: bool = False
    """A file that can be executed. What an archive holds is as the archive says."""


class Volume(Part, frozen=True, kw_only=True):
    """A directory that outlives the instance."""

    target: PathText
    """Where the instance finds it: an absolute path in a container, sandbox or module, else below its directory."""
    source: PathText = ""
    """An absolute path of the node; empty: a volume that the node keeps under `name`."""
    name: Name | None = None
    """Within the namespace; None: the key under which it stands in `volumes`."""
    read_only: bool = False
    nocopy: bool = False
    """Of a volume that the node keeps: a container's begins empty, without what its image has at `target`."""
    on_move: Literal["stay", "empty"] | None = None
    """When the instance has to leave its node. `stay`: it does not, it waits for that node. `empty`: it starts
    elsewhere with what is there. None: `stay` for the node's own volumes, `empty` for paths."""


def stays(volume: Volume) -> bool:
    """Whether what uses it waits for its node, rather than start on another without it."""
    return (volume.on_move or ("empty" if volume.source else "stay")) == "stay"


class SecretUse(Part, frozen=True, kw_only=True):
    """How an instance is given a secret: as a variable, as a file on tmpfs, or both."""

    environment: EnvironmentKey | None = None
    file: PathText = ""
    """Below $OMNITIDE_SECRETS, or an absolute path in a container. Empty with no `environment` either: the secret's
    name."""
    mode: FileMode = "0400"
    on_change: Literal["keep", "replace", "restart"] | Signal = "keep"
    """When the secret gets a new value. `keep`: the next start shows it. `replace`: files are replaced at once.
    A signal: that, and the instance is sent it. `restart`: the instance is restarted. A variable of what runs stays as
    it is whatever happens to files: with `environment` alone it is `keep` or `restart`."""


class ConfigUse(Part, frozen=True, kw_only=True):
    """How an instance is given a piece of configuration that the fabric holds."""

    environment: EnvironmentKey | None = None
    file: PathText = ""
    """Below $OMNITIDE_CONFIGS, or an absolute path in a container. Empty with no `environment` either: its name."""
    mode: FileMode = "0444"
    on_change: Literal["keep", "replace", "restart"] | Signal = "keep"
