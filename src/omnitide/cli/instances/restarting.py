"""Waiting for an instance that was asked to restart: its old run has ended, and what takes its place is up."""

import time
from typing import TYPE_CHECKING, Final

from omnitide.cli.agents.follow import EXPLAIN_EVERY_S, HOPELESS_ATTEMPTS, ways_on
from omnitide.cli.agents.never import never_placed
from omnitide.cli.exits import Exit, Failure
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client

LOOK_S: Final = 0.05
_ENDED: Final = ("stopped", "failed", "lost", "succeeded")


def until_restarted(client: "Client", old: "Instance", deadline: float) -> "Instance":
    """The instance that runs in its place, and is ready if its agent says what that is.

    Raises Failure where that cannot come about, and when the time is up; NotFound if the agent is removed meanwhile.
    """
    following: Instance | None = None
    explained = time.monotonic()
    while True:
        following = _newest(client, old, following)
        gone = _has_ended(client, old)
        if following is None or following.status == "pending":
            _still_wanted(client, old)
        else:
            hope(following)
        if following is not None and following.status == "pending" and time.monotonic() - explained > EXPLAIN_EVERY_S:
            explained = time.monotonic()
            _check_room(client, following)
        if gone and following is not None and following.status == "running" and _ready(client, following):
            return following
        if time.monotonic() > deadline:
            raise _late(client, old, following)
        time.sleep(LOOK_S)


def _newest(client: "Client", old: "Instance", known: "Instance | None") -> "Instance | None":
    """What has the slot now: each generation is looked for by its name, so that a large agent is not listed."""
    generation = known.generation if known is not None else old.generation + 1
    while True:
        name = f"{old.workload}-{old.slot}.{generation}"
        found = client.list_instances(namespace=old.namespace, name=name, ended=True, limit=1).items
        own = [one for one in found if one.workload_id == old.workload_id]
        if not own:
            return known
        known, generation = own[0], generation + 1


def _has_ended(client: "Client", old: "Instance") -> bool:
    from omnitide.sdk.errors import NotFound

    try:
        return client.get_instance(old.id).status in _ENDED
    except NotFound:
        return True


def _still_wanted(client: "Client", old: "Instance") -> None:
    agent = client.get_agent(old.workload, namespace=old.namespace)
    if agent.status in ("stopped", "removing"):
        raise Failure(f"{agent.name} was {agent.status} by someone else meanwhile", code=Exit.CONFLICT)
    if old.slot > agent.replicas:
        text = f"{agent.name} was scaled to {agent.replicas} meanwhile: nothing takes the place of {old.name}"
        raise Failure(text, code=Exit.CONFLICT)


def _ready(client: "Client", instance: "Instance") -> bool:
    if instance.health == "healthy":
        return True
    health = client.get_agent(instance.workload, namespace=instance.namespace).spec.health
    return health.readiness is None and health.startup is None


def _check_room(client: "Client", following: "Instance") -> None:
    """Raises Failure where it gets no node for good."""
    from omnitide.sdk.errors import NotFound

    try:
        never = never_placed(client.explain_instance(following.id))
    except NotFound:
        return  # it has been replaced meanwhile
    if never:
        hint = f"omnitide explain {called(following.namespace, following.name)}; it goes on being tried"
        raise Failure(f"{following.name} cannot be placed: {never}", hint, Exit.ROLLOUT)


def hope(instance: "Instance") -> None:
    """Raises Failure for one that cannot come up."""
    last = instance.exit or instance.previous_exit
    if last is None or instance.status == "running":
        return
    if instance.status == "failed":
        raise Failure(f"{instance.name} {last.text}", ways_on(instance.namespace, instance.workload), Exit.ROLLOUT)
    if instance.ends >= HOPELESS_ATTEMPTS:
        text = f"{instance.name} ended {instance.ends} times in a row, with {last.text}"
        raise Failure(text, ways_on(instance.namespace, instance.workload), Exit.ROLLOUT)


def _late(client: "Client", old: "Instance", following: "Instance | None") -> Failure:
    from omnitide.sdk.errors import FabricError

    about = following or old
    try:
        told = client.explain_instance(about.id).text
    except FabricError:
        told = f"{about.name} is {about.status}"
    return Failure(
        told, f"omnitide explain {called(about.namespace, about.name)}; it goes on being tried", Exit.TIMEOUT
    )
