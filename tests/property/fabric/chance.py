"""The source of chance of a history, and the one way in which it acts: each command is checked as it is decided."""

import random
from typing import TypeVar

from msgspec.structs import replace
from tests.support.spec import OPERATOR, Fabric, Outcome

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.decide import Decision, decide
from omnitide.fabric.rules.failing import PERMANENT_TRIES
from omnitide.fabric.snapshot import digest
from omnitide.fabric.state import ExitRecord, JobStatus

NAMES = ("a", "b", "c", "d")
NAMESPACES = ("default", "blue", "green")
PRINCIPALS = (OPERATOR, "system:test", "token:join", "token:gone", "node:n-a", "node:n-x", "someone", "")

T = TypeVar("T")


class Chance:
    """A fabric, and what has been seen of its history that no single step shows."""

    def __init__(self, chance: random.Random, *, checked: bool = True) -> None:
        self.chance = chance
        self.fabric = Fabric(checked=checked)
        self.fabric.observe = self._check_history
        self.counter = 0
        self.liars: set[str] = set()
        """Nodes that reported what is not so: they have to lose their memory before they can be believed."""
        self.sessions: dict[str, int] = {}
        self.made: dict[str, int] = {}
        """Every instance that ever was -> its version."""
        self.hopeless: dict[tuple[str, int], int] = {}
        """`<workload>.<slot>` and version -> failures with a permanent cause in a row, as the events alone tell."""
        self.finished: dict[str, tuple[JobStatus, ExitRecord | None]] = {}
        self.keyed: list[tuple[cm.Command, cm.Header, Decision]] = []
        self.accepted: dict[str, int] = {}
        self.refused: dict[str, int] = {}

    # The source of chance

    def pick(self, options: tuple[T, ...] | list[T]) -> T:
        return options[self.chance.randrange(len(options))]

    def maybe(self, one_in: int) -> bool:
        return self.chance.randrange(one_in) == 0

    def fresh(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}{self.counter}"

    # Commands

    def do(self, command: cm.Command, by: str = "", **header: str) -> Outcome:
        """One command, as the given principal, or now and then as another; with a key now and then."""
        principal = by or OPERATOR
        if self.maybe(25):
            principal = self.pick(PRINCIPALS)
        if self.maybe(8):
            header["idempotency_key"] = self.pick(("k1", "k2", "k3", "k4"))
            header["fingerprint"] = self.pick(("f1", "f2"))
        if self.maybe(4):
            header["correlation"] = self.fresh("r")
        before = self.fabric.state
        seen = digest(before) if self.maybe(10) else ""
        # A clock that steps back must not take log time with it.
        time_ms = self.fabric.time_ms - 10_000 if self.maybe(30) else None
        outcome = self.fabric.when(command, by=principal, time_ms=time_ms, **header)
        kind = type(command).__name__
        if outcome.decision is None or not outcome.decision.replayed:
            counted = self.accepted if outcome.accepted else self.refused
            counted[kind] = counted.get(kind, 0) + 1
        if outcome.decision is None or not outcome.decision.payload:
            assert self.fabric.state is before
        assert not seen or digest(before) == seen, "a decision changed the state that it was made on"
        if outcome.decision is not None and outcome.decision.payload and header.get("idempotency_key"):
            stamp = cm.Header(principal=principal, **header)
            self.keyed.append((command, stamp, outcome.decision))
            self._repeat(command, stamp, outcome.decision)
        return outcome

    def _check_history(self, events: tuple[ev.Event, ...]) -> None:
        """What no single step shows."""
        state = self.fabric.state
        for event in events:
            if isinstance(event, ev.NodeConnected):
                assert event.session > self.sessions.get(event.node, 0), "a session's epoch came twice"
                self.sessions[event.node] = event.session
            elif isinstance(event, ev.InstancesCreated):
                for slot in event.slots:
                    identifier = f"{event.workload}.{slot.slot}.{slot.generation}"
                    assert identifier not in self.made, f"{identifier} was made twice"
                    self.made[identifier] = event.version
                    if event.reason in ("restart", "migrated"):  # somebody has asked for it
                        self.hopeless.pop(self._life_of(identifier), None)
                    failures = self.hopeless.get(self._life_of(identifier), 0)
                    assert failures < PERMANENT_TRIES, f"{identifier} was made after {failures} permanent failures"
            elif isinstance(event, ev.JobFinished):
                assert event.job not in self.finished, f"job {event.job} finished twice"
                self.finished[event.job] = (JobStatus(event.outcome), event.exit)
            self._count_hopeless(event)
        for job, end in self.finished.items():
            known = state.jobs.get(job)
            assert known is None or (known.status, known.exit) == end, f"job {job} did not stay finished"

    def _count_hopeless(self, event: ev.Event) -> None:
        """Whatever shows hope starts the count anew."""
        if isinstance(event, ev.InstanceEnded) and event.status != "lost":
            slot, _, generation = event.instance.rpartition(".")
            if f"{slot}.{int(generation) + 1}" in self.made:
                return  # somebody has asked for the next one while it was there
            permanent = event.status == "failed" and event.exit is not None and event.exit.permanent
            key = self._life_of(event.instance)
            self.hopeless[key] = self.hopeless.get(key, 0) + 1 if permanent else 0
        elif isinstance(event, ev.InstanceRunning | ev.InstanceRecovered):
            self.hopeless.pop(self._life_of(event.instance), None)
        elif isinstance(event, ev.SlotsRetired):
            gone = {f"{event.agent}.{number}" for number in event.slots}
            self.hopeless = {key: count for key, count in self.hopeless.items() if key[0] not in gone}

    def _life_of(self, instance: str) -> tuple[str, int]:
        return instance.rpartition(".")[0], self.made[instance]

    def _repeat(self, command: cm.Command, header: cm.Header, first: Decision) -> None:
        """The same request again: the stored answer, and nothing more."""
        state = self.fabric.state
        again = decide(state, command, replace(header, time_ms=self.fabric.time_ms))
        allowed = decide(state, cm.RevokeToken(id="gone"), replace(header, time_ms=self.fabric.time_ms))
        if not isinstance(again, Decision):
            # Its token was revoked by this very command, or its node removed.
            assert again.code == "forbidden", (again, allowed)
            return
        assert again.replayed
        assert not again.entry.events
        assert again.state is state
        assert (again.result, again.revision) == (first.result, first.revision)

    def repeat(self) -> None:
        """A request comes again much later."""
        if not self.keyed:
            return
        command, header, _ = self.pick(self.keyed)
        again = decide(self.fabric.state, command, replace(header, time_ms=self.fabric.time_ms))
        if isinstance(again, Decision) and again.replayed:
            newest = [made for _, stamp, made in self.keyed if stamp.idempotency_key == header.idempotency_key]
            assert any(made.result == again.result and made.revision == again.revision for made in newest)

    def any_instance(self) -> str:
        known = sorted(self.fabric.state.instances)
        return self.pick(known) if known and not self.maybe(20) else "none.1.1"
