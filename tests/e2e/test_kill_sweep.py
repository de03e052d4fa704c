"""A short part of the kill sweep that `make soak` runs for longer."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.crash.soak import Counts, KilledJob


@pytest.mark.parametrize("seed", range(1001, 1005))
def test_kills_and_faults_lose_nothing_and_pay_nothing_twice(seed: int) -> None:
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        found = KilledJob(Path(folder), seed, counts).run()

    assert found == []
    assert counts.kills > 0
