"""Traces: the context that travels in a correlation id (`context`), which calls have one (`choosing`), spans and where
they go (`spans`), and the way out by OTLP (`otlp`, which alone loads OpenTelemetry). Off until an endpoint is set.

Standard library only but for that. Imports nothing of ours but telemetry.
"""
