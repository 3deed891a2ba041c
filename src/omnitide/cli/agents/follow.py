"""Waiting for agents to be as they were asked to be, and saying why they cannot."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from omnitide.cli.agents.never import never_placed, too_many
from omnitide.cli.agents.rolling_back import may_roll_back, rolled_back, way_back
from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session
from omnitide.cli.show.words import replicas
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.explanations import AgentExplanation, InstanceExplanation
    from omnitide.model.objects import Agent, AgentChanged
    from omnitide.model.spec import Need
    from omnitide.sdk.client import Client

EXPLAIN_EVERY_S: Final = 1.0
FAILED_AGAIN_S: Final = 0.25
"""So often where replicas have failed."""
EXPLANATION_S: Final = 3.0
"""How long an explanation may take: nodes are asked for the last output of what died."""
LEAST_S: Final = 0.004
"""Between two looks: in a busy fabric each would come at once."""
SHORTEST_S: Final = 0.05
"""Least time that an answer gets, however near the deadline is."""
HOPELESS_ATTEMPTS: Final = 3
"""A replica that ended so often in a row before it was up is taken for one that cannot run."""
SHOWN_LINES: Final = 10


class Settled(NamedTuple):
    agent: "Agent"
    changed: "AgentChanged"
    seconds: float
    urls: tuple[str, ...]
    revision: int
    """At which all its replicas were seen running."""
    at: float
    """When that was, by time.monotonic."""


@dataclass
class _Awaited:
    changed: "AgentChanged"
    wanted: "Agent"
    agent: "Agent"
    """As it was last seen, at `revision`."""
    revision: int
    further: float
    """When it last came further, by time.monotonic."""
    available: int = 0
    """Replicas that were, then."""
    to_its_end: bool = False
    """Another that is waited for begins only once it has succeeded: that it runs is not enough."""


def follow(
    session: Session, client: "Client", changes: "Sequence[AgentChanged]", began: float, timeout_s: float
) -> Iterator[Settled]:
    """Each agent once every replica wanted runs in its version or a later one, in the order in which that comes about.
    One that has succeeded, and is not started again for that, need not run.

    Raises Failure with the cause where it cannot, and when the time is up.
    """
    deadline = began + timeout_s
    # As each was when it was changed: much may have happened since.
    awaited = [_Awaited(one, one.agent, one.agent, one.revision, began) for one in changes if one.agent is not None]
    for one in awaited:
        one.to_its_end = any(_needs(other.agent, one.agent) == "completed" for other in awaited)
    progress = _Progress(session)
    up: list[Agent] = []
    explained, turn, last_text = time.monotonic(), 0, ""
    weighed: set[tuple[str, int, int]] = set()
    try:
        while awaited:
            for one in awaited:
                taken_back = one.agent.version > one.wanted.version and rolled_back(client, one.wanted, deadline)
                if taken_back:
                    raise taken_back
            for one in [one for one in awaited if _settled(one)]:
                awaited.remove(one)
                up.append(one.agent)
                progress.clear()
                at = time.monotonic()
                yield Settled(one.agent, one.changed, at - began, _urls(client, one.agent), one.revision, at)
            if not awaited:
                return
            for one in awaited:
                _not_paused(one.agent)
            progress.show(awaited)
            looked = time.monotonic()
            failed = [
                one for one in awaited if one.agent.counts.failed or (one.agent.rollout and one.agent.rollout.halted)
            ]
            if looked - explained > (FAILED_AGAIN_S if failed else EXPLAIN_EVERY_S) or (failed and not last_text):
                explained, turn = looked, turn + 1
                asked = [one.agent for one in failed or awaited]
                # What was up for a moment, and is waited for by what is not, may be why.
                asked += [] if failed else [one for one in up if any(_needs(other.agent, one) for other in awaited)]
                about = asked[turn % len(asked)]
                explanation = _explanation(client, about, deadline - looked)
                if explanation is not None:
                    if about not in up:
                        last_text = f"{about.name} {replicas(about)} after {timeout_s:.0f} s: "
                        last_text += explanation.text
                    progress.reason(explanation)
                    _check_hope(client, explanation)
                    _check_room(client, explanation, weighed)
            for one in awaited:
                _in_time(client, one, looked, last_text)
            if looked > deadline:
                raise _late(awaited, timeout_s, last_text)
            _look(client, awaited, min(deadline, looked + EXPLAIN_EVERY_S))
            rest = LEAST_S - (time.monotonic() - looked)
            if rest > 0:
                time.sleep(rest)
    finally:
        progress.clear()


def _settled(one: _Awaited) -> bool:
    agent, wanted = one.agent, one.wanted
    if agent.id != wanted.id or agent.status in ("stopped", "removing"):
        raise Failure(f"{wanted.name} was {agent.status} by someone else meanwhile", code=Exit.CONFLICT)
    if agent.version < wanted.version:
        return False
    ends = one.to_its_end and agent.replicas and agent.spec.restart.policy != "always"
    return has_ended_well(agent) or (not ends and (agent.status == "running" or _runs_now(agent)))


def _runs_now(agent: "Agent") -> bool:
    """Whether all of one that ended again and again not long ago runs, and is ready."""
    counts = agent.counts
    on_the_way = counts.pending or counts.placed or counts.starting or agent.rollout is not None
    return agent.status == "failing" and not on_the_way and agent.available >= agent.replicas


def _not_paused(agent: "Agent") -> None:
    """Raises Failure where nothing can come of waiting, as somebody has to let the rollout go on first. Of one that is
    halted as well, that is told instead (see `_check_hope`)."""
    if agent.rollout is not None and agent.rollout.paused and not agent.rollout.halted:
        way = f"omnitide rollout resume {called(agent.namespace, agent.name)}"
        raise Failure(f"{_cannot(agent)}: its rollout is paused", f"to go on: {way}", Exit.ROLLOUT)


def has_ended_well(agent: "Agent") -> bool:
    """Whether replicas of it have succeeded, which are not started again for that, and all others run."""
    counts = agent.counts
    on_the_way = counts.pending or counts.placed or counts.starting or counts.failed or counts.unknown
    return (
        agent.spec.restart.policy != "always"
        and counts.succeeded > 0
        and counts.running + counts.succeeded >= agent.replicas
        and not on_the_way
        and agent.rollout is None
    )


def _needs(agent: "Agent", other: "Agent") -> "Need | None":
    return agent.spec.needs.get(other.name) if other.namespace == agent.namespace else None


def _look(client: "Client", awaited: list[_Awaited], until: float) -> None:
    """See all of them again once anything has happened since the first was seen, or the time has come."""
    for place, one in enumerate(awaited):
        news = one.revision + 1 if place == 0 else None
        one.agent = seen_anew(client, one.agent, news, until)
        one.revision = client.shown


def seen_anew(client: "Client", agent: "Agent", news: int | None, until: float) -> "Agent":
    """The agent at the revision `news` or later, which Nexus holds the answer back for, but not after `until`."""
    from omnitide.sdk.errors import NO_NEWS, Unavailable

    if news is not None:
        within_s = max(SHORTEST_S, until - time.monotonic())
        try:
            return client.get_agent(agent.name, namespace=agent.namespace, min_revision=news, within_s=within_s)
        except Unavailable as error:
            if error.code not in NO_NEWS:
                raise
    return client.get_agent(agent.name, namespace=agent.namespace)


def _explanation(client: "Client", agent: "Agent", left_s: float) -> "AgentExplanation | None":
    """None if there is none in time."""
    from omnitide.sdk.errors import Late

    within_s = max(SHORTEST_S, min(EXPLANATION_S, left_s))
    try:
        return client.explain_agent(agent.name, namespace=agent.namespace, nodes=3, within_s=within_s)
    except Late:
        return None


def _late(awaited: list[_Awaited], timeout_s: float, last_text: str) -> Failure:
    agent = awaited[0].agent
    text = last_text or f"{agent.name} {replicas(agent)} after {timeout_s:.0f} s: on its way"
    others = f"; {len(awaited) - 1} more are not up either" if len(awaited) > 1 else ""
    return Failure(
        text + others, f"omnitide explain {called(agent.namespace, agent.name)}; it goes on being tried", Exit.TIMEOUT
    )


def _in_time(client: "Client", one: _Awaited, now: float, last_text: str) -> None:
    """Raises Failure where a first version has not come any further for as long as its spec allows. A later one is
    halted, or rolled back, by the fabric itself."""
    agent, deadline_ms = one.agent, one.agent.spec.update.progress_deadline
    if agent.rollout is not None or not deadline_ms or now - one.further < deadline_ms / 1000:
        return
    if one.to_its_end and agent.available >= agent.replicas:
        return  # it is up, and takes as long as its work does
    found = client.get_rollout(agent.name, namespace=agent.namespace)
    if found.available > one.available or found.version != agent.version:
        one.further, one.available = now, found.available
        return
    _, _, why = last_text.partition(": ")
    within = f"within {deadline_ms / 1000:g} s ({found.available} of {found.replicas} replicas are)"
    name = called(agent.namespace, agent.name)
    raise Failure(
        f"{agent.name} is not ready {within}{f': {why}' if why else ''}",
        f"omnitide explain {name}; it goes on being tried; the bound is its update.progress_deadline",
        Exit.ROLLOUT,
    )


def _check_hope(client: "Client", explanation: "AgentExplanation") -> None:
    agent = explanation.agent
    for trouble in explanation.troubles:
        instance = trouble.instance
        if instance.version != agent.version:
            continue
        never = never_placed(trouble)
        if never:
            raise _hopeless(client, explanation, trouble, never)
        last = instance.exit or instance.previous_exit
        if last is None or instance.status == "running" or may_roll_back(agent):
            continue
        if instance.status == "failed":
            raise _hopeless(client, explanation, trouble, f"{instance.name} {last.text}")
        if instance.ends >= HOPELESS_ATTEMPTS:
            text = f"{instance.name} ended {instance.ends} times in a row, with {last.text}"
            raise _hopeless(client, explanation, trouble, text)
    if agent.rollout is not None and agent.rollout.halted:
        why = f"the rollout is halted: {agent.rollout.halted}"
        hint = ways_on(agent.namespace, agent.name, back=way_back(client, agent))
        raise Failure(f"{_cannot(agent)}: {why}", hint, Exit.ROLLOUT)


def _check_room(client: "Client", explanation: "AgentExplanation", weighed: set[tuple[str, int, int]]) -> None:
    """Raises Failure where more replicas are asked for than fit at once. `weighed`: for which that was looked at: a
    node that joins makes it no worse."""
    agent = explanation.agent
    waits = [one.instance for one in explanation.troubles if one.instance.status == "pending"]
    asked = (agent.id, agent.version, agent.replicas)
    if not waits or asked in weighed:
        return
    weighed.add(asked)
    found = too_many(client, agent, [agent.spec], waits[0].id)
    if found is not None:
        raise Failure(f"{_cannot(agent)}: {found.text}", found.hint, Exit.ROLLOUT)


def _cannot(agent: "Agent") -> str:
    # Those that run then may be of the version before.
    version = f" in version {agent.version}" if agent.version > 1 else ""
    return f"{agent.name} cannot come up{version} ({agent.running} of {agent.replicas} replicas run)"


def _hopeless(client: "Client", explanation: "AgentExplanation", trouble: "InstanceExplanation", why: str) -> Failure:
    agent = explanation.agent
    lines = "".join(f"\n       | {line}" for line in trouble.last_output[-SHOWN_LINES:])
    if agent.spec.update.progress_deadline and may_roll_back(agent):
        name = called(agent.namespace, agent.name)
        hint = f"omnitide explain {name}; it is rolled back once its update.progress_deadline is over"
    else:
        hint = ways_on(agent.namespace, agent.name, trouble.instance.name, back=way_back(client, agent))
    return Failure(f"{_cannot(agent)}: {why}{lines}", hint, Exit.ROLLOUT)


def ways_on(namespace: str, agent: str, instance: str = "", *, back: str = "") -> str:
    """`instance`: name of the one whose output tells why; empty: that of all does. `back`: as `way_back` says it."""
    output = called(namespace, instance or agent)
    return f"omnitide explain {called(namespace, agent)}; omnitide logs {output}; it stays deployed{back}"


def _urls(client: "Client", agent: "Agent") -> tuple[str, ...]:
    if not (agent.replicas and agent.spec.ports):
        return ()
    found = client.list_instances(namespace=agent.namespace, agent=agent.name, status="running", limit=20)
    return tuple(url for instance in found.items for url in instance.urls.values())


class _Progress:
    """One line that is written over, on a terminal only; reasons for waiting stay, each once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._live = sys.stderr.isatty() and not session.quiet
        self._shown = ""
        self._said: set[str] = set()
        self._began = time.monotonic()

    def show(self, awaited: Sequence[_Awaited]) -> None:
        if not self._live or time.monotonic() - self._began < 0.15:
            return
        agent = awaited[0].agent
        counts = agent.counts
        parts = [
            f"{getattr(counts, kind)} {kind}"
            for kind in ("pending", "placed", "starting", "stopping", "failed", "lost", "unknown")
            if getattr(counts, kind)
        ]
        rollout = f"   {agent.rollout.asked}/{agent.rollout.replicas} asked" if agent.rollout else ""
        more = f"   and {len(awaited) - 1} more" if len(awaited) > 1 else ""
        text = f"{agent.name} {replicas(agent)} running   {', '.join(parts)}{rollout}{more}"
        if text != self._shown:
            self.clear()
            sys.stderr.write(f"\r{text}")
            sys.stderr.flush()
            self._shown = text

    def reason(self, explanation: "AgentExplanation") -> None:
        for trouble in explanation.troubles:
            text = ""
            placement = trouble.placement
            # What fits now is about to be placed, and waits for nothing.
            if trouble.instance.status == "pending" and placement is not None and placement.verdict != "fits-now":
                text = f"  {trouble.instance.name} waits: {placement.text}"
            elif trouble.instance.status == "running" and trouble.instance.health_message:
                text = f"  {trouble.instance.name} runs and is not ready: {trouble.instance.health_message}"
            if text and text not in self._said and not self._session.quiet:
                self.clear()
                self._session.note(text)
                self._said.add(text)

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            self._shown = ""
