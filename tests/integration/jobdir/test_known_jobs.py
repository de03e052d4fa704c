"""The jobs of the registry: listed, forgotten, moved, read again from their folders."""

from __future__ import annotations

import dataclasses
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from batch_runner.errors import BatchRunnerError, JobLocked, JournalUnreadable, UsageError
from batch_runner.jobdir import known_jobs
from batch_runner.jobdir.costs import spending_by_day, totals
from batch_runner.jobdir.known_jobs import KnownJob
from batch_runner.jobdir.moving import move_job
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.rescan import Finding, rescan
from batch_runner.journal import Change, open_reader
from batch_runner.lifecycle import Event
from batch_runner.models import REHEARSAL, ReusedFrom
from batch_runner.registry import FILE, open_registry
from tests.harness import IDENTITY, some_items

DAY = 86400.0
TODAY = 1_795_000_000.0


class Jobs:
    """Jobs of one user, each with items in these statuses."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"

    def make(self, name: str, *events: Event, price: str = "0.12 CNY", at: float = TODAY) -> Path:
        """Make a job with an item for each of these last events, and its own requests."""
        root = self.folder / name
        identity = dataclasses.replace(IDENTITY, job=name)
        items = some_items(len(events))
        for item in items:
            item.key = name.encode().hex().ljust(16, "0") + item.key[16:]
        with open_job(root, identity, state=self.state, wall_clock=lambda: at) as job:
            job.journal.import_items(items, manifest=f"/{name}.yaml", price=price)
            job.claims.claim([item.key for item in items])
            for item, event in zip(items, events, strict=True):
                if event is not Event.LISTED:
                    job.journal.apply(Change(key=item.key, event=Event.SUBMIT_STARTED))
                if event is Event.SUBMIT_CONFIRMED:
                    confirmed = Change(key=item.key, event=event, task_id=item.key)
                    job.journal.apply(confirmed)
                elif event not in (Event.LISTED, Event.SUBMIT_STARTED):
                    job.journal.apply(Change(key=item.key, event=event, reason="x", message="y"))
        return root

    @property
    def known(self) -> dict[str, KnownJob]:
        return {job.record.name: job for job in known_jobs.known_jobs(self.state)}

    def forget(self, name: str) -> None:
        with known_jobs.writable_registry(self.state) as (registry, state):
            record = known_jobs.find_known(registry.jobs(), name)
            known_jobs.forget_job(registry, state, record)

    def move(self, old: Path, new: Path) -> bool:
        with known_jobs.writable_registry(self.state) as (registry, state):
            return move_job(registry, state, old, new)

    def rescan(self, folder: Path | None = None) -> dict[str, Finding]:
        with known_jobs.writable_registry(self.state) as (registry, state):
            found = rescan(registry, state, folder or self.folder)
            return {str(one.folder.relative_to(self.folder)): one.finding for one in found}


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def test_job_is_listed_with_its_counts_and_cost(jobs: Jobs) -> None:
    root = jobs.make("cards", Event.SUBMIT_CONFIRMED, Event.SUBMIT_REJECTED, Event.LISTED)

    job = jobs.known["cards"]

    assert (job.problem, job.running, job.record.folder) == ("", False, str(root))
    assert job.counts == {"submitted": 1, "rejected": 1, "pending": 1}
    assert (job.submissions, job.cost and job.cost.rounded) == (1, "0.12 CNY")


def test_jobs_are_sorted_by_last_use(jobs: Jobs) -> None:
    for name in ("first", "second", "third"):
        jobs.make(name, Event.LISTED)
    with open_job(jobs.folder / "first", None, state=jobs.state):
        pass

    assert list(jobs.known) == ["first", "third", "second"]


def test_job_without_its_folder_is_counted_by_its_claims(jobs: Jobs) -> None:
    shutil.rmtree(jobs.make("cards", Event.SUBMIT_CONFIRMED, Event.SUBMIT_UNANSWERED))

    job = jobs.known["cards"]

    assert job.problem == "its folder is gone"
    assert (job.counts, job.submissions, job.cost) == ({"submitted": 1, "held": 1}, 2, None)


def test_damaged_journal_is_a_line_and_not_the_end(jobs: Jobs) -> None:
    root = jobs.make("damaged", Event.SUBMIT_CONFIRMED)
    JobFolder(root).journal.write_bytes(b"no database" * 100)
    jobs.make("cards", Event.LISTED)

    known = jobs.known

    assert known["cards"].problem == ""
    assert "cannot be read" in known["damaged"].problem


def test_rehearsal_is_not_listed(jobs: Jobs) -> None:
    jobs.make("cards", Event.LISTED)
    identity = dataclasses.replace(IDENTITY, origin=REHEARSAL)
    with open_job(jobs.folder / "out.rehearsal", identity, state=jobs.state):
        pass

    assert list(jobs.known) == ["cards"]
    assert jobs.rescan()["out.rehearsal"] is Finding.REHEARSAL
    assert list(jobs.known) == ["cards"]


@pytest.mark.parametrize("event", [Event.SUBMIT_CONFIRMED, Event.SUBMIT_UNANSWERED])
@pytest.mark.parametrize("deleted", [False, True])
def test_job_with_undecided_items_is_not_forgotten(
    jobs: Jobs, event: Event, *, deleted: bool
) -> None:
    root = jobs.make("cards", Event.LISTED, event)
    if deleted:
        shutil.rmtree(root)

    with pytest.raises(UsageError, match="has 1 item in flight or held"):
        jobs.forget("cards")

    assert "cards" in jobs.known


def test_deleted_job_of_a_killed_run_is_not_forgotten(jobs: Jobs) -> None:
    """Its claims do not show whether the items were submitted."""
    root = jobs.make("cards", Event.LISTED)
    with open_registry(jobs.state) as registry:
        record = registry.jobs()[0]
        service = registry.service_number(IDENTITY.provider, "localhost:")
        registry.claim(service, record.id, ["0" * 32], account="")
    shutil.rmtree(root)

    with pytest.raises(UsageError, match="perhaps submitted"):
        jobs.forget("cards")


def test_running_job_is_not_forgotten(jobs: Jobs) -> None:
    root = jobs.make("cards", Event.LISTED)

    with open_job(root, None, state=jobs.state):
        assert jobs.known["cards"].running
        with pytest.raises(JobLocked):
            jobs.forget("cards")


def test_forgotten_job_has_no_claims(jobs: Jobs) -> None:
    jobs.make("cards", Event.SUBMIT_REJECTED)
    jobs.make("other", Event.SUBMIT_CONFIRMED)

    jobs.forget(str(jobs.folder / "cards"))

    assert list(jobs.known) == ["other"]
    with open_registry(jobs.state) as registry:
        assert [group.count for group in registry.claim_groups(registry.jobs()[0].id)] == [1]


def test_name_of_several_jobs_is_refused_with_their_ids(jobs: Jobs) -> None:
    jobs.make("cards", Event.LISTED)
    (jobs.folder / "cards").rename(jobs.folder / "before")
    jobs.make("cards", Event.LISTED)

    with pytest.raises(UsageError, match="give the id of one") as refused:
        jobs.forget("cards")
    with open_registry(jobs.state) as registry:
        ids = {job.id for job in registry.jobs()}
    assert all(job_id in str(refused.value) for job_id in ids)


def test_move_renames_the_folder_of_a_job(jobs: Jobs) -> None:
    old, new = jobs.make("cards", Event.SUBMIT_CONFIRMED), jobs.folder / "moved"

    assert jobs.move(old, new)

    assert (old.exists(), jobs.known["cards"].record.folder) == (False, str(new))
    with open_job(new, None, state=jobs.state) as job:
        assert job.journal.job()["folder"] == str(new)


@pytest.mark.parametrize("copied", [False, True])
def test_move_records_that_the_user_moved_a_job(jobs: Jobs, *, copied: bool) -> None:
    """A copy to another disk, of which the original was deleted, is accepted, too."""
    old, new = jobs.make("cards", Event.SUBMIT_CONFIRMED), jobs.folder / "moved"
    if copied:
        shutil.copytree(old, new)
        shutil.rmtree(old)
    else:
        old.rename(new)

    assert not jobs.move(old, new)

    assert jobs.known["cards"].record.folder == str(new)
    with open_job(new, None, state=jobs.state):
        pass


def test_move_is_refused_and_changes_nothing(jobs: Jobs) -> None:
    old, other = jobs.make("cards", Event.LISTED), jobs.make("other", Event.LISTED)
    refusals = [
        (old, other, "exists"),
        (old, jobs.folder / "no" / "new", "does not exist"),
        (old, old / "new", "is inside of"),
        (jobs.folder / "none", jobs.folder / "new", "there is no job"),
        (jobs.folder / "none", other, "is not the one that was in"),
    ]
    for source, target, said in refusals:
        with pytest.raises(UsageError, match=said):
            jobs.move(source, target)

    assert {job.record.folder for job in jobs.known.values()} == {str(old), str(other)}
    assert JobFolder(old).has_job()


def test_running_job_is_not_moved(jobs: Jobs) -> None:
    old = jobs.make("cards", Event.LISTED)

    with open_job(old, None, state=jobs.state), pytest.raises(JobLocked):
        jobs.move(old, jobs.folder / "new")

    assert old.is_dir()


def test_older_copy_is_not_recorded_as_moved(jobs: Jobs) -> None:
    old = jobs.make("cards", Event.LISTED)
    shutil.copytree(old, jobs.folder / "copy")
    with open_job(old, None, state=jobs.state) as job:
        job.journal.apply(Change(key=next(iter(keys_of(old))), event=Event.SUBMIT_STARTED))
    shutil.rmtree(old)

    with pytest.raises(JournalUnreadable, match="older copy"):
        jobs.move(old, jobs.folder / "copy")


def keys_of(root: Path) -> list[str]:
    with open_reader(JobFolder(root).journal) as reader:
        return [item.key for item in reader.items()]


def test_rescan_restores_a_lost_registry(jobs: Jobs) -> None:
    jobs.make("cards", Event.SUBMIT_CONFIRMED, Event.LISTED)
    jobs.make("below/other", Event.SUBMIT_UNANSWERED)
    before = {name: job.claims for name, job in jobs.known.items()}
    for path in jobs.state.glob(f"{FILE}*"):
        path.unlink()

    first, second = jobs.rescan(), jobs.rescan()

    assert first == {"cards": Finding.ADDED, "below/other": Finding.ADDED}
    assert second == dict.fromkeys(first, Finding.KNOWN)
    after = {name: job.claims for name, job in jobs.known.items()}
    assert {n: [(g.status, g.count) for g in c] for n, c in after.items()} == {
        n: [(g.status, g.count) for g in c] for n, c in before.items()
    }


def test_rescan_names_copies_and_unreadable_folders(jobs: Jobs) -> None:
    root = jobs.make("cards", Event.SUBMIT_CONFIRMED)
    shutil.copytree(root, jobs.folder / "copy")
    damaged = jobs.make("damaged", Event.LISTED)
    JobFolder(damaged).journal.write_bytes(b"no database" * 100)
    jobs.folder.joinpath("link").symlink_to("cards")

    with open_job(jobs.make("running", Event.LISTED), None, state=jobs.state):
        found = jobs.rescan()

    assert found == {
        "cards": Finding.KNOWN,
        "copy": Finding.COPY,
        "damaged": Finding.UNREADABLE,
        "running": Finding.RUNNING,
    }
    assert jobs.known["cards"].record.folder == str(root)


def test_rescan_of_no_folder_is_refused(jobs: Jobs) -> None:
    with pytest.raises(BatchRunnerError, match="does not exist"):
        jobs.rescan(jobs.folder / "none")


def test_costs_are_summed_by_day_and_held_items_named(jobs: Jobs) -> None:
    jobs.make("cards", Event.SUBMIT_CONFIRMED, Event.SUBMIT_UNANSWERED, Event.SUBMIT_REJECTED)
    jobs.make("later", Event.SUBMIT_CONFIRMED, price="2 EUR", at=TODAY + DAY)
    jobs.make("unpriced", Event.SUBMIT_CONFIRMED, price="", at=TODAY + DAY)

    first, second = spending_by_day(jobs.known.values(), "", "9")

    assert (first.submissions, first.amounts) == (2, {"CNY": 2 * Decimal("0.12")})
    assert [item for _, item in first.held] == ["item-1"]
    assert (second.submissions, second.unpriced, second.amounts) == (2, 1, {"EUR": Decimal(2)})
    assert spending_by_day(jobs.known.values(), second.day, "9") == [second]
    assert spending_by_day(jobs.known.values(), "", first.day) == [first]
    (total,) = totals([first, second]).values()
    assert [cost.rounded for cost in total.costs] == ["0.24 CNY", "2.00 EUR"]


def test_costs_of_a_deleted_job_have_no_price(jobs: Jobs) -> None:
    shutil.rmtree(jobs.make("cards", Event.SUBMIT_CONFIRMED, Event.SUBMIT_UNANSWERED))

    (spending,) = spending_by_day(jobs.known.values(), "", "9")

    assert (spending.submissions, spending.unpriced, spending.unnamed_held) == (2, 2, 1)


def test_reused_items_of_a_deleted_job_cost_nothing(jobs: Jobs) -> None:
    source = ReusedFrom(job="a" * 32, folder="/out/other")
    root = jobs.make("cards", Event.SUBMIT_CONFIRMED, Event.LISTED)
    with open_job(root, None, state=jobs.state) as job:
        _, key = keys_of(root)
        reused = Change(key=key, event=Event.TASK_REUSED, task_id="t" * 32, reused_from=source)
        job.journal.apply(reused)
    shutil.rmtree(root)

    known = jobs.known["cards"]
    (spending,) = spending_by_day([known], "", "9")

    assert (known.counts, known.submissions) == ({"submitted": 2}, 1)
    assert spending.submissions == 1


def test_two_attempts_are_paid_on_their_own_days(jobs: Jobs) -> None:
    root = jobs.make("cards", Event.SUBMIT_UNANSWERED)
    (key,) = keys_of(root)
    with open_job(root, None, state=jobs.state, wall_clock=lambda: TODAY + 2 * DAY) as job:
        for event in (Event.RESUBMITTED, Event.SUBMIT_STARTED, Event.SUBMIT_UNSENT):
            job.journal.apply(Change(key=key, event=event, reason="x", message="y"))
    with open_job(root, None, state=jobs.state, wall_clock=lambda: TODAY + 3 * DAY) as job:
        for event in (Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED):
            job.journal.apply(Change(key=key, event=event, reason="x", message="y"))

    first, second = spending_by_day(jobs.known.values(), "", "9")

    assert (first.submissions, second.submissions) == (1, 1)
    assert (len(first.held), len(second.held)) == (0, 1)
