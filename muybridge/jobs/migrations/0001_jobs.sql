-- The job table and what hangs on it. Plain SQL for SQLite and PostgreSQL: TEXT, BIGINT, DOUBLE PRECISION, no serials.
-- Times are unix seconds, JSON is TEXT, flags are 0 or 1.

CREATE TABLE job (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    key_id TEXT NOT NULL,
    protocol TEXT NOT NULL,
    model TEXT NOT NULL,
    model_actual TEXT,
    idempotency_key TEXT,
    body_hash TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'in_progress', 'completed', 'failed', 'cancelled')),
    cancel_requested BIGINT NOT NULL DEFAULT 0,
    priority BIGINT NOT NULL DEFAULT 0,
    stage TEXT,
    progress DOUBLE PRECISION NOT NULL DEFAULT 0,
    eta_s DOUBLE PRECISION,
    attempt BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until DOUBLE PRECISION,
    checkpoint_key TEXT,
    error_code TEXT,
    error_message TEXT,
    artifacts TEXT NOT NULL DEFAULT '[]',
    usage TEXT NOT NULL DEFAULT '{}',
    quote TEXT NOT NULL DEFAULT '{}',
    cost_s DOUBLE PRECISION NOT NULL,
    cost DOUBLE PRECISION NOT NULL DEFAULT 0,
    created_at DOUBLE PRECISION NOT NULL,
    ready_at DOUBLE PRECISION NOT NULL,
    started_at DOUBLE PRECISION,
    completed_at DOUBLE PRECISION,
    expires_at DOUBLE PRECISION,
    parent_id TEXT,
    webhook TEXT,
    metadata TEXT NOT NULL DEFAULT '{}',
    num_events BIGINT NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX job_idempotency ON job (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_list ON job (tenant, id);
CREATE INDEX job_queue ON job (tenant, model, priority, ready_at, id) WHERE status = 'queued';
CREATE INDEX job_lease ON job (lease_until) WHERE status = 'in_progress';
CREATE INDEX job_open ON job (tenant, key_id) WHERE status IN ('queued', 'in_progress');
CREATE INDEX job_expiry ON job (expires_at) WHERE artifacts <> '[]';

-- Apart from the job row because SQLite rewrites a whole row on every lease renewal and bodies can be large.
CREATE TABLE job_body (
    job_id TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    request_raw TEXT NOT NULL
);

-- One row per (tenant, model, priority) that ever queued; kept in the transaction of every change to or from 'queued'.
-- Claim reads this table instead of counting jobs: its cost does not grow with the queue.
CREATE TABLE lane (
    tenant TEXT NOT NULL,
    model TEXT NOT NULL,
    priority BIGINT NOT NULL,
    queued BIGINT NOT NULL,
    queued_s DOUBLE PRECISION NOT NULL,
    head_at DOUBLE PRECISION,
    PRIMARY KEY (tenant, model, priority)
);
CREATE INDEX lane_active ON lane (priority) WHERE queued > 0;

-- Fair share: seconds of work granted so far (virtual time), divided by the tenant's weight.
CREATE TABLE share (
    tenant TEXT NOT NULL,
    priority BIGINT NOT NULL,
    used_s DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (tenant, priority)
);
CREATE TABLE weight (
    tenant TEXT NOT NULL PRIMARY KEY,
    weight DOUBLE PRECISION NOT NULL
);
CREATE TABLE clock (
    id BIGINT NOT NULL PRIMARY KEY,
    virtual_s DOUBLE PRECISION NOT NULL
);
INSERT INTO clock (id, virtual_s) VALUES (1, 0);

-- What happened to a job, append-only; seq counts from 1 without gaps.
CREATE TABLE event (
    job_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (job_id, seq)
);

-- Money: one row per published job, none for anything else. The primary key makes a second charge impossible.
CREATE TABLE ledger (
    job_id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    output_s DOUBLE PRECISION NOT NULL,
    compute_s DOUBLE PRECISION NOT NULL,
    flops DOUBLE PRECISION NOT NULL,
    cost DOUBLE PRECISION NOT NULL
);
CREATE INDEX ledger_key ON ledger (key_id, at);
CREATE INDEX ledger_tenant ON ledger (tenant, at);

-- Proof of deletion: written with the change that hides the artifacts, completed when the bytes are gone.
CREATE TABLE receipt (
    id TEXT NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    reason TEXT NOT NULL,
    artifacts TEXT NOT NULL,
    requested_at DOUBLE PRECISION NOT NULL,
    completed_at DOUBLE PRECISION,
    num_removed BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX receipt_open ON receipt (requested_at) WHERE completed_at IS NULL;
CREATE INDEX receipt_job ON receipt (job_id);

-- Webhooks to send: written in the transaction that ends the job, so none is forgotten.
CREATE TABLE delivery (
    id TEXT NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    seq BIGINT NOT NULL,
    webhook TEXT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    due_at DOUBLE PRECISION,
    delivered_at DOUBLE PRECISION,
    last_error TEXT
);
CREATE INDEX delivery_due ON delivery (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_job ON delivery (job_id);

-- API keys: only a hash of the secret is kept.
CREATE TABLE api_key (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL DEFAULT '[]',
    limits TEXT NOT NULL DEFAULT '{}',
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION,
    revoked_at DOUBLE PRECISION
);
CREATE INDEX api_key_tenant ON api_key (tenant, id);
