"""`omnitide explain`: why something is pending, restarting, away."""

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from omnitide.cli.access.names import everything
from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.visible import for_reader, visible_lines
from omnitide.model.explanations import again_and_again
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.explanations import AgentExplanation, InstanceExplanation, PlacementVerdict
    from omnitide.sdk.client import Client


def explain(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Agent, job, slot (hello-4) or instance (hello-4.1).", autocompletion=everything
        ),
    ],
    nodes: Annotated[int, typer.Option(min=0, max=1000, help="Explain so many nodes one by one.")] = 0,
) -> None:
    """Say why an agent, a job or an instance is as it is."""
    from omnitide.cli.instances.resolve import find_instance
    from omnitide.sdk.errors import NotFound

    session = session_of(context)
    with session.client() as client:
        instance = find_instance(session, client, name)
        if instance is not None:
            _tell_instance(session, client.explain_instance(instance.id, nodes=nodes))
            return
        namespace, plain = session.name(name)
        try:
            _tell_agent(session, client.explain_agent(plain, namespace=namespace, nodes=nodes))
        except NotFound as unknown:
            try:
                job = client.get_job(plain, namespace=namespace)
            except NotFound:
                raise _of_a_node(client, name) or unknown from None
            if job.instance and job.status == "active":
                _tell_instance(session, client.explain_instance(job.instance, nodes=nodes))
            elif session.plain:
                session.emit(job)
            else:
                session.say(f"  job {job.name} {job.status}{f': {job.exit.text}' if job.exit else ''}")


def _of_a_node(client: "Client", name: str) -> Failure | None:
    """What to say of a name that only a node has; None: none has it, or nobody may say."""
    from omnitide.sdk.errors import FabricError

    if "/" in name:
        return None
    try:
        node = client.get_node(name)
    except FabricError:
        return None
    what = f"{node.name} is a node, and neither an agent nor a job"
    return Failure(what, f"omnitide nodes show {node.name}", Exit.NOT_FOUND)


def _tell_instance(session: Session, found: "InstanceExplanation") -> None:
    if session.plain:
        session.emit(found)
        return
    _say(f"  {found.instance.name}  {found.text}")
    _details(found, "    ")


def _tell_agent(session: Session, found: "AgentExplanation") -> None:
    if session.plain:
        session.emit(found)
        return
    agent = found.agent
    if not found.troubles:
        well = agent.status == "running" and agent.replicas > 0
        _say(f"  {agent.name}  {found.text}{'. Nothing stands in the way.' if well else ''}")
        return
    failing = again_and_again(agent.failing, at_least=agent.failing_at_least)
    print(f"  {agent.name}  {agent.running} of {agent.replicas} replicas run{failing}")
    if agent.rollout is not None and agent.rollout.halted:
        _say(f"  the rollout of version {agent.version} is halted: {agent.rollout.halted}")
    if agent.rollout is not None and agent.rollout.paused:
        which = "it is paused too" if agent.rollout.halted else f"the rollout of version {agent.version} is paused"
        _say(f"  {which}; to go on: omnitide rollout resume {called(agent.namespace, agent.name)}")
    said: set[str] = set()
    for trouble in found.troubles:
        alike = f" and {trouble.alike} more" if trouble.alike else ""
        _say(f"  {trouble.instance.name}{alike}  {trouble.text}")
        _details(trouble, "    ", said)
    for line in _others(found):
        _say(line)


def _others(found: "AgentExplanation") -> list[str]:
    """How many more of a status there are than is told of, one by one or as alike. Most of what runs is well."""
    told: Counter[str] = Counter()
    for trouble in found.troubles:
        told[trouble.instance.status] += 1 + trouble.alike
    lines: list[str] = []
    for status, number in told.items():
        more = getattr(found.agent.counts, status, 0) - number if status != "running" else 0
        if more > 0:
            where = called(found.agent.namespace, found.agent.name)
            lines.append(f"  and {more} more {status}: omnitide ps {where} --status {status}")
    return lines


def _details(found: "InstanceExplanation", margin: str, said: set[str] | None = None) -> None:
    """`said`: lines about nodes that need not be said once more, as of another instance of the same agent."""
    if found.placement is not None:
        for line in placement_lines(found.placement):
            if said is None or line not in said:
                _say(margin + line)
            if said is not None:
                said.add(line)
    if found.last_output:
        number = len(found.last_output)
        print(f"{margin}its last {'line' if number == 1 else f'{number} lines'}:")
        for line in found.last_output:
            print(f"{margin}| {for_reader(line, sys.stdout)}")
    elif found.last_output_missing:
        _say(f"{margin}no output: {found.last_output_missing}")


def _say(text: str) -> None:
    print(visible_lines(text))


def placement_lines(verdict: "PlacementVerdict") -> list[str]:
    """Every reason, what would do, and node by node if so asked."""
    told = verdict.text.lower()  # a reason that begins a sentence there has a capital
    lines = [f"- {reason.text}" for reason in verdict.reasons if reason.text.lower() not in told]
    lines += [f"fits when: {way.text}" for way in verdict.when if way.text.lower() not in told]
    nearest = verdict.nearest if verdict.verdict != "fits-now" else None
    # Where a node only has to come back or be opened, the lines above have said so.
    further = nearest is not None and (not verdict.when or any(change.of == "spec" for change in nearest.changes))
    if nearest is not None and further and nearest.text.lower() not in told:
        lines.append(f"nearest: {nearest.text}")
    for node in verdict.table:
        failures = ", ".join(
            f"{failure.subject or failure.rule}: needs {failure.need}, has {failure.have}"
            if failure.need
            else failure.rule
            for failure in node.failures
        )
        lines.append(f"{node.name}: {'fits' if node.fits else failures}")
    return lines
