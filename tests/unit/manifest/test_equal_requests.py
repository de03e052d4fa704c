"""Items that send the same request are counted: their pictures may be equal, each is paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.errors import Problem
from batch_runner.manifest import load
from tests.unit.manifest.helpers import HEAD, location, problems_of, write

SEEDED = HEAD.replace('"}', '", seed: "SEED"}')


def warning_of(folder: Path, text: str) -> Problem | None:
    manifest = load(write(folder, text))
    assert list(manifest.items())
    warnings = manifest.warnings()
    assert len(warnings) < 2
    return warnings[0] if warnings else None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param(f"{HEAD}prompts: [a, b]\nrepeat: 3\n", 6, id="no-seed"),
        pytest.param(SEEDED.replace('"SEED"', "7") + "prompts: [a]\nrepeat: 2\n", 2, id="constant"),
        pytest.param(f"{HEAD}prompts: [a, {{prompt: b, repeat: 2}}]\n", 2, id="of-one-prompt"),
        pytest.param(
            SEEDED.replace("SEED", "{{ pick([1, 2]) }}") + "prompts: [a]\nrepeat: 3\n", 3, id="pick"
        ),
        pytest.param(
            SEEDED.replace("SEED", "{{ n }}")
            + 'prompts: [a, {prompt: a, params: {"6": {seed: 2}}, repeat: 1}]\nrepeat: 2\n',
            2,
            id="of-two-prompts",
        ),
    ],
)
def test_items_with_equal_requests_are_counted(tmp_path: Path, text: str, count: int) -> None:
    warning = warning_of(tmp_path, text)

    assert warning is not None
    assert f"{count} items would send the same request" in warning.message
    assert "-1 and " in warning.message or "-2 and " in warning.message
    assert "seed()" in (warning.hint or "")
    assert location(warning)[0] >= 3


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{HEAD}prompts: [a, b]\n", id="no-repeat"),
        pytest.param(
            SEEDED.replace("SEED", "{{ seed() }}") + "prompts: [a]\nrepeat: 3\n", id="seed"
        ),
        pytest.param(SEEDED.replace("SEED", "{{ n }}") + "prompts: [a]\nrepeat: 3\n", id="n"),
    ],
)
def test_items_with_different_requests_give_no_warning(tmp_path: Path, text: str) -> None:
    assert warning_of(tmp_path, text) is None


def test_warning_is_not_known_before_the_last_item(tmp_path: Path) -> None:
    manifest = load(write(tmp_path, f"{HEAD}prompts: [a]\nrepeat: 2\n"))

    next(manifest.items())

    assert manifest.warnings() == []


def test_hint_at_a_duplicate_leads_to_different_requests(tmp_path: Path) -> None:
    (problem,) = problems_of(write(tmp_path, f"{HEAD}prompts: [a, a]\n"))

    assert "seed()" in (problem.hint or "")
