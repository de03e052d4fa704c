"""The layout of the repository: few modules at the top, none too long, no retired words."""

from __future__ import annotations

import re
from pathlib import Path

import batch_runner

PACKAGE = Path(batch_runner.__file__).parent
REPOSITORY = PACKAGE.parent
MAX_ENTRIES = 32
MAX_LINES = 350
#: Words of earlier versions; `batch_runner/docs/glossary.md` has those of today.
RETIRED = (
    *("acted", "agenda", "companion", "creates", "fetcher", "fetchers", "frontier", "glance"),
    *("night", "nights", "pacer", "sighting", "sightings", "tally", "unfetched", "weather"),
    *("witness", "class Shift"),
)
#: Where an old word is needed: to read or to refuse what earlier versions wrote.
MAY_USE_THEM = ("docs/changelog.md", "journal/sqlite/migrations.py", "manifest/renamed.py")
#: Prompts name nights, and so do the words by which a scene is chosen for them.
PROMPTS = ("simulator/pictures/card.py",)


def sources(*endings: str) -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*")) if path.suffix in endings]


def test_package_has_few_entries_at_the_top() -> None:
    entries = [path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"]

    assert len(entries) <= MAX_ENTRIES


def test_no_module_is_too_long() -> None:
    lengths = {path: len(path.read_bytes().splitlines()) for path in sources(".py")}

    assert [str(path) for path, lines in lengths.items() if lines > MAX_LINES] == []


def test_retired_words_are_not_used() -> None:
    retired = re.compile(rf"\b({'|'.join(RETIRED)})\b", re.IGNORECASE)
    allowed = {PACKAGE / name for name in (*MAY_USE_THEM, *PROMPTS)}

    found = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in sources(".py", ".md", ".sql", ".js", ".html")
        if path not in allowed
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if retired.search(line)
    ]

    assert found == []


def test_readme_of_tests_shows_a_real_test() -> None:
    readme = (REPOSITORY / "tests/README.md").read_text("utf-8")
    example = (REPOSITORY / "tests/integration/engine/test_example.py").read_text("utf-8")

    assert example.partition('"""\n\n')[2] in readme


def test_pages_for_developers_name_existing_files() -> None:
    pages = (REPOSITORY / ".github/CONTRIBUTING.md", PACKAGE / "docs/architecture.md")
    text = "".join(page.read_text("utf-8") for page in pages)
    named = re.findall(r"`((?:batch_runner|tests)/[\w/.-]+)`", text)

    assert len(named) > 20
    assert [path for path in named if not (REPOSITORY / path).exists()] == []
