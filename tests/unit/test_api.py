"""What `import batch_runner` offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import batch_runner

PUBLIC = [
    "BatchRunnerError",
    "Blocker",
    "Estimate",
    "ExitCode",
    "FolderRefused",
    "Item",
    "ItemDone",
    "ItemDownloadPending",
    "ItemEvent",
    "ItemFailed",
    "ItemHeld",
    "ItemProblem",
    "ItemRejected",
    "ItemSpec",
    "ItemStatus",
    "ItemSubmitted",
    "JobLocked",
    "JournalConflict",
    "JournalError",
    "JournalUnreadable",
    "JournalVersionMismatch",
    "Manifest",
    "ManifestError",
    "Plan",
    "Problem",
    "Progress",
    "RunEvent",
    "RunFinished",
    "RunStarted",
    "RunSummary",
    "Selection",
    "Service",
    "Settings",
    "StopReason",
    "UsageError",
    "iter_items",
    "load_manifest",
    "load_service",
    "load_settings",
    "plan_job",
    "run_job",
]


def modules_after(code: str) -> set[str]:
    """Return the modules that a new Python has imported after `code`."""
    code += "; import sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_public_names_are_these() -> None:
    assert batch_runner.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_found_and_listed(name: str) -> None:
    assert getattr(batch_runner, name).__name__ == name
    assert name in dir(batch_runner)


def test_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'run_jobs'"):
        getattr(batch_runner, "run_jobs")  # noqa: B009


def test_import_loads_nothing_of_ours_until_used() -> None:
    loaded = modules_after("import batch_runner")

    assert {name for name in loaded if name.startswith("batch_runner.")} == set()


def test_library_does_not_load_click() -> None:
    loaded = modules_after("from batch_runner import *")

    assert "batch_runner.api.jobs" in loaded
    assert not loaded & {"click", "batch_runner.cli", "aiohttp", "rich"}


def test_package_is_marked_as_typed() -> None:
    assert Path(batch_runner.__file__).with_name("py.typed").exists()
