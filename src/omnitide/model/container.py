"""What only containers have, and what only WebAssembly modules and sandboxed processes have."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from omnitide.model.names import Name
from omnitide.model.part import Part, PathText, Text
from omnitide.model.quantity import Bytes

IMAGE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,511}$(?!\n)"
Image = Annotated[
    str,
    Meta(pattern=IMAGE_PATTERN, description="name, name:tag or name@sha256:digest, registry first if not the default."),
]
Capability = Annotated[str, Meta(pattern=r"^(default|[A-Z][A-Z_]{1,40})$(?!\n)")]
HostName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?$(?!\n)")]
UlimitName = Annotated[str, Meta(pattern=r"^[a-z]{2,20}$(?!\n)")]
Most = Annotated[int, Meta(ge=-1, le=2**53)]
"""-1: as much as there is."""


class Ulimit(Part, frozen=True, kw_only=True):
    soft: Most
    """What holds for a program until it asks for more."""
    hard: Most
    """As far as it may ask."""


class Container(Part, frozen=True, kw_only=True):
    """For the driver `docker`. The spec's `command` takes the place of the image's own; `working_directory` and `user`
    are within the container."""

    image: Image
    entrypoint: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()
    """Empty: the image's own. One empty text: none."""
    pull: Literal["missing", "always", "never"] = "missing"
    credentials: Name | None = None
    """The secret that holds `user:password` for the image's registry."""
    network: Annotated[str, Meta(pattern=r"^(bridge|host|none|[a-z]([a-z0-9-]{0,38}[a-z0-9])?)$(?!\n)")] = "bridge"
    """`bridge`, `host`, `none`, or the name of a network of this namespace: its containers on one node reach each other
    by their agents' names."""
    aliases: Annotated[tuple[HostName, ...], Meta(max_length=32)] = ()
    """Further names in the network that `network` names."""
    hostname: Annotated[str, Meta(max_length=64)] = ""
    extra_hosts: Annotated[dict[str, Text], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    dns: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()
    capabilities: Annotated[tuple[Capability, ...], Meta(max_length=64)] = ()
    """All are dropped but these, without CAP_; `default` is the set that the engine gives by itself."""
    read_only: bool = False
    """The container's root file system cannot be written to."""
    tmpfs: Annotated[dict[PathText, Bytes], Meta(max_length=32)] = msgspec.field(default_factory=dict)
    """Path in the container and most size (0: the engine's limit)."""
    shm_size: Bytes = 0
    devices: Annotated[tuple[PathText, ...], Meta(max_length=32)] = ()
    """Of the node, `/dev/x` or `/dev/x:/dev/y`."""
    sysctls: Annotated[dict[str, Text], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    ulimits: Annotated[dict[UlimitName, Most | Ulimit], Meta(max_length=32)] = msgspec.field(default_factory=dict)
    """A number is the soft limit and the hard one."""
    groups: Annotated[tuple[Text, ...], Meta(max_length=64)] = ()
    """Further groups of the user."""
    init: bool = True
    """A small first process reaps what the program leaves behind."""
    tty: bool = False
    stdin_open: bool = False
    """Its input stays open, though nobody writes to it: a program that ends where its input does goes on."""


class Wasm(Part, frozen=True, kw_only=True):
    """For the driver `wasm`. The spec's `command` holds the module's arguments after its name."""

    module: PathText
    """A file: in the instance's directory, where `artifacts` lands, or an absolute path of the node."""


class Sandbox(Part, frozen=True, kw_only=True):
    """For the driver `process` with `isolation = "sandbox"`: its own view of the machine."""

    network: bool = True
    """False: no network but a loopback of its own."""
    writable: Annotated[tuple[PathText, ...], Meta(max_length=32)] = ()
    """Absolute paths of the node that it may write to, besides its own directory and /tmp."""
    hidden: Annotated[tuple[PathText, ...], Meta(max_length=32)] = ()
    """Absolute paths that are empty to it, besides /root, /home and where the node keeps its own."""
