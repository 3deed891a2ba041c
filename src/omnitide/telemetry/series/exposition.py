"""Series as text for Prometheus: names, kinds, units and help as they are, in either of its formats.

The Prometheus client's own writers; it is loaded when this is first used.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final, Literal, NamedTuple

from omnitide.telemetry.series.definition import Kind, Labels

OPEN_METRICS: Final = "application/openmetrics-text"


class Sample(NamedTuple):
    name: str
    labels: Labels
    kind: "Kind | Literal['histogram']"
    unit: str
    help: str
    value: float
    at_s: int | None = None
    """When it was taken, seconds since 1970; None: now."""


def exposition(samples: Iterable[Sample], accept: str) -> tuple[bytes, str]:
    """The text and its content type, as `accept` (a header) would like it best."""
    core: Any = import_module("prometheus_client.core")  # `Any`: the client has no types
    families: dict[str, Any] = {}
    of_sample: dict[tuple[str, str], Any] = {}
    for sample in samples:
        key = (sample.name, sample.kind)
        family = of_sample.get(key)
        if family is None:
            family = of_sample[key] = _family(core, families, sample)
        # One family may have samples of different labels: they are written as they are.
        family.samples.append(core.Sample(sample.name, dict(sample.labels), sample.value, sample.at_s, None))

    class _Collected:
        def collect(self) -> Iterable[Any]:
            return families.values()

    module: Any = import_module("prometheus_client.exposition")
    encoder, content_type = module.choose_encoder(accept)
    return encoder(_Collected()), content_type


def _family(core: Any, families: dict[str, Any], sample: Sample) -> Any:
    """The one of that name and kind. What cannot be called by its kind keeps its name and has none: a counter whose
    name does not end as one's, a second kind of the same name."""
    name, kind = sample.name, "gauge" if sample.kind == "gauge" else "unknown"
    # A family is called without what its samples end in.
    if sample.kind == "counter" and sample.name.endswith("_total"):
        name, kind = sample.name.removesuffix("_total"), "counter"
    elif sample.kind == "histogram":
        name, kind = sample.name.rpartition("_")[0], "histogram"
    known = families.get(name)
    if known is not None and known.type != kind:
        name, kind = sample.name, "unknown"
        known = families.get(name)
        if known is not None:
            return known
    if known is None:
        unit = sample.unit if sample.unit and name.endswith(f"_{sample.unit}") else ""
        known = families[name] = core.Metric(name, sample.help, kind, unit)
    return known
