from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.jobdir.paths import JobFolder


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """Return a job folder that is ready for use."""
    made = JobFolder(tmp_path / "out")
    made.prepare()
    return made
