-- 0003_reconciliation, 445a59f78927ecb41d3c92724f7b0e7e3d1fc2ffa209aaed372858dacee43203; written by scripts/migrations.py

-- Create model Discrepancy
CREATE TABLE "discrepancies" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(24) NOT NULL,
    "provider" VARCHAR(24) NOT NULL,
    "subject" VARCHAR(255) NOT NULL,
    "what" VARCHAR(120) NOT NULL,
    "escrow_id" UUID,
    "expected" VARCHAR(255) NOT NULL,
    "actual" VARCHAR(255) NOT NULL,
    "found_at" TIMESTAMPTZ NOT NULL,
    "seen_at" TIMESTAMPTZ NOT NULL,
    "resolved_at" TIMESTAMPTZ,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_discrepanci_resolve_6a13b1" ON "discrepancies" ("resolved_at", "found_at");
CREATE INDEX "idx_discrepanci_escrow__b7a9d6" ON "discrepancies" ("escrow_id", "found_at");
COMMENT ON TABLE "discrepancies" IS 'A difference between what we know and what a provider (or another part) says.';

-- Create model ReconciliationRun
CREATE TABLE "reconciliation_runs" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(24) NOT NULL,
    "due_at" TIMESTAMPTZ NOT NULL,
    "status" VARCHAR(24) NOT NULL DEFAULT 'RUNNING',
    "attempts" INT NOT NULL DEFAULT 0,
    "started_at" TIMESTAMPTZ NOT NULL,
    "finished_at" TIMESTAMPTZ,
    "covered_until" TIMESTAMPTZ,
    "figures" JSONB,
    "error" VARCHAR(500)
);
CREATE INDEX "idx_reconciliat_kind_9b35a7" ON "reconciliation_runs" ("kind", "status", "due_at");
COMMENT ON TABLE "reconciliation_runs" IS 'One run; of each kind there is one for a moment at which it was due.';

-- Create model StatementLine
CREATE TABLE "statement_lines" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "provider" VARCHAR(24) NOT NULL,
    "ref" VARCHAR(255) NOT NULL,
    "kind" VARCHAR(60) NOT NULL,
    "source" VARCHAR(255) NOT NULL DEFAULT '',
    "payment_ref" VARCHAR(255) NOT NULL DEFAULT '',
    "escrow_id" UUID,
    "currency" VARCHAR(5) NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "fee_minor" BIGINT NOT NULL,
    "occurred_at" TIMESTAMPTZ NOT NULL,
    "settled_at" TIMESTAMPTZ
);
CREATE INDEX "idx_statement_l_escrow__d88dc2" ON "statement_lines" ("escrow_id", "currency");
CREATE INDEX "idx_statement_l_provide_ad714e" ON "statement_lines" ("provider", "occurred_at");
COMMENT ON TABLE "statement_lines" IS 'One line of a provider''s balance statement; `amount_minor` before the fee.';

-- Add constraint to Discrepancy
ALTER TABLE "discrepancies" ADD CONSTRAINT "discrepancies_kind_known" CHECK (kind IN ('PAYMENT', 'STATE', 'TRANSFER', 'BALANCE'));

-- Add constraint to Discrepancy
CREATE UNIQUE INDEX "discrepancies_one_open" ON "discrepancies" ("kind", "provider", "subject", "what") WHERE resolved_at IS NULL;

-- Add constraint to ReconciliationRun
ALTER TABLE "reconciliation_runs" ADD CONSTRAINT "reconciliation_runs_kind_known" CHECK (kind IN ('HOURLY', 'DAILY', 'MANUAL'));

-- Add constraint to ReconciliationRun
ALTER TABLE "reconciliation_runs" ADD CONSTRAINT "reconciliation_runs_status_known" CHECK (status IN ('RUNNING', 'DONE', 'FAILED'));

-- Add constraint to ReconciliationRun
ALTER TABLE "reconciliation_runs" ADD CONSTRAINT "reconciliation_runs_once" UNIQUE ("kind", "due_at");

-- Add constraint to StatementLine
ALTER TABLE "statement_lines" ADD CONSTRAINT "statement_lines_once" UNIQUE ("provider", "ref");
