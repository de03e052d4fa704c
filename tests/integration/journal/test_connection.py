from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.journal.sqlite.connection import connect


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "truncate"),
        ("synchronous", 2),
        ("fullfsync", 1),
        ("checkpoint_fullfsync", 1),
    ],
)
def test_commits_survive_a_power_cut(tmp_path: Path, pragma: str, value: object) -> None:
    with closing(connect(tmp_path / "journal.sqlite")) as connection:
        assert connection.execute(f"PRAGMA {pragma}").fetchone()[0] == value
