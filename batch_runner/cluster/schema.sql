-- What all jobs of a cluster share, besides `ratelimit/rates.sql`, which is executed first.

-- One row for each cluster job.
CREATE TABLE IF NOT EXISTS batch_runner.jobs (
    schema      TEXT NOT NULL PRIMARY KEY,  -- that of its journal
    id          TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    folder      TEXT NOT NULL,
    origin      TEXT NOT NULL,
    provider    TEXT NOT NULL,
    account     TEXT NOT NULL,              -- hash of the API key
    created_at  DOUBLE PRECISION NOT NULL,
    version     INTEGER NOT NULL,           -- of the tables of its journal
    active      BOOLEAN NOT NULL,           -- workers have something to do
    paused      TEXT,                       -- why nothing is submitted; NULL: it is
    approvals   INTEGER NOT NULL DEFAULT 0  -- how often a person has ended a pause
);

-- One row: the version of what is made here.
CREATE TABLE IF NOT EXISTS batch_runner.version (
    version     INTEGER NOT NULL
);
