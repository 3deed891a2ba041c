"""Every command with the module that holds it, which is loaded when the command is called and not to list it."""

from typing import Final, NamedTuple


class Entry(NamedTuple):
    target: str
    """`module:attribute` below omnitide.cli: a function, or a Typer application with commands of its own."""
    panel: str
    """Heading in the help."""
    summary: str
    """The first paragraph of its own help: a list of all needs no module of theirs. A test compares them."""
    foreign_options: bool = False
    """What follows its first argument is another program's, options too."""
    ends: bool = False
    """It ends or removes what runs: not to be offered for a word that is only vaguely like its name."""


COMMANDS: Final[dict[str, Entry]] = {
    "up": Entry(
        "fabric.up:up",
        "Fabric",
        "Start a fabric here: Nexus, and this machine as its first node. On a node of another one: up --node-only.",
    ),
    "down": Entry(
        "fabric.down:down",
        "Fabric",
        "Stop the fabric's processes on this machine: agents, node proxy, Nexus.",
        ends=True,
    ),
    "demo": Entry(
        "fabric.demo:demo",
        "Fabric",
        "Play a fabric: a real Nexus, with simulated machines that live a believable life. Stays until Ctrl-C.",
    ),
    "panel": Entry("fabric.panel:panel", "Fabric", "Print a link to the control panel that logs a browser in, once."),
    "status": Entry(
        "fabric.status:status", "Fabric", "Show the fabric at a glance: nodes, instances, room, and what wants an eye."
    ),
    "top": Entry(
        "top.top:top",
        "Fabric",
        "Watch the fabric live: what is wrong first, nodes, agents, instances, events, charts; and act on them.",
    ),
    "join": Entry(
        "nodes.join:join", "Fabric", "Make this machine a node of a fabric. It dials out; nothing has to reach it."
    ),
    "leave": Entry(
        "nodes.leave:leave",
        "Fabric",
        "Stop this machine's instances and node proxy, and forget its identity.",
        ends=True,
    ),
    "token": Entry("access.tokens:app", "Fabric", "Tokens for joining nodes and for the API."),
    "nodes": Entry("nodes.nodes:app", "Fabric", "List the nodes; show, label, cordon, drain or remove one."),
    "cordon": Entry("nodes.nodes:cordon", "Fabric", "Place nothing new on a node."),
    "uncordon": Entry("nodes.nodes:uncordon", "Fabric", "Open a node again that was cordoned or drained."),
    "drain": Entry(
        "nodes.nodes:drain",
        "Fabric",
        "Move everything off a node, and place nothing new there. Says what it waits for.",
        ends=True,
    ),
    "deploy": Entry(
        "agents.deploy:deploy",
        "Agents",
        "Deploy the agent of a file: shows the plan, does it, and waits until it runs.",
    ),
    "apply": Entry(
        "agents.apply:apply",
        "Agents",
        "Make agents as files say. The whole plan is shown first; on a terminal it is asked whether to go on.",
    ),
    "import": Entry(
        "agents.import_compose:app", "Agents", "Make agents of the files of other programs, such as Docker Compose."
    ),
    "agents": Entry("agents.agents:agents", "Agents", "List the agents."),
    "scale": Entry("agents.change:scale", "Agents", "Set how many replicas of an agent run."),
    "restart": Entry(
        "agents.change:restart",
        "Agents",
        "Restart an agent, a few replicas at a time as in an update; or one instance alone.",
    ),
    "rollout": Entry("agents.rollout:app", "Agents", "Rollouts: see how far one is, hold it, let it go on."),
    "rollback": Entry(
        "agents.rollback:rollback",
        "Agents",
        "Give an agent the spec of an earlier version again, as a new version that rolls out like any other.",
    ),
    "history": Entry(
        "agents.history:history",
        "Agents",
        "List an agent's versions, newest first, with what each changed. The newest 20 are kept.",
    ),
    "migrate": Entry(
        "instances.migrate:migrate",
        "Agents",
        "Move one replica: it starts on the other node, and stops here once it is available there.",
    ),
    "stop": Entry(
        "agents.change:stop", "Agents", "Stop an agent's instances; it stays, and `start` brings it back.", ends=True
    ),
    "start": Entry("agents.change:start", "Agents", "Start an agent that was stopped."),
    "rm": Entry(
        "agents.change:rm",
        "Agents",
        "Remove agents, or jobs, with their instances. If one of the names is not there, none is removed.",
        ends=True,
    ),
    "secret": Entry(
        "secrets.secrets:app", "What agents are given", "Secrets: values that instances are given and nobody is shown."
    ),
    "config": Entry(
        "access.config:app",
        "What agents are given",
        "Configuration that the fabric holds for instances; and (show, schema) the settings of Omnitide here.",
    ),
    "blob": Entry(
        "blobs.blobs:app", "What agents are given", "The fabric's own store of files, for artifacts of instances."
    ),
    "volume": Entry(
        "volumes.volumes:app",
        "What agents are given",
        "What nodes keep for instances: each volume is a directory of one node, and outlives those that use it.",
    ),
    "run": Entry(
        "jobs.run:run",
        "Jobs",
        "Run a command to its end on some node; its output is shown and its exit code is ours.",
        foreign_options=True,
    ),
    "jobs": Entry("jobs.jobs:app", "Jobs", "List the jobs, the newest last; remove those that ended."),
    "cancel": Entry(
        "jobs.jobs:cancel", "Jobs", "Cancel jobs: what runs is stopped, what waits does not begin.", ends=True
    ),
    "ps": Entry("instances.ps:ps", "What happens", "List the instances: what runs where."),
    "logs": Entry(
        "instances.logs:logs",
        "What happens",
        "Show what agents, jobs or instances write: of several one stream, in order of time.",
    ),
    "events": Entry(
        "happenings.events:events",
        "What happens",
        "Show what happened, oldest first; with -f what happens, without a gap between the two.",
    ),
    "metrics": Entry(
        "metrics.metrics:app",
        "What happens",
        "What nodes and instances use, over time: the last 15 minutes by the second, 7 days by the minute.",
    ),
    "explain": Entry(
        "instances.explain:explain", "What happens", "Say why an agent, a job or an instance is as it is."
    ),
    "inspect": Entry(
        "instances.inspect:inspect",
        "What happens",
        "Show everything about an agent, an instance, a job or a node (YAML unless told otherwise).",
    ),
    "exec": Entry(
        "instances.exec:exec_",
        "Reach",
        "Run a further program in a running instance: its directory, user, environment, limits and view of the "
        "machine.",
    ),
    "cp": Entry(
        "instances.copy:cp",
        "Reach",
        "Copy a file or folder into a running instance or out of it, with modes and links.",
    ),
    "port-forward": Entry(
        "instances.forward:port_forward",
        "Reach",
        "Listen here and connect to ports of an instance, wherever it runs, until Ctrl-C.",
    ),
    "services": Entry(
        "instances.services:services",
        "Reach",
        "Show the ports of agents: which replica listens where, and whether it is ready to be talked to.",
    ),
    "namespace": Entry("access.namespaces:app", "Settings", "Namespaces: names of their own for teams and uses."),
    "schema": Entry("access.schema:app", "Settings", "JSON Schemas of what people write."),
    "completion": Entry("access.completion:app", "Settings", "Completion for bash, zsh and fish."),
    "version": Entry("access.version:version", "Settings", "Show the versions of this program and of Nexus."),
}
