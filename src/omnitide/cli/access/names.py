"""Names from the fabric for completion in the shell: quick, and nothing at all where anything is in the way."""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

import typer

if TYPE_CHECKING:
    from omnitide.sdk.client import Client
    from omnitide.sdk.target import Target

ANSWER_S: Final = 1.0
"""Somebody has pressed a key and waits."""
MOST: Final = 200
"""Names of a kind that are asked for."""

_ON_NODE: Final = "node:"

Ask = Callable[["Client", str], Iterable[str]]
"""Names in a namespace; the empty one is all of them."""


class _Session(Protocol):
    """What is needed of `omnitide.cli.session.Session`."""

    @property
    def target(self) -> "Target": ...
    @property
    def namespace(self) -> str: ...


def _agents(client: "Client", namespace: str) -> Iterable[str]:
    return (one.name for one in client.list_agents(namespace=namespace, limit=MOST).items)


def _jobs(client: "Client", namespace: str) -> Iterable[str]:
    return (one.name for one in client.list_jobs(namespace=namespace, limit=MOST).items)


def _instances(client: "Client", namespace: str) -> Iterable[str]:
    return (one.name for one in client.list_instances(namespace=namespace, limit=MOST).items)


def _nodes(client: "Client", _: str) -> Iterable[str]:
    return (one.name for one in client.list_nodes(limit=MOST).items)


def _namespaces(client: "Client", _: str) -> Iterable[str]:
    return (one.name for one in client.list_namespaces(limit=MOST).items)


def _tokens(client: "Client", _: str) -> Iterable[str]:
    return (one.id for one in client.list_tokens(limit=MOST).items)


def _secrets(client: "Client", namespace: str) -> Iterable[str]:
    return (one.name for one in client.list_secrets(namespace=namespace, limit=MOST).items)


def _configs(client: "Client", namespace: str) -> Iterable[str]:
    return (one.name for one in client.list_configs(namespace=namespace, limit=MOST).items)


def _blobs(client: "Client", _: str) -> Iterable[str]:
    """Whole and without `sha256:`: bash takes a colon for the end of a word, and completes only what comes after."""
    for one in client.list_blobs(limit=MOST).items:
        yield one.digest
        yield one.digest.removeprefix("sha256:")


def _volumes(client: "Client", namespace: str) -> Iterable[str]:
    return (one.name for one in client.list_volumes(namespace=namespace).items)


def _complete(context: typer.Context, incomplete: str, asks: tuple[Ask, ...], *, namespaced: bool) -> list[str]:
    try:
        # Loaded by its name: `session` needs the global options, and one of those is completed here.
        session: _Session = import_module("omnitide.cli.session").session_of(context)
        return _names(session, incomplete, asks, namespaced=namespaced)
    except Exception:  # whatever it is: a line of an error in the middle of what is being typed helps nobody
        return []


def _names(session: "_Session", incomplete: str, asks: tuple[Ask, ...], *, namespaced: bool) -> list[str]:
    from omnitide.sdk.client import Client
    from omnitide.sdk.exchange import Retries

    given, slash, _ = incomplete.partition("/")
    prefix = f"{given}/" if slash and namespaced else ""
    namespace = given if prefix else session.namespace
    with Client(session.target, retries=Retries(attempts=1), timeout_s=ANSWER_S) as client:
        found = {prefix + name for ask in asks for name in ask(client, namespace)}
    return sorted(name for name in found if name.startswith(incomplete))


def agents(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, (_agents,), namespaced=True)


def any_jobs(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, (_jobs,), namespaced=True)


def workloads(context: typer.Context, incomplete: str) -> list[str]:
    """Agents and jobs."""
    return _complete(context, incomplete, (_agents, _jobs), namespaced=True)


def agents_and_instances(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, (_agents, _instances), namespaced=True)


def everything(context: typer.Context, incomplete: str) -> list[str]:
    """Agents, jobs and instances."""
    return _complete(context, incomplete, (_agents, _jobs, _instances), namespaced=True)


def inspected(context: typer.Context, incomplete: str) -> list[str]:
    """Agents, jobs, instances and nodes."""
    return [*everything(context, incomplete), *nodes(context, incomplete)]


def writers(context: typer.Context, incomplete: str) -> list[str]:
    """Agents, jobs, instances, and `node:NAME` for all on a node."""
    # bash takes the colon for a word of its own, and completes only what comes after.
    if (context.params.get("given") or ())[-2:] in (["node", ":"], ("node", ":")):
        return nodes(context, incomplete)
    if incomplete.startswith(_ON_NODE):
        return [_ON_NODE + name for name in nodes(context, incomplete.removeprefix(_ON_NODE))]
    return everything(context, incomplete)


def nodes(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, (_nodes,), namespaced=False)


def namespaces(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, (_namespaces,), namespaced=False)


def secrets(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, (_secrets,), namespaced=True)


def configs(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, (_configs,), namespaced=True)


def blobs(context: typer.Context, incomplete: str) -> list[str]:
    found = _complete(context, incomplete, (_blobs,), namespaced=False)
    return [one for one in found if incomplete.startswith("sha256:") or ":" not in one]


def tokens(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, (_tokens,), namespaced=False)


def volumes(context: typer.Context, incomplete: str) -> list[str]:
    return _complete(context, incomplete, (_volumes,), namespaced=True)
