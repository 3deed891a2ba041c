"""Asking a person before a `scale` to many more replicas than there is room for."""

from typing import TYPE_CHECKING, Final

from omnitide.cli.session import Session, agreed
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.sdk.client import Client

MANY: Final = 50
"""Replicas that are added, from which it is looked ahead: fewer are soon taken back, and a look takes its time."""


def ask_where_most_would_wait(
    session: Session, client: "Client", namespace: str, name: str, added: int, to: int
) -> None:
    """Say what would come of it, and ask whether to go on, where more of what is added would wait for a node than would
    start. Where that cannot be foreseen, nothing is asked.

    Raises Failure for a no.
    """
    from omnitide.cli.show.outlook import sentences
    from omnitide.sdk.errors import FabricError

    if added < MANY:
        return
    try:
        outlook = client.foresee_changes(
            [{"verb": "agent.scale", "name": name, "namespace": namespace, "replicas": to}]
        )
    except FabricError:
        return  # whoever may scale need not be allowed to look, and Nexus may be looking ahead for others
    if outlook.counts.get("waits", 0) <= outlook.counts.get("starts", 0):
        return
    for text in sentences(outlook):
        session.say(f"  {text}")
    why = next((one.why for one in outlook.replicas if one.fate == "waits" and one.why), "")
    if why:
        session.say(f"  {why}")
    agreed(f"  scale {called(namespace, name)} to {to} all the same?")
