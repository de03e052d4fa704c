-- How the hosts of a cluster divide the items of a job. Times are on the clock of the database.

-- Up to 500 items each. A worker that holds the lease of a shard may submit its items; the number of
-- the lease rises whenever a worker takes it.
CREATE TABLE shards (
    shard       INTEGER NOT NULL PRIMARY KEY,
    wanted_run  INTEGER NOT NULL,            -- the latest run that is to process it
    finished_run INTEGER NOT NULL DEFAULT 0, -- the latest run that has
    late        INTEGER NOT NULL DEFAULT 0, -- how often a worker left it, or recorded late outcomes
    lease       BIGINT NOT NULL DEFAULT 0,
    worker      TEXT,                        -- that holds it; NULL: none
    expires_at  DOUBLE PRECISION NOT NULL DEFAULT 0, -- of the lease
    -- Submissions that must be assumed paid and their cost, and those that the worker may still make.
    spent       INTEGER NOT NULL DEFAULT 0,
    allowance   INTEGER NOT NULL DEFAULT 0,
    spent_cost  NUMERIC NOT NULL DEFAULT 0,
    allowance_cost NUMERIC NOT NULL DEFAULT 0,
    -- Why the latest run of it stopped early, or a worker gave it up; NULL: it did not.
    stop_reason TEXT,
    stop_message TEXT,
    exit_code   INTEGER
);

CREATE INDEX items_by_shard ON items (shard);

-- The workers that process the job. A worker that is gone keeps its row while shards name it.
CREATE TABLE workers (
    worker      TEXT NOT NULL PRIMARY KEY,
    host        TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    started_at  DOUBLE PRECISION NOT NULL,
    seen_at     DOUBLE PRECISION NOT NULL,   -- when it last renewed its leases
    expires_at  DOUBLE PRECISION NOT NULL,
    slots       INTEGER NOT NULL,            -- tasks that it may have in flight
    in_use      INTEGER NOT NULL,            -- tasks that it has in flight
    wanted      INTEGER NOT NULL             -- tasks that it would have in flight
);

-- What the workers have done for a run.
CREATE TABLE worker_figures (
    worker      TEXT NOT NULL,
    run         INTEGER NOT NULL,
    submissions INTEGER NOT NULL,
    polls       INTEGER NOT NULL,
    limited     INTEGER NOT NULL,
    retries     INTEGER NOT NULL,
    PRIMARY KEY (worker, run)
);

-- What workers need for a run beside its items.
CREATE TABLE run_orders (
    run         INTEGER NOT NULL PRIMARY KEY,
    settings    TEXT NOT NULL,               -- JSON
    selected    TEXT,                        -- JSON: positions of the items to submit; NULL: all
    deadline    DOUBLE PRECISION,            -- NULL: none
    -- Why no shard may submit any more; NULL: they may.
    stop_reason TEXT,
    stop_message TEXT,
    exit_code   INTEGER
);

-- Files that items send and descriptions of services, by content; during a run.
CREATE TABLE contents (
    sha256      TEXT NOT NULL PRIMARY KEY,
    content     BYTEA NOT NULL
);
ALTER TABLE contents ALTER content SET STORAGE EXTERNAL; -- a part is read without the rest

CREATE FUNCTION seconds_now() RETURNS DOUBLE PRECISION LANGUAGE sql VOLATILE AS $$
    SELECT extract(epoch FROM clock_timestamp())::DOUBLE PRECISION
$$;

-- Let one worker after the other take its share of what is limited. Not by a lock of the row in
-- `job`, which an import holds for as long as it takes.
CREATE FUNCTION lock_shares() RETURNS VOID LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 1))
$$;

-- Record that a worker is there, renew its leases for `span` seconds, and return how many tasks it
-- may have in flight: those it has, and of the `wanted` ones what `most` leaves beside the others, or
-- its fair part while another has less. `size` is how many it may have now: they are its own until it
-- has been told of a smaller number.
CREATE FUNCTION renew_leases(
    name TEXT, host_name TEXT, process INTEGER, span DOUBLE PRECISION,
    size INTEGER, tasks INTEGER, wanted_slots INTEGER, most INTEGER
) RETURNS INTEGER LANGUAGE plpgsql AS $$
DECLARE
    taken INTEGER;
    fair INTEGER;
    granted INTEGER;
BEGIN
    PERFORM lock_shares();
    UPDATE shards SET expires_at = seconds_now() + span
        WHERE worker = name AND finished_run < wanted_run;
    DELETE FROM workers WHERE worker <> name AND expires_at < seconds_now()
        AND NOT EXISTS (SELECT 1 FROM shards WHERE shards.worker = workers.worker);
    SELECT coalesce(sum(greatest(slots, in_use)), 0),
        ceil(most / (1.0 + count(*) FILTER (WHERE wanted > 0)))
        INTO taken, fair FROM workers WHERE worker <> name;
    granted := least(wanted_slots, most - taken);
    IF EXISTS (SELECT 1 FROM workers WHERE worker <> name AND slots < least(wanted, fair)) THEN
        granted := least(granted, fair);
    END IF;
    granted := greatest(granted, tasks);
    INSERT INTO workers (worker, host, pid, started_at, seen_at, expires_at, slots, in_use, wanted)
        VALUES (
            name, host_name, process, seconds_now(), seconds_now(), seconds_now() + span,
            greatest(granted, size), tasks, wanted_slots
        )
        ON CONFLICT (worker) DO UPDATE SET
            seen_at = excluded.seen_at, expires_at = excluded.expires_at,
            slots = excluded.slots, in_use = excluded.in_use, wanted = excluded.wanted;
    RETURN granted;
END
$$;

-- Reserve submissions for the holder of a lease: as many of the `wanted` ones, which cost
-- `wanted_cost`, as the caps leave (NULL: no cap). `paid_cost` is the cost of what the shard has
-- submitted so far. Return how many it may make, and what they may cost.
CREATE FUNCTION reserve_submissions(
    number INTEGER, lease_number BIGINT, paid_cost NUMERIC, wanted INTEGER, wanted_cost NUMERIC,
    most INTEGER, most_cost NUMERIC,
    OUT granted INTEGER, OUT granted_cost NUMERIC
) LANGUAGE plpgsql AS $$
DECLARE
    used INTEGER;
    used_cost NUMERIC;
BEGIN
    PERFORM lock_shares();
    UPDATE shards SET
        spent = (SELECT coalesce(sum(attempt), 0) FROM items WHERE items.shard = number),
        spent_cost = paid_cost, allowance = 0, allowance_cost = 0
        WHERE shard = number AND lease = lease_number;
    IF NOT FOUND THEN
        granted := 0;
        granted_cost := 0;
        RETURN;
    END IF;
    SELECT sum(spent + allowance), sum(spent_cost + allowance_cost) INTO used, used_cost FROM shards;
    granted := greatest(0, least(wanted, most - used));
    granted_cost := greatest(0, least(wanted_cost, most_cost - used_cost));
    UPDATE shards SET allowance = granted, allowance_cost = granted_cost WHERE shard = number;
END
$$;
