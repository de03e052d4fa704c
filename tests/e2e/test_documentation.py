"""Every code block of the pages that `batch-runner help` shows does what the page says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import batch_runner
from tests.harness.documentation import Block, blocks, check_page

DOCS = Path(batch_runner.__file__).parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
PHOTO = DOCS.parents[1] / "jobs/photos/bridal_couple.jpg"

#: Page and first line of each block that cannot be run here → why.
NOT_RUN = {
    ("getting-started.md", "$ mkdir -p ~/.config/batch-runner"): "reads the key from the keyboard",
    ("recipes.md", "$ docker build --tag batch-runner ."): "needs Docker and another host",
    ("many-hosts.md", "# compose.yaml"): "checked by test_compose.py",
}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_blocks_of_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    shutil.copy(PHOTO, tmp_path / "photos")

    problems = check_page(page, tmp_path)

    assert not problems, problems[0]


def test_blocks_that_are_not_run_are_listed() -> None:
    found = {
        (page.name, block.text.partition("\n")[0])
        for page in PAGES
        for block in blocks(page)
        if not block.is_tested
    }

    assert found == NOT_RUN.keys()


WRONG = {
    "output": ("```console\n$ true\n$ echo horse\nfoal\n```\n", 5),
    "status": ("```console\n$ true\n$ false\n```\n", 5),
    "order": ("```console\n$ printf 'b\\na\\n'\na\nb\n```\n", 4),
    "manifest": ("```yaml\nworkflow: w\nparams: {a: {b: '{{ prompt }}'}}\npromts: [x]\n```\n", 6),
    "setting": ("```yaml\nlimits: {rate: fast}\n```\n", 4),
    "template": ('```yaml\nprompts: ["{{ colour }}"]\n```\n', 4),
    "json": ('```json\n{"a": 1}\n{"a": 1,}\n```\n', 5),
    "python": ("```python\n\nif True\n```\n", 5),
    "language": ("```basic\n10 PRINT\n```\n", 4),
}


@pytest.mark.slow
@pytest.mark.parametrize(("text", "line"), WRONG.values(), ids=list(WRONG))
def test_wrong_block_is_found_in_its_line(text: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"# Page\n\n{text}")

    (problem,) = check_page(path, tmp_path)

    assert problem.startswith(f"page.md:{line}: ")


@pytest.mark.slow
def test_right_blocks_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "```yaml cards.yaml\nworkflow: w\nparams: {a: {b: '{{ prompt }}'}}\nprompts: [x]\n```\n\n"
        "```yaml\nmatrix: {style: [ink, {id: oil, text: oil paint}]}\n```\n\n"
        "```console\n$ horse=1\n$ echo $horse; head -1 cards.yaml; echo 'took 3.1 s'\n1\n…\n"
        "took 7.9 s\n$ false\n…\n$ echo $?\n1\n$ cat <<END\n> foal\n> END\nf…l\n"
        "$ (sleep 0.1; echo ready) &\nready\n```\n\n    $ echo indented\n    indented\n"
    )

    problems = check_page(path, tmp_path)

    assert not problems, problems[0]


def test_indented_command_is_a_block(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("Text:\n\n    $ ls\n\nMore:\n\n    a -> b\n")

    assert blocks(path) == [Block("console", (), "$ ls\n", 3), Block("text", (), "a -> b\n", 7)]
