"""What a reported progress implies."""

from __future__ import annotations

from batch_runner.polling.progress_model import read_progress


def test_progress_of_next_to_nothing_is_ignored() -> None:
    assert read_progress(None, 1e-309, age=10.0, now=10.0) is None
    assert read_progress(None, 0.01, age=10.0, now=10.0) is not None
