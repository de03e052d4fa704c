"""The shards of a job in a cluster: which worker holds the lease of which, and what it may spend.

Each function executes statements that are committed by themselves, so it may be an operation of the
committer. Times are on the clock of the database; see `shards.sql`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from batch_runner.journal.sql.connection import Connection
from batch_runner.units import Prices


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one worker to submit the items of a shard."""

    shard: int
    number: int  # rises whenever a worker takes the shard
    run: int  # that is to process it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a run, or that of one shard, stopped early: as `engine.summary.StopReason`."""

    reason: str
    message: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What workers need for a run beside its items."""

    run: int
    settings: str  # JSON
    selected: tuple[int, ...] | None = None  # positions of the items to submit; None: all
    deadline: float | None = None  # wall clock; None: none


# A shard that nobody has finished, unless nothing is left to do: an item of it may be pending and
# listed, on its way, or held with an id by which the service can be asked.
_WANT = """
INSERT INTO shards (shard, wanted_run, finished_run, spent, spent_cost)
SELECT shard, :run, CASE WHEN bool_or(
        status = 'pending' AND import_number = (SELECT import_number FROM job)
        OR status IN ('submitting', 'submitted', 'downloading', 'download_pending')
        OR status = 'held' AND request_id IS NOT NULL
    ) THEN 0 ELSE :run END,
    sum(attempt),
    sum(attempt * coalesce(CAST(CAST(:prices AS JSON) ->> workflow AS NUMERIC), :price))
FROM items GROUP BY shard ORDER BY shard
ON CONFLICT (shard) DO UPDATE SET wanted_run = excluded.wanted_run,
    finished_run = greatest(shards.finished_run, excluded.finished_run),
    spent = excluded.spent, spent_cost = excluded.spent_cost,
    stop_reason = NULL, stop_message = NULL, exit_code = NULL
"""
_ORDER = """
INSERT INTO run_orders (run, settings, selected, deadline) VALUES (?, ?, ?, ?)
"""
# The tasks of the shard that are in flight are from now on those of the worker.
_TAKE = """
WITH taken AS (
    UPDATE shards SET lease = lease + 1, worker = :worker, expires_at = seconds_now() + :span
    WHERE shard = (
        SELECT shard FROM shards WHERE finished_run < wanted_run AND wanted_run = :run
            AND shard <> ALL(:own)
            AND (worker IS NULL OR worker = :worker OR expires_at < seconds_now())
            AND (worker IS NOT NULL OR NOT :only_left)
        ORDER BY worker IS NULL, shard LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING shard, lease, wanted_run
), counted AS (
    UPDATE workers SET in_use = in_use + (
        SELECT count(*) FROM items JOIN taken USING (shard) WHERE status = 'submitted'
    )
    WHERE worker = :worker AND EXISTS (SELECT 1 FROM taken)
)
SELECT shard, lease, wanted_run FROM taken
"""
_FINISH = """
UPDATE shards SET finished_run = :run, worker = NULL, allowance = 0, allowance_cost = 0,
    spent = (SELECT coalesce(sum(attempt), 0) FROM items WHERE items.shard = shards.shard),
    spent_cost = :cost, stop_reason = :reason, stop_message = :message, exit_code = :exit_code
WHERE shard = :shard AND lease = :lease AND late = :late
"""
_LEAVE = """
UPDATE shards SET expires_at = CASE lease WHEN :lease THEN 0 ELSE expires_at END,
    late = late + 1, finished_run = 0, stop_reason = coalesce(:why, stop_reason)
WHERE shard = :shard
"""
_STOP = """
UPDATE run_orders SET stop_reason = ?, stop_message = ?, exit_code = ?
WHERE run = coalesce(?, (SELECT max(run) FROM run_orders)) AND stop_reason IS NULL
"""


def want_shards(connection: Connection, order: RunOrder, prices: Prices | None) -> None:
    """Let a run process every shard that has something to do; known prices count for the caps."""
    by_workflow = {} if prices is None else prices.by_workflow
    default = None if prices is None else prices.default
    connection.execute(
        _ORDER,
        (
            order.run,
            order.settings,
            None if order.selected is None else json.dumps(order.selected),
            order.deadline,
        ),
    )
    values = {
        "run": order.run,
        "prices": json.dumps({name: str(one.amount) for name, one in by_workflow.items()}),
        "price": Decimal(0) if default is None else default.amount,
    }
    connection.execute(_WANT, values)


def order_of(connection: Connection, run: int) -> RunOrder:
    """Return what workers need for a run."""
    row = connection.execute("SELECT * FROM run_orders WHERE run = ?", (run,)).fetchone()
    selected = row["selected"]
    return RunOrder(
        run=run,
        settings=row["settings"],
        selected=None if selected is None else tuple(json.loads(selected)),
        deadline=row["deadline"],
    )


def _stop_of(row: Mapping[str, object]) -> Stop | None:
    if row["stop_reason"] is None:
        return None
    return Stop(
        reason=str(row["stop_reason"]),
        message=str(row["stop_message"]),
        exit_code=int(str(row["exit_code"])),
    )


def latest_stop(connection: Connection) -> Stop | None:
    """Return why the latest run may not submit any more; None: it may."""
    query = "SELECT stop_reason, stop_message, exit_code FROM run_orders ORDER BY run DESC LIMIT 1"
    row = connection.execute(query).fetchone()
    return None if row is None else _stop_of(row)


def stop_run(connection: Connection, run: int | None, stop: Stop) -> None:
    """Let no shard submit for this run (None: the latest) any more; the first reason is kept."""
    connection.execute(_STOP, (stop.reason, stop.message, stop.exit_code, run))


def take_shard(
    connection: Connection,
    worker: str,
    run: int,
    span: float,
    *,
    own: Collection[int] = (),
    only_left: bool = False,
) -> Lease | None:
    """Take the lease of a shard of a run that nobody holds, for `span` seconds.

    First come those that a worker has left in the middle: it was killed, or has ended, and tasks
    are in flight. `only_left`: no others. `own` are those that this worker is processing.

    None: there is none.
    """
    values = {
        "worker": worker,
        "run": run,
        "span": span,
        "own": list(own),
        "only_left": only_left,
    }
    row = connection.execute(_TAKE, values).fetchone()
    return None if row is None else Lease(row["shard"], row["lease"], row["wanted_run"])


def renew_leases(
    connection: Connection,
    worker: str,
    span: float,
    *,
    host: str,
    pid: int,
    size: int,
    in_use: int,
    wanted: int,
    most: int,
) -> int:
    """Renew the leases of a worker; return how many tasks it may have in flight.

    Args:
        connection: to the database
        worker: its name
        span: seconds from now until the leases expire
        host: its host
        pid: its process
        size: tasks that it may have in flight now
        in_use: tasks that it has in flight
        wanted: tasks that it would have in flight
        most: tasks of all workers together
    """
    values = (worker, host, pid, span, size, in_use, wanted, most)
    row = connection.execute("SELECT renew_leases(?, ?, ?, ?, ?, ?, ?, ?)", values).fetchone()
    return int(row[0])


def held_leases(connection: Connection, worker: str) -> dict[int, int]:
    """Return the numbers of a worker's leases by shard."""
    query = "SELECT shard, lease FROM shards WHERE worker = ?"
    return {row[0]: row[1] for row in connection.execute(query, (worker,))}


def reserve(
    connection: Connection,
    lease: Lease,
    *,
    paid_cost: Decimal,
    wanted: int,
    wanted_cost: Decimal,
    most: int | None,
    most_cost: Decimal | None,
) -> tuple[int, Decimal]:
    """Reserve submissions under the caps; return how many may be made, and what they may cost."""
    values = (lease.shard, lease.number, paid_cost, wanted, wanted_cost, most, most_cost)
    query = "SELECT * FROM reserve_submissions(?, ?, ?, ?, ?, ?, ?)"
    granted, cost = connection.execute(query, values).fetchone()
    return int(granted), Decimal(cost)


def others_hold_allowances(connection: Connection, shard: int) -> bool:
    """Return whether another shard may still give back what it has reserved."""
    query = "SELECT 1 FROM shards WHERE shard <> ? AND allowance > 0 LIMIT 1"
    return connection.execute(query, (shard,)).fetchone() is not None


def finish_shard(
    connection: Connection, lease: Lease, cost: Decimal, stop: Stop | None, late: int = 0
) -> bool:
    """Record that a run has processed a shard, unless another worker has it now.

    Return False if another worker has recorded outcomes of it since `late` was read.
    """
    values = {
        "run": lease.run,
        "shard": lease.shard,
        "lease": lease.number,
        "late": late,
        "cost": cost,
        "reason": None if stop is None else stop.reason,
        "message": None if stop is None else stop.message,
        "exit_code": None if stop is None else stop.exit_code,
    }
    if connection.execute(_FINISH, values).rowcount:
        return True
    query = "SELECT lease FROM shards WHERE shard = ?"
    return bool(connection.execute(query, (lease.shard,)).fetchone()[0] != lease.number)


def leave_shard(connection: Connection, shard: int, lease: int, why: str | None = None) -> None:
    """Let a worker process a shard again, after the holder of a lease has left it.

    Also if another worker has it, or has finished it: what was recorded late is not lost. `why`:
    the reason that the holder had to give it up, which the next one may not have.
    """
    connection.execute(_LEAVE, {"shard": shard, "lease": lease, "why": why})


def give_back(connection: Connection, worker: str) -> None:
    """Give back every lease of a worker that ends, and its slots."""
    connection.execute("UPDATE shards SET expires_at = 0 WHERE worker = ?", (worker,))
    connection.execute("DELETE FROM workers WHERE worker = ?", (worker,))


def unfinished_shards(connection: Connection) -> int:
    """Return how many shards are still to be processed."""
    query = "SELECT count(*) FROM shards WHERE finished_run < wanted_run"
    return int(connection.execute(query).fetchone()[0])


def stops(connection: Connection, run: int) -> list[Stop]:
    """Return why a run or shards of it stopped early, each reason once."""
    query = (
        "SELECT stop_reason, stop_message, exit_code FROM shards "
        "WHERE finished_run = ? AND stop_reason IS NOT NULL "
        "UNION SELECT stop_reason, stop_message, exit_code FROM run_orders "
        "WHERE run = ? AND stop_reason IS NOT NULL ORDER BY exit_code DESC"
    )
    found = (_stop_of(row) for row in connection.execute(query, (run, run)))
    return [stop for stop in found if stop is not None]


def is_attended(connection: Connection) -> bool:
    """Return whether a worker is there for the job."""
    query = "SELECT EXISTS (SELECT 1 FROM workers WHERE expires_at > seconds_now())"
    return bool(connection.execute(query).fetchone()[0])
