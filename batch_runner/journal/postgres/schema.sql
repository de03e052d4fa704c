-- The journal of one job, in a schema of its own: the tables of `journal/sqlite/schema.sql`, which
-- explains their columns. Keys have the order of their bytes, as in SQLite.

CREATE TABLE job (
    id          TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    provider    TEXT NOT NULL,
    origin      TEXT NOT NULL,
    folder      TEXT NOT NULL,
    version     INTEGER NOT NULL,
    created_at  DOUBLE PRECISION NOT NULL,
    import_number INTEGER NOT NULL DEFAULT 0,
    manifest    TEXT NOT NULL DEFAULT '',
    price       TEXT,
    today       TEXT NOT NULL DEFAULT '',
    deliver_after BIGINT
);

CREATE TABLE items (
    key         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    position    INTEGER NOT NULL,
    import_number INTEGER NOT NULL,
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,
    status      TEXT NOT NULL,
    attempt     INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 1,
    task_id     TEXT UNIQUE,
    prompt      TEXT NOT NULL,
    workflow    TEXT NOT NULL,
    params      TEXT NOT NULL,
    variables   TEXT NOT NULL DEFAULT '{}',
    inputs      TEXT NOT NULL DEFAULT '[]',
    source      TEXT NOT NULL DEFAULT '',
    not_before  DOUBLE PRECISION,
    reason      TEXT,
    message     TEXT,
    files       TEXT NOT NULL DEFAULT '[]',
    started_at  DOUBLE PRECISION,
    submitted_at DOUBLE PRECISION,
    completed_at DOUBLE PRECISION,
    done_at     DOUBLE PRECISION,
    reused_from TEXT NOT NULL DEFAULT '',
    request_id  TEXT,
    request_digest TEXT,
    result_urls TEXT NOT NULL DEFAULT '[]',
    free        INTEGER NOT NULL DEFAULT 0,
    rowid       INTEGER GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- Some items that were imported one after the other, the unit of work of one host.
    shard       INTEGER GENERATED ALWAYS AS ((rowid - 1) / {shard_size}) STORED
);

CREATE INDEX items_by_status ON items (status, position);

CREATE TABLE events (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          DOUBLE PRECISION NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    event       TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    task_id     TEXT,
    reason      TEXT,
    message     TEXT
);

-- Events are committed in another order than that of their numbers: a transaction that drew number 5
-- may be committed after one that drew 6. So every transaction that writes events takes a shared
-- lock before it draws its first number: all its numbers are higher than that of the lock, which has
-- 31 bits. The lock is released when the events are visible, or will never be. One lock is enough;
-- the setting lasts as long as the lock, also if both are undone.
CREATE FUNCTION lock_last_event() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('batch_runner.writes_events', true), '') = '' THEN
        PERFORM pg_advisory_xact_lock_shared(
            TG_RELID::INTEGER, least(coalesce(max(seq), 0), 2147483647)::INTEGER
        ) FROM events;
        PERFORM set_config('batch_runner.writes_events', 'yes', true);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER lock_last_event BEFORE INSERT ON events EXECUTE FUNCTION lock_last_event();

-- Return the number up to which all events are committed; to be called in a statement before the one
-- that reads them. A long transaction that writes events, such as the import of a large manifest,
-- holds the number back until it ends; events are then read later.
CREATE FUNCTION committed_up_to() RETURNS BIGINT LANGUAGE sql AS $$
    SELECT least(
        (SELECT coalesce(max(seq), 0) FROM events),
        (
            SELECT min(objid::BIGINT) FROM pg_locks
            WHERE locktype = 'advisory' AND classid = 'events'::regclass AND objsubid = 2
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        )
    )
$$;

CREATE TABLE uploads (
    sha256      TEXT NOT NULL PRIMARY KEY,
    value       TEXT NOT NULL,
    at          DOUBLE PRECISION NOT NULL
);

CREATE TABLE runs (
    run         INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  DOUBLE PRECISION NOT NULL,
    ended_at    DOUBLE PRECISION,
    pid         INTEGER NOT NULL,
    host        TEXT NOT NULL,
    exit_code   INTEGER,
    message     TEXT,
    submissions INTEGER NOT NULL DEFAULT 0,
    polls       INTEGER NOT NULL DEFAULT 0,
    limited     INTEGER NOT NULL DEFAULT 0,
    retries     INTEGER NOT NULL DEFAULT 0,
    samples     TEXT NOT NULL DEFAULT '[]'
);

-- The repeat numbers of items that the user asked for with `redo`, beyond `repeat` of the manifest.
CREATE TABLE redone (
    key         TEXT COLLATE "C" NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (key, n)
);

CREATE TABLE learned (
    workflow    TEXT NOT NULL PRIMARY KEY,
    state       TEXT NOT NULL
);

-- At most one row: the manifest that was imported last. Without a row, the next import reads all
-- of its manifest.
CREATE TABLE last_import (
    fingerprint   TEXT NOT NULL,
    import_number INTEGER NOT NULL,
    duplicates    TEXT
);

-- Events for which the command of `on_item` has ended.
CREATE TABLE deliveries (
    event       BIGINT PRIMARY KEY,
    at          DOUBLE PRECISION NOT NULL,
    exit_status INTEGER
);

-- Execute statements that each move the items of a JSON array of `size` moves and write an event for
-- each, all or none: none if one of the moves is illegal, so that it would write no event.
CREATE FUNCTION make_moves(statements TEXT[], moves JSON[], size INTEGER)
RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    written INTEGER;
BEGIN
    FOR number IN 1 .. cardinality(statements) LOOP
        EXECUTE statements[number] USING moves[number];
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> size THEN
            RAISE EXCEPTION 'illegal move' USING ERRCODE = 'BR001';
        END IF;
    END LOOP;
    RETURN true;
EXCEPTION WHEN unique_violation OR SQLSTATE 'BR001' THEN
    RETURN false;
END
$$;

-- Make the moves of groups of operations, and return for each operation whether it was made, and
-- the last event of the journal. All operations of a group have the same events: a group is as many statements as `lengths` says, each
-- with an array that has one move of each operation. If one operation is illegal, the others of its
-- group are made one by one, in their order, before the next group.
--
-- One call is one statement and one commit, so no client holds a lock while it is stopped. The
-- settings let the planner find items by their keys, however few or many there are.
CREATE FUNCTION apply_moves(
    statements TEXT[], moves JSON[], lengths INTEGER[],
    OUT made BOOLEAN[], OUT last_event BIGINT, OUT last_at DOUBLE PRECISION
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    first INTEGER := 1;
    group_length INTEGER;
    group_statements TEXT[];
    group_moves JSON[];
    size INTEGER;
BEGIN
    made := '{}';
    FOREACH group_length IN ARRAY lengths LOOP
        group_statements := statements[first : first + group_length - 1];
        group_moves := moves[first : first + group_length - 1];
        size := json_array_length(group_moves[1]);
        IF make_moves(group_statements, group_moves, size) THEN
            made := made || array_fill(true, ARRAY[size]);
        ELSE
            FOR number IN 0 .. size - 1 LOOP
                made := made || (size > 1 AND make_moves(
                    group_statements,
                    ARRAY(SELECT json_build_array(one -> number) FROM unnest(group_moves) AS one),
                    1
                ));
            END LOOP;
        END IF;
        first := first + group_length;
    END LOOP;
    SELECT seq, at INTO last_event, last_at FROM events ORDER BY seq DESC LIMIT 1;
END
$$;
