"""From what people call things to what is meant: an instance, an agent, a job."""

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from omnitide.cli.session import Session
from omnitide.model.names import called

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from omnitide.model.objects import Agent, Instance
    from omnitide.sdk.client import Client
    from omnitide.sdk.errors import FabricError

_INSTANCE: Final = re.compile(r"[a-z0-9-]+-(\d+)\.(\d+)")
_REPLICA: Final = re.compile(r"([a-z0-9-]+)-(\d+)(?:\.\d+)?")
"""An instance, or its slot."""
SLOT: Final = re.compile(r"([a-z0-9-]+)-(\d+)")
MOST_NAMED: Final = 8
"""Namespaces that a hint lists."""


def find_instance(session: Session, client: "Client", reference: str) -> "Instance | None":
    """The instance of a name such as `hello-2.1`, of the slot `hello-2` as it is now, or of an id; None if it is none.

    Raises NotFound for a name that can only be an instance's and is not there.
    """
    namespace, name = session.name(reference)
    if _INSTANCE.fullmatch(name):
        found = client.list_instances(namespace=namespace, name=name, ended=True, limit=1).items
        return found[0] if found else client.get_instance(name)
    slot = SLOT.fullmatch(name)
    if slot is not None:
        every = client.instances(namespace=namespace, agent=slot[1], ended=True)
        own = [one for one in every if one.slot == int(slot[2])]
        if own:
            return max(own, key=lambda one: one.generation)
    if re.fullmatch(r".+\.\d+\.\d+", name):
        return client.get_instance(name)
    return None


@contextmanager
def agents_only(session: Session, client: "Client", reference: str, done: str, command: str) -> "Generator[None]":
    """While something is asked that only an agent can do. `done`: `scaled`; `command`: what to say, with {} for the
    agent.

    Raises Failure in place of what refuses the name, if it is an instance's. In a namespace that somebody has named
    only its own count as that: what there is in others is a hint then, as is an agent of just that name.
    """
    from omnitide.sdk.errors import Invalid, NotFound

    try:
        yield
    except (Invalid, NotFound) as refused:
        namespace, name = session.name(reference)
        others = [one.name for one in client.namespaces() if one.name != namespace][:MOST_NAMED]
        if _owner(client, namespace, name):
            owners = [namespace]
        elif exact := [called(one, name) for one in others if _agent(client, one, name) is not None]:
            raise _hinted(refused, f"it is in another namespace: say {', '.join(exact)}") from None
        else:
            owners = [one for one in others if _owner(client, one, name)]
        if not owners:
            raise
        agents = [called(one, _agent_part(name)) for one in owners]
        command = command.format(agents[0])
        if len(owners) > 1 or (owners != [namespace] and ("/" in reference or session.options.namespace)):
            names = " and ".join(called(one, name) for one in owners)
            what = "is an instance of the agent" if len(owners) == 1 else "are instances of the agents"
            raise _hinted(refused, f"{names} {what} {' and '.join(agents)}: {command}") from None
        from omnitide.cli.exits import Exit, Failure

        what = f"{name} is an instance of the agent {agents[0]}: an agent is what can be {done}"
        raise Failure(what, command, Exit.NOT_FOUND) from None


def _hinted(refused: "FabricError", hint: str) -> "FabricError":
    import msgspec

    return type(refused)(msgspec.structs.replace(refused.problem, hint=hint))


def _agent_part(name: str) -> str:
    match = _REPLICA.fullmatch(name)
    return match[1] if match is not None else ""


def _agent(client: "Client", namespace: str, name: str) -> "Agent | None":
    from omnitide.sdk.errors import Invalid, NotFound

    try:
        return client.get_agent(name, namespace=namespace)
    except (NotFound, Invalid):
        return None


def _owner(client: "Client", namespace: str, name: str) -> bool:
    """Whether an agent of this namespace has a replica or instance of this name."""
    match = _REPLICA.fullmatch(name)
    agent = _agent(client, namespace, match[1]) if match is not None else None
    if match is None or agent is None:
        return False
    if _INSTANCE.fullmatch(name):
        return bool(client.list_instances(namespace=namespace, name=name, ended=True, limit=1).items)
    return 1 <= int(match[2]) <= agent.replicas


def require_workload(session: Session, client: "Client", reference: str) -> str:
    """`agent` or `job`, whichever has the name. Raises NotFound."""
    from omnitide.sdk.errors import NotFound

    namespace, name = session.name(reference)
    try:
        client.get_agent(name, namespace=namespace)
    except NotFound as unknown:
        try:
            client.get_job(name, namespace=namespace)
        except NotFound:
            raise unknown from None
        return "job"
    return "agent"


def require_namespace(session: Session, client: "Client", *, making: bool = False) -> None:
    """Raises Failure if --namespace names one that there is not: a list of nothing would look like an answer.

    `making`: something is to be made in it, so that the hint tells how it is made itself.
    """
    given = session.options.namespace
    if given:
        check_namespace(given, [one.name for one in client.namespaces()], making=making)


def check_namespace(given: str, known: "Sequence[str]", *, making: bool = False) -> None:
    """Raises Failure if it is none of those that there are. `making`: as of `require_namespace`."""
    import difflib

    from omnitide.cli.exits import Exit, Failure

    if given in known:
        return
    near = difflib.get_close_matches(given, known, n=1)
    if near:
        hint = f"did you mean {near[0]!r}?"
    elif making:
        hint = f"omnitide namespace create {given}"
    else:
        hint = f"there are: {', '.join(known)}" if len(known) <= MOST_NAMED else "omnitide namespace list"
    raise Failure(f"there is no namespace {given!r}", hint, Exit.NOT_FOUND)


def instances_of(session: Session, client: "Client", reference: str) -> "tuple[str, list[Instance]]":
    """What a name is (`instance`, `agent` or `job`), and its instances. Raises NotFound."""
    instance = find_instance(session, client, reference)
    if instance is not None:
        return "instance", [instance]
    namespace, name = session.name(reference)
    if require_workload(session, client, reference) == "job":
        return "job", list(client.instances(namespace=namespace, job=name, ended=True))
    return "agent", list(client.instances(namespace=namespace, agent=name, ended=True))
