-- The statements of the HTTP face, in the dialect of muybridge/jobs/queries.sql.

-- name: use_key
-- Remember the last use of a key.
INSERT INTO key_use (key_id, last_used_at) VALUES (:key_id, :at)
ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
WHERE excluded.last_used_at > key_use.last_used_at;

-- name: key_uses
-- When each key was last used.
SELECT key_id, last_used_at FROM key_use;

-- name: add_setting
-- The first one to ask decides.
INSERT INTO setting (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;

-- name: put_setting
-- A value that an operator's configuration decides anew with each start.
INSERT INTO setting (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: get_setting
-- A shared value.
SELECT value FROM setting WHERE name = :name;

-- name: add_endpoint
-- A tenant's webhook endpoint.
INSERT INTO webhook_endpoint (id, tenant, url, secret, events, created_at)
VALUES (:id, :tenant, :url, :secret, :events, :now);

-- name: endpoints
-- A tenant's endpoints.
SELECT * FROM webhook_endpoint WHERE tenant = :tenant ORDER BY id;

-- name: endpoint
-- One endpoint.
SELECT * FROM webhook_endpoint WHERE id = :id AND tenant = :tenant;

-- name: delete_endpoint
-- Gone.
DELETE FROM webhook_endpoint WHERE id = :id AND tenant = :tenant;

-- name: enable_endpoint
-- Give a switched-off endpoint another chance.
UPDATE webhook_endpoint SET disabled_at = NULL, failing_since = NULL WHERE id = :id AND tenant = :tenant;

-- name: endpoint_worked
-- A delivery arrived.
UPDATE webhook_endpoint SET failing_since = NULL WHERE id = :id AND failing_since IS NOT NULL;

-- name: endpoint_failed
-- A delivery did not arrive; the first failure starts the clock, and past the limit the endpoint is switched off.
UPDATE webhook_endpoint SET
    failing_since = COALESCE(failing_since, :now),
    disabled_at = CASE WHEN COALESCE(failing_since, :now) < :before THEN :now ELSE disabled_at END
WHERE id = :id;

-- name: add_child_delivery
-- One delivery per endpoint out of one job event; repeating it changes nothing.
INSERT INTO delivery (id, job_id, tenant, seq, webhook, due_at)
VALUES (:id, :job_id, :tenant, :seq, :webhook, :now) ON CONFLICT (id) DO NOTHING;

-- name: find_retry
-- The job that the same body of the same key made a moment ago.
SELECT id FROM job WHERE tenant = :tenant AND id > :after AND key_id = :key_id AND body_hash = :body_hash
ORDER BY id DESC LIMIT 1;

-- name: count_status
-- Jobs by status.
SELECT status, COUNT(*) AS n FROM job GROUP BY status;
