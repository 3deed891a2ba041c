"""What an instance's endpoint answers, as series: bounded in number, with the names of its labels kept apart from ours.

Parsed by the Prometheus client's own parsers, which are loaded with the first scrape.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from omnitide.telemetry.series.definition import OWN_PREFIX, Kind, Labels, Series, fault_of

OPEN_METRICS: Final = "application/openmetrics-text"
OURS: Final = frozenset({"node", "namespace", "agent", "job", "instance", "instance_id"})
"""Labels that a scraped series gets; its own of these names become `exported_...`, as Prometheus has it."""
MAX_SAMPLES: Final = 50_000
"""Lines that are looked at."""

Key = tuple[str, Labels]


class Unreadable(ValueError):
    """It is not in a format of Prometheus."""


@dataclass(slots=True)
class ScrapedSeries:
    """The series of one instance, kept from scrape to scrape: those that were taken once stay."""

    instance: str
    step_ms: int
    most: int
    known: dict[Key, Series] = field(default_factory=dict[Key, Series])
    refused: Counter[str] = field(default_factory=Counter[str])
    """What was left out of the newest answer: series, by the name of their metric."""

    def take(self, text: str, content_type: str) -> "tuple[dict[Series, float], int]":
        """The samples, and how many series were left out. Raises Unreadable."""
        found: dict[Series, float] = {}
        fresh: list[tuple[Key, Kind, str, str, float]] = []
        refused = self.refused = Counter[str]()
        for key, kind, unit, text_of, value in _samples(text, content_type):
            series = self.known.get(key)
            if series is not None:
                found[series] = value
            else:
                fresh.append((key, kind, unit, text_of, value))
        # What is gone makes room for what is new.
        here = set(found)
        self.known = {key: series for key, series in self.known.items() if series in here}
        for key, kind, unit, text_of, value in fresh:
            name, labels = key
            own = tuple(sorted((f"exported_{one}" if one in OURS else one, value_of) for one, value_of in labels))
            whole = tuple(sorted((*own, ("instance", self.instance))))
            fault = name.startswith(OWN_PREFIX) or fault_of(name, whole, unit, text_of)
            if fault or key in self.known or len(self.known) >= self.most:
                refused[name] += 1
                continue
            series = Series(name, whole, kind, unit, text_of, 0, self.step_ms, True)
            self.known[key] = series
            found[series] = value
        return found, refused.total()


def _samples(text: str, content_type: str) -> Iterable[tuple[Key, Kind, str, str, float]]:
    open_metrics = content_type.startswith(OPEN_METRICS)
    # `Any`: the client's parsers have no types.
    module: Any = import_module(f"prometheus_client{'.openmetrics' if open_metrics else ''}.parser")
    families: Iterable[Any] = module.text_string_to_metric_families(text)
    try:
        number = 0
        for family in families:
            for sample in family.samples:
                number += 1
                if number > MAX_SAMPLES:
                    raise Unreadable(f"it has more than {MAX_SAMPLES} samples")
                name: str = sample.name
                if name.endswith("_created") and family.type in ("counter", "histogram", "summary"):
                    continue
                labels = tuple(sorted((str(key), str(value)) for key, value in sample.labels.items()))
                kind = _kind(family.type, name)
                yield (name, labels), kind, str(family.unit)[:32], str(family.documentation)[:300], float(sample.value)
    except Unreadable:
        raise
    # The parsers raise these for lines that are none.
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:200]) from error


def _kind(family: str, name: str) -> Kind:
    if family == "counter":
        return "counter"
    if family in ("histogram", "summary") and name.endswith(("_bucket", "_count", "_sum")):
        return "counter"
    return "gauge"
