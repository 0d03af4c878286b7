-- The router's own tables, in the job database or a file of their own. Money is in millionths of a US dollar.

CREATE TABLE IF NOT EXISTS route_attempt (
    id TEXT NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL,
    n BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    key_id TEXT NOT NULL,
    project TEXT NOT NULL,
    offer TEXT NOT NULL,
    lane TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intent', 'unknown', 'accepted', 'succeeded', 'rejected', 'failed', 'cancelled',
                                         'needs_review')),
    is_open BIGINT NOT NULL,
    orphan BIGINT NOT NULL DEFAULT 0,
    ticket TEXT,
    plan TEXT NOT NULL,
    decision TEXT NOT NULL,
    quote BIGINT NOT NULL,
    cost BIGINT,
    error TEXT NOT NULL DEFAULT '',
    num_fetches BIGINT NOT NULL DEFAULT 0,
    created_at DOUBLE PRECISION NOT NULL,
    accepted_at DOUBLE PRECISION,
    ended_at DOUBLE PRECISION,
    UNIQUE (job_id, n)
);
-- The promise "never a second provider while one may have a paid job" as a constraint.
CREATE UNIQUE INDEX IF NOT EXISTS route_attempt_open ON route_attempt (job_id) WHERE is_open = 1;
CREATE INDEX IF NOT EXISTS route_attempt_orphan ON route_attempt (id) WHERE is_open = 1;
CREATE INDEX IF NOT EXISTS route_attempt_lane ON route_attempt (lane, created_at);
CREATE INDEX IF NOT EXISTS route_attempt_sticky ON route_attempt (tenant, project, id);

-- reserve (+) and release (-) hold and free money of a key, charge (+) takes it; cost (+) is what a provider bills us.
CREATE TABLE IF NOT EXISTS route_entry (
    attempt_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('reserve', 'release', 'charge', 'cost')),
    tenant TEXT NOT NULL,
    key_id TEXT NOT NULL,
    micros BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (attempt_id, kind)
);
CREATE INDEX IF NOT EXISTS route_entry_key ON route_entry (key_id, at);
CREATE INDEX IF NOT EXISTS route_entry_tenant ON route_entry (tenant, at);
CREATE INDEX IF NOT EXISTS route_entry_at ON route_entry (at);
