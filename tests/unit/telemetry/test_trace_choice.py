"""Which calls are traced."""

import pytest

from omnitide.telemetry.tracing.choosing import MAX_CALLERS_S, Choice, UnknownSampler
from omnitide.telemetry.tracing.context import Caller, Place

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = Caller(Place(TRACE, "00f067aa0ba902b7"), True)
UNSAMPLED = SAMPLED._replace(sampled=False)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def takes(choice: Choice, caller: Caller | None = None, *, changes: bool = True, trace_id: str = TRACE) -> bool:
    return choice.takes(caller, trace_id, changes=changes)


def test_changes_are_traced_up_to_so_many_a_second_and_what_only_reads_is_not() -> None:
    clock = Clock()
    choice = Choice(3, {}, clock)
    assert not takes(choice, changes=False)
    assert [takes(choice) for _ in range(5)] == [True, True, True, False, False]
    clock.now += 0.34
    assert [takes(choice) for _ in range(2)] == [True, False]
    clock.now += 3600
    assert sum(takes(choice) for _ in range(100)) == 3, "what was not used is not saved up"


def test_less_than_one_a_second_is_one_now_and_then() -> None:
    clock = Clock()
    choice = Choice(0.1, {}, clock)
    assert [takes(choice), takes(choice)] == [True, False]
    clock.now += 9.0
    assert not takes(choice)
    clock.now += 1.1
    assert takes(choice)


def test_a_caller_says_itself_whether_it_traces_and_cannot_flood() -> None:
    choice = Choice(0, {}, Clock())
    assert not takes(choice)
    assert not takes(choice, UNSAMPLED)
    assert sum(takes(choice, SAMPLED, changes=False) for _ in range(10 * MAX_CALLERS_S)) == MAX_CALLERS_S


@pytest.mark.parametrize(
    ("name", "argument", "alone", "sampled", "unsampled"),
    [
        ("always_on", "", True, True, True),
        ("always_off", "", False, False, False),
        ("parentbased_always_on", "", True, True, False),
        ("parentbased_always_off", "", False, True, False),
        ("traceidratio", "1.0", True, True, True),
        ("traceidratio", "0", False, False, False),
        ("parentbased_traceidratio", "0", False, True, False),
    ],
)
def test_the_standard_samplers_are_honoured(
    name: str, argument: str, alone: bool, sampled: bool, unsampled: bool
) -> None:
    choice = Choice(0, {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}, Clock())
    assert [takes(choice, changes=False), takes(choice, SAMPLED), takes(choice, UNSAMPLED)] == [
        alone,
        sampled,
        unsampled,
    ]


def test_a_ratio_takes_that_share_of_traces() -> None:
    choice = Choice(0, {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, Clock())
    ids = [f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}" for number in range(4000)]
    assert 0.2 < sum(takes(choice, trace_id=one) for one in ids) / len(ids) < 0.3


@pytest.mark.parametrize(("name", "argument"), [("sometimes", ""), ("traceidratio", "2"), ("traceidratio", "much")])
def test_what_is_no_sampler_is_refused_by_name(name: str, argument: str) -> None:
    with pytest.raises(UnknownSampler, match=r"OTEL_TRACES_SAMPLER"):
        Choice(0, {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
