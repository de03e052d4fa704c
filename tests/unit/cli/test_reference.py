"""The generated parts of the pages are up to date: `make reference` mends them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from batch_runner.cli.commands.help import TOPICS
from batch_runner.cli.main import COMMANDS
from batch_runner.config.environment import ON_FINISH_VARIABLES, VARIABLES
from batch_runner.lifecycle import TRANSITIONS
from batch_runner.manifest import python_schema
from batch_runner.manifest.schema_types import RESERVED
from batch_runner.manifest.templates.sandbox import FUNCTIONS, Sandbox
from batch_runner.simulator.faults.registry import CALLS
from batch_runner.simulator.faults.rules import CONDITIONS
from tests.harness.reference import DOCS, PARTS, updated

PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_generated_parts_of_page_are_up_to_date(page: Path) -> None:
    assert page.read_text("utf-8") == updated(page)


def test_every_generated_part_is_in_a_page() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)

    assert [name for name in PARTS if f"<!-- generated: {name} -->" not in text] == []


def test_manifest_page_has_every_key() -> None:
    schema, text = python_schema(), (DOCS / "manifest.md").read_text("utf-8")
    inner = [name for block in schema["$defs"].values() for name in block["properties"]]

    assert [name for name in schema["properties"] if f"### `{name}`\n" not in text] == []
    assert [name for name in inner if f"- **`{name}`**: " not in text] == []


def test_commands_page_has_every_command() -> None:
    text = (DOCS / "commands.md").read_text("utf-8")

    assert [name for name in COMMANDS if f"\n## {name}\n" not in text] == []


def test_architecture_page_has_every_change_of_a_status() -> None:
    drawing = (DOCS / "architecture.md").read_text("utf-8").partition("generated: life")[2]
    moves = [(event, target) for each in TRANSITIONS.values() for event, target in each.items()]

    drawn = [line.split() for line in drawing.splitlines() if "→" in line]
    assert [(line[1], line[3]) for line in drawn] == moves


@pytest.mark.parametrize(
    ("page", "names"), [("settings", VARIABLES), ("notifications", ON_FINISH_VARIABLES)]
)
def test_page_has_every_variable(page: str, names: Iterable[str]) -> None:
    text = (DOCS / f"{page}.md").read_text("utf-8")

    assert [name for name in names if f"`{name}`" not in text] == []


def test_templates_page_has_every_filter_and_function() -> None:
    text = (DOCS / "templates.md").read_text("utf-8")
    names = {*Sandbox(str).filters, *FUNCTIONS, *RESERVED}

    assert [name for name in sorted(names) if not re.search(rf"`{name}\b", text)] == []


def test_simulator_page_has_every_condition_of_a_fault() -> None:
    text = (DOCS / "simulator.md").read_text("utf-8")

    assert [name for name in CONDITIONS if f"| `{name}=" not in text] == []
    assert [call for call in CALLS if f"`{call}`" not in text] == []


def test_site_has_the_pages_in_the_order_of_help() -> None:
    config = (DOCS.parents[1] / ".github/mkdocs.yml").read_text("utf-8")

    assert yaml.safe_load(config)["nav"] == ["index.md", *(f"{topic}.md" for topic in TOPICS)]
