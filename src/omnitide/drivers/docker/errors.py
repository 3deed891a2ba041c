"""What goes wrong with an engine."""

from typing import Final

from omnitide.drivers.protocol import DriverError

CONFLICT: Final = 409
FAILED: Final = 500


class EngineRefused(DriverError):
    """The engine's answer is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, cause="engine-refused", permanent=False)
        self.status = status

    @property
    def name_taken(self) -> bool:
        """A container of that name is there. Podman has no status of its own for it."""
        return self.status == CONFLICT or (self.status == FAILED and "name is already in use" in str(self))

    @property
    def still_runs(self) -> bool:
        """What was to be removed has not ended."""
        return self.status == CONFLICT or (self.status == FAILED and "cannot be removed without force" in str(self))


def unavailable(message: str) -> DriverError:
    """It does not answer, or not so that it could be understood."""
    return DriverError(message, cause="driver-unavailable", permanent=False)
