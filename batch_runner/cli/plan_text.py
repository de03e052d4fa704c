"""The texts of `plan` and of the preview of `run`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from batch_runner.engine.deadline import seconds_left
from batch_runner.jobdir.reuse import USING, Action
from batch_runner.lifecycle import UNDERWAY, ItemStatus
from batch_runner.setting_types import Reuse
from batch_runner.util.locale import items_text, mark_tr, status_word, submissions_text, tr
from batch_runner.util.text import date_time, duration, json_text, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batch_runner.journal import ItemSummary
    from batch_runner.models import ItemSpec
    from batch_runner.planning.estimate import Estimate
    from batch_runner.planning.plan import Plan, RunPreview
    from batch_runner.planning.reuse import ReuseGroup
    from batch_runner.settings import Limits, Settings

#: Items of a kind that a line names.
NAMES = 3

#: Statuses in the order of the lines; those in flight count as one.
_ORDER = (
    ItemStatus.DONE,
    ItemStatus.SUBMITTED,
    ItemStatus.HELD,
    ItemStatus.FAILED,
    ItemStatus.REJECTED,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DROPPED,
    ItemStatus.PENDING,
)


def plan_lines(plan: Plan, job: str, folder: str, settings: Settings) -> list[str]:
    return [
        tr(
            "{job}: {items}; files go to {folder}",
            job=job,
            items=items_text(plan.items),
            folder=folder,
        ),
        *_new_lines(plan),
        *_status_lines(plan),
        *_missing_lines(plan),
        *_selected_lines(plan.selected, plan.items),
        *_reuse_lines(plan.reuse, settings.reuse),
        estimate_text(plan.estimate, settings.limits),
        *_end_lines(settings.limits),
        *_problem_lines(plan),
        *_first_lines(plan.first),
    ]


def preview_lines(preview: RunPreview, job: str, limits: Limits, mode: Reuse) -> list[str]:
    """Return what a run is about to do, in a few lines."""
    pending = preview.counts[ItemStatus.PENDING] - preview.new
    parts = [tr("{count} new", count=preview.new)] if preview.new else []
    parts += [
        tr("{count} {status}", count=count, status=word)
        for _, word, count in _grouped({**preview.counts, ItemStatus.PENDING: pending})
    ]
    line = tr(
        "{job}: {items}: {details}",
        job=job,
        items=items_text(sum(preview.counts.values())),
        details=tr(", ").join(parts),
    )
    if preview.unlisted:
        line += tr("; {count} no longer listed", count=preview.unlisted)
    warnings = warning_lines(one.message for one in preview.warnings)
    reuse = _reuse_lines(preview.reuse, mode)
    selected = _selected_lines(preview.selected, sum(preview.counts.values()))
    estimate = estimate_text(preview.estimate, limits)
    return [line, *selected, *reuse, estimate, *_end_lines(limits), *warnings]


def _end_lines(limits: Limits) -> list[str]:
    """Return on which day a run would stop, if it has a time of day for that."""
    left = seconds_left(limits)
    if limits.until is None or left is None:
        return []
    end = date_time(time.time() + left)[: -len(":00")]
    return [tr("the run stops at {end}, in {left}", end=end, left=duration(left))]


def _selected_lines(selected: int | None, items: int) -> list[str]:
    if selected is None:
        return []
    text = tr("selected: {count} of {items}", count=selected, items=items_text(items))
    return [text + tr("; ") + tr("the others are not submitted")] if selected < items else [text]


def estimate_text(estimate: Estimate, limits: Limits) -> str:
    """Return the cost and the time of the submissions, as one line."""
    if not estimate.submissions:
        return tr("nothing to submit")
    values = {
        "submissions": _submissions(estimate),
        "seconds": duration(estimate.seconds),
        "rate": limits.rate,
        "in_flight": limits.in_flight,
    }
    if estimate.task is None:
        return tr(
            "{submissions}, at least {seconds} at {rate} with {in_flight} in flight", **values
        )
    return tr(
        "{submissions}, about {seconds} at {rate} with {in_flight} in flight, {task} per task as "
        "in earlier runs",
        task=duration(estimate.task),
        **values,
    )


def question_text(estimate: Estimate) -> str:
    """Return the question that a run asks before it spends more than a little."""
    return tr("Send {submissions}? [y/N] ", submissions=_submissions(estimate))


def reuse_question_text(usable: int) -> str:
    """Return the question whether to use the results of other jobs."""
    return tr(
        "{items} have a result in another job. Use it (u), pay again (p), or stop (Enter)? ",
        items=items_text(usable),
    )


def _reuse_lines(groups: Iterable[ReuseGroup], mode: Reuse) -> list[str]:
    """Return what a run does with the items that other jobs have submitted."""
    if mode is Reuse.NEVER:
        return []  # there is a warning
    lines = []
    for group in groups:
        text = _REUSE_TEXTS[group.action]
        if mode is Reuse.ASK and group.action in USING:
            text = _ASKED_TEXT
        lines.append(_row(group.count, tr(text, folder=group.folder)))
    return lines


_ASKED_TEXT = mark_tr(
    "have a result in {folder}; a run asks whether to use it, and holds them without a terminal"
)
_REUSE_TEXTS = {
    Action.COPY: mark_tr("reused: their files are copied from {folder}"),
    Action.DOWNLOAD: mark_tr(
        "reused: downloaded again, not paid again; submitted by the job in {folder}"
    ),
    Action.WAIT: mark_tr("stay pending: the job in {folder} has submitted them and not finished"),
    Action.FAIL: mark_tr("failed in the job in {folder}; `batch-runner retry` pays again"),
    Action.HOLD: mark_tr(
        "held: the job in {folder} has submitted them, and there is no result to use"
    ),
}


def _submissions(estimate: Estimate) -> str:
    text = submissions_text(estimate.submissions)
    return text + tr(", ") + estimate.cost if estimate.cost else text


def _new_lines(plan: Plan) -> list[str]:
    lines = []
    if plan.new:
        lines.append(_row(plan.new, tr("new")))
    if plan.changed:
        named = [printable(spec.id, 60) + _was(spec, old) for spec, old in plan.replacing]
        names = _named(named, plan.changed)
        lines.append(
            _row(plan.changed, tr("changed: {names}; each is submitted anew", names=names))
        )
    return lines


def _was(spec: ItemSpec, old: ItemSummary) -> str:
    """Return in brackets what the earlier item was and which files stay."""
    parts = [] if old.id == spec.id else [printable(old.id, 60)]
    parts.append(status_word(old.status))
    text = tr(" (was {earlier})", earlier=tr(", ").join(parts))
    if old.files:
        files = ", ".join(printable(file.name, 80) for file in old.files)
        text = tr(" (was {earlier}: {files} stays)", earlier=tr(", ").join(parts), files=files)
    return text


def _status_lines(plan: Plan) -> list[str]:
    lines = []
    for status, word, count in _grouped(plan.statuses):
        names = [printable(one.id, 60) for one in plan.named.get(status.value, ())]
        text = tr("{status}: {names}", status=word, names=_named(names, count)) if names else word
        lines.append(_row(count, text))
    return lines


def _missing_lines(plan: Plan) -> list[str]:
    lines = []
    if plan.missing:
        text = tr(
            "of those done, missing on disk: {names}; downloaded again, not paid again",
            names=_ids(plan, "missing", plan.missing),
        )
        lines.append(_row(plan.missing, text))
    if plan.unlisted:
        text = tr(
            "no longer listed: {names}; not submitted again",
            names=_ids(plan, "unlisted", plan.unlisted),
        )
        lines.append(_row(plan.unlisted, text))
    return lines


def warning_lines(warnings: Iterable[object]) -> list[str]:
    """Return warnings as lines; one of the manifest has several."""
    return [
        line for warning in warnings for line in tr("warning: {text}", text=warning).split("\n")
    ]


def _first_lines(first: list[ItemSpec]) -> list[str]:
    if not first:
        return []
    return [
        tr("first requests:"),
        *(
            f"  {printable(spec.name, 60)}: {printable(spec.workflow, 60)} "
            f"{printable(json_text(spec.params), 160)}"
            for spec in first
        ),
    ]


def _grouped(counts: dict[ItemStatus, int]) -> list[tuple[ItemStatus, str, int]]:
    """Return status, word and count of each group that has any."""
    groups = []
    for status in _ORDER:
        count, word = counts.get(status, 0), status_word(status)
        if status is ItemStatus.SUBMITTED:
            count, word = sum(counts.get(each, 0) for each in UNDERWAY), tr("in flight")
        if count:
            groups.append((status, word, count))
    return groups


def _ids(plan: Plan, kind: str, count: int) -> str:
    return _named([printable(one.id, 60) for one in plan.named.get(kind, ())], count)


def _named(names: list[str], count: int) -> str:
    """Return the first few names of `count`, and how many more there are."""
    text = tr(", ").join(names[:NAMES])
    more = count - min(len(names), NAMES)
    return tr("{names} and {count} more", names=text, count=more) if more else text


def _row(count: int, text: str) -> str:
    return f"  {count:6} {text}"


def _problem_lines(plan: Plan) -> list[str]:
    blocked = [tr("blocked: {reason}", reason=one.message) for one in plan.blockers]
    return blocked + warning_lines(one.message for one in plan.warnings)
