"""What an instance's spec asks to be there, as data: from the reconciler to whoever makes it. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from omnitide.model.provisions import Artifact, ConfigUse, SecretUse, Volume
from omnitide.model.spec import WorkloadSpec
from omnitide.node.records import Assignment

SECRETS_VARIABLE: Final = "OMNITIDE_SECRETS"
CONFIGS_VARIABLE: Final = "OMNITIDE_CONFIGS"
Versions = Mapping[str, int]


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """Of one instance."""

    instance: str
    namespace: str
    user: str = ""
    own_paths: bool = False
    """It sees paths of its own: in a container or a module."""
    mounted: bool = False
    """What it is given has to be mounted: so it is in those, and in a sandbox, which shows some of the node's paths."""
    artifacts: tuple[Artifact, ...] = ()
    volumes: Mapping[str, Volume] = {}
    writable: tuple[str, ...] = ()
    """Paths of the node that its sandbox is to let it write to."""
    devices: tuple[str, ...] = ()
    """Of the node, that its container is to be given."""
    secrets: Mapping[str, SecretUse] = {}
    configs: Mapping[str, ConfigUse] = {}
    credentials: str = ""
    """The secret that opens the registry of its image."""

    @property
    def nothing(self) -> bool:
        files = self.artifacts or self.volumes or self.writable or self.devices
        return not (files or self.secrets or self.configs or self.credentials)

    @property
    def laid(self) -> bool:
        """Some of it are files and directories."""
        uses = (*self.secrets.items(), *self.configs.items())
        return bool(self.artifacts or self.volumes) or any(file_name(name, use) for name, use in uses)

    @property
    def values(self) -> bool:
        """Something of it has to be asked of Nexus at each start."""
        return bool(self.secrets or self.configs or self.credentials)


def needs_of(assignment: Assignment, spec: WorkloadSpec) -> Needs:
    return Needs(
        instance=assignment.instance,
        namespace=assignment.namespace,
        user=spec.user,
        own_paths=spec.driver != "process",
        mounted=spec.driver != "process" or spec.isolation == "sandbox",
        artifacts=spec.artifacts,
        volumes=spec.volumes,
        writable=_writable(spec),
        devices=spec.container.devices if spec.container is not None else (),
        secrets=spec.secrets,
        configs=spec.configs,
        credentials=(spec.container.credentials or "") if spec.container is not None else "",
    )


def _writable(spec: WorkloadSpec) -> tuple[str, ...]:
    """Of a sandbox; a plain process has its user's rights. It writes to its directory, also where it names one."""
    if spec.isolation != "sandbox":
        return ()
    return (*spec.sandbox.writable, *((spec.working_directory,) if spec.working_directory else ()))


def file_name(name: str, use: SecretUse | ConfigUse) -> str:
    """Where its file is: below the directory for its kind, or an absolute path; empty if it is no file."""
    return use.file or ("" if use.environment is not None else name)


def missing(assignment: Assignment, spec: WorkloadSpec) -> str:
    """The first secret or config that the spec names and Nexus says there is not; empty if all are there."""
    needs = needs_of(assignment, spec)
    for name in sorted({*needs.secrets, *((needs.credentials,) if needs.credentials else ())}):
        if name not in assignment.secrets:
            return f"secret {assignment.namespace}/{name}"
    for name in sorted(needs.configs):
        if name not in assignment.configs:
            return f"config {assignment.namespace}/{name}"
    return ""


def versions_text(assignment: Assignment) -> str:
    """Versions as a label of a run, by which a later proxy knows what the run was given: `s.db=3 c.nginx=1`."""
    texts = [f"s.{name}={version}" for name, version in sorted(assignment.secrets.items())]
    texts += [f"c.{name}={version}" for name, version in sorted(assignment.configs.items())]
    return " ".join(texts)


def versions_from(text: str) -> dict[str, int]:
    """`s.db` -> 3 of what `versions_text` made; what is no such text says nothing."""
    found: dict[str, int] = {}
    for word in text.split():
        name, _, version = word.rpartition("=")
        if name and version.isascii() and version.isdecimal():
            found[name] = int(version)
    return found


class Change(msgspec.Struct, frozen=True):
    """What has to be done about newer values, for a run that has older ones."""

    replace: bool = False
    """Put the new values in the place of the old ones, in files."""
    signals: tuple[str, ...] = ()
    restart_for: tuple[str, ...] = ()
    """What it is to be restarted for, if anything: `secret db`."""

    @property
    def nothing(self) -> bool:
        return not (self.replace or self.restart_for)


def change_between(given: Mapping[str, int], assignment: Assignment, spec: WorkloadSpec) -> Change:
    """By each one's `on_change`. A secret that was removed leaves what runs as it is, and so does one that is a
    variable alone unless it says `restart`: no signal makes a running program's variable another."""
    replace = False
    restart_for: list[str] = []
    signals: set[str] = set()
    for prefix, uses, present in (("s", spec.secrets, assignment.secrets), ("c", spec.configs, assignment.configs)):
        for name, use in uses.items():
            version = present.get(name)
            if version is None or version == given.get(f"{prefix}.{name}") or use.on_change == "keep":
                continue
            if use.on_change == "restart":
                restart_for.append(f"{'secret' if prefix == 's' else 'config'} {name}")
            elif file_name(name, use):
                replace = True
                if use.on_change != "replace":
                    signals.add(use.on_change)
    return Change(replace=replace, signals=tuple(sorted(signals)), restart_for=tuple(restart_for))
