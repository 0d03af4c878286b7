-- Attempts and the ledger of the router. `:name` is a value; the same text serves SQLite and PostgreSQL.

-- name: add_attempt
-- The intent, before any paid call. Fails when the job already has an open attempt: one at a time, whoever asks.
INSERT INTO route_attempt (id, job_id, n, tenant, key_id, project, offer, lane, state, is_open, plan, decision, quote,
                           created_at)
VALUES (:id, :job_id, :n, :tenant, :key_id, :project, :offer, :lane, 'intent', 1, :plan, :decision, :quote, :now)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: attempts
-- A job's attempts, first to last.
SELECT * FROM route_attempt WHERE job_id = :job_id ORDER BY n;

-- name: attempt
-- One attempt.
SELECT * FROM route_attempt WHERE id = :id;

-- name: accepted
-- The provider has named its job.
UPDATE route_attempt SET state = 'accepted', ticket = :ticket, accepted_at = :now
WHERE id = :id AND state IN ('intent', 'unknown') RETURNING id;

-- name: lost
-- The answer to the submit was lost, or the process that sent it.
UPDATE route_attempt SET state = 'unknown', error = :error WHERE id = :id AND state = 'intent' RETURNING id;

-- name: note
-- Where an attempt stands; not a change of state.
UPDATE route_attempt SET num_fetches = :num_fetches, error = :error WHERE id = :id AND is_open = 1;

-- name: orphan
-- Nobody waits for it any more, but it may still cost money.
UPDATE route_attempt SET orphan = 1 WHERE job_id = :job_id AND is_open = 1 RETURNING id;

-- name: close
-- The end of an attempt; only the first one counts.
UPDATE route_attempt SET state = :state, is_open = 0, cost = :cost, error = :error, ended_at = :now
WHERE id = :id AND is_open = 1 RETURNING *;

-- name: add_entry
-- One movement of money. Repeating it changes nothing.
INSERT INTO route_entry (attempt_id, kind, tenant, key_id, micros, at)
VALUES (:attempt_id, :kind, :tenant, :key_id, :micros, :now)
ON CONFLICT DO NOTHING;

-- name: bill
-- What an attempt turned out to cost, told later by an invoice.
UPDATE route_attempt SET cost = :cost WHERE id = :id AND cost IS NULL;

-- name: used
-- Held and charged since a moment, by tenant and key ('' is everybody).
SELECT COALESCE(SUM(micros), 0) AS micros FROM route_entry
WHERE kind <> 'cost' AND at >= :since AND (:tenant = '' OR tenant = :tenant) AND (:key_id = '' OR key_id = :key_id);

-- name: totals
-- Sums by kind.
SELECT kind, COALESCE(SUM(micros), 0) AS micros, COUNT(*) AS num FROM route_entry WHERE at >= :since GROUP BY kind;

-- name: costs
-- What each provider has cost.
SELECT a.lane, a.offer, COUNT(*) AS num, SUM(e.micros) AS micros
FROM route_entry e JOIN route_attempt a ON a.id = e.attempt_id
WHERE e.kind = 'cost' AND e.at >= :since GROUP BY a.lane, a.offer ORDER BY a.lane, a.offer;

-- name: sticky
-- What a project used last.
SELECT offer FROM route_attempt WHERE tenant = :tenant AND project = :project AND state = 'succeeded'
ORDER BY id DESC LIMIT 1;

-- name: tickets
-- The provider's ids of our jobs in a lane.
SELECT ticket FROM route_attempt WHERE lane = :lane AND created_at >= :since AND ticket IS NOT NULL;

-- name: rivals
-- Other lost submits in a lane.
SELECT COUNT(*) AS num FROM route_attempt
WHERE lane = :lane AND id <> :id AND created_at >= :since AND ticket IS NULL
  AND state IN ('intent', 'unknown', 'needs_review');

-- name: open_attempts
-- Everything that is not at its end.
SELECT * FROM route_attempt WHERE is_open = 1 ORDER BY id;

-- name: orphans
-- Open attempts that nobody waits for.
SELECT * FROM route_attempt WHERE is_open = 1 AND orphan = 1 ORDER BY id LIMIT :limit;

-- name: own_queue
-- Seconds of work that wait for our own engine, by the jobs' lanes (only where the jobs lie in the same database).
SELECT COALESCE(SUM(queued_s), 0) AS seconds FROM lane WHERE queued > 0 AND model IN (:models);

-- name: own_running
-- Who works on jobs of our own sizes now, and how many seconds they need still.
SELECT COUNT(*) AS num, COALESCE(SUM(CASE WHEN eta_s IS NOT NULL THEN eta_s
                                          ELSE cost_s * (1 - progress / 100.0) END), 0) AS seconds
FROM job WHERE status = 'in_progress' AND model IN (:models);

-- name: to_review
-- Submits that never could be cleared up.
SELECT * FROM route_attempt WHERE state = 'needs_review' AND cost IS NULL ORDER BY id;

-- name: setting
-- A value that the API shares with its workers (only where the jobs lie in the same database).
SELECT value FROM setting WHERE name = :name;

-- name: route_lanes
-- How every lane is doing (only where the jobs lie in the same database).
SELECT * FROM route_lane;

-- name: route_lane
-- One of them.
SELECT * FROM route_lane WHERE lane = :lane;

-- name: put_route_lane
-- What was learnt about it.
INSERT INTO route_lane (lane, failures, pauses, open_until, probe_until, last_error, seconds_per_s)
VALUES (:lane, :failures, :pauses, :open_until, :probe_until, :last_error, :seconds_per_s)
ON CONFLICT (lane) DO UPDATE SET
    failures = excluded.failures, pauses = excluded.pauses, open_until = excluded.open_until,
    probe_until = excluded.probe_until, last_error = excluded.last_error, seconds_per_s = excluded.seconds_per_s;
