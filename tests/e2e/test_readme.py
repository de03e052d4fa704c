"""The README and its Chinese version: their commands run, and both show the same ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.documentation import blocks, check_page
from tests.harness.shell_session import steps

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
CHINESE = REPOSITORY / ".github/README.zh-CN.md"
PAGES = pytest.mark.parametrize("page", [README, CHINESE], ids=["english", "chinese"])
MAX_PICTURE = 200_000


def commands(page: Path) -> list[str]:
    """Return the commands of a page without comments."""
    return [
        re.sub(r"\s+# .*", "", step.command)
        for block in blocks(page)
        if block.language == "console"
        for step in steps(block.text)
    ]


@pytest.mark.slow
@PAGES
def test_blocks_of_readme_do_what_it_says(page: Path, tmp_path: Path) -> None:
    problems = check_page(page, tmp_path)

    assert not problems, problems[0]


@PAGES
def test_only_the_installation_is_not_run(page: Path) -> None:
    untested = [block.text for block in blocks(page) if not block.is_tested]

    assert len(untested) == 1
    assert untested[0].startswith("$ git clone ")


def test_chinese_readme_has_commands_of_the_readme_in_order() -> None:
    english = iter(commands(README))

    missing = [command for command in commands(CHINESE) if command not in english]

    assert missing == []
    assert len(commands(CHINESE)) > 10


@PAGES
def test_links_of_readme_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^):]+)\)", page.read_text("utf-8"))

    assert targets
    assert [target for target in targets if not (page.parent / target).is_file()] == []


@PAGES
def test_exit_statuses_of_readme_are_those_of_run(page: Path) -> None:
    from batch_runner.cli.commands.run import command

    of_help = re.findall(r"^  (\d[\d, ]*?)  ", command.epilog or "", re.MULTILINE)

    assert re.findall(r"^\| (\d[\d, ]*) \|", page.read_text("utf-8"), re.MULTILINE) == of_help


def test_pictures_of_readme_are_small() -> None:
    pictures = [*REPOSITORY.glob(".github/*.png"), *REPOSITORY.glob(".github/*.svg")]

    assert len(pictures) == 2
    assert [path.name for path in pictures if path.stat().st_size > MAX_PICTURE] == []
