"""A short part of the sweeps that `make soak` makes for longer."""

from __future__ import annotations

import pytest

from tests.crash.soak import KINDS, sweep
from tests.harness.sweeps import some_of

#: Kinds that `make test` makes, with a seed for each.
SHORT = [
    *some_of([("killed-runs", seed) for seed in (1001, 1002, 1003)], each=3),
    ("killed-creation", 1),
    ("renamed-job", 1),
    ("full-output-disk", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seed"), SHORT)
def test_disturbed_runs_lose_nothing_and_pay_nothing_twice(kind: str, seed: int) -> None:
    done = sweep(kind, seed)

    if done.skipped:
        pytest.skip(done.skipped)
    assert done.violations == []
    assert done.counts["submissions"] > 0
    assert done.counts["kills"] > 0 or "kill" not in kind


def test_every_kind_has_an_explanation() -> None:
    assert all(getattr(kind, "func", kind).__doc__ for kind in KINDS.values())
