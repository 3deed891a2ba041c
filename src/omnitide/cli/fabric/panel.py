"""`omnitide panel`: a link that logs a browser in to the control panel, once."""

from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.sdk.client import Client

REDIRECT: Final = "panel.html"


def panel(
    context: typer.Context,
    open_: Annotated[bool, typer.Option("--open", help="Open it in this machine's browser, too.")] = False,
    ttl: Annotated[str | None, typer.Option(metavar="TIME", help="Valid so long: 5m, 1h; 10m by default.")] = None,
) -> None:
    """Print a link to the control panel that logs a browser in, once.

    The session that it opens is listed by `token list`; `token revoke` ends it, and so does logging out.
    """
    from omnitide.cli.durations import milliseconds

    session = session_of(context)
    if ttl is not None:
        milliseconds(ttl, "--ttl")
    with session.client() as client:
        link = login_link(client, session.target.url, ttl)
    if session.plain:
        session.emit({"url": link})
    else:
        print(link)
        session.note("  for one login, from one browser; another: omnitide panel")
    if open_:
        _open(session, link)


def login_link(client: "Client", url: str, ttl: str | None = None) -> str:
    """Raises FabricError."""
    made = client.create_token("login", ttl=ttl, note="link to the panel")
    return f"{url.rstrip('/')}/?login={made.text}"


def _open(session: Session, link: str) -> None:
    """By a file that only its owner can read: what stands on a browser's command line is seen by all of a machine."""
    import webbrowser

    from omnitide.cli.exits import Failure
    from omnitide.security.private_files import write_private

    path = session.data / REDIRECT
    refresh = f'<meta http-equiv="refresh" content="0; url={link}">'
    policy = '<meta name="referrer" content="no-referrer">'
    path.parent.mkdir(parents=True, exist_ok=True)
    page = f"<!doctype html><title>Omnitide</title>{policy}{refresh}To the panel of {urlsplit(link).netloc}\n"
    write_private(path, page.encode())
    if not webbrowser.open(path.as_uri()):
        raise Failure("no browser could be started here", "open the link above in one, on any machine that reaches it")
