"""The documents at the root and the decisions: present, listed, with their headings, and without dead links."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DECISIONS = ROOT / "docs/decisions"
PAGES = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")


def test_the_readme_begins_with_the_two_commands() -> None:
    commands = re.search(r"```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert commands is not None
    assert re.findall(r"^make (\w+)", commands[1], re.MULTILINE) == ["up", "test"]


def test_the_license_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_decisions_are_numbered_without_gaps_and_all_listed() -> None:
    assert [page.name[:4] for page in PAGES] == [f"{number:04d}" for number in range(1, len(PAGES) + 1)]
    listed = re.findall(r"\| \[(\d{4})\]\((\S+)\) \|", (DECISIONS / "README.md").read_text())
    assert [(page.name[:4], page.name) for page in PAGES] == listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name[:4])
def test_a_decision_has_its_number_context_decision_and_consequences(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.name[:4]}: ")
    parts = re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences"]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/decisions/README.md"])
def test_links_to_files_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#\s]+)\)", path.read_text())
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []
