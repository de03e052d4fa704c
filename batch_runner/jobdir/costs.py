"""What this user's jobs cost, by day and provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from batch_runner.errors import JournalError
from batch_runner.jobdir.known_jobs import KnownJob
from batch_runner.journal import PaidSubmissions, open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.units import Price


@dataclass(kw_only=True)
class Spending:
    """What must be assumed paid to a provider on a day, or over several days."""

    day: str  # local date, as 2026-11-01; "" for a sum
    provider: str
    submissions: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)  # by currency
    unpriced: int = 0  # submissions among them without a known price
    held: list[tuple[str, str]] = field(default_factory=list)  # folder and item, counted as paid
    unnamed_held: int = 0  # held items of jobs whose folder is gone

    @property
    def costs(self) -> list[Price]:
        """Return the cost in each currency."""
        return [Price(amount, name) for name, amount in sorted(self.amounts.items())]

    def add(self, other: Spending) -> None:
        """Add another one to this sum."""
        self.submissions += other.submissions
        self.unpriced += other.unpriced
        self.held += other.held
        self.unnamed_held += other.unnamed_held
        for currency, amount in other.amounts.items():
            self.amounts[currency] = self.amounts.get(currency, Decimal(0)) + amount

    def pay(self, count: int, price: Price | None) -> None:
        """Add so many submissions at a price; None: it is unknown."""
        self.submissions += count
        if price is None:
            self.unpriced += count
        else:
            amount = self.amounts.get(price.currency, Decimal(0))
            self.amounts[price.currency] = amount + price.amount * count


class _Days:
    """The sums of the days that are asked for."""

    def __init__(self, since: str, until: str) -> None:
        self._since, self._until = since, until
        self.found: dict[tuple[str, str], Spending] = {}

    def of(self, day: str, provider: str) -> Spending:
        """Return the sum of a day; one that is not asked for is counted nowhere."""
        new = Spending(day=day, provider=provider)
        if not self._since <= day <= self._until:
            return new
        return self.found.setdefault((day, provider), new)


def spending_by_day(jobs: Iterable[KnownJob], since: str, until: str) -> list[Spending]:
    """Return what was paid from one day to another, both included, by day and provider.

    The items of a job without a readable journal are counted as the registry has them.
    """
    days = _Days(since, until)
    for job in jobs:
        paid: list[PaidSubmissions] = []
        if not job.problem:
            try:
                with open_reader(job.folder.journal) as reader:
                    paid = reader.paid_submissions()
            except JournalError as error:
                job.problem = str(error)
        for one in paid:
            spending = days.of(one.day, job.provider)
            spending.pay(one.count, job.prices.of(one.workflow) if job.prices else None)
            spending.held += [(job.record.folder, item) for item in one.held]
        if job.problem:
            _add_claims(job, days)
    return [days.found[key] for key in sorted(days.found)]


def _add_claims(job: KnownJob, days: _Days) -> None:
    for group in job.claims:
        if group.paid:
            spending = days.of(group.day, group.provider)
            spending.pay(group.paid, None)
            spending.unnamed_held += group.paid * (group.status == ItemStatus.HELD)


def totals(spendings: Iterable[Spending]) -> Mapping[str, Spending]:
    """Return the sums by provider."""
    sums: dict[str, Spending] = {}
    for one in spendings:
        sums.setdefault(one.provider, Spending(day="", provider=one.provider)).add(one)
    return sums
