"""When the alternative model is used, and how soon it is dropped."""

from __future__ import annotations

import math

import pytest

from batch_runner.polling.model_comparison import ModelComparison

SURE, UNSURE = 3.0, 0.1  # accumulated hazard: a completion is very likely, or not


def test_alternative_is_not_used_before_it_predicts_better() -> None:
    comparison = ModelComparison()

    assert not comparison.is_better
    comparison.update(SURE, SURE, completed=True)
    assert not comparison.is_better


def test_better_calibrated_predictor_wins() -> None:
    comparison = ModelComparison()
    for _ in range(3):
        comparison.update(SURE, UNSURE, completed=True)
    assert comparison.is_better

    for _ in range(3):
        comparison.update(SURE, UNSURE, completed=False)
    assert not comparison.is_better


def test_alternative_that_errs_is_dropped_in_ten_polls() -> None:
    comparison = ModelComparison()
    for _ in range(1000):
        comparison.update(SURE, UNSURE, completed=True)

    for _ in range(10):
        comparison.update(SURE, UNSURE, completed=False)

    assert not comparison.is_better


def test_gain_of_one_poll_is_bounded() -> None:
    comparison = ModelComparison()
    comparison.update(SURE, 0.0, completed=True)

    assert math.isfinite(comparison.log_likelihood_gain)
    assert comparison.log_likelihood_gain <= 3


def test_restored_gain_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        ModelComparison(math.nan)


def test_restored_gain_is_bounded() -> None:
    assert ModelComparison(1e9).log_likelihood_gain == ModelComparison(20.0).log_likelihood_gain
    assert ModelComparison(-1e9).log_likelihood_gain == ModelComparison(-20.0).log_likelihood_gain
