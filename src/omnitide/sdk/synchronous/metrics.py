# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.metrics`; change that.
"""Samples over time."""

import omnitide.sdk.calls as calls
from omnitide.model import metrics as mm
from omnitide.sdk.synchronous.connection import Connection


class MetricCalls(Connection):
    """What nodes and instances use: the last 15 minutes by the second, 7 days by the minute."""

    def query_metrics(
        self,
        name: str,
        *,
        match: tuple[str, ...] = (),
        start_ms: int = -900_000,
        end_ms: int = 0,
        step_ms: int = 0,
        aggregate: str = "",
        by: tuple[str, ...] = (),
        combine: str = "sum",
    ) -> mm.MetricAnswer:
        """`name`, or `name{label="value"}`; `match`: further conditions. Times of 0 or less are before now. `by`:
        labels to keep, `-` for none; series that are then the same are made one as `combine` says. Of counters, the
        rate."""
        return self._do(calls.query_metrics(name, match, start_ms, end_ms, step_ms, aggregate, by, combine))

    def list_metrics(self, *, prefix: str = "") -> mm.MetricList:
        """Names of what is sampled, as far as they begin with `prefix`."""
        return self._do(calls.list_metrics(prefix))
