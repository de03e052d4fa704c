"""Cost and duration of the submissions that a run would send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from batch_runner.polling.workflow_model import WorkflowModel
from batch_runner.settings import Limits, Polling
from batch_runner.units import Price

#: Default of `limits.confirm_above`: a cost in the currency of the price, or a number of
#: submissions if there is no price.
CONFIRM_ABOVE_COST, CONFIRM_ABOVE_SUBMISSIONS = 50.0, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Cost and duration of the submissions of a run. Durations are in seconds."""

    submissions: int
    capped: int  # further submissions, which the spend cap does not allow
    spent: int  # submissions of earlier runs
    cost: str | None  # None: the price is not known
    task: float | None  # mean duration of a task in earlier runs; None: no task has ended
    by_rate: float  # shortest duration that `limits.rate` allows
    by_in_flight: float | None  # shortest one that `limits.in_flight` allows; None without `task`
    seconds: float  # estimated duration of the run, until the last task ends


def make_estimate(submissions: int, *, spent: int, task: float | None, limits: Limits) -> Estimate:
    """Estimate `submissions`, up to the spend cap; `spent` and `task` as in `Estimate`."""
    allowed = submissions
    if limits.max_submissions is not None:
        allowed = min(submissions, max(0, limits.max_submissions - spent))
    by_rate = allowed / limits.rate.per_second
    by_in_flight = None if task is None else allowed * task / limits.in_flight  # Little's law
    last_task = task or 0.0 if allowed else 0.0
    return Estimate(
        submissions=allowed,
        capped=submissions - allowed,
        spent=spent,
        cost=limits.price.times(allowed) if limits.price else None,
        task=task,
        by_rate=by_rate,
        by_in_flight=by_in_flight,
        seconds=max(by_rate + last_task, by_in_flight or 0.0),
    )


def must_confirm(estimate: Estimate, limits: Limits) -> bool:
    """Return whether the user must confirm the submissions: they exceed `confirm_above`."""
    threshold, price, submissions = limits.confirm_above, limits.price, estimate.submissions
    if isinstance(threshold, int):
        return submissions > threshold
    if price is None:
        return submissions > CONFIRM_ABOVE_SUBMISSIONS
    if threshold is None:
        threshold = Price(CONFIRM_ABOVE_COST, price.currency)
    if threshold.currency != price.currency:  # cannot be compared
        return submissions > 0
    return price.amount * submissions > threshold.amount


def task_seconds(learned: Mapping[str, str]) -> dict[str, float]:
    """Return the mean duration of a task in seconds, by workflow, as earlier runs learned it."""
    found = {name: WorkflowModel(Polling(), state).mean() for name, state in learned.items()}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def mean(values: Iterable[float]) -> float | None:
    """Return the mean, None if there are no values."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else None
