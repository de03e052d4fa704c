"""A run whose journal is in PostgreSQL: the engine is the same."""

from __future__ import annotations

import functools
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from batch_runner.engine.build import build_run
from batch_runner.engine.run import execute
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.recovery import replay_fallback_log
from batch_runner.journal import Change
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.reader import open_reader
from batch_runner.journal.sql.group_commit import GroupCommit
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.providers import open_provider
from batch_runner.simulator import Simulator
from tests.harness import (
    IDENTITY,
    an_item,
    service_at,
    simulated_service,
    some_items,
    some_settings,
    stop_clock_while_busy,
    submissions_per_prompt,
)
from tests.harness.postgres import new_schema, postgres

pytestmark = pytest.mark.anyio


def count_pictures(folder: Path) -> int:
    return len(list(folder.glob("*.png")))


async def run_once(root: Path, journal: PostgresJournal, simulator: Simulator) -> None:
    """Run the job of `journal` once, with its files in `root`."""
    settings = some_settings()
    stop_clock_while_busy(journal)
    async with open_provider(service_at(simulator), settings) as provider:
        with open_job(root, IDENTITY) as job:
            run = build_run(replace(job, journal=journal), settings, provider, seed=1)
            start = functools.partial(journal.start, functools.partial(GroupCommit, pause=0.0))
            await execute(run, start_journal=start)


async def test_runs_store_files_and_hold_unanswered_submissions(tmp_path: Path) -> None:
    place = postgres().dsn, new_schema()
    with closing(PostgresJournal.create(*place, job="j", provider="baicai", origin="o")) as journal:
        journal.import_items(some_items(40))

    async with simulated_service("lose_answer:submit:times=2") as simulator:
        for _ in range(2):
            with closing(PostgresJournal.open(*place)) as journal:
                journal.recover()
                await run_once(tmp_path, journal, simulator)

        with open_reader(*place) as reader:
            found = Counter(row.status for row in reader.items())
        assert found == {ItemStatus.DONE: 38, ItemStatus.HELD: 2}
        assert set(submissions_per_prompt(simulator).values()) == {1}
        assert count_pictures(tmp_path) == 38


#: Ends the session that starts the submission of the tenth item.
_LOSE_CONNECTION = """
CREATE FUNCTION end_session() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NEW;
END
$$;
CREATE TRIGGER end_session AFTER INSERT ON events FOR EACH ROW
    WHEN (NEW.event = 'submit_started' AND NEW.key LIKE '%09') EXECUTE FUNCTION end_session();
"""


@pytest.mark.parametrize("committed", [False, True], ids=["not-committed", "committed"])
async def test_submission_whose_intent_was_not_confirmed_is_not_held(
    tmp_path: Path, *, committed: bool
) -> None:
    """It was not sent, whether the database has the intent or not."""
    place = postgres().dsn, new_schema()
    with closing(PostgresJournal.create(*place, job="j", provider="baicai", origin="o")) as journal:
        journal.import_items(some_items(20))
    with PostgresConnection(*place) as connection:
        connection.execute_script(_LOSE_CONNECTION)

    async with simulated_service() as simulator:
        with closing(PostgresJournal.open(*place)) as journal:
            await run_once(tmp_path, journal, simulator)
        fallback_log = FallbackLog(JobFolder(tmp_path))
        unsent = {e["key"] for e in fallback_log.entries() if e["event"] == "submit_unsent"}
        assert an_item(9).key in unsent

        with PostgresConnection(*place) as connection:
            connection.execute_script("DROP TRIGGER end_session ON events")
        with closing(PostgresJournal.open(*place)) as journal:
            for key in unsent if committed else ():
                journal.apply(Change(key=key, event=Event.SUBMIT_STARTED))
            replay_fallback_log(fallback_log, journal)
            journal.recover()
            await run_once(tmp_path, journal, simulator)

        with open_reader(*place) as reader:
            assert Counter(row.status for row in reader.items()) == {ItemStatus.DONE: 20}
        assert set(submissions_per_prompt(simulator).values()) == {1}
