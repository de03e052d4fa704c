"""Who is believed, and how soon no longer."""

from __future__ import annotations

import math

import pytest

from batch_runner.polling.model_comparison import ModelComparison

SURE, UNSURE = 3.0, 0.1  # cumulated hazard: an end is very likely, or not


def test_nobody_is_believed_before_it_has_foretold_better() -> None:
    contest = ModelComparison()

    assert not contest.won
    contest.hold(SURE, SURE, ended=True)
    assert not contest.won


def test_who_was_surer_of_what_came_wins_and_who_was_surer_of_what_did_not_loses() -> None:
    contest = ModelComparison()
    for _ in range(3):
        contest.hold(SURE, UNSURE, ended=True)
    assert contest.won

    for _ in range(3):
        contest.hold(SURE, UNSURE, ended=False)
    assert not contest.won


def test_one_that_begins_to_err_is_found_out_within_ten_looks() -> None:
    contest = ModelComparison()
    for _ in range(1000):
        contest.hold(SURE, UNSURE, ended=True)

    for _ in range(10):
        contest.hold(SURE, UNSURE, ended=False)

    assert not contest.won


def test_what_was_held_to_be_impossible_counts_no_more_than_a_surprise() -> None:
    contest = ModelComparison()
    contest.hold(SURE, 0.0, ended=True)

    assert math.isfinite(contest.proof)
    assert contest.proof <= 3


def test_an_inherited_proof_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="nan"):
        ModelComparison(math.nan)


def test_an_inherited_proof_is_bounded_like_any() -> None:
    assert ModelComparison(1e9).proof == ModelComparison(20.0).proof
    assert ModelComparison(-1e9).proof == ModelComparison(-20.0).proof
