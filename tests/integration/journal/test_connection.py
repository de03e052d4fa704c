from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.journal.sqlite.connection import connect
from batch_runner.registry.connection import connect as connect_registry


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "truncate"),
        ("synchronous", 2),
        ("fullfsync", 1),
        ("checkpoint_fullfsync", 1),
    ],
)
@pytest.mark.parametrize("kind", ["journal", "registry"])
def test_commits_survive_a_power_cut(tmp_path: Path, kind: str, pragma: str, value: object) -> None:
    if kind == "journal":
        opened = connect(tmp_path / "journal.sqlite")
    else:
        opened = connect_registry(tmp_path)
    with closing(opened) as connection:
        assert connection.execute(f"PRAGMA {pragma}").fetchone()[0] == value
