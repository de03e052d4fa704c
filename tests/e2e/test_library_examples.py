"""The examples of `batch_runner/docs/library.md`, run against the simulator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import batch_runner

PAGE = Path(batch_runner.__file__).parent / "docs/library.md"
CARDS = {f"card-{number}.png" for number in range(3)}

#: The decorators of Prefect and Airflow, which are not installed for the tests.
DECORATORS = """
def _decorator(*given, **options):
    return given[0] if given else lambda function: function
flow = task = _decorator
def dag(**options):
    return lambda function: lambda: None
"""


def example(title: str) -> str:
    """Return the code below a heading of the page."""
    section = PAGE.read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return str(code)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the script `cards.py`, a manifest, and stand-ins for the schedulers."""
    prompts = "".join(f"  - {{id: card-{n}, prompt: horse {n}}}\n" for n in range(3))
    (tmp_path / "cards.yaml").write_text(
        'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nlimits: {rate: 20/s}\n'
        f"prompts:\n{prompts}"
    )
    (tmp_path / "cards.py").write_text(example("A script"))
    (tmp_path / "prefect.py").write_text(DECORATORS)
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow/sdk.py").write_text(DECORATORS)
    return tmp_path


def run_python(folder: Path, *arguments: str) -> str:
    """Run Python in `folder` without a key and return what it prints."""
    known = ("PATH", "LANG", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    environment = {name: os.environ[name] for name in known if name in os.environ}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment | {"HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_script_prints_each_card(folder: Path) -> None:
    printed = run_python(folder, "cards.py", "cards.yaml", "--rehearse")

    assert printed.startswith("3 submissions, about ")
    assert set(re.findall(r"card-\d\.png", printed)) == CARDS


def test_notebook_cell_shows_files_of_each_item(folder: Path) -> None:
    cell = example("A notebook cell").rstrip().split("\n")
    cell[-1] = f"print({cell[-1]})"  # a notebook shows the last value
    code = "import asyncio\nasync def cell():\n" + "".join(f"    {line}\n" for line in cell)
    (folder / "cell.py").write_text(code + "asyncio.run(cell())\n")

    assert set(re.findall(r"card-\d\.png", run_python(folder, "cell.py"))) == CARDS


@pytest.mark.parametrize(
    ("title", "call"),
    [
        ("A Prefect flow", "__import__('asyncio').run(cards_flow(rehearse=True))"),
        ("An Airflow task", "cards_task(rehearse=True)"),
    ],
)
def test_task_of_scheduler_returns_files(folder: Path, title: str, call: str) -> None:
    code = f"{example(title)}\nimport json\nprint(json.dumps({call}))\n"
    (folder / "task.py").write_text(code)

    files = json.loads(run_python(folder, "task.py").splitlines()[-1])

    assert {Path(file).name for file in files} == CARDS
