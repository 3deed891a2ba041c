"""The state of one instance inside the reconciler. Nothing else touches it."""

from dataclasses import dataclass

from omnitide.drivers.protocol import RunKey
from omnitide.node.records import Assignment, Ending, Goal, Health, Outcome, Phase, Record, Report


@dataclass(slots=True)
class Instance:
    id: str
    driver: str
    """Empty while nothing says which: then there is no run either, once all drivers are recovered."""
    assignment: Assignment | None = None
    """None: not wanted (`removed_at_ms` set), or not known to be wanted yet."""
    meant: Assignment | None = None
    """What its assignment was, once it is not wanted any more: the log tells of its end by name and request."""
    phase: Phase | None = None
    """None: nothing has been done about it here."""
    attempt: int = 0
    """Highest attempt that was begun here, or that Nexus knows of."""
    asked: int = 0
    """Attempt whose StartRun awaits its answer; 0: none."""
    at_ms: int = 0
    restarts: int = 0
    lasted: bool = False
    """An attempt has run for so long that ends before it count no more."""
    started_at_ms: int = 0
    ending: Ending | None = None
    next_attempt_at_ms: int = 0
    """In WAITING: 0 means that nothing was decided about the ending yet, for want of the assignment."""
    due: bool = False
    """In WAITING: the wait is over."""
    handle: str = ""
    unenforced: tuple[str, ...] = ()
    outcome: Outcome | None = None
    spec_digest: str = ""
    generation: int = 0
    removed_at_ms: int = 0
    haunted: bool = False
    """A run of it was seen alive after its end: it is not forgotten before that has ended too."""
    health: Health = Health.UNKNOWN
    """Of the current attempt, while it runs."""
    health_message: str = ""
    probed: int = 0
    """Attempt whose probes are asked; 0: none."""
    given: dict[str, int] | None = None
    """Versions of secrets and configs that the current attempt has; None: its run will tell."""
    renews: str = ""
    """What the current attempt is being ended for, so that the next one gets it anew: `secret db`. Empty: it is not."""
    unwell: str = ""
    """Why the current attempt is being ended: its probes have failed. Empty: they have not."""

    @property
    def key(self) -> RunKey:
        return RunKey(self.id, self.attempt)

    @property
    def wanted(self) -> bool:
        return self.assignment is not None and self.assignment.goal is Goal.RUN

    @property
    def unwanted(self) -> bool:
        """Known not to be wanted, which is more than not known to be wanted."""
        return self.removed_at_ms > 0 or (self.assignment is not None and self.assignment.goal is Goal.STOP)

    @property
    def ends(self) -> bool:
        """It was told to stop, be it for good or to be started anew."""
        return self.phase is Phase.STOPPING or bool(self.unwell or self.renews)

    @property
    def over(self) -> bool:
        """Ended and no longer wanted: only its logs are kept."""
        return self.phase is Phase.ENDED and self.removed_at_ms > 0

    def report(self) -> Report:
        assert self.phase is not None
        return Report(
            instance=self.id,
            generation=self.generation,
            attempt=self.attempt,
            phase=self.phase,
            at_ms=self.at_ms,
            ending=self.ending,
            next_attempt_at_ms=self.next_attempt_at_ms,
            handle=self.handle,
            unenforced=self.unenforced,
            outcome=self.outcome,
            spec_digest=self.spec_digest,
            health=self.health,
            health_message=self.health_message,
        )

    def record(self) -> Record:
        return Record(
            report=self.report(),
            driver=self.driver,
            restarts=self.restarts,
            lasted=self.lasted,
            started_at_ms=self.started_at_ms,
            removed_at_ms=self.removed_at_ms,
        )


def from_record(record: Record) -> Instance:
    """As it was before the proxy died; what runs, the driver will say."""
    report = record.report
    return Instance(
        id=report.instance,
        driver=record.driver,
        phase=report.phase,
        attempt=report.attempt,
        at_ms=report.at_ms,
        restarts=record.restarts,
        lasted=record.lasted,
        started_at_ms=record.started_at_ms,
        ending=report.ending,
        next_attempt_at_ms=report.next_attempt_at_ms,
        handle=report.handle,
        unenforced=report.unenforced,
        outcome=report.outcome,
        spec_digest=report.spec_digest,
        generation=report.generation,
        removed_at_ms=record.removed_at_ms,
        health=report.health,
        health_message=report.health_message,
    )
