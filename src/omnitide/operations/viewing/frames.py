"""Frames of the view: what is sent to all watchers, made once.

Each is one JSON object. `snapshot`: a part of all objects at a revision. `patch`: those that look different since the
frame before, whole, null where they are gone. `use`: how busy nodes are. `beat`: nothing is different.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from omnitide.operations.messages import text_message
from omnitide.operations.viewing.showing import KINDS, frame_json, objects_json

PART_BYTES: Final = 256 << 10
"""A part of a snapshot is about so large; a single object may be larger."""

_encoder: Final = msgspec.json.Encoder()
_ORDER: Final = {kind: place for place, kind in enumerate(KINDS)}

Use = Mapping[str, tuple[int, int]]
"""By node: cpu in thousandths of a core, memory in bytes."""


Changed = Mapping[tuple[str, str], bytes | None]
"""JSON of objects by kind and id; None: it is gone."""


class ViewFrame:
    """A message, and the revision that a watcher has seen when it has it."""

    def __init__(self, json: bytes, resume: int, *, changed: Changed | None = None, time_ms: int = 0) -> None:
        """`changed`, `time_ms`: of a patch."""
        self.json = json
        self.resume = resume
        self.changed = changed
        self.time_ms = time_ms

    def __len__(self) -> int:
        return len(self.json)

    @cached_property
    def text(self) -> str:
        """The same, for those that send text: made once for all of them."""
        return self.json.decode()

    @cached_property
    def message(self) -> bytes:
        """The same, as a WebSocket carries it."""
        return text_message(self.json)


class Snapshot(NamedTuple):
    revision: int
    parts: tuple[ViewFrame, ...]


async def snapshot_parts(
    log_id: str, revision: int, time_ms: int, objects: Mapping[tuple[str, str], bytes], busy: Use
) -> Snapshot:
    """All objects in parts, and how busy nodes are; one part at a go, so that nothing waits for the whole."""
    ordered = sorted(objects.items(), key=lambda item: _ORDER[item[0][0]])
    cuts = [0]
    size = 0
    for number, (_, encoded) in enumerate(ordered):
        if size and size + len(encoded) > PART_BYTES:
            cuts.append(number)
            size = 0
        size += len(encoded)
    parts: list[ViewFrame] = []
    for number, begin in enumerate(cuts, 1):
        end = cuts[number] if number < len(cuts) else len(ordered)
        fields = {"log": log_id, "revision": revision, "time_ms": time_ms, "part": number, "parts": len(cuts)}
        parts.append(ViewFrame(frame_json("snapshot", fields, objects_json(ordered[begin:end])), revision))
        await asyncio.sleep(0)
    if busy:
        parts.append(use(revision, time_ms, busy))
    return Snapshot(revision, tuple(parts))


def patch(revision: int, time_ms: int, changed: Changed) -> ViewFrame:
    ordered = sorted(changed.items(), key=lambda item: _ORDER[item[0][0]])
    fields = {"revision": revision, "time_ms": time_ms}
    json = frame_json("patch", fields, objects_json(ordered))
    return ViewFrame(json, revision, changed=changed, time_ms=time_ms)


def joined(frames: Sequence[ViewFrame]) -> tuple[ViewFrame, ...]:
    """Frames that leave together: of patches one behind the other one is made, in which each object is as the last of
    them has it."""
    made: list[ViewFrame] = []
    for later, run in groupby(frames, key=lambda frame: frame.changed is not None):
        patches = list(run)
        if not later or len(patches) == 1:
            made += patches
            continue
        changed: dict[tuple[str, str], bytes | None] = {}
        for frame in patches:
            changed.update(frame.changed or {})
        made.append(patch(patches[-1].resume, patches[-1].time_ms, changed))
    return tuple(made)


def use(revision: int, time_ms: int, busy: Use) -> ViewFrame:
    return ViewFrame(_encoder.encode({"kind": "use", "time_ms": time_ms, "node": busy}), revision)


def beat(revision: int, time_ms: int) -> ViewFrame:
    return ViewFrame(_encoder.encode({"kind": "beat", "revision": revision, "time_ms": time_ms}), revision)
