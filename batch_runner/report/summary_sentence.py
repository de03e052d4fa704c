"""One sentence about a job: how many items have which outcome, cost, time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from batch_runner.engine.summary import SIGNALLED
from batch_runner.lifecycle import UNFINISHED, ItemStatus
from batch_runner.util.locale import (
    current_language,
    mark_tr,
    stop_word,
    submissions_text,
    tr,
    tr_n,
)
from batch_runner.util.text import duration, printable


class _Outcome(NamedTuple):
    """An outcome other than done: its statuses, its name and what it means."""

    statuses: tuple[ItemStatus, ...]
    name: str
    meaning: str


#: The most urgent first: the first that applies leads the sentence and is explained.
_OUTCOMES = (
    _Outcome(
        (ItemStatus.HELD,),
        mark_tr("held"),
        mark_tr("may have been paid, waiting for your decision"),
    ),
    _Outcome(
        (ItemStatus.DOWNLOAD_PENDING,),
        mark_tr("not downloaded"),
        mark_tr("paid; the next run downloads at no cost"),
    ),
    _Outcome((ItemStatus.FAILED,), mark_tr("failed"), mark_tr("the report has the reasons")),
    _Outcome(
        (ItemStatus.REJECTED,),
        mark_tr("rejected"),
        mark_tr("by the service; nothing was paid"),
    ),
    _Outcome(UNFINISHED, mark_tr("not finished"), mark_tr("the next run continues")),
    _Outcome(
        (ItemStatus.DROPPED,), mark_tr("dropped"), mark_tr("given up by you, counted as paid")
    ),
)


def summary_sentence(
    counts: Mapping[ItemStatus, int],
    *,
    submissions: int,
    cost: str | None,
    seconds: float,
    stopped: str | None = None,
) -> str:
    """Return the state of a job as one sentence in the current language.

    `submissions` are those assumed paid, `cost` is what they cost (None: unknown, and
    left out), `seconds` the time spent. `stopped` is why the last run stopped early, if it did:
    stated while there are unfinished items.
    """
    parts = [_outcome(counts)]
    if stopped and any(counts.get(status) for status in UNFINISHED):
        parts.append(tr("stopped early: {reason}", reason=_stop_text(stopped)))
    parts.append(effort_text(submissions, cost, seconds))
    return tr("{sentence}.", sentence=tr("; ").join(parts))


def _outcome(counts: Mapping[ItemStatus, int]) -> str:
    total, done = sum(counts.values()), counts.get(ItemStatus.DONE, 0)
    if total == 0:
        return tr("The job has no items")
    if done == total:
        return tr_n("The only item is done", "All {count} items are done", total)
    sums = ((sum(counts.get(one, 0) for one in each.statuses), each) for each in _OUTCOMES)
    (number, first), *others = [(count, each) for count, each in sums if count]
    lead = tr_n(
        "The only item is {outcome} ({meaning})",
        "{number} of {count} items {outcome} ({meaning})",
        total,
        number=number,
        outcome=tr(first.name),
        meaning=tr(first.meaning),
    )
    rest = [_count_text(count, tr(each.name)) for count, each in others]
    if done:
        rest.insert(0, _count_text(done, tr("done")))
    return tr("; ").join([lead, tr(", ").join(rest)]) if rest else lead


def _stop_text(stopped: str) -> str:
    """Return why a run stopped; planned stops in the current language, others as recorded."""
    words = {"cluster stop": "cluster_stop", "deadline": "deadline", "cap": "cap"}
    words[SIGNALLED] = "signal"
    planned = next((reason for word, reason in words.items() if word in stopped), None)
    if planned and current_language() != "en":
        return stop_word(planned)
    return printable(stopped, 200).removeprefix(SIGNALLED).rstrip(".")


def _count_text(count: int, outcome: str) -> str:
    return tr("{count} {outcome}", count=count, outcome=outcome)


def effort_text(submissions: int, cost: str | None, seconds: float) -> str:
    """Return submissions, their cost and a time, such as "3 submissions, 0.36 CNY, took 5.2 s"."""
    parts = [submissions_text(submissions)]
    if cost is not None:
        parts.append(cost)
    parts.append(tr("took {time}", time=duration(seconds)))
    return tr(", ").join(parts)
