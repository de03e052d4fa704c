"""The texts of `jobs` and of its subcommands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.cli.output import print_json, print_line
from batch_runner.jobdir.costs import Spending, spending_by_day, totals
from batch_runner.jobdir.rescan import Finding, Found
from batch_runner.lifecycle import ItemStatus
from batch_runner.registry.base import CLAIMED
from batch_runner.util.locale import items_text, mark_tr, status_word, submissions_text, tr
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import date_time, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batch_runner.jobdir.known_jobs import KnownJob
    from batch_runner.units import Price

#: Held items that a line names.
NAMES = 10

_FINDINGS = {
    Finding.ADDED: mark_tr("new: {job} in {folder}: {items} may have been paid"),
    Finding.KNOWN: mark_tr("known: {job} in {folder}: {items} may have been paid"),
    Finding.COPY: mark_tr("not read: {folder} is a copy of the job in {message}"),
    Finding.OLDER: mark_tr("not read: {folder} is an older copy of the job in {message}"),
    Finding.RUNNING: mark_tr("not read: a run is working on the job in {folder}"),
    Finding.REHEARSAL: mark_tr("not read: {folder} is a rehearsal, which paid nothing"),
    Finding.UNREADABLE: mark_tr("not read: {folder}: {message}"),
}
#: Findings after which everything that the folder paid for is known.
_COMPLETE = (Finding.ADDED, Finding.KNOWN, Finding.REHEARSAL)


def print_jobs(jobs: list[KnownJob], *, as_json: bool) -> None:
    """Print each job, as some lines or as a JSON object."""
    for job in jobs:
        if as_json:
            print_json(_job_object(job))
        else:
            for line in _job_lines(job):
                print_line(line)
    if not jobs and not as_json:
        print_line(tr("no job of this user has been run on this machine"))


def _job_lines(job: KnownJob) -> list[str]:
    record = job.record
    counts = counts_text(job.counts, job.submissions, job.cost)
    lines = [f"{printable(record.name, 80) or record.id}: {counts}"]
    if job.problem:
        lines.append("  " + tr("not readable: {reason}", reason=printable(job.problem, 300)))
    lines.append("  " + tr("output folder: {folder}", folder=printable(record.folder, 1000)))
    if record.manifest:
        lines.append("  " + tr("manifest: {path}", path=printable(record.manifest, 1000)))
    lines.append("  " + _last_use(job))
    return lines


def counts_text(counts: Mapping[str, int], submissions: int, cost: Price | None = None) -> str:
    """Return the items of a job by status, its submissions and their cost if that is known."""
    parts = [tr("{count} {status}", count=n, status=_word(s)) for s, n in counts.items() if n]
    effort = submissions_text(submissions)
    if cost is not None:
        effort += tr(", ") + cost.rounded
    return tr("; ").join([tr(", ").join(parts) or items_text(0), effort])


def _word(status: str) -> str:
    if status == CLAIMED:
        return tr("about to be submitted")
    return status_word(status) if status in ItemStatus._value2member_map_ else printable(status)


def _last_use(job: KnownJob) -> str:
    run = job.last_run
    if job.running:
        return tr("running now")
    if run is None:
        return tr("last used: {time}", time=date_time(job.record.updated_at))
    if run.ended_at is None:
        return tr("last run: {time}, was killed", time=date_time(run.started_at))
    return tr(
        "last run: {time}, exit status {code}", time=date_time(run.started_at), code=run.exit_code
    )


def _job_object(job: KnownJob) -> dict[str, Any]:
    record, run = job.record, job.last_run
    return {
        "id": record.id,
        "name": record.name,
        "provider": job.provider or None,
        "folder": record.folder,
        "manifest": record.manifest or None,
        "machine": record.machine,
        "items": job.counts,
        "submissions": job.submissions,
        "cost": job.cost.rounded if job.cost else None,
        "running": job.running,
        "last_used": record.updated_at,
        "last_run": None
        if run is None
        else {"started_at": run.started_at, "ended_at": run.ended_at, "exit_code": run.exit_code},
        "problem": job.problem or None,
    }


def forgetting_text(job: KnownJob) -> str:
    """Return what forgetting a job means."""
    values = {"items": items_text(_paid_items(job)), "folder": job.record.folder}
    return tr(
        "the job in {folder} has paid for {items}, or may have; once it is forgotten, another job "
        "may pay for the same again",
        **values,
    )


def _paid_items(job: KnownJob) -> int:
    return sum(group.paid for group in job.claims)


def print_found(found: Iterable[Found], folder: Path, *, as_json: bool) -> int:
    """Print what was done with each folder; return the exit status."""
    jobs, complete = 0, True
    for one in found:
        jobs += 1
        complete = complete and one.finding in _COMPLETE
        if as_json:
            print_json(
                {
                    "finding": one.finding.value,
                    "folder": utf8_text(one.folder),
                    "id": one.id or None,
                    "name": one.name or None,
                    "paid": one.paid,
                    "message": one.message or None,
                }
            )
            continue
        print_line(
            tr(
                _FINDINGS[one.finding],
                job=printable(one.name, 80),
                folder=one.folder,
                items=items_text(one.paid),
                message=printable(one.message, 500) or one.folder,
            )
        )
    if not jobs and not as_json:
        print_line(tr("there is no job in or below {folder}", folder=folder))
    return 0 if complete else 1


def print_costs(jobs: list[KnownJob], since: str, until: str, *, as_json: bool) -> None:
    """Print what was paid by day and provider, then the sums."""
    spendings = spending_by_day(jobs, since, until)
    sums = list(totals(spendings).values())
    if as_json:
        for one in (*spendings, *sums):
            print_json(_spending_object(one))
        return
    for one in spendings:
        print_line(f"{one.day}  {_spending_text(one)}")
    if len(spendings) > len(sums):
        for one in sums:
            print_line(tr("sum: {spending}", spending=_spending_text(one)))
    for line in _held_lines(sums):
        print_line(line)
    for job in jobs:
        if job.problem:
            print_line(
                tr(
                    "without a price, as the registry has it: {job} in {folder}: {reason}",
                    job=printable(job.record.name, 80) or job.record.id,
                    folder=printable(job.record.folder, 1000),
                    reason=printable(job.problem, 300),
                )
            )
    if not spendings:
        print_line(tr("nothing was paid in that time"))


def _spending_text(one: Spending) -> str:
    parts = [f"{one.provider}: {submissions_text(one.submissions)}"]
    parts += [cost.rounded for cost in one.costs]
    if one.unpriced:
        parts.append(tr("{count} without a price", count=one.unpriced))
    if held := len(one.held) + one.unnamed_held:
        parts.append(tr("{count} of them held, counted as paid", count=held))
    return tr(", ").join(parts)


def _held_lines(sums: list[Spending]) -> list[str]:
    """Return a line for each job with held items, which names the first of them."""
    by_folder: dict[str, list[str]] = {}
    for one in sums:
        for folder, item in one.held:
            by_folder.setdefault(folder, []).append(printable(item, 60))
    return [
        tr(
            "held, counted as paid, in {folder}: {names}",
            folder=printable(folder, 1000),
            names=_named(names),
        )
        for folder, names in by_folder.items()
    ]


def _named(names: list[str]) -> str:
    text = tr(", ").join(names[:NAMES])
    more = len(names) - NAMES
    return tr("{names} and {count} more", names=text, count=more) if more > 0 else text


def _spending_object(one: Spending) -> dict[str, Any]:
    return {
        "day": one.day or None,
        "provider": one.provider,
        "submissions": one.submissions,
        "costs": [cost.rounded for cost in one.costs],
        "without_price": one.unpriced,
        "held": len(one.held) + one.unnamed_held,
        "held_items": [{"folder": folder, "id": item} for folder, item in one.held],
    }
