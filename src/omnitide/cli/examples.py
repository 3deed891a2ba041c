"""What the help of each command shows as examples: lines that work as they stand, but for names. A test reads them."""

from typing import Any, Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "up": ("omnitide up", "omnitide up --listen 0.0.0.0 --public-name nexus.example"),
    "down": ("omnitide down",),
    "status": ("omnitide status --watch", "omnitide status -o json"),
    "join": ("omnitide join https://nexus.example:7400 --token -",),
    "leave": ("omnitide leave",),
    "token": ("omnitide token create --uses 5 --ttl 1h",),
    "token create": ("omnitide token create --uses 5 --ttl 1h", "omnitide token create --api --note ci"),
    "token list": ("omnitide token list -o json",),
    "token revoke": ("omnitide token revoke n22pk6k8y9r29m99",),
    "nodes": ("omnitide nodes --watch", "omnitide nodes --status unreachable"),
    "nodes list": ("omnitide nodes list -o json",),
    "nodes show": ("omnitide nodes show alpha",),
    "nodes cordon": ("omnitide nodes cordon alpha",),
    "nodes uncordon": ("omnitide nodes uncordon alpha",),
    "nodes drain": ("omnitide nodes drain alpha",),
    "nodes rm": ("omnitide nodes rm alpha",),
    "drain": ("omnitide drain alpha",),
    "deploy": (
        "omnitide deploy hello.toml --replicas 3",
        "omnitide deploy hello.toml --set resources.cpu=0.5 --dry-run",
    ),
    "apply": ("omnitide apply -f agents/", "omnitide apply -f agents/ --prune set=shop --dry-run"),
    "agents": ("omnitide agents --watch", "omnitide agents -n team -o json"),
    "scale": ("omnitide scale hello 5", "omnitide scale team/hello 0 --no-wait"),
    "restart": ("omnitide restart hello", "omnitide restart hello-2.1"),
    "stop": ("omnitide stop hello",),
    "start": ("omnitide start hello",),
    "rm": ("omnitide rm hello", "omnitide rm team/one two"),
    "run": ("omnitide run -- sh -c 'echo hello; exit 7'", "omnitide run --cpu 2 --timeout 10m -- make test"),
    "jobs": ("omnitide jobs --status failed",),
    "jobs list": ("omnitide jobs list -o json",),
    "jobs rm": ("omnitide jobs rm once", "omnitide jobs rm --finished"),
    "cancel": ("omnitide cancel once",),
    "ps": ("omnitide ps", "omnitide ps hello --all", "omnitide ps --node alpha --watch"),
    "logs": ("omnitide logs -f hello", "omnitide logs hello-2.1 --tail 50 -t", "omnitide logs hello --since 10m"),
    "events": (
        "omnitide events -n 5",
        "omnitide events -f --subject agent/default/hello",
        "omnitide events --after 120 -o json",
    ),
    "explain": ("omnitide explain hello", "omnitide explain hello-4 --nodes 5"),
    "inspect": ("omnitide inspect hello", "omnitide inspect hello-2.1 -o json"),
    "namespace": ("omnitide namespace create team",),
    "namespace create": ("omnitide namespace create team",),
    "namespace list": ("omnitide namespace list",),
    "namespace rm": ("omnitide namespace rm team",),
    "config": ("omnitide config show",),
    "config show": ("omnitide config show", "omnitide config show -o json"),
    "config schema": ("omnitide config schema",),
    "schema": ("omnitide schema agent",),
    "schema agent": ("omnitide schema agent",),
    "schema config": ("omnitide schema config",),
    "completion": ("omnitide completion install",),
    "completion show": ("omnitide completion show bash",),
    "completion install": ("omnitide completion install",),
    "version": ("omnitide version",),
}


def add_examples(command: Any, path: str) -> None:
    """Put them under the help of a command and of all below it. `Any`: Typer keeps its commands' type to itself."""
    lines = EXAMPLES.get(path, ())
    if lines:
        command.epilog = "\n".join(["Examples:" if len(lines) > 1 else "Example:", *lines])
    for name, below in getattr(command, "commands", {}).items():
        add_examples(below, f"{path} {name}")
