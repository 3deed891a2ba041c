"""Waiting for an agent to be as it was asked to be, and saying why it cannot."""

import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session

if TYPE_CHECKING:
    from omnitide.model.explanations import AgentExplanation, InstanceExplanation
    from omnitide.model.objects import Agent
    from omnitide.sdk.client import Client

EXPLAIN_EVERY_S: Final = 1.0
LEAST_S: Final = 0.004
"""Between two looks: in a busy fabric each would come at once."""
HOPELESS_ATTEMPTS: Final = 3
"""A replica that ended so often in a row before it was up is taken for one that cannot run."""
SHOWN_LINES: Final = 10


class Settled(NamedTuple):
    agent: "Agent"
    seconds: float
    urls: tuple[str, ...]


def follow(session: Session, client: "Client", changed: "Agent", began: float, timeout_s: float) -> Settled:
    """Until every replica wanted runs in this version or a later one. Raises Failure with the cause if it cannot."""
    deadline = began + timeout_s
    progress = _Progress(session)
    agent = changed
    explained = time.monotonic()
    try:
        while not _settled(agent, changed):
            progress.show(agent)
            looked = time.monotonic()
            if looked - explained > EXPLAIN_EVERY_S or agent.counts.failed:
                explained = looked
                explanation = client.explain_agent(agent.name, namespace=agent.namespace, nodes=3)
                progress.reason(explanation)
                _check_hope(explanation)
            if looked > deadline:
                text = client.explain_agent(agent.name, namespace=agent.namespace).text
                raise Failure(
                    f"{agent.name} {agent.running}/{agent.replicas} after {timeout_s:.0f} s: {text}",
                    f"omnitide explain {agent.name}; it goes on being tried",
                    Exit.TIMEOUT,
                )
            agent = _next(client, agent, min(deadline, looked + EXPLAIN_EVERY_S))
            rest = LEAST_S - (time.monotonic() - looked)
            if rest > 0:
                time.sleep(rest)
    finally:
        progress.clear()
    seconds = time.monotonic() - began
    return Settled(agent, seconds, _urls(client, agent) if agent.replicas and agent.spec.ports else ())


def _settled(agent: "Agent", wanted: "Agent") -> bool:
    if agent.id != wanted.id or agent.status in ("stopped", "removing"):
        raise Failure(f"{wanted.name} was {agent.status} by someone else meanwhile", code=Exit.CONFLICT)
    return agent.version >= wanted.version and agent.status == "running"


def _next(client: "Client", agent: "Agent", until: float) -> "Agent":
    """The agent once anything has happened in the fabric, or some time has passed: Nexus holds the answer back."""
    from omnitide.sdk.errors import Unavailable

    del until
    try:
        return client.get_agent(agent.name, namespace=agent.namespace, min_revision=client.seen + 1)
    except Unavailable as error:
        if error.code != "behind":
            raise
        return client.get_agent(agent.name, namespace=agent.namespace)


def _check_hope(explanation: "AgentExplanation") -> None:
    for trouble in explanation.troubles:
        instance = trouble.instance
        if instance.version != explanation.agent.version:
            continue
        if trouble.placement is not None and trouble.placement.verdict == "never":
            raise _hopeless(explanation, trouble, trouble.placement.text)
        last = instance.exit or instance.previous_exit
        if last is None or instance.status == "running":
            continue
        if instance.status == "failed":
            raise _hopeless(explanation, trouble, f"{instance.name} {last.text}")
        if instance.attempt >= HOPELESS_ATTEMPTS or instance.failures >= HOPELESS_ATTEMPTS:
            times = max(instance.attempt, instance.failures)
            raise _hopeless(explanation, trouble, f"{instance.name} ended {times} times in a row, with {last.text}")


def _hopeless(explanation: "AgentExplanation", trouble: "InstanceExplanation", why: str) -> Failure:
    agent = explanation.agent
    lines = "".join(f"\n       | {line}" for line in trouble.last_output[-SHOWN_LINES:])
    return Failure(
        f"{agent.name} {agent.running}/{agent.replicas} cannot come up: {why}{lines}",
        f"omnitide explain {agent.name}; omnitide logs {agent.name}; it stays deployed",
        Exit.ROLLOUT,
    )


def _urls(client: "Client", agent: "Agent") -> tuple[str, ...]:
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

    def show(self, agent: "Agent") -> None:
        if not self._live or time.monotonic() - self._began < 0.15:
            return
        counts = agent.counts
        parts = [
            f"{getattr(counts, kind)} {kind}"
            for kind in ("pending", "placed", "starting", "stopping", "failed", "lost", "unknown")
            if getattr(counts, kind)
        ]
        rollout = f"   {agent.rollout.asked}/{agent.rollout.replicas} asked" if agent.rollout else ""
        text = f"{agent.name} {agent.running}/{agent.replicas} running   {', '.join(parts)}{rollout}"
        if text != self._shown:
            self.clear()
            sys.stderr.write(f"\r{text}")
            sys.stderr.flush()
            self._shown = text

    def reason(self, explanation: "AgentExplanation") -> None:
        for trouble in explanation.troubles:
            if trouble.instance.status == "pending" and trouble.placement is not None:
                text = f"  {trouble.instance.name} waits: {trouble.placement.text}"
                if text not in self._said and not self._session.quiet:
                    self.clear()
                    self._session.note(text)
                    self._said.add(text)

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            self._shown = ""
