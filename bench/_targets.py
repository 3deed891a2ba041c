"""Whether a benchmark's figures are what they are to be: a line for each target, and an end that tells what is missed.

targets = Targets()
targets.below("a chart of 15 min", 12.3, 20.0, "ms")
sys.exit(targets.end(options.report_only))
"""

import argparse
from dataclasses import dataclass, field

MISSED = 3
"""The exit code of a benchmark whose figures were read and are not what they are to be; an error ends with another."""


@dataclass
class Targets:
    """What was judged so far."""

    judged: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def below(self, what: str, value: float, bound: float, unit: str = "") -> None:
        self._judge(what, value, "below", bound, unit, met=value < bound)

    def above(self, what: str, value: float, bound: float, unit: str = "") -> None:
        self._judge(what, value, "above", bound, unit, met=value > bound)

    def most(self, what: str, value: float, bound: float, unit: str = "") -> None:
        self._judge(what, value, "at most", bound, unit, met=value <= bound)

    def least(self, what: str, value: float, bound: float, unit: str = "") -> None:
        self._judge(what, value, "at least", bound, unit, met=value >= bound)

    def _judge(self, what: str, value: float, word: str, bound: float, unit: str, *, met: bool) -> None:
        """What is not a number meets nothing: each comparison with it is false."""
        after = f" {unit}" if unit else ""
        line = f"{what}: {_shown(value)}{after}, {word} {_shown(bound)}{after}"
        self.judged.append(line)
        if not met:
            self.missed.append(line)
        print(f"  target {'met    ' if met else 'NOT MET'} {line}", flush=True)

    def end(self, report_only: bool) -> int:
        """The exit code, after a line that says how many were missed, and which."""
        if self.missed:
            print(f"\n{len(self.missed)} of {len(self.judged)} targets NOT MET:")
            for line in self.missed:
                print(f"  {line}")
        return 0 if report_only or not self.missed else MISSED


def _shown(value: float) -> str:
    """In as many digits as say something."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:,.3g}"


def add_report_only(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report-only", action="store_true", help=f"end with 0 where a target is missed too, instead of {MISSED}"
    )
