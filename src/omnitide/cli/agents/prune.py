"""What `apply --prune` removes: agents that bear the label of a set of files, and that no file of it names any more.

The label stands in the manifests themselves, so who an agent belongs to is in the fabric's state, in Git, and in plain
sight; whoever takes the label off an agent takes it out of the set.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session

if TYPE_CHECKING:
    from omnitide.model.manifest import Found
    from omnitide.model.objects import AgentChanged, AgentSummary
    from omnitide.sdk.client import Client


class Selector(NamedTuple):
    label: str
    value: str


class Removal(NamedTuple):
    agent: "AgentSummary"
    planned: "AgentChanged"


def selector_of(text: str, found: "Sequence[Found]") -> Selector:
    """Raises Failure unless it is LABEL=VALUE, and every manifest bears it: a later run would not know the others."""
    label, equals, value = text.partition("=")
    if not (label and equals and value):
        raise Failure(f"--prune {text!r} is not LABEL=VALUE", "--prune set=shop", Exit.USAGE)
    without = [one for one in found if one.manifest.labels.get(label) != value]
    if without:
        more = f" (and {len(without) - 1} more)" if len(without) > 1 else ""
        raise Failure(
            f"{without[0].place}: {without[0].manifest.name} does not have the label {label}={value} of --prune{more}",
            f'give it to every agent of these files: [labels] {label} = "{value}"',
            Exit.USAGE,
        )
    return Selector(label, value)


def no_longer_named(
    session: Session, client: "Client", selector: Selector, named: set[tuple[str, str]]
) -> list[Removal]:
    """In all namespaces, or in the one that --namespace names."""
    found = [
        agent
        for agent in client.agents(namespace=session.options.namespace)
        if agent.labels.get(selector.label) == selector.value
        and (agent.namespace, agent.name) not in named
        and agent.status != "removing"
    ]
    return [Removal(agent, client.delete_agent(agent.name, namespace=agent.namespace, dry_run=True)) for agent in found]


def remove(session: Session, client: "Client", removal: Removal, deadline: float | None) -> "AgentChanged":
    """As it was planned, or not at all if it has changed meanwhile. `deadline`: wait until it is gone."""
    import time

    from omnitide.cli.agents.change import tell, until_ended

    agent = removal.agent
    began = time.monotonic()
    changed = client.delete_agent(agent.name, namespace=agent.namespace, if_match=agent.revision)
    if deadline is not None:
        until_ended(client, agent.namespace, agent.name, deadline, gone=True)
        tell(session, changed, agent.name, "removed", began)
    else:
        session.say(f"  {agent.name} is being removed; not waited for")
    return changed
