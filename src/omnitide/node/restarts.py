"""What follows when an attempt ended by itself: the restart policy of a spec, as a pure function."""

from typing import NamedTuple

from omnitide.model.spec import Restart
from omnitide.node.records import Ending, Outcome

PORT_BUSY = "port-busy"
"""Cause of a start that failed as a port is taken: only Nexus can give another one, so the instance ends at once."""


class Finish(NamedTuple):
    """The instance has ended on this node."""

    outcome: Outcome


class Again(NamedTuple):
    """One more attempt."""

    delay_ms: int
    restarts: int
    """Restarts in a row, this one included."""


def after_ending(
    policy: Restart, ending: Ending, *, restarts: int, ran_ms: int, ends_before: int = 0
) -> Finish | Again:
    """Decide what follows an attempt that the fabric did not ask to stop.

    `restarts`: restarts in a row before it, of which each node allows so many; `ends_before`: ends in a row before
    those, of the generations before, which make the wait longer and nothing else; `ran_ms`: how long it ran. The first
    restart in a row comes at once, each further one after twice the wait of the one before, from `backoff` up to
    `backoff_max`. One that was stopped with all that the machine runs, as by `omnitide down`, has not failed: the next
    comes at once.
    """
    if ending.permanent or ending.cause == PORT_BUSY:
        return Finish(Outcome.FAILED)
    if ending.stopped and policy.policy != "never":
        return Again(0, restarts)
    if policy.policy == "never" or (policy.policy == "on-failure" and ending.success):
        return Finish(Outcome.SUCCEEDED if ending.success else Outcome.FAILED)
    if ran_ms >= policy.reset_after:
        restarts = ends_before = 0
    if restarts >= policy.attempts:
        return Finish(Outcome.FAILED)
    return Again(backoff_ms(policy, ends_before + restarts), restarts + 1)


def backoff_ms(policy: Restart, restarts: int) -> int:
    """The wait before the next restart, after `restarts` in a row, or as many ends."""
    if restarts == 0:
        return 0
    # 2**40 ms is beyond any backoff_max; without the cap the power would grow with the number of restarts.
    return min(policy.backoff << min(restarts - 1, 40), policy.backoff_max)
