"""Spans of the starts that a node makes for a call that is traced: what has to be there before, and the driver's."""

from typing import Final

from omnitide.node.instructions import StartRun
from omnitide.node.stimuli import Started, StartFailed, Stimulus
from omnitide.telemetry.tracing import spans
from omnitide.telemetry.tracing.context import Place, derived, place_of, session_span, start_span
from omnitide.telemetry.tracing.spans import Span, Value

MAX_ATTEMPTS: Final = 10
"""Of an instance; what ends again and again does not lengthen the trace of its deployment for ever."""


class StartTrace:
    """One start, from when it is asked for."""

    def __init__(self, action: StartRun, call: Place) -> None:
        self._action = action
        self._trace_id = call.trace_id
        self._began = spans.now_ns()
        self._prepared = 0

    @staticmethod
    def of(action: StartRun) -> "StartTrace | None":
        """None: it is not traced, or nobody takes spans."""
        if not spans.on() or action.launch.key.attempt > MAX_ATTEMPTS:
            return None
        call = place_of(action.correlation)
        return StartTrace(action, call) if call is not None else None

    def prepared(self) -> None:
        """What has to be there before is there; now it is the driver's turn."""
        self._prepared = spans.now_ns()

    def end(self, answer: Stimulus) -> None:
        ended = spans.now_ns()
        launch, correlation = self._action.launch, self._action.correlation
        key = launch.key
        own = start_span(correlation, key.instance, key.attempt)
        described: dict[str, Value] = {
            "omnitide.instance": launch.name,
            "omnitide.instance_id": key.instance,
            "omnitide.attempt": key.attempt,
            "omnitide.driver": self._action.driver,
        }
        error = "" if isinstance(answer, Started) else "the driver did not answer"
        if isinstance(answer, StartFailed):
            error = answer.message
        parts = [("prepare", self._began, self._prepared or ended)]
        if self._prepared:
            parts.append((f"driver {self._action.driver}", self._prepared, ended))
        for number, (name, began, over) in enumerate(parts):
            place = Place(self._trace_id, derived(correlation, own, name))
            spans.emit(Span(name, place, own, began, over, {}, error=error if number == len(parts) - 1 else ""))
        parent = session_span(correlation, key.instance)
        place = Place(self._trace_id, own)
        spans.emit(Span(f"start {launch.name}", place, parent, self._began, ended, described, error=error))
