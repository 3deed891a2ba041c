"""Every command with the module that holds it. A module is loaded when its command is called."""

from typing import Final, NamedTuple


class Entry(NamedTuple):
    target: str
    """`module:attribute` below omnitide.cli: a function, or a Typer application with commands of its own."""
    panel: str
    """Heading in the help."""
    foreign_options: bool = False
    """What follows its first argument is another program's, options too."""


COMMANDS: Final[dict[str, Entry]] = {
    "up": Entry("fabric.up:up", "Fabric"),
    "down": Entry("fabric.down:down", "Fabric"),
    "demo": Entry("fabric.demo:demo", "Fabric"),
    "panel": Entry("fabric.panel:panel", "Fabric"),
    "status": Entry("fabric.status:status", "Fabric"),
    "top": Entry("top.top:top", "Fabric"),
    "join": Entry("nodes.join:join", "Fabric"),
    "leave": Entry("nodes.leave:leave", "Fabric"),
    "token": Entry("access.tokens:app", "Fabric"),
    "nodes": Entry("nodes.nodes:app", "Fabric"),
    "drain": Entry("nodes.nodes:drain", "Fabric"),
    "deploy": Entry("agents.deploy:deploy", "Agents"),
    "apply": Entry("agents.apply:apply", "Agents"),
    "import": Entry("agents.import_compose:app", "Agents"),
    "agents": Entry("agents.agents:agents", "Agents"),
    "scale": Entry("agents.change:scale", "Agents"),
    "restart": Entry("agents.change:restart", "Agents"),
    "rollout": Entry("agents.rollout:app", "Agents"),
    "rollback": Entry("agents.rollback:rollback", "Agents"),
    "history": Entry("agents.history:history", "Agents"),
    "migrate": Entry("instances.migrate:migrate", "Agents"),
    "stop": Entry("agents.change:stop", "Agents"),
    "start": Entry("agents.change:start", "Agents"),
    "rm": Entry("agents.change:rm", "Agents"),
    "secret": Entry("secrets.secrets:app", "What agents are given"),
    "config": Entry("access.config:app", "What agents are given"),
    "blob": Entry("blobs.blobs:app", "What agents are given"),
    "volume": Entry("volumes.volumes:app", "What agents are given"),
    "run": Entry("jobs.run:run", "Jobs", foreign_options=True),
    "jobs": Entry("jobs.jobs:app", "Jobs"),
    "cancel": Entry("jobs.jobs:cancel", "Jobs"),
    "ps": Entry("instances.ps:ps", "What happens"),
    "logs": Entry("instances.logs:logs", "What happens"),
    "events": Entry("happenings.events:events", "What happens"),
    "metrics": Entry("metrics.metrics:app", "What happens"),
    "explain": Entry("instances.explain:explain", "What happens"),
    "inspect": Entry("instances.inspect:inspect", "What happens"),
    "exec": Entry("instances.exec:exec_", "Reach"),
    "cp": Entry("instances.copy:cp", "Reach"),
    "port-forward": Entry("instances.forward:port_forward", "Reach"),
    "services": Entry("instances.services:services", "Reach"),
    "namespace": Entry("access.namespaces:app", "Settings"),
    "schema": Entry("access.schema:app", "Settings"),
    "completion": Entry("access.completion:app", "Settings"),
    "version": Entry("access.version:version", "Settings"),
}
