-- Every statement of the job store. One text for SQLite and PostgreSQL: `:name` is a value, a tuple becomes a list.
-- Locks are taken in the order job, lane, share, so two writers cannot block each other in a circle.

-- name: create_job
-- One INSERT accepts a job. No row comes back when the tenant already used this idempotency key, or this id.
INSERT INTO job (id, tenant, key_id, protocol, model, idempotency_key, body_hash, status, priority, quote, cost_s, cost,
                 created_at, ready_at, parent_id, webhook, metadata, num_events)
VALUES (:id, :tenant, :key_id, :protocol, :model, :idempotency_key, :body_hash, 'queued', :priority, :quote, :cost_s,
        :cost, :now, :now, :parent_id, :webhook, :metadata, 1)
ON CONFLICT DO NOTHING
RETURNING *;

-- name: create_body
-- The bodies, kept apart from the row that every step updates.
INSERT INTO job_body (job_id, request, request_raw) VALUES (:id, :request, :request_raw);

-- name: forget_idempotency_key
-- An idempotency key may be used anew once its job is older than the window.
UPDATE job SET idempotency_key = NULL
WHERE tenant = :tenant AND idempotency_key = :idempotency_key AND created_at < :before;

-- name: find_idempotent
-- The job that this tenant created with this key.
SELECT job.*, body.request, body.request_raw
FROM job JOIN job_body body ON body.job_id = job.id
WHERE job.tenant = :tenant AND job.idempotency_key = :idempotency_key;

-- name: count_open
-- Jobs of a tenant that are queued or running.
SELECT COALESCE((SELECT SUM(queued) FROM lane WHERE tenant = :tenant), 0)
     + (SELECT COUNT(*) FROM job WHERE tenant = :tenant AND status = 'in_progress') AS num_open;

-- name: reserved
-- The sum of the quotes of a key's open jobs.
SELECT COALESCE(SUM(cost), 0) AS reserved FROM job
WHERE tenant = :tenant AND key_id = :key_id AND status IN ('queued', 'in_progress');

-- name: spent
-- Money charged to a key since a moment.
SELECT COALESCE(SUM(cost), 0) AS charged FROM ledger WHERE key_id = :key_id AND at >= :since;

-- name: get_job
-- One job with its bodies; a tenant sees its own only.
SELECT job.*, body.request, body.request_raw
FROM job JOIN job_body body ON body.job_id = job.id
WHERE job.id = :id AND (CAST(:tenant AS TEXT) IS NULL OR job.tenant = :tenant);

-- name: list_newest
-- A page of jobs, newest first; `after` is the id that ended the page before.
SELECT job.*, body.request, body.request_raw
FROM job JOIN job_body body ON body.job_id = job.id
WHERE (CAST(:tenant AS TEXT) IS NULL OR job.tenant = :tenant) AND job.id < :after
  AND (CAST(:status AS TEXT) IS NULL OR job.status = :status)
  AND (CAST(:model AS TEXT) IS NULL OR job.model = :model)
  AND (CAST(:protocol AS TEXT) IS NULL OR job.protocol = :protocol)
ORDER BY job.id DESC LIMIT :limit;

-- name: list_oldest
-- A page of jobs, oldest first.
SELECT job.*, body.request, body.request_raw
FROM job JOIN job_body body ON body.job_id = job.id
WHERE (CAST(:tenant AS TEXT) IS NULL OR job.tenant = :tenant) AND job.id > :after
  AND (CAST(:status AS TEXT) IS NULL OR job.status = :status)
  AND (CAST(:model AS TEXT) IS NULL OR job.model = :model)
  AND (CAST(:protocol AS TEXT) IS NULL OR job.protocol = :protocol)
ORDER BY job.id LIMIT :limit;

-- name: lane_push
-- A job entered the queue.
INSERT INTO lane (tenant, model, priority, queued, queued_s, head_at)
VALUES (:tenant, :model, :priority, 1, :cost_s, :ready_at)
ON CONFLICT (tenant, model, priority) DO UPDATE SET
    queued = lane.queued + 1,
    queued_s = lane.queued_s + excluded.queued_s,
    head_at = CASE WHEN lane.queued > 0 AND lane.head_at < excluded.head_at THEN lane.head_at ELSE excluded.head_at END;

-- name: lane_pop
-- A job left the queue; the lane's head is the next one.
UPDATE lane SET
    queued = queued - 1,
    queued_s = CASE WHEN queued > 1 THEN queued_s - :cost_s ELSE 0 END,
    head_at = (SELECT MIN(j.ready_at) FROM job j WHERE j.status = 'queued' AND j.tenant = lane.tenant
               AND j.model = lane.model AND j.priority = lane.priority)
WHERE tenant = :tenant AND model = :model AND priority = :priority;

-- name: claim_peek
-- Is there anything to claim? Read before the claim's lock is taken, so that idle workers cost next to nothing.
SELECT 1 AS found FROM lane
WHERE queued > 0 AND head_at <= :now AND (:any_model = 1 OR model IN (:models)) LIMIT 1;

-- name: claim_lane
-- Whose turn it is: the highest priority; a waiting lane gains one level every `age_s`, up to the highest one queued.
-- Within a level the tenant that was granted least. Nobody saves up while idle: used_s counts from virtual_s at least
-- (start-time fair queueing: Goyal, Vin, Cheng 1996).
SELECT l.tenant, l.model, l.priority,
       CASE WHEN s.used_s > c.virtual_s THEN s.used_s ELSE c.virtual_s END AS start_s,
       c.virtual_s, COALESCE(w.weight, 1) AS weight
FROM lane l
JOIN clock c ON c.id = 1
LEFT JOIN share s ON s.tenant = l.tenant AND s.priority = l.priority
LEFT JOIN weight w ON w.tenant = l.tenant
WHERE l.queued > 0 AND l.head_at <= :now AND (:any_model = 1 OR l.model IN (:models))
  AND l.priority + (:now - l.head_at) / :age_s >= (
      SELECT MAX(t.priority) FROM lane t
      WHERE t.queued > 0 AND t.head_at <= :now AND (:any_model = 1 OR t.model IN (:models)))
ORDER BY start_s, l.priority DESC, l.head_at, l.tenant
LIMIT 1;

-- name: claim_job
-- Take the lane's head: status, owner, lease and the next attempt in one UPDATE.
UPDATE job SET
    status = 'in_progress', attempt = attempt + 1, lease_owner = :worker, lease_until = :now + :lease_s,
    started_at = COALESCE(started_at, :now), num_events = num_events + 1, stage = NULL, eta_s = NULL
WHERE status = 'queued' AND id = (
    SELECT j.id FROM job j
    WHERE j.status = 'queued' AND j.tenant = :tenant AND j.model = :model AND j.priority = :priority
      AND j.ready_at <= :now
    ORDER BY j.ready_at, j.id LIMIT 1)
RETURNING *, (SELECT request FROM job_body WHERE job_id = job.id) AS request,
    (SELECT request_raw FROM job_body WHERE job_id = job.id) AS request_raw;

-- name: share_grant
-- Record the grant. Only a job's first attempt counts: a crash or a pre-emption is not the tenant's doing.
INSERT INTO share (tenant, priority, used_s) VALUES (:tenant, :priority, :used_s)
ON CONFLICT (tenant, priority) DO UPDATE SET used_s = excluded.used_s;

-- name: clock_advance
-- Virtual time is the start tag of the last grant.
UPDATE clock SET virtual_s = :start_s WHERE id = 1 AND virtual_s < :start_s;

-- name: claim_adopt
-- After a claim whose answer was lost: the job this worker was given, if it was.
SELECT job.*, body.request, body.request_raw
FROM job JOIN job_body body ON body.job_id = job.id
WHERE job.status = 'in_progress' AND job.lease_owner = :worker;

-- name: renew
-- Progress renews the lease. A checkpoint beyond the furthest point of all attempts shows that the job gets on: its
-- count of failures starts again. (Any checkpoint would not do: a job that always dies at 50 % saves some each time.)
UPDATE job SET
    lease_until = :now + :lease_s, stage = :stage, eta_s = :eta_s,
    progress = CASE WHEN :progress > progress THEN :progress ELSE progress END,
    checkpoint_key = COALESCE(CAST(:checkpoint_key AS TEXT), checkpoint_key),
    failures = CASE WHEN CAST(:checkpoint_key AS TEXT) IS NOT NULL AND :progress > progress THEN 0 ELSE failures END,
    num_events = num_events + :num_new
WHERE id = :id AND attempt = :attempt AND lease_owner = :worker AND status = 'in_progress'
RETURNING num_events, cancel_requested, progress;

-- name: preempt_waiting
-- How many queued jobs above this priority have waited longer than an idle worker needs to notice them.
SELECT COALESCE(SUM(queued), 0) AS waiting FROM lane
WHERE queued > 0 AND head_at <= :before AND priority > :priority AND (:any_model = 1 OR model IN (:models));

-- name: preempt_rank
-- How many running jobs should yield before this one: lower priority first, then the younger.
SELECT COUNT(*) AS ahead FROM job
WHERE status = 'in_progress' AND lease_until > :now AND (:any_model = 1 OR model IN (:models))
  AND (priority < :priority OR (priority = :priority AND id > :id));

-- name: set_model
-- The name of the model that really served the job.
UPDATE job SET model_actual = :model_actual
WHERE id = :id AND attempt = :attempt AND lease_owner = :worker AND status = 'in_progress';

-- name: finish
-- Publication: the only statement that completes a job, and only for the holder of the current attempt.
UPDATE job SET
    status = 'completed', artifacts = :artifacts, usage = :usage, progress = 100, eta_s = 0, stage = NULL,
    model_actual = COALESCE(CAST(:model_actual AS TEXT), model_actual),
    completed_at = :now, expires_at = :now + :retention_s, lease_until = NULL, checkpoint_key = NULL,
    error_code = NULL, error_message = NULL, num_events = num_events + 1
WHERE id = :id AND attempt = :attempt AND lease_owner = :worker AND status = 'in_progress'
RETURNING *;

-- name: charge
-- Money moves in the transaction that publishes.
INSERT INTO ledger (job_id, tenant, key_id, model, attempt, at, output_s, compute_s, flops, cost,
                    model_actual, device, formula_s)
VALUES (:id, :tenant, :key_id, :model, :attempt, :now, :output_s, :compute_s, :flops, :cost, :model_actual, :device,
        :formula_s);

-- name: stop
-- End a running job without publishing: failed or cancelled.
UPDATE job SET
    status = :status, error_code = :code, error_message = :message, completed_at = :now, eta_s = NULL,
    failures = failures + :failed, lease_until = NULL, checkpoint_key = NULL, num_events = num_events + 1
WHERE id = :id AND attempt = :attempt AND lease_owner = :worker AND status = 'in_progress'
RETURNING *;

-- name: put_back
-- Return a running job to the queue. Its work is kept by the checkpoint, its place by ready_at.
UPDATE job SET
    status = 'queued', ready_at = :ready_at, lease_until = NULL, eta_s = NULL, stage = NULL,
    checkpoint_key = CASE WHEN :keep = 1 THEN COALESCE(CAST(:checkpoint_key AS TEXT), checkpoint_key) ELSE NULL END,
    error_code = :code, error_message = :message, failures = failures + :failed, num_events = num_events + 1
WHERE id = :id AND attempt = :attempt AND lease_owner = :worker AND status = 'in_progress'
RETURNING *;

-- name: held
-- The row a worker's write is about, locked so that it cannot change before the write.
UPDATE job SET attempt = attempt
WHERE id = :id AND attempt = :attempt AND lease_owner = :worker AND status = 'in_progress'
RETURNING *;

-- name: requote
-- What a running job will cost, where that is more than it was quoted.
UPDATE job SET cost = :cost, quote = :quote WHERE id = :id;

-- name: key_limits
-- What a key may spend.
SELECT limits FROM api_key WHERE id = :id;

-- name: expired_leases
-- Running jobs whose worker has not reported in time; `worker` narrows it to one that is known to be dead.
SELECT id, attempt, lease_owner FROM job
WHERE status = 'in_progress' AND (lease_until < :now OR lease_owner = :worker) ORDER BY lease_until LIMIT :limit;

-- name: still_expired
-- Lock one of them, unless its worker renewed meanwhile.
UPDATE job SET attempt = attempt
WHERE id = :id AND attempt = :attempt AND lease_owner = :lease_owner AND status = 'in_progress'
  AND (lease_until < :now OR lease_owner = :worker)
RETURNING *;

-- name: cancel_queued
-- Nobody works on it: cancelled at once.
UPDATE job SET status = 'cancelled', cancel_requested = 1, completed_at = :now, error_code = 'cancelled',
    error_message = :message, checkpoint_key = NULL, num_events = num_events + 1
WHERE id = :id AND status = 'queued'
RETURNING *;

-- name: cancel_running
-- Somebody works on it: a flag that the worker sees at its next step.
UPDATE job SET cancel_requested = 1, num_events = num_events + 1
WHERE id = :id AND status = 'in_progress' AND cancel_requested = 0
RETURNING *;

-- name: add_event
-- Append to a job's history; seq is the counter that the same transaction has just raised.
INSERT INTO event (job_id, seq, at, kind, data) VALUES (:id, :seq, :now, :kind, :data);

-- name: events
-- The history of a job after a known point.
SELECT job_id, seq, at, kind, data FROM event WHERE job_id = :id AND seq > :after ORDER BY seq LIMIT :limit;

-- name: prune_events
-- Progress and previews of jobs that ended long ago; what changed the status stays.
DELETE FROM event WHERE kind <> 'status' AND job_id IN (
    SELECT id FROM job WHERE completed_at < :before AND num_events > 0 AND expires_at < :now);

-- name: queue
-- What is waiting, by lane.
SELECT tenant, model, priority, queued, queued_s, head_at FROM lane WHERE queued > 0
ORDER BY priority DESC, head_at;

-- name: running
-- What is running, with who holds it.
SELECT id, tenant, model, priority, attempt, lease_owner, lease_until, progress, eta_s FROM job
WHERE status = 'in_progress' ORDER BY lease_until;

-- name: position
-- Jobs of the same model that come before a queued one, if shares were equal (first in, first out within a priority).
SELECT COALESCE(SUM(n), 0) AS ahead FROM (
    SELECT l.queued AS n FROM lane l WHERE l.model = :model AND l.priority > :priority AND l.queued > 0
    UNION ALL
    SELECT COUNT(*) AS n FROM lane l JOIN job j
        ON j.tenant = l.tenant AND j.model = l.model AND j.priority = l.priority AND j.status = 'queued'
    WHERE l.model = :model AND l.priority = :priority AND l.queued > 0
      AND (j.ready_at < :ready_at OR (j.ready_at = :ready_at AND j.id < :id))) ahead_of;

-- name: queue_place
-- Where a queued job stands.
SELECT model, priority, ready_at, status FROM job WHERE id = :id;

-- name: delete_job
-- Remove a job that has ended.
DELETE FROM job WHERE id = :id AND tenant = :tenant AND status IN ('completed', 'failed', 'cancelled')
RETURNING artifacts;

-- name: delete_body
-- With it go the prompt and every other word of the request,
DELETE FROM job_body WHERE job_id = :id;

-- name: delete_events
-- its history,
DELETE FROM event WHERE job_id = :id;

-- name: delete_deliveries
-- and webhooks not yet sent. The ledger row stays: it holds no content.
DELETE FROM delivery WHERE job_id = :id;

-- name: expired_jobs
-- Jobs whose files are past their retention.
SELECT id, tenant, artifacts FROM job WHERE artifacts <> '[]' AND expires_at < :now ORDER BY expires_at LIMIT :limit;

-- name: hide_artifacts
-- The files of an expired job stop being readable before their bytes go.
UPDATE job SET artifacts = '[]', num_events = num_events + 1
WHERE id = :id AND artifacts <> '[]' AND expires_at < :now
RETURNING *;

-- name: add_receipt
-- The proof, still open.
INSERT INTO receipt (id, job_id, tenant, reason, artifacts, requested_at)
VALUES (:id, :job_id, :tenant, :reason, :artifacts, :now);

-- name: open_receipts
-- Deletions whose bytes may still be there.
SELECT * FROM receipt WHERE completed_at IS NULL ORDER BY requested_at LIMIT :limit;

-- name: close_receipt
-- The bytes are gone.
UPDATE receipt SET completed_at = :now, num_removed = :num_removed
WHERE id = :id AND completed_at IS NULL
RETURNING *;

-- name: asked_receipt
-- After a deletion whose answer was lost: its receipt.
SELECT * FROM receipt WHERE job_id = :job_id AND tenant = :tenant AND reason = 'asked';

-- name: receipts
-- The proofs for one job.
SELECT * FROM receipt WHERE job_id = :job_id AND tenant = :tenant ORDER BY requested_at;

-- name: ledger_page
-- Charges in the order of time, for export.
SELECT * FROM ledger
WHERE (CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant) AND (CAST(:key_id AS TEXT) IS NULL OR key_id = :key_id)
  AND at >= :since AND at < :until
ORDER BY at, job_id LIMIT :limit;

-- name: slowdown
-- The newest jobs of a model that ran from start to end on machines of ours, by device.
SELECT device, COUNT(*) AS num, SUM(compute_s) AS compute_s, SUM(formula_s) AS formula_s FROM (
    SELECT device, compute_s, formula_s FROM ledger
    WHERE model_actual = :model AND at >= :since AND attempt = 1 AND device <> '' AND compute_s > 0 AND formula_s > 0
    ORDER BY at DESC LIMIT :limit) recent
GROUP BY device ORDER BY num DESC, device;

-- name: set_weight
-- A tenant's share of the machines relative to others.
INSERT INTO weight (tenant, weight) VALUES (:tenant, :weight)
ON CONFLICT (tenant) DO UPDATE SET weight = excluded.weight;

-- name: add_delivery
-- A webhook to send, due at once.
INSERT INTO delivery (id, job_id, tenant, seq, webhook, due_at)
VALUES (:id, :job_id, :tenant, :seq, :webhook, :now);

-- name: due_deliveries
-- Webhooks to send now.
SELECT * FROM delivery WHERE due_at <= :now ORDER BY due_at, id LIMIT :limit;

-- name: take_delivery
-- One sender at a time: if it dies, the webhook is due again when its time is up.
UPDATE delivery SET tries = tries + 1, due_at = :until WHERE id = :id AND due_at = :due_at RETURNING *;

-- name: settle_delivery
-- Sent, or due again later, or given up (no due time).
UPDATE delivery SET delivered_at = :delivered_at, due_at = :due_at, last_error = :error WHERE id = :id;

-- name: job_deliveries
-- The webhooks of a job.
SELECT * FROM delivery WHERE job_id = :job_id ORDER BY id;

-- name: put_key
-- Store an API key's hash.
INSERT INTO api_key (id, tenant, name, secret_hash, scopes, limits, created_at, expires_at)
VALUES (:id, :tenant, :name, :secret_hash, :scopes, :limits, :created_at, :expires_at);

-- name: key_by_hash
-- The key that a caller presented.
SELECT * FROM api_key WHERE secret_hash = :secret_hash;

-- name: list_keys
-- Keys of a tenant, or all.
SELECT * FROM api_key WHERE (CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant) ORDER BY id;

-- name: revoke_key
-- From this moment the key is refused; 0 rows when it does not exist or already is.
UPDATE api_key SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL;

-- name: expire_key
-- Rotation: the old key works until its successor is in place.
UPDATE api_key SET expires_at = :at WHERE id = :id;
