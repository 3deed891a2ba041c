"""`omnitide metrics prometheus` and `omnitide metrics grafana`: what others' tools need to show a fabric."""

import json
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session, session_of

CONFIGURATION: Final = "prometheus.yml"
RULES: Final = "omnitide.rules.yml"
CA_FILE: Final = "ca.pem"
TOKEN_FILE: Final = "token"  # noqa: S105 a file's name
TARGETS_PATH: Final = "/metrics/targets"
PROVIDED: Final = Path(__file__).parent
"""Rules and dashboards lie beside this."""

_INTERVALS_MS: Final = (5_000, 300_000)


def prometheus(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Write all that it needs there: configuration, rules, CA, token."),
    ] = None,
    interval: Annotated[str, typer.Option("--interval", metavar="TIME", help="Between two scrapes.")] = "15s",
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Make no token; put one into the file `token` yourself.")
    ] = False,
) -> None:
    """Print a configuration with which a Prometheus scrapes this fabric, or write all that it needs into a folder.

    It asks Nexus for what there is to scrape (HTTP service discovery), by a token that reads metrics and nothing else.
    """
    from omnitide.cli.durations import milliseconds

    session = session_of(context)
    every_ms = milliseconds(interval, "--interval")
    if not _INTERVALS_MS[0] <= every_ms <= _INTERVALS_MS[1]:
        raise Failure(f"--interval {interval}: 5s to 5m", "nodes send every ten seconds", Exit.USAGE)
    text = configuration(session.target.url, ca=bool(session.target.ca_pem), every_s=every_ms // 1000)
    if folder is None:
        print(text, end="")
        session.note(
            f"  beside it: {RULES}, {TOKEN_FILE} and {CA_FILE}; `omnitide metrics prometheus DIR` writes them all"
        )
        return
    _make_folder(folder)
    if not no_token and not (folder / TOKEN_FILE).exists():
        # Before the rest: who may not make one is to find nothing half done.
        _write(folder / TOKEN_FILE, _new_token(session, folder), mode=0o600)
    _write(folder / CONFIGURATION, text)
    _write(folder / RULES, (PROVIDED / "prometheus" / RULES).read_text())
    if session.target.ca_pem:
        _write(folder / CA_FILE, session.target.ca_pem)
    session.say(f"  prometheus --config.file={folder / CONFIGURATION}")


def grafana(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the dashboards.")],
) -> None:
    """Write Grafana dashboards of a fabric, to be imported or provisioned from a folder."""
    session = session_of(context)
    _make_folder(folder)
    for file in sorted((PROVIDED / "grafana").glob("*.json")):
        _write(folder / file.name, file.read_text())
        session.say(f"  {folder / file.name}  {json.loads(file.read_text())['title']}")


def configuration(url: str, *, ca: bool, every_s: int) -> str:
    """For the Nexus at this address. `ca`: its certificate is of the fabric's own CA, which lies beside the file."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    # Bearer is what is meant without a type, but Prometheus 2.42 then sends none to service discovery.
    login = ["authorization:", "  type: Bearer", f"  credentials_file: {TOKEN_FILE}"]
    if parts.scheme == "https" and ca:
        login += ["tls_config:", f"  ca_file: {CA_FILE}"]
    lines = [
        f"# Prometheus for the Omnitide fabric at {url}; written by `omnitide metrics prometheus`.",
        "global:",
        f"  scrape_interval: {every_s}s",
        f"  evaluation_interval: {every_s}s",
        f"rule_files: [{RULES}]",
        "scrape_configs:",
        "  - job_name: omnitide",
        "    # Instances have labels of their own that are called instance, and job where they are of a job.",
        "    honor_labels: true",
        f"    scheme: {parts.scheme}",
        *(f"    {line}" for line in login),
        "    http_sd_configs:",
        f"      - url: {parts.scheme}://{host}:{port}{TARGETS_PATH}",
        "        refresh_interval: 30s",
        *(f"        {line}" for line in login),
        "    relabel_configs:",
        "      # The labels of nodes (zone and the like) on all that is of a node.",
        "      - action: labelmap",
        "        regex: __meta_omnitide_label_(.+)",
        "        replacement: node_label_$1",
    ]
    return "\n".join(lines) + "\n"


def _new_token(session: Session, folder: Path) -> str:
    with session.client() as client:
        made = client.create_token("metrics", note=f"Prometheus, {folder}"[:200])
    return made.text + "\n"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{folder}: {error.strerror}", "another folder") from None


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    import os

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", "another folder") from None
