-- What the HTTP face keeps beside the jobs.

-- When a key was last used; apart from api_key because it changes all the time.
CREATE TABLE key_use (
    key_id TEXT NOT NULL PRIMARY KEY,
    last_used_at DOUBLE PRECISION NOT NULL
);

-- Where a tenant wants to hear of all its jobs. `secret` signs (it must be readable to sign); failing_since starts the
-- clock after which a dead receiver is switched off.
CREATE TABLE webhook_endpoint (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    events TEXT NOT NULL DEFAULT '[]',
    created_at DOUBLE PRECISION NOT NULL,
    failing_since DOUBLE PRECISION,
    disabled_at DOUBLE PRECISION
);
CREATE INDEX webhook_endpoint_tenant ON webhook_endpoint (tenant, id);

-- Named values that all API processes on one database share: the secret that signs result links.
CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
