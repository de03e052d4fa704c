-- The journal of one job. `items` has the current status of each item, `events` its history; both
-- are written in one transaction. Times are seconds since the epoch (wall clock).

CREATE TABLE job (
    id          TEXT NOT NULL PRIMARY KEY,  -- 32 hex digits, also in the folder's marker
    name        TEXT NOT NULL,
    provider    TEXT NOT NULL,
    origin      TEXT NOT NULL,              -- scheme://host[:port] of the service, or 'rehearsal'
    folder      TEXT NOT NULL,              -- absolute path of the output folder at its last use
    inode       TEXT NOT NULL DEFAULT '',   -- device:inode of this file at its last use
    created_at  REAL NOT NULL,
    import_number INTEGER NOT NULL DEFAULT 0, -- raised by an import that unlists items
    manifest    TEXT NOT NULL DEFAULT '',   -- path of the manifest imported last
    price       TEXT,                       -- of one submission, as in the manifest: '0.12 CNY'
    today       TEXT NOT NULL DEFAULT '',   -- local date of the first run, YYYY-MM-DD
    deliver_after INTEGER                   -- events up to this one need no delivery; NULL: none yet
) STRICT;

CREATE TABLE items (
    key         TEXT NOT NULL PRIMARY KEY,  -- 32 hex digits: hash of what is sent
    position    INTEGER NOT NULL,           -- in the manifest at its last import, from 0
    import_number INTEGER NOT NULL,         -- equals job.import_number: still in the manifest
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,              -- file name without extension
    status      TEXT NOT NULL,
    attempt     INTEGER NOT NULL DEFAULT 0, -- submissions so far, without rejected and unsent ones
    attempts    INTEGER NOT NULL DEFAULT 1, -- submissions allowed without the user's approval
    task_id     TEXT UNIQUE,                -- of the latest accepted submission
    prompt      TEXT NOT NULL,
    workflow    TEXT NOT NULL,
    params      TEXT NOT NULL,              -- JSON
    variables   TEXT NOT NULL DEFAULT '{}', -- JSON object of strings
    inputs      TEXT NOT NULL DEFAULT '[]', -- JSON array of {"path", "sha256"}
    source      TEXT NOT NULL DEFAULT '',   -- file:line
    not_before  REAL,                       -- no submission before this time
    reason      TEXT,                       -- short word for grouping, e.g. 'http-500', 'bad-file'
    message     TEXT,                       -- one sentence for people
    files       TEXT NOT NULL DEFAULT '[]', -- JSON array of {"name","size","sha256","media_type"}
    started_at  REAL,                       -- start of the latest submission
    submitted_at REAL,                      -- its task id was received
    completed_at REAL,                      -- a poll found the task's end; or it was rejected, or dropped
    done_at     REAL,                       -- its files were under their final names
    reused_from TEXT NOT NULL DEFAULT '',   -- JSON {"job", "folder"} of the job that submitted it
    request_id  TEXT,                       -- that the latest attempt was sent with; NULL: without one
    request_digest TEXT,                    -- SHA-256 of the request that was sent with it
    result_urls TEXT NOT NULL DEFAULT '[]', -- JSON array: files in the response to the submission
    free        INTEGER NOT NULL DEFAULT 0  -- 1: the latest attempt cost nothing when it was sent
) STRICT;

CREATE INDEX items_by_status ON items (status, position);

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY,
    at          REAL NOT NULL,
    key         TEXT NOT NULL,
    event       TEXT NOT NULL,
    attempt     INTEGER NOT NULL,           -- items.attempt after the event
    task_id     TEXT,
    reason      TEXT,
    message     TEXT
) STRICT;

CREATE TABLE uploads (
    sha256      TEXT NOT NULL PRIMARY KEY,
    value       TEXT NOT NULL,              -- the service's name for the file
    at          REAL NOT NULL               -- end of the upload
) STRICT;

CREATE TABLE runs (
    run         INTEGER PRIMARY KEY,
    started_at  REAL NOT NULL,
    ended_at    REAL,
    pid         INTEGER NOT NULL,
    host        TEXT NOT NULL,
    exit_code   INTEGER,
    message     TEXT,                       -- why the run stopped early, else empty
    submissions INTEGER NOT NULL DEFAULT 0, -- that must be assumed paid
    polls       INTEGER NOT NULL DEFAULT 0,
    limited     INTEGER NOT NULL DEFAULT 0, -- responses 429
    retries     INTEGER NOT NULL DEFAULT 0,
    samples     TEXT NOT NULL DEFAULT '[]'  -- JSON: [seconds, submissions, polls, 429s, in flight] a minute
) STRICT;

-- The repeat numbers of items that the user asked for with `redo`, beyond `repeat` of the manifest.
CREATE TABLE redone (
    key         TEXT NOT NULL,              -- of the item's first repeat
    n           INTEGER NOT NULL,
    PRIMARY KEY (key, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE learned (
    workflow    TEXT NOT NULL PRIMARY KEY,
    state       TEXT NOT NULL               -- JSON, written and read by `polling`
) STRICT;

-- At most one row: the manifest that was imported last. Without a row, the next import reads all
-- of its manifest.
CREATE TABLE last_import (
    fingerprint   TEXT NOT NULL,
    import_number INTEGER NOT NULL,
    duplicates    TEXT                      -- JSON, written and read by `manifest`; NULL: unknown
) STRICT;

-- Events for which the command of `on_item` has ended.
CREATE TABLE deliveries (
    event       INTEGER PRIMARY KEY,        -- events.seq
    at          REAL NOT NULL,
    exit_status INTEGER                     -- negative: ended by this signal; NULL: stopped by us
) STRICT;
