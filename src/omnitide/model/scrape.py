"""An instance's own metrics: where its node finds them."""

from typing import Annotated, Final

from msgspec import Meta

from omnitide.model.names import Name
from omnitide.model.part import Part
from omnitide.model.quantity import quantity

MIN_INTERVAL_MS: Final = 1_000
MAX_INTERVAL_MS: Final = 300_000


class Metrics(Part, frozen=True, kw_only=True):
    """An endpoint that answers GET in the text format of Prometheus or in that of OpenMetrics."""

    port: Name | None = None
    """Of the spec's ports; left out: the only one."""
    path: Annotated[str, Meta(pattern=r"^/[!-~]*$", max_length=1024)] = "/metrics"
    interval: Annotated[int, quantity("duration", MIN_INTERVAL_MS)] = 15_000
    """From one scrape to the next; 1 s to 5 min."""
