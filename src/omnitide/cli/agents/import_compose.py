"""`omnitide import compose`: what a Compose file is as agents, and what of it is not carried over."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omnitide.cli.agents.staying import DEFAULT
from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.compose.report import Imported
    from omnitide.model.spec import AgentManifest

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Make agents of the files of other programs, such as Docker Compose.",
)


@app.callback()
def imports() -> None:
    """Make agents of the files of other programs, such as Docker Compose."""


@app.command()
def compose(
    context: typer.Context,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Compose files; a later one changes an earlier one.")
    ] = None,
    more: Annotated[
        list[str] | None, typer.Option("--file", "-f", metavar="FILE", help="The same, as `docker compose` has it.")
    ] = None,
    name: Annotated[str, typer.Option("--name", "--project-name", "-p", metavar="NAME", help="Of the project.")] = "",
    profiles: Annotated[
        list[str] | None, typer.Option("--profile", metavar="NAME", help="Take in its services; repeatable; * for all.")
    ] = None,
    env_files: Annotated[
        list[str] | None,
        typer.Option("--env-file", metavar="FILE", help="Variables for interpolation, instead of .env; repeatable."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if anything is not carried over.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Deploy the agents, what they wait for first.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="With --apply: wait until they run.")] = True,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="With --apply: how long to wait: 90s, 5m.")] = "5m",
    settle: Annotated[
        str,
        typer.Option(metavar="TIME", help="With --apply: once all run, see for so long if they go on; 0s: do not."),
    ] = DEFAULT,
) -> None:
    """Print the agents that Compose files describe, with what is not carried over.

    Without a FILE: compose.yaml and its like in this folder. What is printed is a manifest that `omnitide apply` takes;
    what has to be said about it is in its comments, or in fields with --output json.

    --apply creates the secrets and configs whose values the files give, and then the agents. Images are pulled, not
    built; the namespace (-n) has to be there. The same again changes nothing. What runs keeps the old value of a secret
    or config that has a new one, which is told.

    Exit code 0: carried over, its losses listed; with --apply, all runs or has ended well, and went on for --settle.
    2: refused, because Compose would not take the files either, they cannot be read, or a part of a service is larger
    than an agent's can be; each reason says which. 1 with --strict, if there are losses. With --apply also 4, an agent
    of that name belongs to something else, and 7 and 8 as of deploy.
    """
    from omnitide.cli.exits import Exit, Failure
    from omnitide.compose.importing import import_compose
    from omnitide.model.manifest import ManifestError

    session = session_of(context)
    if apply:
        from omnitide.cli.instances.resolve import require_namespace

        with session.client() as client:
            require_namespace(session, client, making=True)
    try:
        imported = import_compose(
            _files([*(files or ()), *(more or ())]),
            dict(os.environ),
            name=name,
            profiles=profiles or (),
            env_files=env_files or (),
        )
    except ManifestError as error:
        if session.plain:
            raise
        faults = "\n       ".join(map(str, error.faults))
        raise Failure(f"the files are refused\n       {faults}", "nothing was made of them", Exit.USAGE) from None
    imported = _created_in(imported, session)
    agents = [_placed(agent, session) for agent in imported.agents]
    refused = strict and bool(imported.losses)
    if not apply or refused:
        _show(session, imported, agents)
    if refused:
        raise Failure(f"not carried over: {len(imported.losses)}", "--strict allows no losses", Exit.FAILED)
    if apply:
        from omnitide.cli.agents.import_apply import deploy_project

        for line in summary(imported, agents):
            session.note(line)
        deploy_project(session, imported, agents, wait=wait, timeout=timeout, settle=settle)


def _files(given: list[str]) -> list[str]:
    """Raises Failure."""
    from pathlib import Path

    from omnitide.cli.exits import Exit, Failure
    from omnitide.compose.loading import DEFAULT_FILES

    if given:
        return given
    if os.environ.get("COMPOSE_FILE"):
        return os.environ["COMPOSE_FILE"].split(os.environ.get("COMPOSE_PATH_SEPARATOR") or os.pathsep)
    found = [name for name in DEFAULT_FILES if Path(name).is_file()]
    if not found:
        raise Failure(f"there is none of {', '.join(DEFAULT_FILES)} here", "name the file", Exit.USAGE)
    first = Path(found[0])
    override = first.with_name(f"{first.stem}.override{first.suffix}")
    return [str(first), *([str(override)] if override.is_file() else [])]


def _placed(agent: "AgentManifest", session: Session) -> "AgentManifest":
    import msgspec

    given = session.options.namespace
    return msgspec.structs.replace(agent, namespace=given) if given else agent


def _created_in(imported: "Imported", session: Session) -> "Imported":
    """What has to be there first, created where the agents are."""
    from msgspec.structs import replace

    from omnitide.model.names import called

    create = [
        replace(one, command=one.command.replace(f" set {one.name}", f" set {called(session.namespace, one.name)}", 1))
        for one in imported.create
    ]
    return replace(imported, create=tuple(create))


def _show(session: Session, imported: "Imported", agents: "list[AgentManifest]") -> None:
    if session.plain:
        session.emit(document(imported, agents))
        return
    from omnitide.cli.show.forms import as_text

    if not session.options.quiet:
        for line in summary(imported, agents):
            print(f"# {line}".rstrip())
    for agent in agents:
        print("---")
        print(as_text(_fields(agent), "yaml"), end="")


def document(imported: "Imported", agents: "list[AgentManifest]") -> dict[str, Any]:
    """For programs. `Any`: JSON of any shape."""
    import msgspec

    listed: dict[str, Any] = msgspec.to_builtins(
        {
            "project": imported.project,
            "agents": [],
            "losses": imported.losses,
            "notes": imported.notes,
            "create": imported.create,
            "left_out": imported.left_out,
        }
    )
    return {**listed, "agents": [_fields(agent) for agent in agents]}


def _fields(agent: "AgentManifest") -> dict[str, Any]:
    """A manifest with what identifies it first. `Any`: JSON of any shape."""
    from omnitide.cli.show.forms import plain

    fields: dict[str, Any] = plain(agent)
    first = [name for name in ("kind", "name", "namespace", "replicas") if name in fields]
    return {**{name: fields[name] for name in first}, **fields}


def summary(imported: "Imported", agents: "list[AgentManifest]") -> list[str]:
    """For people."""
    from omnitide.cli.show.words import plural

    lines = [f"project {imported.project}: {plural(len(agents), 'agent')}, {len(imported.losses)} not carried over"]
    for agent in agents:
        image = agent.container.image if agent.container is not None else ""
        waits = ", ".join(f"{other} {how}" for other, how in agent.needs.items())
        lines.append(f"  {agent.name}  {image}{f'  after {waits}' if waits else ''}")
    if imported.losses:
        lines.append("not carried over:")
        lines += [f"  {one}" for one in imported.losses]
    if imported.create:
        lines.append("has to be there first:")
        for one in imported.create:
            lines.append(f"  {one.kind} {one.name}{f' ({one.reason})' if one.reason else ''}")
            if one.command:
                lines.append(f"    {one.command}")
    if imported.notes:
        lines.append("carried over with a note:")
        lines += [f"  {one}" for one in imported.notes]
    networks = sorted({agent.together for agent in agents if agent.together})
    for network in networks:
        names = ", ".join(agent.name for agent in agents if agent.together == network)
        lines.append(f"kept together on one node, where they reach each other by name: {names}")
    return [part.replace("\r", " ") for line in lines for part in line.splitlines()]
