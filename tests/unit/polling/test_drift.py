"""When predictions that fail count as a change of the service."""

from __future__ import annotations

import random

from batch_runner.polling.drift import DriftDetector

HAZARD, PROBABILITY = 0.5, 0.393  # accumulated hazard, and the probability to complete by it


def first_drift(probability: float) -> tuple[int, bool] | None:
    """Return the poll that detects a drift, and whether completions are too few; None: none."""
    rng, detector = random.Random(1), DriftDetector()
    for poll in range(5000):
        too_few = detector.update(HAZARD, completed=rng.random() < probability)
        if too_few is not None:
            return poll, too_few
    return None


def test_predictions_that_hold_are_no_drift() -> None:
    assert first_drift(PROBABILITY) is None


def test_missing_completions_are_detected_as_too_few() -> None:
    found = first_drift(0.0)

    assert found is not None
    assert found[0] < 200
    assert found[1]


def test_twice_the_predicted_completions_are_detected() -> None:
    found = first_drift(2 * PROBABILITY)

    assert found is not None
    assert found[0] < 200
    assert not found[1]
