-- The rates that the hosts of all jobs in this database share. Times are seconds since the epoch, on
-- the clock of the database.
CREATE SCHEMA IF NOT EXISTS batch_runner;

CREATE TABLE IF NOT EXISTS batch_runner.rates (
    name        TEXT NOT NULL PRIMARY KEY,  -- of a service and key
    next_slot   DOUBLE PRECISION NOT NULL DEFAULT 0,  -- the next free one
    -- Seconds from token to token, of the lowest limit, and until when it counts without a renewal.
    seconds     DOUBLE PRECISION NOT NULL DEFAULT 0,
    valid_until DOUBLE PRECISION NOT NULL DEFAULT 0,
    paused_until DOUBLE PRECISION NOT NULL DEFAULT 0
);

-- Take the next `wanted` slots of a rate; 0: none, read the pause only. During a pause there are
-- none. `own_seconds` is the caller's limit, `tolerance` how many seconds of missed slots are made
-- up for, `clock` the time, NULL for the clock of the database.
CREATE OR REPLACE FUNCTION batch_runner.take_slots(
    rate TEXT,
    own_seconds DOUBLE PRECISION,
    tolerance DOUBLE PRECISION,
    wanted INTEGER,
    clock DOUBLE PRECISION,
    OUT taken INTEGER,
    OUT starts_in DOUBLE PRECISION,
    OUT seconds DOUBLE PRECISION,
    OUT paused_for DOUBLE PRECISION
) LANGUAGE plpgsql AS $$
DECLARE
    found batch_runner.rates;
    now DOUBLE PRECISION;
    slot DOUBLE PRECISION;
BEGIN
    SELECT * INTO STRICT found FROM batch_runner.rates WHERE name = rate FOR UPDATE;
    now := coalesce(clock, extract(epoch FROM clock_timestamp()));
    seconds := own_seconds;
    IF found.valid_until > now THEN
        seconds := greatest(own_seconds, found.seconds);
    END IF;
    paused_for := greatest(0, found.paused_until - now);
    taken := 0;
    starts_in := 0;
    IF wanted > 0 AND paused_for = 0 THEN
        -- A slot further away than that of any number of hosts: the clock was set back.
        slot := greatest(least(found.next_slot, now + 1000 * wanted * seconds), now - tolerance);
        taken := wanted;
        starts_in := slot - now;
        UPDATE batch_runner.rates SET
            next_slot = slot + wanted * take_slots.seconds,
            seconds = take_slots.seconds,
            valid_until = CASE
                WHEN own_seconds >= take_slots.seconds THEN now + 60 ELSE found.valid_until
            END
        WHERE name = rate;
    END IF;
END
$$;

-- Let no slot be taken for `length` seconds from now; a longer pause stays.
CREATE OR REPLACE FUNCTION batch_runner.pause_rate(
    rate TEXT, length DOUBLE PRECISION, clock DOUBLE PRECISION
) RETURNS VOID LANGUAGE sql AS $$
    UPDATE batch_runner.rates SET paused_until = greatest(
        paused_until, coalesce(clock, extract(epoch FROM clock_timestamp())) + length
    ) WHERE name = rate
$$;
