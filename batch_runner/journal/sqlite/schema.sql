-- The journal of one job. `items` is where each item stands, `events` how it came there;
-- both are written in one transaction. Times are seconds since the epoch (wall clock).

CREATE TABLE job (
    id          TEXT NOT NULL PRIMARY KEY,  -- 32 hex digits, also in the folder's marker
    name        TEXT NOT NULL,
    provider    TEXT NOT NULL,
    origin      TEXT NOT NULL,              -- scheme://host[:port] of the service, or 'rehearsal'
    folder      TEXT NOT NULL,              -- absolute path when last used
    inode       TEXT NOT NULL DEFAULT '',   -- device:inode of this file when last used
    created_at  REAL NOT NULL,
    import_number INTEGER NOT NULL DEFAULT 0, -- raised by an import that unlists items
    manifest    TEXT NOT NULL DEFAULT '',   -- path of the manifest last imported
    price       TEXT                        -- of one create, as in the manifest: '0.12 CNY'
) STRICT;

CREATE TABLE items (
    key         TEXT NOT NULL PRIMARY KEY,  -- identity: 32 hex digits over what is sent
    position    INTEGER NOT NULL,           -- in the manifest when last listed, from 0
    import_number INTEGER NOT NULL,         -- equals job.import_number: still in the manifest
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,              -- file name without extension
    status      TEXT NOT NULL,
    attempt     INTEGER NOT NULL DEFAULT 0, -- creates counted so far; refused and unsent ones are not
    attempts    INTEGER NOT NULL DEFAULT 1, -- creates allowed without a person's word
    task_id     TEXT UNIQUE,                -- of the latest accepted create
    prompt      TEXT NOT NULL,
    workflow    TEXT NOT NULL,
    params      TEXT NOT NULL,              -- JSON
    variables   TEXT NOT NULL DEFAULT '{}', -- JSON object of strings
    inputs      TEXT NOT NULL DEFAULT '[]', -- JSON array of {"path", "sha256"}
    source      TEXT NOT NULL DEFAULT '',   -- file:line
    not_before  REAL,                       -- no create before this time
    reason      TEXT,                       -- short word for grouping, e.g. 'http-500', 'moderation'
    message     TEXT,                       -- one sentence for people
    files       TEXT NOT NULL DEFAULT '[]', -- JSON array of {"name","size","sha256","media_type"}
    started_at  REAL,                       -- the latest create left
    submitted_at REAL,                      -- its task id was journalled
    completed_at REAL,                      -- the service's end of it was seen
    done_at     REAL                        -- its files were in place
) STRICT;

CREATE INDEX items_by_status ON items (status, position);

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY,
    at          REAL NOT NULL,
    key         TEXT NOT NULL,
    event       TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    task_id     TEXT,
    reason      TEXT,
    message     TEXT
) STRICT;

CREATE TABLE uploads (
    sha256      TEXT NOT NULL PRIMARY KEY,
    value       TEXT NOT NULL,              -- what the service gave back
    at          REAL NOT NULL
) STRICT;

CREATE TABLE runs (
    run         INTEGER PRIMARY KEY,
    started_at  REAL NOT NULL,
    ended_at    REAL,
    pid         INTEGER NOT NULL,
    host        TEXT NOT NULL,
    exit_code   INTEGER,
    message     TEXT,                       -- why the run stopped early, else empty
    submissions INTEGER NOT NULL DEFAULT 0,
    polls       INTEGER NOT NULL DEFAULT 0,
    limited     INTEGER NOT NULL DEFAULT 0, -- answers 429
    retries     INTEGER NOT NULL DEFAULT 0,
    samples     TEXT NOT NULL DEFAULT '[]'  -- JSON: [seconds, submissions, polls, 429s, in flight] a minute
) STRICT;

CREATE TABLE learned (
    workflow    TEXT NOT NULL PRIMARY KEY,
    state       TEXT NOT NULL               -- JSON, written and read by `polling`
) STRICT;

-- At most one row: the manifest that was imported last. Without it, the next import reads all of it.
CREATE TABLE last_import (
    fingerprint   TEXT NOT NULL,
    import_number INTEGER NOT NULL
) STRICT;
