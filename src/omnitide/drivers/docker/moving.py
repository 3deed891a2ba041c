"""A node that is told to use another engine than before: what it started with that one must be neither lost from sight
nor started a second time."""

from typing import Final, Protocol

from omnitide.drivers.docker import address, naming
from omnitide.drivers.docker.answers import Listed
from omnitide.drivers.docker.containers import listed
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import unavailable
from omnitide.drivers.docker.runs import LIVE
from omnitide.drivers.protocol import DriverError

NAMED: Final = 3
"""Of those that run, in the words for people."""


async def leave(before: str, now: Engine, node_id: str, note: str, put_away: "PutAway") -> None:
    """Raises DriverError as long as the engine at `before` may run something of this node that the one of now does not
    have. What has ended there is put away. `note`: the file in which the address of before stands."""
    of_node = f"{naming.NODE}={node_id}"
    here = {one.id for one in await listed(now, of_node)}
    engine: Engine | None = None
    try:
        engine = Engine(before)
        await engine.open()
        left = [one for one in await listed(engine, of_node) if one.id not in here]
        live = [one for one in left if one.state in LIVE]
        if live:
            raise _runs_elsewhere(before, now.address, live)
        for instance in {key.instance for one in left if (key := naming.key_of(one.labels or {}))}:
            await put_away(engine, instance)
    except DriverError as error:
        if isinstance(error, _Elsewhere):
            raise
        if here:
            return  # The same engine, at another address.
        raise unavailable(
            f"this node's containers were started by the engine at {before}, which does not answer ({error}), and the"
            f" one at {now.address} does not have them. Let {address.VARIABLE} name that engine, wherever it is now; if"
            f" it is gone for good, remove {note}"
        ) from None
    finally:
        if engine is not None:
            await engine.close()


class PutAway(Protocol):
    async def __call__(self, engine: Engine, instance: str) -> None:
        """Of an instance that has ended. Raises DriverError."""
        ...


class _Elsewhere(DriverError):
    """Something runs at the engine of before."""


def _runs_elsewhere(before: str, now: str, live: list[Listed]) -> _Elsewhere:
    names = sorted((one.labels or {}).get(naming.NAME, "") or one.id[:12] for one in live)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    message = (
        f"{len(live)} of this node's instances ({', '.join(names[:NAMED])}{more}) run at the engine {before}, and"
        f" not at {now}, which it is told to use now. Nothing is started until they are seen again"
        f" ({address.VARIABLE}={before}) or have been ended (omnitide down)"
    )
    return _Elsewhere(message, cause="driver-unavailable", permanent=False)
