-- 0007_usdc, a6d8e7be690a85d2a42b869fb281040433bf8259ee487f595c79b0538069396a; written by scripts/migrations.py

-- Create model ChainCursor
CREATE TABLE "chain_cursors" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "chain_id" BIGINT NOT NULL  PRIMARY KEY,
    "block_number" BIGINT NOT NULL,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON TABLE "chain_cursors" IS 'The last block that the watcher has read.';

-- Create model ChainTransaction
CREATE TABLE "chain_transactions" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "key" VARCHAR(160) NOT NULL  PRIMARY KEY,
    "signer" VARCHAR(42) NOT NULL,
    "signer_number" BIGINT,
    "nonce" BIGINT NOT NULL,
    "recipient_contract" VARCHAR(42) NOT NULL,
    "data" TEXT NOT NULL,
    "value_wei" DECIMAL(78,0) NOT NULL,
    "gas" BIGINT NOT NULL,
    "fee_max_wei" BIGINT NOT NULL,
    "tip_wei" BIGINT NOT NULL,
    "amount_minor" BIGINT NOT NULL DEFAULT 0,
    "recipient" VARCHAR(42) NOT NULL DEFAULT '',
    "stage" VARCHAR(10) NOT NULL DEFAULT 'RESERVED',
    "hashes" JSONB NOT NULL,
    "sent_block" BIGINT NOT NULL DEFAULT 0,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_chain_trans_stage_8fd0c8" ON "chain_transactions" ("stage", "signer", "nonce");
COMMENT ON TABLE "chain_transactions" IS 'A transaction that we sign: nonce and content are fixed, only its fee may rise.';

-- Create model DepositAccount
CREATE TABLE "deposit_accounts" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "address" VARCHAR(42) NOT NULL  PRIMARY KEY,
    "escrow_id" UUID NOT NULL,
    "operation_id" UUID NOT NULL,
    "contract_id" VARCHAR(36) NOT NULL DEFAULT '',
    "due_minor" BIGINT NOT NULL,
    "first_block" BIGINT NOT NULL,
    "state" VARCHAR(8) NOT NULL DEFAULT 'OPEN',
    "payment_ref" VARCHAR(100) NOT NULL DEFAULT '',
    "deposits" JSONB NOT NULL,
    "overfull" BOOL NOT NULL DEFAULT FALSE,
    "waiting" BOOL NOT NULL DEFAULT FALSE,
    "newest_block" BIGINT,
    "accepted_minor" BIGINT NOT NULL DEFAULT 0,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_deposit_acc_waiting_ee289f" ON "deposit_accounts" ("waiting");
CREATE INDEX "idx_deposit_acc_newest__1c0113" ON "deposit_accounts" ("newest_block");
COMMENT ON TABLE "deposit_accounts" IS 'A deposit address and all that came to it; amounts in micro-USDC, addresses lower-case.';

-- Create model DepositNumber
CREATE TABLE "deposit_numbers" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "number" BIGINT NOT NULL  PRIMARY KEY,
    "reference" VARCHAR(64) NOT NULL,
    "address" VARCHAR(42)
);
COMMENT ON TABLE "deposit_numbers" IS 'Which key of the wallet''s path is whose; given once and for ever.';

-- Create model ScreeningAnswer
CREATE TABLE "screening_answers" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "address" VARCHAR(42) NOT NULL,
    "provider" VARCHAR(24) NOT NULL,
    "risk" VARCHAR(12) NOT NULL,
    "score" INT,
    "reason" VARCHAR(120) NOT NULL DEFAULT '',
    "asked_at" TIMESTAMPTZ NOT NULL,
    "encrypted" BYTEA NOT NULL,
    "keep_until" TIMESTAMPTZ NOT NULL
);
CREATE INDEX "idx_screening_a_address_766251" ON "screening_answers" ("address", "asked_at");
CREATE INDEX "idx_screening_a_keep_un_9eb9a3" ON "screening_answers" ("keep_until");
COMMENT ON TABLE "screening_answers" IS 'A provider''s raw answer, encrypted, kept for seven years.';

-- Create model WalletScreening
CREATE TABLE "wallet_screenings" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "address" VARCHAR(42) NOT NULL,
    "risk" VARCHAR(12) NOT NULL,
    "score" INT,
    "complete" BOOL NOT NULL,
    "asked_at" TIMESTAMPTZ NOT NULL
);
CREATE INDEX "idx_wallet_scre_address_f2f503" ON "wallet_screenings" ("address", "asked_at");
COMMENT ON TABLE "wallet_screenings" IS 'What all providers together said of a wallet at one time.';

-- Add constraint to ChainTransaction
ALTER TABLE "chain_transactions" ADD CONSTRAINT "chain_transactions_stage_known" CHECK (stage IN ('RESERVED', 'MINED', 'REVERTED'));

-- Add constraint to ChainTransaction
ALTER TABLE "chain_transactions" ADD CONSTRAINT "chain_transactions_nonce" UNIQUE ("signer", "nonce");

-- Add constraint to DepositAccount
ALTER TABLE "deposit_accounts" ADD CONSTRAINT "deposit_accounts_state_known" CHECK (state IN ('OPEN', 'PAID', 'CLOSED'));

-- Add constraint to DepositAccount
ALTER TABLE "deposit_accounts" ADD CONSTRAINT "deposit_accounts_one_an_escrow" UNIQUE ("escrow_id");

-- Add constraint to DepositAccount
ALTER TABLE "deposit_accounts" ADD CONSTRAINT "deposit_accounts_due" CHECK (due_minor > 0);

-- Add constraint to DepositNumber
ALTER TABLE "deposit_numbers" ADD CONSTRAINT "deposit_numbers_once" UNIQUE ("reference");

-- Add constraint to DepositNumber
ALTER TABLE "deposit_numbers" ADD CONSTRAINT "deposit_numbers_address" UNIQUE ("address");

-- Add constraint to WalletScreening
ALTER TABLE "wallet_screenings" ADD CONSTRAINT "wallet_screenings_risk_known" CHECK (risk IN ('LOW', 'MEDIUM', 'UNKNOWN', 'HIGH', 'SANCTIONED'));
