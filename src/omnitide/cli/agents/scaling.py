"""Waiting for what `scale` itself asked for, while a rollout goes no further: new replicas then come in the version
that works, and those that hold the rollout up stay as they are."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from omnitide.cli.agents.follow import EXPLAIN_EVERY_S, HOPELESS_ATTEMPTS, seen_anew
from omnitide.cli.agents.never import never_placed, too_many
from omnitide.cli.exits import Exit, Failure
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.objects import Agent, Instance
    from omnitide.model.spec import AgentSpec
    from omnitide.sdk.client import Client

LOOK_S: Final = 1.0
"""Longest time between two looks; a change is seen at once."""
LEAST_S: Final = 0.02
"""Between two looks: each may list many instances."""
SHOWN: Final = 3
"""Replicas that do not run and are named."""


@dataclass(frozen=True)
class Scaled:
    """How it is once all that was asked for runs."""

    agent: "Agent"
    currents: "tuple[Instance, ...]"
    """Of each slot the newest, in the order of the slots."""


def is_held_up(agent: "Agent") -> bool:
    """Whether its rollout goes no further by itself: it is halted, or paused."""
    return agent.rollout is not None and (bool(agent.rollout.halted) or agent.rollout.paused)


def until_scaled(client: "Client", wanted: "Agent", had: int, began: float, timeout_s: float) -> Scaled | None:
    """Once every replica above `had` runs and is ready, or has done its work; None where the rollout goes on again
    meanwhile, and is to be followed as any other. `wanted`: as it was when it was scaled.

    Raises Failure where one of them cannot run, and when the time is up.
    """
    deadline = began + timeout_s
    agent, versions = wanted, _Versions(client, wanted)
    explained, weighed = time.monotonic(), False
    while is_held_up(agent):
        if agent.id != wanted.id or agent.status in ("stopped", "removing"):
            raise Failure(f"{wanted.name} was {agent.status} by someone else meanwhile", code=Exit.CONFLICT)
        looked, revision = time.monotonic(), client.shown
        currents = _currents(client, agent)
        made = [currents.get(slot) for slot in range(had + 1, wanted.replicas + 1) if slot <= agent.replicas]
        missing = [one for one in made if one is None or not _is_up(agent, one, versions)]
        if not missing:
            agent = client.get_agent(wanted.name, namespace=wanted.namespace)  # as its instances are by now
            if not is_held_up(agent):
                return None
            return Scaled(agent, tuple(currents[slot] for slot in sorted(currents) if slot <= agent.replicas))
        there = [one for one in missing if one is not None]
        _check_hope(wanted, there)
        pending = [one for one in there if one.status == "pending"]
        if pending and looked - explained > EXPLAIN_EVERY_S:
            _check_room(client, wanted, pending, None if weighed else versions.run_by(currents.values()))
            explained, weighed = looked, True
        if looked > deadline:
            raise _late(client, wanted, there, len(missing), timeout_s)
        time.sleep(LEAST_S)
        agent = seen_anew(client, agent, revision + 1, min(deadline, looked + LOOK_S))
    return None


def _currents(client: "Client", agent: "Agent") -> "dict[int, Instance]":
    found: dict[int, Instance] = {}
    for one in client.instances(namespace=agent.namespace, agent=agent.name):
        newest = found.get(one.slot)
        if newest is None or newest.generation < one.generation:
            found[one.slot] = one
    return found


class _Versions:
    """The specs of its versions: asked for once, and only where one of them makes a difference."""

    def __init__(self, client: "Client", agent: "Agent") -> None:
        self._client = client
        self._agent = agent
        self._specs: dict[int, AgentSpec] | None = None

    def _known(self) -> "dict[int, AgentSpec]":
        if self._specs is None:
            found = self._client.list_agent_versions(self._agent.name, namespace=self._agent.namespace)
            self._specs = {one.number: one.spec for one in found.items}
        return self._specs

    def are_probed(self, version: int) -> bool:
        spec = self._known().get(version)
        return spec is not None and spec.health.readiness is not None

    def run_by(self, instances: "Iterable[Instance]") -> "list[AgentSpec]":
        """Of the versions that these run; empty where one of them is not kept any more."""
        numbers = sorted({one.version for one in instances})
        return [self._known()[number] for number in numbers] if all(one in self._known() for one in numbers) else []


def _is_up(agent: "Agent", one: "Instance", versions: _Versions) -> bool:
    if one.status == "succeeded":
        return agent.spec.restart.policy != "always"
    return one.status == "running" and (one.health == "healthy" or not versions.are_probed(one.version))


def _check_hope(wanted: "Agent", missing: "Iterable[Instance]") -> None:
    for one in missing:
        last = one.exit or one.previous_exit
        if one.status == "failed":
            why = f"has failed{f': {last.text}' if last is not None else ''}"
        elif one.status != "running" and one.ends >= HOPELESS_ATTEMPTS and last is not None:
            why = f"ended {one.ends} times in a row, with {last.text}"
        else:
            continue
        hint = f"omnitide logs {called(wanted.namespace, one.name)}; it stays scaled"
        raise Failure(f"{wanted.name} was scaled to {wanted.replicas}, and {one.name} {why}", hint, Exit.ROLLOUT)


def _check_room(client: "Client", wanted: "Agent", pending: "list[Instance]", specs: "list[AgentSpec] | None") -> None:
    """Raises Failure where those that wait for a node get none for good. `specs`: of the versions that all of its
    replicas run, to weigh whether so many fit at once; None: that is not asked."""
    from omnitide.sdk.errors import NotFound

    said = f"{wanted.name} was scaled to {wanted.replicas}, and"
    try:
        never = never_placed(client.explain_instance(pending[0].id))
    except NotFound:
        return  # it has been replaced meanwhile
    if never:
        hint = f"omnitide explain {called(wanted.namespace, wanted.name)}; it goes on being tried"
        raise Failure(f"{said} {pending[0].name} cannot be placed: {never}", hint, Exit.ROLLOUT)
    found = too_many(client, wanted, specs, pending[0].id) if specs else None
    if found is not None:
        raise Failure(f"{said} {found.text}", found.hint, Exit.ROLLOUT)


def _late(client: "Client", wanted: "Agent", there: "list[Instance]", missing: int, timeout_s: float) -> Failure:
    why = client.explain_instance(there[0].id).text if there else ""
    of = f" (one of {missing})" if missing > 1 else ""
    name = there[0].name if there else "what was asked for"
    text = f"{wanted.name} was scaled to {wanted.replicas}, and {name}{of} does not run after {timeout_s:.0f} s"
    hint = f"omnitide explain {called(wanted.namespace, wanted.name)}; it goes on being tried"
    return Failure(f"{text}{f': {why}' if why else ''}", hint, Exit.TIMEOUT)


def lines(found: Scaled, seconds: float) -> list[str]:
    """For people: how many run in which version, and what does not run, and why that stays so."""
    agent, rollout = found.agent, found.agent.rollout
    running = [one for one in found.currents if one.status == "running"]
    versions = Counter(one.version for one in running)
    if len(versions) == 1:
        how = f", in version {next(iter(versions))}"
    else:
        how = "".join(f", {number} in version {version}" for version, number in sorted(versions.items()))
    told = [f"{agent.name} scaled to {agent.replicas} in {seconds:.2f} s: {len(running)} of {agent.replicas} run{how}"]
    if rollout is None:
        return told
    held = f"the rollout to version {rollout.version} is {'halted' if rollout.halted else 'paused'}"
    failed = [one for one in found.currents if one.status == "failed"]
    for one in failed[:SHOWN]:
        last = one.exit or one.previous_exit
        told.append(f"{one.name} has failed{f' ({last.text})' if last else ''}, and stays so: {held}")
    if len(failed) > SHOWN:
        told.append(f"and {len(failed) - SHOWN} more")
    if not failed:
        told.append(held + ("" if rollout.paused else f": {rollout.halted}"))
    if rollout.paused:
        told[-1] += f"; to go on: omnitide rollout resume {called(agent.namespace, agent.name)}"
    return told
