"""Cost and duration of the submissions that a run would send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from batch_runner.polling.workflow_model import WorkflowModel
from batch_runner.settings import Limits, Polling
from batch_runner.units import Price, Prices

#: Default of `limits.confirm_above`: a cost in the currency of the price, or a number of
#: submissions if there is no price.
CONFIRM_ABOVE_COST, CONFIRM_ABOVE_SUBMISSIONS = Decimal(50), 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Cost and duration of the submissions of a run. Durations are in seconds."""

    submissions: int
    capped: int  # further submissions, which the spend cap does not allow
    spent: int  # submissions of earlier runs
    cap: str | None  # which cap that is: "submissions" or "cost"
    total: Price | None  # cost; None: a price is not known
    task: float | None  # mean duration of a task in earlier runs; None: no task has ended
    by_rate: float  # shortest duration that `limits.rate` allows
    by_in_flight: float | None  # shortest one that `limits.in_flight` allows; None without `task`
    seconds: float  # estimated duration of the run, until the last task ends

    @property
    def cost(self) -> str | None:
        """Return the cost as text, None if a price is not known."""
        return None if self.total is None else self.total.rounded


class CappedCount:
    """Counts submissions in the order in which they would be sent, up to the spend caps."""

    def __init__(self, limits: Limits, spent: Mapping[str, int]) -> None:
        """`spent`: the submissions of earlier runs, by workflow."""
        self.limits = limits
        self.spent = sum(spent.values())
        self.allowed = self.capped = 0
        self.cap: str | None = None  # the cap that is reached: "submissions" or "cost"
        self.unpriced = set[str]()  # workflows whose price `limits.max_cost` needs
        self._prices = limits.price or Prices(None)
        self._by_workflow = Counter[str]()
        self._left: Decimal | None = None
        if limits.max_cost is not None:
            self._left = limits.max_cost.amount
            for workflow, count in spent.items():
                self._pay(workflow, count)

    def add(self, workflow: str) -> None:
        """Count one submission."""
        if self.cap is None:
            self.cap = self._cap_reached(workflow)
        if self.cap is not None:
            self.capped += 1
        else:
            self.allowed += 1
            self._by_workflow[workflow] += 1
        if self._left is not None:
            self._pay(workflow, self.cap is None)

    @property
    def total(self) -> Price | None:
        """Return the cost of the submissions that are allowed; None if a price is not known."""
        return self._prices.cost(self._by_workflow) if self._prices.currency else None

    def _cap_reached(self, workflow: str) -> str | None:
        most, price = self.limits.max_submissions, self._prices.of(workflow)
        if most is not None and self.spent + self.allowed >= most:
            return "submissions"
        too_much = self._left is not None and price is not None and price.amount > self._left
        return "cost" if too_much else None

    def _pay(self, workflow: str, count: int) -> None:
        if (price := self._prices.of(workflow)) is None:
            self.unpriced.add(workflow)
        elif self._left is not None:
            self._left -= price.amount * count


def make_estimate(counted: CappedCount, *, task: float | None) -> Estimate:
    """Estimate the submissions that were counted; `task` as in `Estimate`."""
    allowed, limits = counted.allowed, counted.limits
    by_rate = allowed / limits.rate.per_second
    by_in_flight = None if task is None else allowed * task / limits.in_flight  # Little's law
    last_task = task or 0.0 if allowed else 0.0
    return Estimate(
        submissions=allowed,
        capped=counted.capped,
        spent=counted.spent,
        cap=counted.cap,
        total=counted.total,
        task=task,
        by_rate=by_rate,
        by_in_flight=by_in_flight,
        seconds=max(by_rate + last_task, by_in_flight or 0.0),
    )


def missing_prices(limits: Limits, workflows: Iterable[str]) -> list[str]:
    """Return the workflows whose price `limits.max_cost` needs and `limits.price` does not have."""
    if limits.max_cost is None:
        return []
    prices = limits.price or Prices(None)
    return sorted(name for name in workflows if prices.of(name) is None)


def must_confirm(estimate: Estimate, limits: Limits) -> bool:
    """Return whether the user must confirm the submissions: they exceed `confirm_above`."""
    threshold, total, submissions = limits.confirm_above, estimate.total, estimate.submissions
    if isinstance(threshold, int):
        return submissions > threshold
    if total is None:
        return submissions > CONFIRM_ABOVE_SUBMISSIONS
    if threshold is None:
        threshold = Price(CONFIRM_ABOVE_COST, total.currency)
    if threshold.currency != total.currency:  # cannot be compared
        return submissions > 0
    return total.amount > threshold.amount


def task_seconds(learned: Mapping[str, str]) -> dict[str, float]:
    """Return the mean duration of a task in seconds, by workflow, as earlier runs learned it."""
    found = {name: WorkflowModel(Polling(), state).mean() for name, state in learned.items()}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def mean(values: Iterable[float]) -> float | None:
    """Return the mean, None if there are no values."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else None
