"""Series as text for Prometheus: names, kinds, units and help as they are, in either of its formats.

The Prometheus client's own writers; it is loaded when this is first used.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final, NamedTuple

from omnitide.telemetry.series.definition import Kind, Labels

OPEN_METRICS: Final = "application/openmetrics-text"


class Sample(NamedTuple):
    name: str
    labels: Labels
    kind: Kind
    unit: str
    help: str
    value: float


def exposition(samples: Iterable[Sample], accept: str) -> tuple[bytes, str]:
    """The text and its content type, as `accept` (a header) would like it best."""
    core: Any = import_module("prometheus_client.core")  # `Any`: the client has no types
    families: dict[str, Any] = {}
    for sample in samples:
        family = families.get(sample.name)
        if family is None:
            counter = sample.kind == "counter"
            make = core.CounterMetricFamily if counter else core.GaugeMetricFamily
            # A counter's family is called without what its samples end in.
            name = sample.name.removesuffix("_total") if counter else sample.name
            unit = sample.unit if sample.unit and name.endswith(f"_{sample.unit}") else ""
            family = families[sample.name] = make(name, sample.help, unit=unit, labels=())
        # One family may have samples of different labels: they are written as they are.
        whole = f"{family.name}_total" if sample.kind == "counter" else family.name
        family.samples.append(core.Sample(whole, dict(sample.labels), sample.value, None, None))

    class _Collected:
        def collect(self) -> Iterable[Any]:
            return families.values()

    module: Any = import_module("prometheus_client.exposition")
    encoder, content_type = module.choose_encoder(accept)
    return encoder(_Collected()), content_type
