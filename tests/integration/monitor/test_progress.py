"""Progress of a run: lines, dashboard and JSON, in both languages."""

from __future__ import annotations

import functools
import io
import itertools
import json
import logging
import re
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from batch_runner.engine.context import Run
from batch_runner.lifecycle import ItemStatus
from batch_runner.monitor.dashboard import render_dashboard
from batch_runner.monitor.progress import (
    RunProgress,
    progress_line,
    watch_progress,
)
from batch_runner.monitor.snapshot import JobSnapshot, estimate_eta, take_snapshot
from batch_runner.units import Rate
from batch_runner.util.locale import Language, use_language
from batch_runner.util.text import width
from tests.harness import run_job, simulated_service, some_items

LANGUAGES: tuple[Language, ...] = ("en", "zh")
anyio_mark = pytest.mark.anyio


async def snapshots_during(
    root: Path, *faults: str, count: int = 12
) -> list[tuple[RunProgress, JobSnapshot]]:
    """Return the progress of a run of `count` items once a second, with its journal's snapshot."""
    found: list[tuple[RunProgress, JobSnapshot]] = []

    async def observe(run: Run) -> None:
        while True:
            now = await anyio.to_thread.run_sync(take_snapshot, run.context.folder.journal)
            found.append((RunProgress.from_run(run), now))
            await anyio.sleep(1)

    async with simulated_service(*faults) as simulator:
        await run_job(root, simulator, some_items(count), background_tasks=[observe])
    found.append((found[-1][0], take_snapshot(root / ".batch" / "journal.sqlite")))
    return found


@anyio_mark
async def test_snapshots_agree_with_the_run(tmp_path: Path) -> None:
    snapshots = await snapshots_during(
        tmp_path, "lose_answer:submit:times=1", "fail:submit:after=5:times=1"
    )

    assert all(snapshot.running for _, snapshot in snapshots[:-1])
    in_flight = max(
        (snapshot for _, snapshot in snapshots), key=lambda snapshot: len(snapshot.oldest)
    )
    assert {item.status for item in in_flight.oldest} <= {
        ItemStatus.SUBMITTING, ItemStatus.SUBMITTED, ItemStatus.DOWNLOADING
    }  # fmt: skip
    starts = [item.submitted_at for item in in_flight.oldest if item.submitted_at is not None]
    assert starts == sorted(starts)
    last = snapshots[-1][1]
    assert not last.running
    assert not last.oldest
    assert last.submissions == 12
    assert [item.status for item in last.held] == [ItemStatus.HELD]
    assert [event.event for _, event in last.errors] == ["task_failed"]
    assert last.eta is not None
    assert last.eta.left == 0


@anyio_mark
async def test_submissions_count_the_same_during_and_after_a_run(
    tmp_path: Path,
) -> None:
    """They are those that must be assumed paid: not the rejected or rate-limited ones."""
    snapshots = await snapshots_during(
        tmp_path, "moderation:submit:times=3", "limited:submit:times=2"
    )

    last = snapshots[-1][1]
    assert last.run is not None
    assert (last.submissions, last.run.submissions, last.spent) == (9, 9, 9)
    assert max(snapshot.submissions for _, snapshot in snapshots) <= 12


@anyio_mark
async def test_summary_does_not_count_rate_limited_submissions(tmp_path: Path) -> None:
    async with simulated_service("limited:submit:times=2") as simulator:
        summary = await run_job(tmp_path / "out", simulator, some_items(4))

    assert (summary.submissions, summary.paid, summary.spent) == (6, 4, 4)


@anyio_mark
async def test_dashboard_fits_terminals_of_any_size(tmp_path: Path) -> None:
    snapshots = await snapshots_during(
        tmp_path, "lose_answer:submit:times=1", "limited:submit:times=1"
    )
    sizes = itertools.product(LANGUAGES, ((20, 6), (44, 14), (100, 30), (300, 80)), snapshots)

    for language, (columns, rows), (_, snapshot) in sizes:
        with use_language(language):
            drawn = render_dashboard(
                snapshot, Rate(20, 1), columns=columns, rows=rows, problem="no " * 99
            ).plain
        lines = drawn.split("\n")
        assert len(lines) < rows
        assert max(width(line) for line in lines) < columns
        if snapshot.held and columns >= 44:
            assert "待定" in drawn if language == "zh" else "held" in drawn
            assert snapshot.held[0].id in drawn


@anyio_mark
async def test_no_terminal_prints_a_line_a_minute_and_per_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    watching = functools.partial(watch_progress, quiet=False, as_json=False)

    async with simulated_service(
        "limited:submit:after=3:times=1", service_time="300s"
    ) as simulator:
        summary = await run_job(tmp_path, simulator, some_items(12), background_tasks=[watching])

    lines = stream.getvalue().splitlines()
    minutes = int(summary.seconds // 60)
    changes = 4  # paused by the service, slowed, normal again
    assert minutes >= 5
    assert minutes <= len(lines) <= minutes + 1 + changes
    assert "paused by the service" in stream.getvalue()
    assert re.search(
        r"^0/12 done · 12 in flight · 12 submissions at .* · 1 rate-limited \(429\)", lines[-2]
    )


@anyio_mark
async def test_no_terminal_prints_what_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    watching = functools.partial(watch_progress, quiet=False, as_json=False)

    async with simulated_service("http:status:times=3", service_time="100s") as simulator:
        await run_job(tmp_path, simulator, some_items(5), background_tasks=[watching])

    lines = stream.getvalue().splitlines()
    retrying = [line for line in lines if re.search(r"· retrying: status: .*503", line)]
    assert len(retrying) == 1
    assert "retrying" not in lines[-1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@anyio_mark
async def test_dashboard_shows_what_is_retried_while_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("LINES", "24")
    watching = functools.partial(watch_progress, quiet=False, as_json=False)

    async def warn(_: Run) -> None:
        await anyio.sleep(5)
        logging.getLogger("batch_runner").warning("a warning")

    handler = logging.StreamHandler(terminal)
    logging.getLogger().addHandler(handler)
    request.addfinalizer(lambda: logging.getLogger().removeHandler(handler))
    async with simulated_service("http:status:times=3", service_time="120s") as simulator:
        await run_job(tmp_path, simulator, some_items(5), background_tasks=[watching, warn])

    shown = terminal.getvalue()
    assert "5 in flight" in shown
    assert re.search(r"retrying: status: .*503", shown)
    assert "retrying" not in shown[shown.rindex("of 5 done") :]
    before, _, after = shown.partition("a warning")
    assert re.search(r"\x1b\[2K[^\n]*$", before)  # on an emptied line, above the dashboard
    assert "of 5 done" in after
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is given back


@anyio_mark
async def test_json_progress_is_not_translated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)

    async with simulated_service() as simulator:
        watching = functools.partial(watch_progress, quiet=True, as_json=True)
        with use_language("zh"):
            await run_job(tmp_path, simulator, some_items(3), background_tasks=[watching])

    first = json.loads(stream.getvalue().splitlines()[0])
    assert first["event"] == "progress"
    assert first["state"] == "normal"


def some_progress(**values: object) -> RunProgress:
    numbers = dict.fromkeys(
        (
            "pending",
            "in_flight",
            "downloading",
            "failed",
            "rejected",
            "held",
            "download_pending",
            "dropped",
            "polls",
        ),
        0,
    )
    given = {
        "total": 40, "done": 12, "submissions": 30, "limited": 0, "rate": 5.0, "eta": None,
        "state": "normal", "problem": "",
    }  # fmt: skip
    return RunProgress(**{**numbers, **given, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("progress", "en", "zh"),
    [
        (
            some_progress(in_flight=24),
            "12/40 done · 24 in flight · 30 submissions at 5/s",
            "完成 12/40 · 进行中 24 · 提交 30 次，每秒 5 次",
        ),
        (
            some_progress(held=2, failed=1, limited=3, eta=372, state="slowed"),
            "12/40 done · 0 in flight · 1 failed · 2 held · 30 submissions at 5/s · "
            "3 rate-limited (429) · about 6 min 12 s left · slowed down",
            "完成 12/40 · 进行中 0 · 失败 1 · 待定 2 · 提交 30 次，每秒 5 次 · 限流（429）3 次 · "
            "约剩 6 分 12 秒 · 已减速",
        ),
        (
            some_progress(state="stopping: deadline"),
            "12/40 done · 0 in flight · 30 submissions at 5/s · stopping: deadline reached",
            "完成 12/40 · 进行中 0 · 提交 30 次，每秒 5 次 · 正在停止：截止时间已到",
        ),
    ],
)
def test_progress_line_in_both_languages(progress: RunProgress, en: str, zh: str) -> None:
    assert progress_line(progress) == en
    with use_language("zh"):
        assert progress_line(progress) == zh


def counts(**numbers: int) -> dict[ItemStatus, int]:
    return {status: numbers.get(status.value, 0) for status in ItemStatus}


@pytest.mark.parametrize(
    ("now", "rate", "completions", "typical", "seconds"),
    [
        (
            counts(pending=100, submitted=5),
            5.0,
            None,
            30.0,
            50.0,
        ),  # submissions, then the last task
        (counts(pending=100, submitted=20), 5.0, 0.5, 30.0, 240.0),  # the service is slower
        (counts(pending=100), 5.0, 20.0, 30.0, 50.0),
        (counts(submitted=3), 0.0, None, 30.0, 30.0),
        (counts(pending=3), 0.0, None, 30.0, None),  # nothing moves
        (counts(pending=3, submitted=3), 5.0, None, None, None),  # nothing known yet
        (counts(done=9, held=2), 0.0, None, None, 0.0),
    ],
)
def test_eta_is_the_longer_of_submissions_and_completions(
    now: dict[ItemStatus, int],
    rate: float,
    completions: float | None,
    typical: float | None,
    seconds: float | None,
) -> None:
    eta = estimate_eta(now, rate, completions, typical)

    assert (eta and eta.seconds) == seconds


def test_progress_from_snapshot_has_its_counts() -> None:
    snapshot = JobSnapshot(
        at=100.0, job="cards", counts=counts(done=3, submitted=2, submitting=1, held=1), spent=7,
        run=None, running=True, submissions=7, limited=2, limited_recently=1, rate=0.123, eta=None,
        oldest=(), held=(), errors=(),
    )  # fmt: skip

    progress = RunProgress.from_snapshot(snapshot)

    assert (progress.total, progress.done, progress.in_flight, progress.held) == (7, 3, 3, 1)
    assert (progress.state, progress.limited, progress.rate) == ("slowed", 2, 0.12)
