"""The page of keys is what the code says, and is whole."""

from pathlib import Path

from omnitide.compose.reference import reference
from omnitide.compose.schema import every_key

PAGE = Path(__file__).parents[3] / "docs/reference/compose.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == reference(), "python -m omnitide.compose.reference > docs/reference/compose.md"


def test_every_key_of_the_schema_is_in_it() -> None:
    listed = [line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert sorted(listed) == every_key()
