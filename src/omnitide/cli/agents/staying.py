"""Looking once more whether what came up also stays up: a program that dies at once has run for a moment too."""

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from omnitide.cli.agents.follow import SHOWN_LINES, Settled, seen_anew, ways_on
from omnitide.cli.agents.rolling_back import way_back
from omnitide.cli.exits import Exit, Failure

if TYPE_CHECKING:
    from omnitide.model.happenings import CloudEvent
    from omnitide.model.objects import Agent
    from omnitide.sdk.client import Client

Settle = Annotated[
    str,
    typer.Option(metavar="TIME", help="Once all run, see for so long whether they go on running; 0s: do not."),
]
DEFAULT: Final = "1s"
LEAST_S: Final = 0.05
"""Between two looks."""
MAX_TEXT: Final = 16 << 10
"""Characters of a last output."""
_KINDS: Final = ("instance.exited", "instance.ended")
_SUBJECT: Final = re.compile(r"instance/([^/]+)/(.+)-\d+\.\d+")


def stay(client: "Client", found: Sequence[Settled], settle_s: float) -> None:
    """Until each has run for `settle_s` since it was first seen running, be it that it was deployed before. Raises
    Failure once a replica ends by itself."""
    from omnitide.sdk.errors import NotFound

    watched = {(one.agent.namespace, one.agent.name): one for one in found if one.agent.replicas}
    if not watched or settle_s <= 0:
        return
    until = max(one.at for one in watched.values()) + settle_s
    after = min(one.revision for one in watched.values())
    agent, revision = next(iter(watched.values())).agent, after
    while True:
        over = time.monotonic() >= until
        ends, after = _ends(client, after)
        for event in ends:
            match = _SUBJECT.fullmatch(event.subject)
            one = watched.get((match[1], match[2])) if match is not None else None
            if one is not None and event.revision > one.revision:
                raise _gone(client, one.agent, event, settle_s)
        if over:
            return
        time.sleep(min(LEAST_S, max(0.0, until - time.monotonic())))
        try:
            agent = seen_anew(client, agent, revision + 1, until)
        except NotFound:
            return  # someone has removed it: whatever it did then, it was theirs
        revision = client.shown


def _ends(client: "Client", after: int) -> "tuple[list[CloudEvent], int]":
    """Attempts and instances that ended by themselves after a revision, and the revision to go on from. One that was
    stopped is none of them, and one that has done its work and is not started again is not either."""
    found: list[CloudEvent] = []
    skip, more = 0, True
    while more:
        page = client.list_events(after=after, skip=skip, kinds=_KINDS, limit=1000)
        found += [one for one in page.items if _by_itself(one)]
        after, skip, more = page.next_after, page.next_skip, page.more
    return found, after


def _by_itself(event: "CloudEvent") -> bool:
    from omnitide.cli.happenings.wording import ASKED_FOR

    if ".exited." not in event.type:
        return event.data.get("status") == "failed"
    return cast("dict[str, Any]", event.data.get("exit") or {}).get("reason") not in ASKED_FOR


def _gone(client: "Client", agent: "Agent", event: "CloudEvent", settle_s: float) -> Failure:
    from omnitide.cli.happenings.wording import exit_text

    name = event.subject.rpartition("/")[2]
    how = exit_text(cast("dict[str, Any]", event.data))
    output = _last_words(client, str(event.data.get("instance", "")))
    ending = cast("dict[str, Any]", event.data.get("exit") or {})
    if ending.get("reason") == "start-failed":
        # A container that ran as far as its engine knew, and whose program could not be executed.
        said = f"{agent.name} cannot come up: {name} {ending.get('cause', '')}: {ending.get('message', '')}{output}"
    else:
        with_ = f", with {how}" if how else ""
        said = f"{agent.name} does not stay up: {name} ended within {settle_s:.3g} s{with_}{output}"
    hint = ways_on(agent.namespace, agent.name, name, back=way_back(client, agent))
    return Failure(said, hint, Exit.ROLLOUT)


def _last_words(client: "Client", instance: str) -> str:
    """Its last lines, below what is said of it. They are a help, and not worth another error."""
    from omnitide.sdk.errors import NotFound, Unavailable

    text = ""
    try:
        for chunk in client.read_logs(instance, tail=SHOWN_LINES):
            text = (text + chunk.text)[-MAX_TEXT:]
    except (NotFound, Unavailable):
        pass
    return "".join(f"\n       | {line}" for line in text.splitlines()[-SHOWN_LINES:])
