"""A short piece of the long sweep; `make soak` plays as many nights as it is given time for."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.crash.soak import Counts, Night


@pytest.mark.parametrize("seed", range(1001, 1005))
def test_a_night_of_kills_and_faults_loses_nothing_and_pays_nothing_twice(seed: int) -> None:
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        found = Night(Path(folder), seed, counts).play()

    assert found == []
    assert counts.kills > 0
