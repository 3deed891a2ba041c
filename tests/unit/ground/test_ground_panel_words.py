"""The panel tells events in words of its own: of every kind that there is, and of no other."""

import re
from pathlib import Path

from omnitide.fabric.events import EVENT_TYPES

WORDS = Path(__file__).parents[3] / "web" / "src" / "words" / "events.ts"
PEOPLE_LOOK_AT = ("instance.", "agent.", "job.", "node.")


def test_what_happens_to_nodes_and_what_runs_there_has_words() -> None:
    text = WORDS.read_text()
    told = set(re.findall(r'^  "([a-z.-]+)":', text, re.MULTILINE))
    (bookkeeping,) = re.findall(r"BOOKKEEPING = new Set\(\[(.*?)\]\)", text, re.DOTALL)
    left_out = set(re.findall(r'"([a-z.-]+)"', bookkeeping))
    there_are = {str(kind.__struct_config__.tag).rpartition(".v")[0] for kind in EVENT_TYPES}
    assert told <= there_are
    assert left_out <= there_are
    assert {kind for kind in there_are - left_out if kind.startswith(PEOPLE_LOOK_AT)} <= told
