"""`omnitide token`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import tokens
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Cell, Column

if TYPE_CHECKING:
    from omnitide.model.inventory import TokenList
    from omnitide.sdk.client import Client

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Tokens for joining nodes and for the API.")

_COLUMNS: Final = (
    Column("TOKEN"),
    Column("PURPOSE"),
    Column("STATE"),
    Column("USES LEFT", right=True, rank=2),
    Column("EXPIRES IN", right=True, rank=1),
    Column("AGE", right=True, rank=3),
    Column("NOTE", rank=4, free=True),
)
_SEEN: Final = "which others there may see in `ps`"


@app.command()
def create(
    context: typer.Context,
    api: Annotated[bool, typer.Option("--api", help="For a person or program, instead of a node.")] = False,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="For a program that reads metrics, such as Prometheus, and nothing else.")
    ] = False,
    ttl: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Valid so long: 30m, 7d; 1h by default, for --api and --metrics without end."
        ),
    ] = None,
    uses: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="How many nodes may join by it; 1 by default.")
    ] = None,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="Put on nodes that join by it.")
    ] = None,
) -> None:
    """Make a token. It is shown once and kept nowhere.

    With a join token the command to run on the other machine is shown too; -q prints the token alone.
    """
    from omnitide.cli.durations import milliseconds
    from omnitide.cli.exits import Exit, Failure

    session = session_of(context)
    if api and metrics:
        raise Failure("--api opens all, --metrics the metrics alone: one of them", code=Exit.USAGE)
    if (api or metrics) and (uses is not None or label):
        flag = "--uses" if uses is not None else "--label"
        raise Failure(f"{flag} is of join tokens; another opens until it is revoked or expires", code=Exit.USAGE)
    if ttl is not None:
        milliseconds(ttl, "--ttl")
    uses = uses or 1
    labels: dict[str, str] = {}
    for text in label or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise Failure(f"--label {text!r} is not KEY=VALUE", code=Exit.USAGE)
        labels[key] = value
    with session.client() as client:
        purpose = "api" if api else "metrics" if metrics else "join"
        made = client.create_token(purpose, ttl=ttl, uses=uses, note=note, labels=labels)
    if session.plain:
        session.emit(made)
        return
    print(made.text)
    if made.token is None or purpose != "join":
        return
    from urllib.parse import urlsplit

    from omnitide.cli.show.words import now_ms, plural
    from omnitide.model.quantity import format_duration

    left = format_duration(max(0, made.token.expires_ms - now_ms())) if made.token.expires_ms else "ever"
    url = session.target.url
    where, here = "on the other machine", ""
    if session.target.local:
        where = f"on this machine, as {urlsplit(url).hostname} leads each machine to itself"
        here = _node_here(session)
        # A folder keeps one node: what joins a machine that is none yet would be refused here.
        where += f", beside node {here}" if here else ""
    session.note(f"  for {plural(uses, 'node')}, within {left}; {where}:")
    for token, why in (("-", "it asks for the token, or reads it from a pipe"), (made.text, _SEEN)):
        join = f"omnitide join {url} --token {token}"
        if here:
            join = f"omnitide --data DIR join {url} --token {token} --name NAME"
        session.note(f"  {join}       {why}")
    if session.target.local:
        way = "omnitide up --listen 0.0.0.0 --public-name NAME"
        session.note(f"  other machines join once Nexus listens where they reach it: {way}")


def _node_here(session: Session) -> str:
    """Name of the node that this machine is, as far as it is known; empty if it is none."""
    from omnitide.cli.exits import Failure
    from omnitide.cli.fabric import node
    from omnitide.cli.fabric.layout import layout_of

    layout = layout_of(session)
    try:
        _, identifier = node.identity_of(layout)
    except Failure:
        return ""
    return (node.name_of(layout) or identifier) if identifier else ""


@app.command("list")
def list_(
    context: typer.Context,
    purpose: Annotated[str, typer.Option(help="Only join, api, metrics or login tokens, or sessions.")] = "",
    watch: WatchOption = False,
) -> None:
    """List the tokens, without their secrets."""

    def read(client: "Client") -> "TokenList":
        from omnitide.model.inventory import TokenList

        return TokenList(items=tuple(client.tokens(purpose=purpose)), revision=client.seen)

    show(session_of(context), read, _lines, watch=watch)


def _lines(session: Session, found: "TokenList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import now_ms, spell, state
    from omnitide.model.quantity import format_duration

    if not found.items:
        return ["no tokens"]
    now = now_ms()
    rows: list[list[Cell | str]] = []
    for token in found.items:
        left = token.expires_ms - now
        expires = "never" if not token.expires_ms else format_duration(left).replace(" ", "") if left > 0 else "expired"
        uses = str(token.uses_left) if token.purpose == "join" else "-"
        rows.append(
            [token.id, token.purpose, state(token.state), uses, expires, spell(token.created_ms, now), token.note]
        )
    return table(_COLUMNS, rows, color=session.color, width=width)


@app.command()
def revoke(
    context: typer.Context,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, as in the list.", autocompletion=tokens)],
    force: Annotated[
        bool, typer.Option("--force", help="Also the last API token that is valid; then `omnitide up` makes one.")
    ] = False,
) -> None:
    """Revoke a token: from now on it opens nothing. Nodes that joined by it stay."""
    session = session_of(context)
    with session.client() as client:
        revoked = client.revoke_token(token, force=force)
    if session.target.token.split("_")[1:2] == [token]:
        session.warn(
            "it is the token by which this command got in: it opens nothing any more.\n"
            "  with another: --token-file FILE; a new one: omnitide up, on the machine of Nexus"
        )
    if session.plain:
        session.emit(revoked)
    else:
        session.say(f"  {token} revoked")
