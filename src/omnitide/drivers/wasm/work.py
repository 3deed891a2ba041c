"""What a zygote's child is told to do: written by the driver and completed by the keeper, read in the child."""

from typing import NamedTuple, cast


class Preopen(NamedTuple):
    """A directory of the node and the path at which the module finds it."""

    source: str
    target: str
    read_only: bool
    firm: bool = False
    """No link may be followed to the source."""


class Work(NamedTuple):
    compiled: str
    """The compiled module's file."""
    component: bool
    arguments: list[str]
    """The module's name first."""
    preopens: list[Preopen]
    memory_bytes: int
    """Most size of the module's memory; 0: none."""
    environment: dict[str, str]
    """What the launch gives and nothing else: neither a PATH nor the mark by which the keeper knows processes."""
    directory: str
    private_directory: bool
    identity: tuple[int, int, list[int]] | None
    """User, group and further groups."""
    open_files: tuple[int, int]
    dies_with_keeper: bool
    groups: int
    """Files of control groups that came with it."""


def parse(fields: dict[str, object]) -> Work:
    identity = cast("tuple[int, int, list[int]] | None", fields["identity"])
    return Work(
        compiled=str(fields["compiled"]),
        component=bool(fields["component"]),
        arguments=cast("list[str]", fields["arguments"]),
        preopens=[Preopen(*item) for item in cast("list[tuple[str, str, bool, bool]]", fields["preopens"])],
        memory_bytes=cast("int", fields["memory_bytes"]),
        environment=cast("dict[str, str]", fields["variables"]),
        directory=str(fields["directory"]),
        private_directory=bool(fields["private_directory"]),
        identity=identity,
        open_files=cast("tuple[int, int]", tuple(cast("list[int]", fields["open_files"]))),
        dies_with_keeper=bool(fields["dies_with_keeper"]),
        groups=cast("int", fields["groups"]),
    )
