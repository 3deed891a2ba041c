"""Reloads the settings of a running process when a file changes or SIGHUP arrives.

Only fields marked live change; a change of another is kept back and reported as waiting for a restart. A configuration
that is refused changes nothing. Files are looked at once a second by `stat`: that also sees a file that appears, a
replaced link and a network file system, and costs nothing to load.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from omnitide.config.errors import ConfigError, Problem
from omnitide.config.fields import catalogue
from omnitide.config.settings import Settings
from omnitide.config.sources import Loaded, signatures
from omnitide.telemetry import logs

LOOK_EVERY_S: Final = 1.0

Listener = Callable[[Settings, Settings], None]
_log = logs.get(__name__)


class Outcome(NamedTuple):
    """What a reload did. `changed`: keys now in force; `restart`: keys that wait for one; `problems`: why nothing."""

    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class ConfigWatcher:
    """Holds the settings in force. Belongs to one event loop; listeners are called in it and must not block."""

    def __init__(self, loaded: Loaded, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._loaded = loaded
        self._settings = loaded.settings
        self._listeners: list[Listener] = []
        self._restart: tuple[str, ...] = ()
        self._look_every_s = look_every_s
        self._seen = loaded.signatures

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def waiting_for_restart(self) -> tuple[str, ...]:
        """Keys whose value in the files differs from the one in force."""
        return self._restart

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(old, new)` after each change. The result ends the subscription."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def reload(self, cause: str) -> Outcome:
        """Read the sources now and take over what may change. Raises nothing; `cause` is for the log."""
        self._seen = signatures(self._loaded.files)
        try:
            fresh = self._loaded.again()
            merged, changed, restart = _merge(self._settings, fresh.settings)
        except ConfigError as error:
            for problem in error.problems:
                _log.error("configuration refused, the old one stays", cause=cause, problem=str(problem))
            return Outcome(problems=error.problems)
        newly_waiting = tuple(key for key in restart if key not in self._restart)
        self._restart = restart
        if newly_waiting:
            _log.warning("configuration changed where only a restart takes it over", cause=cause, keys=newly_waiting)
        if changed:
            old, self._settings = self._settings, merged
            _log.info("configuration reloaded", cause=cause, keys=changed)
            self._tell(old, merged)
        return Outcome(changed, restart)

    async def run(self) -> None:
        """Watch until cancelled. A change is taken once the files have stayed the same for one look, so that a file
        being written is not read half."""
        loop = asyncio.get_running_loop()
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None:
            loop.add_signal_handler(hangup, self.reload, "SIGHUP")
        try:
            before = self._seen
            while True:
                await asyncio.sleep(self._look_every_s)
                now = signatures(self._loaded.files)
                if now != self._seen and now == before:
                    self.reload("file changed")
                before = now
        finally:
            if hangup is not None:
                loop.remove_signal_handler(hangup)

    def _tell(self, old: Settings, new: Settings) -> None:
        for listener in list(self._listeners):
            try:
                listener(old, new)
            except Exception:  # one part that cannot follow must not keep the others from it
                _log.exception("a part of this process failed to take over the configuration")


def _merge(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...], tuple[str, ...]]:
    """The settings with the live fields of `new`; the keys that changed so, and those kept back.

    A section whose values are checked against one another is live as a whole or not at all, so no mixture can be wrong.
    """
    changed: dict[str, dict[str, Any]] = {}
    taken: list[str] = []
    kept_back: list[str] = []
    for key, field in catalogue().items():
        value: Any = getattr(getattr(new, field.section), field.name)
        if value == getattr(getattr(old, field.section), field.name):
            continue
        if field.live:
            changed.setdefault(field.section, {})[field.name] = value
            taken.append(key)
        else:
            kept_back.append(key)
    sections = {
        section: msgspec.structs.replace(getattr(old, section), **values) for section, values in changed.items()
    }
    return msgspec.structs.replace(old, **sections), tuple(taken), tuple(kept_back)
