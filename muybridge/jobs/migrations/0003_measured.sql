-- What processes learn from work and tell each other: how providers do, how fast our own machines are.

-- One row per lane of a provider; `open_until` closes it for new jobs, `probe_until` lets one job try it.
CREATE TABLE route_lane (
    lane TEXT NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    pauses BIGINT NOT NULL,
    open_until DOUBLE PRECISION NOT NULL,
    probe_until DOUBLE PRECISION NOT NULL,
    last_error TEXT NOT NULL,
    seconds_per_s DOUBLE PRECISION
);

-- Which model made a clip (a routed job was filed under another name) on which kind of machine: speeds are measured by
-- both.
ALTER TABLE ledger ADD COLUMN model_actual TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger ADD COLUMN device TEXT NOT NULL DEFAULT '';
CREATE INDEX ledger_model ON ledger (model_actual, at);
