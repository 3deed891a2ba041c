"""What goes wrong with an engine."""

from omnitide.drivers.protocol import DriverError


class EngineRefused(DriverError):
    """The engine's answer is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, cause="engine-refused", permanent=False)
        self.status = status


def unavailable(message: str) -> DriverError:
    """It does not answer, or not so that it could be understood."""
    return DriverError(message, cause="driver-unavailable", permanent=False)
