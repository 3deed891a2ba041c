"""Every key of the specification, and what becomes of it here. The reference page is made of this table, and so is what
the importer says of keys that it does not carry over."""

import functools
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from omnitide.compose.tree import Path


class Fate(NamedTuple):
    kind: Literal["carried", "noted", "lost"]
    text: str
    """What it becomes, or why it does not."""


_ENGINE: Final = "the engine's own; no driver here passes it on"
_BUILT: Final = "images are not built here: build it and push it, or load it on the nodes"
_SWARM: Final = "belongs to Swarm"
_OWNER: Final = "the file belongs to whom the node gives it: with mode 0444 anyone in the container reads it"

_CARRIED: Final[Mapping[str, str]] = {
    "name": "the name of the network, of `together`, of built images and the label compose.project",
    "include": "the files are read and merged, each with its own folder and variables",
    "include[].path": "the file, and others that change it",
    "include[].project_directory": "where its relative paths begin",
    "include[].env_file": "what its variables are taken from",
    "services": "an agent each",
    "services.*.image": "container.image",
    "services.*.command": "command; a text is split as a shell would",
    "services.*.entrypoint": "container.entrypoint; an empty one takes away the image's",
    "services.*.environment": "environment; a name alone takes its value from where the import runs",
    "services.*.env_file": "read at the import, and put into environment",
    "services.*.env_file[].path": "the file",
    "services.*.env_file[].required": "false: it need not be there",
    "services.*.env_file[].format": "raw, or that of Compose",
    "services.*.extends": "what is extended is merged in",
    "services.*.extends.service": "the service that is extended",
    "services.*.extends.file": "the file that it is in",
    "services.*.profiles": "services whose profiles are not asked for are left out",
    "services.*.user": "user",
    "services.*.group_add": "container.groups",
    "services.*.working_dir": "working_directory",
    "services.*.read_only": "container.read_only",
    "services.*.cap_add": "container.capabilities: the engine's default ones and these",
    "services.*.cap_drop": "container.capabilities: without these",
    "services.*.tmpfs": "container.tmpfs",
    "services.*.shm_size": "container.shm_size",
    "services.*.ulimits": "container.ulimits",
    "services.*.ulimits.*.soft": "container.ulimits.<name>.soft",
    "services.*.ulimits.*.hard": "container.ulimits.<name>.hard",
    "services.*.sysctls": "container.sysctls",
    "services.*.devices": "container.devices",
    "services.*.devices[].source": "the node's device; a loss unless nodes give it by themselves, as /dev/null",
    "services.*.devices[].target": "what the container calls it",
    "services.*.extra_hosts": "container.extra_hosts",
    "services.*.dns": "container.dns",
    "services.*.hostname": "container.hostname",
    "services.*.init": "container.init; false where nothing is said, as in Compose",
    "services.*.stdin_open": "container.stdin_open",
    "services.*.tty": "container.tty",
    "services.*.stop_signal": "stop.signal",
    "services.*.stop_grace_period": "stop.grace, a day at most",
    "services.*.pre_stop": "stop.pre_stop: one command, as the user that the instance has",
    "services.*.pre_stop[].command": "stop.pre_stop",
    "services.*.logging": "logs",
    "services.*.logging.driver": "json-file and local are what is kept here",
    "services.*.logging.options": "max-size is logs.max_file, max-file is logs.max_files",
    "services.*.network_mode": "container.network: bridge, host or none",
    "services.*.networks.*.aliases": "container.aliases",
    "services.*.networks": "container.network: one network for all services that share any, and `together`",
    "services.*.platform": "constraints on `os` and `arch`",
    "services.*.pull_policy": "container.pull: always, missing or never",
    "services.*.labels": "labels, as far as they fit a label here",
    "services.*.label_file": "read at the import, and put into labels",
    "services.*.healthcheck": "health.readiness, a probe of type exec",
    "services.*.healthcheck.test": "health.readiness.command",
    "services.*.healthcheck.interval": "health.readiness.interval, 30s if not said, 100 ms at least",
    "services.*.healthcheck.timeout": "health.readiness.timeout, 30s if not said, ten minutes at most",
    "services.*.healthcheck.retries": "health.readiness.failure_threshold",
    "services.*.healthcheck.disable": "no probe",
    "services.*.depends_on": "needs",
    "services.*.depends_on.*.condition": "needs: started, ready or completed",
    "services.*.depends_on.*.required": "false: a service that is left out is not waited for",
    "services.*.ports": "ports, named by protocol and number",
    "services.*.ports[].name": "the port's name",
    "services.*.ports[].target": "ports.<name>.target",
    "services.*.ports[].published": "ports.<name>.port; none: any free one; of a range, the first that is left",
    "services.*.ports[].host_ip": "ports.<name>.host_ip",
    "services.*.ports[].protocol": "ports.<name>.protocol: tcp or udp",
    "services.*.volumes": "volumes; tmpfs: container.tmpfs",
    "services.*.volumes[].type": "volume, bind or tmpfs",
    "services.*.volumes[].source": "a named volume, or a path of the node; a loss where the system keeps its own",
    "services.*.volumes[].target": "volumes.<name>.target",
    "services.*.volumes[].read_only": "volumes.<name>.read_only",
    "services.*.volumes[].volume.nocopy": "volumes.<name>.nocopy",
    "services.*.volumes[].tmpfs": "container.tmpfs",
    "services.*.volumes[].tmpfs.size": "its size",
    "services.*.secrets": "secrets, as files in /run/secrets",
    "services.*.secrets[].source": "the secret's name",
    "services.*.secrets[].target": "secrets.<name>.file",
    "services.*.secrets[].mode": "secrets.<name>.mode, 0444 if not said",
    "services.*.configs": "configs, as files in /",
    "services.*.configs[].source": "the config's name",
    "services.*.configs[].target": "configs.<name>.file",
    "services.*.configs[].mode": "configs.<name>.mode, 0444 if not said",
    "services.*.restart": "restart; `no` where nothing is said, as in Compose; on-failure:N: attempts N, reschedules 0",
    "services.*.scale": "replicas",
    "services.*.cpus": "limits.cpu",
    "services.*.cpu_quota": "limits.cpu, together with cpu_period",
    "services.*.cpu_period": "limits.cpu, together with cpu_quota",
    "services.*.mem_limit": "limits.memory, 6 MiB at least",
    "services.*.mem_reservation": "resources.memory",
    "services.*.pids_limit": "limits.pids",
    "services.*.deploy": "see below",
    "services.*.deploy.replicas": "replicas",
    "services.*.deploy.labels": "labels",
    "services.*.deploy.mode": "replicated is what there is",
    "services.*.deploy.resources": "resources and limits",
    "services.*.deploy.resources.limits": "limits",
    "services.*.deploy.resources.limits.cpus": "limits.cpu",
    "services.*.deploy.resources.limits.memory": "limits.memory, 6 MiB at least",
    "services.*.deploy.resources.limits.pids": "limits.pids",
    "services.*.deploy.resources.reservations": "resources",
    "services.*.deploy.resources.reservations.cpus": "resources.cpu",
    "services.*.deploy.resources.reservations.memory": "resources.memory",
    "services.*.deploy.restart_policy": "restart",
    "services.*.deploy.restart_policy.condition": "restart.policy",
    "services.*.deploy.restart_policy.delay": "restart.backoff",
    "services.*.deploy.restart_policy.max_attempts": "restart.attempts, and reschedules 0: it is given up after them",
    "services.*.deploy.restart_policy.window": "restart.reset_after",
    "services.*.deploy.update_config": "update",
    "services.*.deploy.update_config.parallelism": "update.max_unavailable, or update.max_surge with start-first",
    "services.*.deploy.update_config.order": "update.max_surge with start-first",
    "services.*.deploy.update_config.monitor": "update.min_healthy",
    "services.*.deploy.update_config.failure_action": "update.on_failure: pause and rollback, not continue",
    "services.*.deploy.placement": "constraints",
    "services.*.deploy.placement.constraints": "constraints: node.hostname, node.platform.* and node.labels.*",
    "volumes": "volumes of the nodes",
    "volumes.*.name": "the volume's name",
    "secrets": "secrets that have to be created: the commands are told, --apply runs them",
    "secrets.*.name": "the secret's name",
    "secrets.*.file": "where its value is",
    "secrets.*.environment": "the variable that its value is in",
    "secrets.*.external": "it is there already",
    "secrets.*.external.name": "its name",
    "configs": "configs that have to be created: the commands are told, --apply runs them",
    "configs.*.name": "the config's name",
    "configs.*.file": "where its value is",
    "configs.*.environment": "the variable that its value is in",
    "configs.*.content": "its value",
    "configs.*.external": "it is there already",
    "configs.*.external.name": "its name",
    "networks": "see services.*.networks",
}  # fmt: skip

_NOTED: Final[Mapping[str, str]] = {
    "version": "means nothing, in Compose either",
    "services.*.container_name": "a further name on its network: agents are called as the service is",
    "services.*.expose": "needs nothing: services on one network reach every port of each other",
    "services.*.attach": "is for `compose up` in a terminal",
    "services.*.develop": "is for `compose watch`",
    "services.*.healthcheck.start_period": "needs nothing: an instance is not ready before its first success, however "
    "long that takes, and is not restarted for it",
    "services.*.healthcheck.start_interval": "needs nothing: until its first success a probe is asked sooner than its "
    "interval, after 50, 100, 200 ms and so on",
    "services.*.links": "what is linked is waited for, and called so by all on the network that the two share",
    "services.*.networks.*.priority": "there is one network",
    "services.*.networks.*.gw_priority": "there is one network",
    "services.*.ports[].app_protocol": "is a hint for others, and read by nothing here",
    "services.*.ports[].mode": "a port is open on the node that the instance is on",
    "services.*.volumes[].bind": "see below",
    "services.*.volumes[].bind.create_host_path": "the path has to be there on the node",
    "services.*.volumes[].consistency": "means nothing on Linux",
    "services.*.volumes[].volume": "see below",
    "services.*.deploy.endpoint_mode": _SWARM + ": names of services lead to their instances",
    "networks.*.name": "the network is called as the project is",
    "networks.*.driver": "there is one kind of network here",
    "networks.*.attachable": "any agent of the namespace can name the network",
    "networks.*.labels": "networks have no labels here",
    "networks.*.enable_ipv4": "is as the engine has it",
    "volumes.*.driver": "local is what there is",
    "volumes.*.labels": "volumes have no labels here",
    "volumes.*.external": "has to be there on the node, else it is made",
    "volumes.*.external.name": "the volume's name",
    "secrets.*.labels": "secrets have no labels here",
    "configs.*.labels": "configs have no labels here",
}  # fmt: skip

_LOST: Final[Mapping[str, str]] = {
    "jobs": "jobs with triggers are not carried over: run them by `omnitide run`, at times that something else keeps",
    "models": "language models are not run here",
    "services.*.annotations": _ENGINE,
    "services.*.blkio_config": "there are no limits on disks here",
    "services.*.build": _BUILT,
    "services.*.cgroup": "an instance's cgroup is the node's affair",
    "services.*.cgroup_parent": "an instance's cgroup is the node's affair",
    "services.*.cpu_count": "is for Windows",
    "services.*.cpu_percent": "is for Windows",
    "services.*.cpu_rt_period": _ENGINE,
    "services.*.cpu_rt_runtime": _ENGINE,
    "services.*.cpu_shares": "there are no relative weights here: resources.cpu sets aside, limits.cpu limits",
    "services.*.cpuset": "instances are not tied to processors",
    "services.*.credential_spec": "is for Windows",
    "services.*.device_cgroup_rules": _ENGINE,
    "services.*.devices[].permissions": "a device is given whole",
    "services.*.dns_opt": _ENGINE,
    "services.*.dns_search": _ENGINE,
    "services.*.domainname": _ENGINE,
    "services.*.external_links": "containers that are no agents cannot be linked",
    "services.*.gpus": "GPUs are not handed to containers yet",
    "services.*.ipc": "instances share no memory with others or with the node",
    "services.*.isolation": "is for Windows",
    "services.*.mac_address": _ENGINE,
    "services.*.mem_swappiness": _ENGINE,
    "services.*.memswap_limit": _ENGINE,
    "services.*.models": "language models are not run here",
    "services.*.networks.*.driver_opts": _ENGINE,
    "services.*.networks.*.interface_name": _ENGINE,
    "services.*.networks.*.ipv4_address": "addresses are the engine's choice: reach it by name",
    "services.*.networks.*.ipv6_address": "addresses are the engine's choice: reach it by name",
    "services.*.networks.*.link_local_ips": "addresses are the engine's choice",
    "services.*.networks.*.mac_address": _ENGINE,
    "services.*.networks.*.use_service_name_alias": "an agent has its own name on its network always",
    "services.*.oom_kill_disable": "what passes its memory limit is ended",
    "services.*.oom_score_adj": _ENGINE,
    "services.*.pid": "instances do not see the processes of others or of the node",
    "services.*.post_start": "nothing is run after a start: let the command do it",
    "services.*.pre_start": "nothing is run before a start: let the command do it, or a service that is waited for",
    "services.*.pre_stop[].environment": "the hook has the instance's environment",
    "services.*.pre_stop[].privileged": "no instance is privileged",
    "services.*.pre_stop[].user": "the hook runs as the instance does",
    "services.*.pre_stop[].working_dir": "the hook runs where the instance does",
    "services.*.privileged": "no instance is privileged: name the capabilities and devices that it needs",
    "services.*.provider": "what is no container is not run",
    "services.*.pull_refresh_after": "images are not pulled again by time",
    "services.*.runtime": "the node's engine has its own runtime",
    "services.*.security_opt": "profiles and labels of the kernel's security modules are the engine's own",
    "services.*.storage_opt": _ENGINE,
    "services.*.umask": _ENGINE,
    "services.*.use_api_socket": "the engine's socket is not handed to instances",
    "services.*.userns_mode": "the user namespace is the engine's choice",
    "services.*.uts": "instances have a host name of their own",
    "services.*.volumes[].bind.propagation": "mounts within the path are not passed on",
    "services.*.volumes[].bind.recursive": _ENGINE,
    "services.*.volumes[].bind.selinux": "files are not relabelled",
    "services.*.volumes[].image": "an image is not mounted as a volume",
    "services.*.volumes[].tmpfs.mode": "the mode is the engine's",
    "services.*.volumes[].volume.labels": "volumes have no labels here",
    "services.*.volumes[].volume.subpath": "a volume is mounted whole",
    "services.*.volumes_from": "name the volumes themselves",
    "services.*.secrets[].uid": _OWNER,
    "services.*.secrets[].gid": _OWNER,
    "services.*.configs[].uid": _OWNER,
    "services.*.configs[].gid": _OWNER,
    "services.*.depends_on.*.restart": "a service is not restarted because another was",
    "services.*.deploy.placement.max_replicas_per_node": "replicas are spread, without a limit a node",
    "services.*.deploy.placement.preferences": "replicas are spread over nodes, not over labels",
    "services.*.deploy.resources.reservations.devices": "devices and GPUs are not set aside for containers yet",
    "services.*.deploy.resources.reservations.generic_resources": _SWARM,
    "services.*.deploy.rollback_config": "a rollback is made as an update is",
    "services.*.deploy.update_config.delay": "the next replica follows once the last one is well",
    "services.*.deploy.update_config.max_failure_ratio": "the first failure halts a rollout",
    "networks.*.driver_opts": _ENGINE,
    "networks.*.enable_ipv6": "is as the engine has it",
    "networks.*.external": "networks that others made are not joined: the services get one of their own",
    "networks.*.external.name": "networks that others made are not joined",
    "networks.*.internal": "a network here leads outside too",
    "networks.*.ipam": "addresses are the engine's choice",
    "secrets.*.driver": _SWARM,
    "secrets.*.driver_opts": _SWARM,
    "secrets.*.template_driver": _SWARM,
    "configs.*.template_driver": _SWARM,
    "volumes.*.driver_opts": "a volume is a directory of its node: mount what it stands for there, and name that path",
}  # fmt: skip

_TABLE: Final[dict[str, Fate]] = {
    **{key: Fate("carried", text) for key, text in _CARRIED.items()},
    **{key: Fate("noted", text) for key, text in _NOTED.items()},
    **{key: Fate("lost", text) for key, text in _LOST.items()},
}
_CHOSEN: Final = {
    ("services",), ("jobs",), ("networks",), ("volumes",), ("secrets",), ("configs",), ("models",),
    ("services", "*", "networks"), ("services", "*", "depends_on"), ("services", "*", "ulimits"),
    ("services", "*", "models"), ("services", "*", "build", "ulimits"),
}  # fmt: skip
"""Below these, keys are names that people choose."""


def pattern_of(path: Path) -> str:
    """`services.web.ports[3].target` as `services.*.ports[].target`."""
    steps: list[str] = []
    made = ""
    for step in path:
        if isinstance(step, int):
            made += "[]"
            continue
        step = "*" if tuple(steps) in _CHOSEN else step
        steps.append(step)
        made += f".{step}" if made else step
    return made


@functools.cache
def fate_of_pattern(pattern: str) -> Fate | None:
    """Its own, or that of the nearest key above it, where that is lost or noted whole; None: it has none."""
    own = _TABLE.get(pattern)
    if own is not None:
        return own
    above = pattern
    while "." in above or above.endswith("[]"):
        above = above.removesuffix("[]") if above.endswith("[]") else above.rpartition(".")[0]
        found = _TABLE.get(above)
        if found is not None:
            return found if found.kind != "carried" else None
    return None


def fate_of(path: Path) -> Fate:
    """What becomes of a key of a document; what the table does not know is lost."""
    return fate_of_pattern(pattern_of(path)) or Fate("lost", "is not known here")
