-- What a job would have taken on the reference machine, by formula: its compute_s over this is how slow a device is.
ALTER TABLE ledger ADD COLUMN formula_s DOUBLE PRECISION NOT NULL DEFAULT 0;
