"""The texts of `cluster`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from batch_runner.cli.jobs_text import counts_text
from batch_runner.cli.output import print_json, print_line
from batch_runner.util.locale import submissions_text, tr, tr_n
from batch_runner.util.text import date_time, duration, printable

if TYPE_CHECKING:
    from batch_runner.cluster.decisions import Risk
    from batch_runner.cluster.overview import JobState, Overview, WorkerState
    from batch_runner.cluster.schema import Database


def print_overview(found: Overview, *, as_json: bool) -> None:
    """Print the database, then each job with its workers."""
    if as_json:
        print_json(_database_object(found.database))
        for job in found.jobs:
            print_json(_job_object(job))
        return
    for line in database_lines(found.database):
        print_line(line)
    for job in found.jobs:
        for line in _job_lines(job):
            print_line(line)
    if not found.jobs:
        print_line(tr("no job has been given to the workers of this cluster"))


def database_lines(database: Database) -> list[str]:
    """Return what the server is, and how far its clock is from that of this host."""
    server = tr(
        "PostgreSQL {version}; {count} of {most} connections in use",
        version=database.version,
        count=database.connections,
        most=database.max_connections,
    )
    ahead = database.clock_ahead
    values = {"seconds": f"{abs(ahead):.2f}", "error": f"{database.clock_error:.2f}"}
    if ahead < 0:
        clock = tr("its clock is {seconds} s behind this host's (± {error} s)", **values)
    else:
        clock = tr("its clock is {seconds} s ahead of this host's (± {error} s)", **values)
    milliseconds = f"{database.round_trip * 1e3:.1f}"
    return [server, clock, tr("it answers in {time} ms", time=milliseconds)]


def _job_lines(state: JobState) -> list[str]:
    job = state.job
    name = printable(job.name, 80) or job.id
    if state.problem:
        lines = [f"{name}: " + tr("not readable: {reason}", reason=printable(state.problem, 300))]
    else:
        counts = {status.value: count for status, count in state.counts.items()}
        lines = [f"{name}: {counts_text(counts, state.submissions)}"]
    lines.append("  " + tr("output folder: {folder}", folder=printable(job.folder, 1000)))
    if job.paused is not None:
        paused = tr("paused: {reason}", reason=printable(job.paused, 400))
        lines += ["  " + paused, "  " + tr("`batch-runner cluster approve` ends the pause")]
    elif state.stopped is not None:
        lines.append("  " + tr("stopped: {reason}", reason=printable(state.stopped, 400)))
    lines += [f"  {line}" for line in _progress_lines(state)]
    return lines


def _progress_lines(state: JobState) -> list[str]:
    if not state.shards:
        return []
    if not state.unfinished:
        return [tr("the workers have nothing to do for it")]
    rate = f"{state.rate:.3g}"
    lines = [
        tr(
            "{left} of {count} shards left; {rate} submissions/s in the last minute, "
            "{limit} allowed",
            left=state.unfinished,
            count=state.shards,
            rate=rate,
            limit=state.limit,
        ),
        *map(_worker_line, state.workers),
    ]
    if all(worker.gone for worker in state.workers):
        lines.append(tr("no worker is processing it; start `batch-runner worker` on some hosts"))
    return lines


def _worker_line(worker: WorkerState) -> str:
    line = tr(
        "{host}, process {pid}: since {since}, last seen {unseen} ago; {shards}, {in_use} of "
        "{slots} tasks in flight",
        host=printable(worker.host, 80),
        pid=worker.pid,
        since=date_time(worker.started_at),
        unseen=duration(worker.unseen),
        shards=tr_n("{count} shard", "{count} shards", worker.shards),
        in_use=worker.in_use,
        slots=worker.slots,
    )
    return line + tr("; gone, others take its shards") if worker.gone else line


def _database_object(database: Database) -> dict[str, Any]:
    return {
        "kind": "database",
        "version": database.version,
        "connections": database.connections,
        "max_connections": database.max_connections,
        "round_trip": round(database.round_trip, 6),
        "clock_ahead": round(database.clock_ahead, 6),
        "clock_error": round(database.clock_error, 6),
    }


def _job_object(state: JobState) -> dict[str, Any]:
    job, now = state.job, time.time()
    return {
        "kind": "job",
        "id": job.id,
        "name": job.name,
        "folder": job.folder,
        "provider": job.provider,
        "items": {status.value: count for status, count in state.counts.items() if count},
        "submissions": state.submissions,
        "shards": state.shards,
        "shards_left": state.unfinished,
        "rate": round(state.rate, 3),
        "rate_limit": state.limit,
        "paused": job.paused,
        "stopped": state.stopped,
        "problem": state.problem or None,
        "workers": [
            {
                "host": worker.host,
                "pid": worker.pid,
                "started_at": worker.started_at,
                "last_seen": round(now - worker.unseen, 3),
                "gone": worker.gone,
                "shards": worker.shards,
                "in_flight": worker.in_use,
                "slots": worker.slots,
            }
            for worker in state.workers
        ],
    }


def risk_lines(why: str, risk: Risk) -> list[str]:
    """Return what may be paid for again when an older database is accepted."""
    submissions = submissions_text(risk.submissions)
    if risk.cost is not None:
        submissions += tr(", ") + risk.cost.rounded
    return [
        printable(why, 400),
        tr(
            "the last event that the database has is of {time}; what was submitted after it, the "
            "service's console may show",
            time=date_time(risk.last_event),
        ),
        tr(
            "each pending item may be among that, and would be paid for again: at most "
            "{submissions}",
            submissions=submissions,
        ),
    ]
