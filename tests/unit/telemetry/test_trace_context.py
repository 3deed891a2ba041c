"""The context of a trace goes into a correlation id and comes out of it, whatever else is in it."""

import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.telemetry.rendering import FIELDS, JsonFormatter
from omnitide.telemetry.tracing.context import (
    Place,
    caller_of,
    correlation_of,
    derived,
    place_of,
    session_span,
    start_span,
    traceparent,
)

digits = st.integers(min_value=1)
places = st.builds(
    lambda trace, span: Place(f"{trace % (1 << 128) or 1:032x}", f"{span % (1 << 64) or 1:016x}"), digits, digits
)


@given(places, st.text(max_size=64))
def test_what_goes_into_a_correlation_comes_out_of_it(place: Place, own: str) -> None:
    text = correlation_of(place, own)
    assert place_of(text) == place
    assert text.startswith(place.trace_id), "whoever looks for the trace finds it"
    assert text.endswith(own), "and whoever looks for the caller's own id"


@given(st.text(max_size=80))
def test_a_correlation_of_another_form_is_not_traced_and_never_an_error(text: str) -> None:
    found = place_of(text)
    assert found is None or text.startswith(f"{found.trace_id}-{found.span_id}")


@pytest.mark.parametrize("text", ["", "c-495dfa84277e", "4bf92f3577b34da6a3ce929d0e0e4736", "x" * 49, "-" * 60])
def test_ids_as_they_were_are_not_traced(text: str) -> None:
    assert place_of(text) is None


@given(places)
def test_a_traceparent_is_read_as_it_is_written(place: Place) -> None:
    caller = caller_of(traceparent(place))
    assert caller is not None
    assert (caller.place, caller.sampled) == (place, True)


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"01-{TRACE}-{SPAN}-01-more", True),
    ],
)
def test_callers_of_this_and_later_versions_are_understood(text: str, sampled: bool) -> None:
    caller = caller_of(text)
    assert caller is not None
    assert (caller.place, caller.sampled) == (Place(TRACE, SPAN), sampled)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01" + "x" * 300,
    ],
)
def test_what_is_no_traceparent_is_none(text: str | None) -> None:
    assert caller_of(text) is None


@given(st.text(max_size=40), st.text(max_size=40), st.integers(1, 100))
def test_derived_ids_are_the_same_for_all_who_know_the_same_and_of_nothing_else(
    correlation: str, instance: str, attempt: int
) -> None:
    own = start_span(correlation, instance, attempt)
    assert re.fullmatch("[0-9a-f]{16}", own)
    assert own == start_span(correlation, instance, attempt)
    others = {session_span(correlation, instance), start_span(correlation, instance, attempt + 1)}
    others |= {start_span(f"{correlation}x", instance, attempt), derived(correlation, instance)}
    assert own not in others


def test_a_json_record_of_a_traced_call_has_the_ids_of_its_trace_and_another_has_none() -> None:
    def line(correlation: str) -> dict[str, object]:
        record = logging.makeLogRecord({"name": "omnitide.x", "levelname": "INFO", "msg": "done"})
        record.__dict__[FIELDS] = {"correlation": correlation}
        return json.loads(JsonFormatter().format(record))

    traced = line(f"{TRACE}-{SPAN}-deploy-42")
    assert (traced["trace_id"], traced["span_id"]) == (TRACE, SPAN)
    assert not {"trace_id", "span_id"} & line("c-1").keys()
