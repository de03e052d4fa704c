"""Helpers to write a manifest and to read its items and problems."""

from __future__ import annotations

from pathlib import Path

from batch_runner.errors import ManifestError, Problem
from batch_runner.manifest import load
from batch_runner.models import ItemSpec

#: A manifest without items.
HEAD = 'workflow: cards\nparams: {"6": {text: "{{ prompt }}"}}\n'


def write(folder: Path, text: str | bytes, name: str = "job.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def items_of(path: Path) -> list[ItemSpec]:
    return list(load(path).items())


def problems_of(path: Path) -> list[Problem]:
    """Return every problem of loading the manifest and expanding its items."""
    try:
        items_of(path)
    except ManifestError as error:
        return error.problems
    return []


def the_problem(folder: Path, text: str | bytes) -> Problem:
    """Return the only problem of a manifest; fail if there are more or none."""
    problems = problems_of(write(folder, text))
    assert len(problems) == 1, "\n".join(map(str, problems)) or "no problem was found"
    return problems[0]


def location(problem: Problem) -> tuple[int, int]:
    return problem.line, problem.column
