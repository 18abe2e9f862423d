"""What the documents point at exists."""

import re
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")
TEST = re.compile(r"`(test_\w+\.py)::(\w+)`")
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_that_are_named_exist(document: Path) -> None:
    assert [f"{file}::{name}" for file, name in TEST.findall(document.read_text()) if not _is_test(file, name)] == []


def _is_test(file: str, name: str) -> bool:
    return any(f"\ndef {name}(" in found.read_text() for found in (ROOT / "tests").rglob(file))


def test_every_mutant_of_the_protocol_is_in_the_table_with_what_shows_it() -> None:
    chapter = (ROOT / "docs" / "testing.md").read_text().split("\n## Mutants\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `.*$|^\| \*not in.*$", chapter, re.MULTILINE)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [mutant for mutant, twin, tests in cells if not twin and not TEST.search(tests)] == []
    twins = [name for _, twin, _ in cells for name in re.findall(r"`(\w+)`", twin)]
    assert sorted(twins) == sorted(mutant.name for mutant in MUTANTS)


def test_every_decision_is_in_the_index() -> None:
    decisions = ROOT / "docs" / "decisions"
    listed = LINK.findall((decisions / "README.md").read_text())
    assert sorted(page.name for page in decisions.glob("[0-9]*.md")) == sorted(
        link for link in listed if link[0].isdigit()
    )


def test_every_rule_of_the_makefile_is_in_its_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert sorted(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)) == sorted(phony[1].split())
