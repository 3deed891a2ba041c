"""The page of rows of jobs: what each runs, how far it is, how it ended."""

from typing import Final

from omnitide.cli.top.lines import Cell, cut, cut_name, told
from omnitide.cli.top.listing import Column, Table
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.tables import NAME, NODE_NAME, STATE
from omnitide.cli.top.words import RANK, State, job_state, span, visible
from omnitide.model.objects import JobSummary


def job_name(one: JobSummary) -> str:
    """As a person names it, and as the command line takes it."""
    return one.name if one.namespace == "default" else f"{one.namespace}/{one.name}"


def _lasted(one: JobSummary, scene: Scene) -> int:
    return max(0, (one.finished_ms or scene.now_ms) - one.created_ms)


def _task(one: JobSummary) -> Cell:
    if one.instance_status is None:
        return Cell("-", "soft")
    return Cell(one.instance_status)


def _end(one: JobSummary) -> str:
    return one.exit.text if one.exit is not None else ""


def _objects(scene: Scene) -> dict[str, JobSummary]:
    found = scene.view.jobs
    return (
        found if not scene.namespace else {key: one for key, one in found.items() if one.namespace == scene.namespace}
    )


def _rank(one: JobSummary, _: Scene) -> int:
    return RANK[job_state(one).tone]


JOBS: Final = Table[JobSummary](
    kind="job",
    noun="job",
    columns=(
        Column[JobSummary](
            "name",
            "JOB",
            18,
            lambda one, _: Cell(visible(job_name(one)), "strong"),
            lambda _one, _: 0,
            cutting=cut_name,
            whole=NAME,
        ),
        Column[JobSummary](
            "state", "STATE", 14, lambda one, _: told(job_state(one)), _rank, cutting=cut, whole=STATE, sooner=True
        ),
        Column[JobSummary](
            "task", "TASK", 9, lambda one, _: _task(one), lambda one, _: one.instance_status or "", rank=2
        ),
        Column[JobSummary](
            "node",
            "NODE",
            12,
            lambda one, _: Cell(visible(one.node) or "-"),
            lambda one, _: one.node,
            rank=1,
            cutting=cut_name,
            whole=NODE_NAME,
        ),
        Column[JobSummary](
            "took",
            "TOOK",
            6,
            lambda one, scene: Cell(span(_lasted(one, scene)), "soft"),
            _lasted,
            right=True,
            falls=True,
            moves=True,
        ),
        Column[JobSummary](
            "age",
            "AGE",
            6,
            lambda one, scene: Cell(span(scene.now_ms - one.created_ms), "soft"),
            lambda one, _: -one.created_ms,
            right=True,
        ),
        Column[JobSummary](
            "end",
            "ENDED WITH",
            14,
            lambda one, _: Cell(visible(_end(one))),
            lambda one, _: _end(one),
            rank=3,
            cutting=cut,
        ),
    ),
    first="state",
    objects=_objects,
    ids=_objects,
    name=job_name,
    text=lambda one: f"{one.namespace}/{one.name} {one.node} {_said(job_state(one))} {_end(one)}",
    fields={
        "state": lambda one: one.status,
        "node": lambda one: one.node,
        "driver": lambda one: one.driver,
        "namespace": lambda one: one.namespace,
    },
)


def _said(state: State) -> str:
    return state.told
