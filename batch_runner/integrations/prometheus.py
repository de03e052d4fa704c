"""Metrics of a run as a Prometheus text file, for node_exporter's textfile collector."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import anyio

from batch_runner.engine.context import Run
from batch_runner.util.fs import replace_file
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import error_reason

log = logging.getLogger(__name__)

#: Seconds between two writes.
INTERVAL = 60.0
#: Quantiles of the task duration.
QUANTILES = (0.5, 0.9)


def metrics_text(run: Run) -> str:
    """Return the run's metrics in the text format; the label `folder` identifies the job."""
    stats, stop = run.state.stats, run.state.control.stop
    families: list[tuple[str, str, str, Iterable[tuple[dict[str, str], float]]]] = [
        (
            *("items", "gauge", "Items by status."),
            [({"status": status.value}, count) for status, count in stats.counts.items()],
        ),
        (
            *(
                "task_seconds",
                "gauge",
                "Seconds in which this share of a workflow's tasks completed.",
            ),
            _durations(run),
        ),
    ]
    for name, kind, text, value in (
        ("submissions_total", "counter", "Submissions of this run.", stats.submissions),
        ("polls_total", "counter", "Polls of this run.", stats.polls),
        ("limited_total", "counter", "Rate-limited responses (429) of this run.", stats.limited),
        ("retries_total", "counter", "Retried requests of this run.", stats.retries),
        ("paid_submissions", "gauge", "Submissions of the job assumed paid.", stats.spent),
        ("rate", "gauge", "Submissions per second allowed now.", run.context.limiter.rate_now),
        ("stopping", "gauge", "1 if the run is stopping early.", stop is not None),
        ("written_seconds", "gauge", "Time of this file, Unix seconds.", run.context.clock.wall()),
    ):
        families.append((name, kind, text, [({}, float(value))]))
    folder = {"folder": utf8_text(run.context.folder.root)}
    return "".join(_family(*family, folder) for family in families)


def write_metrics(path: Path, run: Run) -> None:
    """Write the metrics to `path`, atomically.

    Raises:
        OSError: the file cannot be written; an older one is unchanged.
    """
    with replace_file(path, durable=False) as out:
        out.write(metrics_text(run).encode("utf-8", "replace"))


async def keep_metrics(run: Run, *, path: Path) -> None:
    """Write the metrics every minute and at the end; log a warning on the first failure."""
    warned = False
    try:
        while True:
            warned = _try_to_write(path, run, warned=warned)
            await anyio.sleep(INTERVAL)
    finally:
        _try_to_write(path, run, warned=warned)


def _try_to_write(path: Path, run: Run, *, warned: bool) -> bool:
    try:
        write_metrics(path, run)
    except OSError as error:
        if not warned:
            log.warning("the metrics cannot be written: %s", error_reason(error))
        return True
    return warned


def _durations(run: Run) -> Iterable[tuple[dict[str, str], float]]:
    for workflow in run.context.scheduler.learned():
        for share in QUANTILES:
            if (seconds := run.context.scheduler.typical(workflow, share)) is not None:
                yield {"workflow": workflow, "share": f"{share:g}"}, seconds


def _family(
    name: str,
    kind: str,
    text: str,
    samples: Iterable[tuple[dict[str, str], float]],
    folder: dict[str, str],
) -> str:
    lines = [f"# HELP batch_runner_{name} {text}", f"# TYPE batch_runner_{name} {kind}"]
    for labels, value in samples:
        pairs = (f'{label}="{_escaped(word)}"' for label, word in (folder | labels).items())
        lines.append(f"batch_runner_{name}{{{','.join(pairs)}}} {float(value)!r}")
    return "\n".join(lines) + "\n"


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
