"""How a node finds out whether an instance is well: what it asks, how often, and what it makes of the answers.

The terms are those of Kubernetes. A probe runs on the instance's node. `startup` holds the other two back until it has
succeeded once, and restarts the instance when it fails; `readiness` says whether the instance can be used, which
rollouts and the service registry wait for; `liveness` restarts it.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from omnitide.model.names import Name
from omnitide.model.part import Part, Text
from omnitide.model.quantity import DurationMs, quantity

MAX_TIMEOUT_MS: Final = 600_000
"""Kubernetes, Docker and Nomad bound it by nothing, Amazon ECS by a minute. What has not answered after ten minutes is
as good as silent, and a question holds a connection or a program of the node's."""

Threshold = Annotated[int, Meta(ge=1, le=1000)]
Interval = Annotated[int, quantity("duration", 100)]


class Probe(Part, frozen=True, kw_only=True):
    """One question, asked again and again."""

    type: Literal["http", "tcp", "exec", "grpc"]
    """`http`: GET, well if the status is 200 to 399. `tcp`: a connection can be made. `exec`: the command ends with 0
    inside the instance. `grpc`: grpc.health.v1 says SERVING."""
    port: Name | None = None
    """Of `ports`; may be left out where there is only one."""
    path: Annotated[str, Meta(pattern=r"^/[^\s]*$", max_length=2048)] = "/"
    """http only."""
    headers: Annotated[dict[str, Text], Meta(max_length=32)] = msgspec.field(default_factory=dict)
    """http only."""
    command: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()
    """exec only."""
    service: Annotated[str, Meta(max_length=256)] = ""
    """grpc only: the service that is asked for; empty for the server as a whole."""
    initial_delay: DurationMs = 0
    """From the start of the attempt to the first question."""
    interval: Interval = 10_000
    """From an answer, or its absence, to the next question."""
    timeout: Interval = 1_000
    """No answer within it is a failure. Ten minutes at most."""
    failure_threshold: Threshold = 3
    """Failures in a row that make the instance unwell."""
    success_threshold: Threshold = 1
    """Successes in a row that make it well again."""


class Probes(Part, frozen=True, kw_only=True):
    startup: Probe | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None
