-- This user's record of jobs and of the items that they submit. Times are seconds since the epoch.

CREATE TABLE registry (
    secret      BLOB NOT NULL                -- key of the HMAC in claims.account
) STRICT;

CREATE TABLE services (
    number      INTEGER PRIMARY KEY,
    provider    TEXT NOT NULL,
    host        TEXT NOT NULL,               -- of its base URL; a local one with its port
    UNIQUE (provider, host)
) STRICT;

CREATE TABLE jobs (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,        -- as in the job's journal
    name        TEXT NOT NULL,
    manifest    TEXT NOT NULL,               -- absolute path at the last import, '' if unknown
    folder      TEXT NOT NULL,               -- absolute path of the output folder at its last use
    mount       TEXT NOT NULL,               -- mount point of the disk of that folder
    machine     TEXT NOT NULL,               -- host name of the machine with that disk
    last_event  INTEGER NOT NULL DEFAULT 0,  -- of the journal; claims hold everything up to it
    created_at  REAL NOT NULL,
    updated_at  REAL NOT NULL
) STRICT;

-- One row for each item that a job is about to submit, or has submitted.
CREATE TABLE claims (
    service     INTEGER NOT NULL REFERENCES services,
    key         TEXT NOT NULL,               -- as in the journal: hash of what is sent
    job         INTEGER NOT NULL REFERENCES jobs,
    status      TEXT NOT NULL,               -- of the item, or 'claimed' or 'approved'
    task_id     TEXT,
    files       TEXT NOT NULL DEFAULT '[]',  -- JSON, as in the journal
    reused      INTEGER NOT NULL DEFAULT 0,  -- 1: another job has paid for it
    account     TEXT NOT NULL DEFAULT '',    -- HMAC-SHA256 of the API key; '' if unknown
    updated_at  REAL NOT NULL,
    PRIMARY KEY (service, key, job)
) STRICT, WITHOUT ROWID;

CREATE INDEX claims_not_submitted ON claims (job) WHERE status = 'claimed';
