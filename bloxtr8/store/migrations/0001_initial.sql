-- 0001_initial, 1e1da9eca7403a10cc0c6815e27ae72aa3118a3af748febd6b08f045190d5a40; written by scripts/migrations.py

-- Create model Approval
CREATE TABLE "approvals" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "action" VARCHAR(40) NOT NULL,
    "subject_type" VARCHAR(30) NOT NULL,
    "subject_id" VARCHAR(64) NOT NULL,
    "subject_version" BIGINT NOT NULL,
    "payload" JSONB NOT NULL,
    "payload_sha256" BYTEA NOT NULL,
    "amount_usd_minor" BIGINT NOT NULL,
    "requested_by" UUID NOT NULL,
    "reason" VARCHAR(1000) NOT NULL,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "status" VARCHAR(24) NOT NULL DEFAULT 'PENDING',
    "decided_by" UUID,
    "decided_at" TIMESTAMPTZ,
    "decision_reason" VARCHAR(1000),
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_approvals_status_e8b55d" ON "approvals" ("status", "expires_at");
COMMENT ON TABLE "approvals" IS 'A second member of staff is asked to agree. `payload` says what to, hashed.';

-- Create model AuditEntry
CREATE TABLE "audit_log" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "at" TIMESTAMPTZ NOT NULL,
    "actor_type" VARCHAR(24) NOT NULL,
    "actor_id" UUID,
    "channel" VARCHAR(24) NOT NULL,
    "action" VARCHAR(60) NOT NULL,
    "subject_type" VARCHAR(30) NOT NULL,
    "subject_id" VARCHAR(64) NOT NULL,
    "escrow_id" UUID,
    "reason" VARCHAR(1000),
    "data" JSONB NOT NULL,
    "ip" VARCHAR(45),
    "user_agent" VARCHAR(300),
    "trace_id" VARCHAR(32) NOT NULL
);
CREATE INDEX "idx_audit_log_subject_697eff" ON "audit_log" ("subject_type", "subject_id", "id");
CREATE INDEX "idx_audit_log_actor_i_9acade" ON "audit_log" ("actor_id", "id");
CREATE INDEX "idx_audit_log_escrow__1cd886" ON "audit_log" ("escrow_id", "id");
CREATE INDEX "idx_audit_log_action_950116" ON "audit_log" ("action", "id");
CREATE INDEX "idx_audit_log_at_63718d" ON "audit_log" ("at");
COMMENT ON TABLE "audit_log" IS 'Who did what, why; append-only.';

-- Create model DeadLetter
CREATE TABLE "dead_letters" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "topic" VARCHAR(80) NOT NULL,
    "partition" INT NOT NULL,
    "kafka_offset" BIGINT NOT NULL,
    "msg_key" VARCHAR(255),
    "headers" JSONB NOT NULL,
    "payload" BYTEA NOT NULL,
    "error_class" VARCHAR(24) NOT NULL,
    "error" VARCHAR(1000) NOT NULL,
    "attempts" INT NOT NULL,
    "status" VARCHAR(24) NOT NULL DEFAULT 'OPEN',
    "handled_by" UUID,
    "handled_at" TIMESTAMPTZ,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_dead_letter_status_62a934" ON "dead_letters" ("status", "created_at");

-- Create model Dispute
CREATE TABLE "disputes" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "escrow_id" UUID NOT NULL,
    "status" VARCHAR(24) NOT NULL,
    "reason" VARCHAR(24) NOT NULL,
    "wanted" VARCHAR(24),
    "opened_kind" VARCHAR(24) NOT NULL,
    "opened_by" UUID,
    "from_state" VARCHAR(24) NOT NULL,
    "statement_id" UUID,
    "outcome" VARCHAR(24),
    "refund_minor" BIGINT,
    "verdict_id" UUID,
    "opened_at" TIMESTAMPTZ NOT NULL,
    "overdue_at" TIMESTAMPTZ,
    "closed_at" TIMESTAMPTZ,
    "claimed_by" UUID,
    "claimed_at" TIMESTAMPTZ,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_disputes_escrow__8939b0" ON "disputes" ("escrow_id", "opened_at");
CREATE INDEX "idx_disputes_status_6672a6" ON "disputes" ("status", "opened_at");

-- Create model DisputeEvidence
CREATE TABLE "dispute_evidence" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "escrow_id" UUID NOT NULL,
    "side" VARCHAR(24) NOT NULL,
    "kind" VARCHAR(24) NOT NULL,
    "text" VARCHAR(5000) NOT NULL,
    "sha256" VARCHAR(64) NOT NULL,
    "created_by" UUID
);
CREATE INDEX "idx_dispute_evi_escrow__7ed426" ON "dispute_evidence" ("escrow_id", "created_at");
COMMENT ON TABLE "dispute_evidence" IS 'A statement, a note or a verdict; messages name it by id and SHA-256.';

-- Create model Escrow
CREATE TABLE "escrows" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "contract_id" UUID,
    "buyer_id" UUID,
    "seller_id" UUID,
    "state" VARCHAR(24) NOT NULL,
    "version" BIGINT NOT NULL,
    "fencing_token" BIGINT NOT NULL,
    "rail" VARCHAR(24) NOT NULL,
    "currency" VARCHAR(5) NOT NULL,
    "price_minor" BIGINT NOT NULL,
    "buyer_fee_minor" BIGINT NOT NULL,
    "seller_fee_minor" BIGINT NOT NULL,
    "received_minor" BIGINT NOT NULL,
    "held_minor" BIGINT NOT NULL,
    "released_minor" BIGINT NOT NULL,
    "refunded_minor" BIGINT NOT NULL,
    "fees_minor" BIGINT NOT NULL,
    "deadline_kind" VARCHAR(24),
    "deadline_at" TIMESTAMPTZ,
    "deadline_version" BIGINT NOT NULL DEFAULT 0,
    "hold_kind" VARCHAR(24),
    "hold_since" TIMESTAMPTZ,
    "dispute_reason" VARCHAR(24),
    "disputed_at" TIMESTAMPTZ,
    "state_bytes" BYTEA NOT NULL,
    "chain_hash" BYTEA NOT NULL,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "ended_at" TIMESTAMPTZ
);
CREATE INDEX "idx_escrows_contrac_6e7840" ON "escrows" ("contract_id");
CREATE INDEX "idx_escrows_buyer_i_983f5a" ON "escrows" ("buyer_id", "updated_at", "id");
CREATE INDEX "idx_escrows_seller__c5b168" ON "escrows" ("seller_id", "updated_at", "id");
CREATE INDEX "idx_escrows_state_b9a5f3" ON "escrows" ("state", "updated_at", "id");
CREATE INDEX "idx_escrows_deadlin_42e67f" ON "escrows" ("deadline_at");
CREATE INDEX "idx_escrows_updated_e27704" ON "escrows" ("updated_at", "id");
COMMENT ON TABLE "escrows" IS 'One escrow as its events say. `state_bytes` is the serialized message Escrow.';

-- Create model EscrowEvent
CREATE TABLE "escrow_events" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "escrow_id" UUID NOT NULL,
    "sequence" BIGINT NOT NULL,
    "fencing_token" BIGINT NOT NULL,
    "message_id" UUID NOT NULL,
    "causation_id" VARCHAR(36) NOT NULL,
    "correlation_id" VARCHAR(64) NOT NULL,
    "trace_id" VARCHAR(32) NOT NULL,
    "type" VARCHAR(60) NOT NULL,
    "state" VARCHAR(24) NOT NULL,
    "actor_kind" VARCHAR(24) NOT NULL,
    "actor_id" UUID,
    "occurred_at" TIMESTAMPTZ NOT NULL,
    "payload" BYTEA NOT NULL,
    "prev_hash" BYTEA NOT NULL,
    "hash" BYTEA NOT NULL
);
CREATE INDEX "idx_escrow_even_escrow__04f5fb" ON "escrow_events" ("escrow_id", "id");
CREATE INDEX "idx_escrow_even_occurre_ec3459" ON "escrow_events" ("occurred_at");
COMMENT ON TABLE "escrow_events" IS 'Append-only. `payload` is the message; `hash` chains the rows of an escrow by `id`.';

-- Create model EscrowFunds
CREATE TABLE "escrow_funds" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "escrow_id" UUID NOT NULL  PRIMARY KEY,
    "currency" VARCHAR(5) NOT NULL,
    "received_minor" BIGINT NOT NULL DEFAULT 0,
    "paid_out_minor" BIGINT NOT NULL DEFAULT 0,
    "refunded_minor" BIGINT NOT NULL DEFAULT 0,
    "fees_minor" BIGINT NOT NULL DEFAULT 0,
    "stray_received_minor" BIGINT NOT NULL DEFAULT 0,
    "stray_refunded_minor" BIGINT NOT NULL DEFAULT 0,
    "fencing_token" BIGINT NOT NULL DEFAULT 0,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON TABLE "escrow_funds" IS 'What the payments agent knows of an escrow''s money; its row lock serialises the escrow.';

-- Create model IdempotencyKey
CREATE TABLE "idempotency_keys" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "caller" VARCHAR(64) NOT NULL,
    "route" VARCHAR(120) NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    "fingerprint" BYTEA NOT NULL,
    "status_code" INT,
    "response" JSONB,
    "expires_at" TIMESTAMPTZ NOT NULL
);
CREATE INDEX "idx_idempotency_expires_ae52bb" ON "idempotency_keys" ("expires_at");
COMMENT ON TABLE "idempotency_keys" IS 'An answer that must be given again. Only rows of finished requests are ever committed.';

-- Create model InboxMessage
CREATE TABLE "inbox_messages" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "consumer" VARCHAR(60) NOT NULL,
    "message_id" UUID NOT NULL,
    "result" VARCHAR(24) NOT NULL,
    "processed_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_inbox_messa_process_9606f8" ON "inbox_messages" ("processed_at");
COMMENT ON TABLE "inbox_messages" IS 'A message whose effect is in the database.';

-- Create model LedgerAccount
CREATE TABLE "ledger_accounts" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "account" VARCHAR(100) NOT NULL,
    "currency" VARCHAR(5) NOT NULL,
    "balance_minor" BIGINT NOT NULL DEFAULT 0,
    "floor_minor" BIGINT,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON TABLE "ledger_accounts" IS 'The balance of an account: the sum of its lines. Without `floor_minor` it may be negative.';

-- Create model LedgerEntry
CREATE TABLE "ledger_entries" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "transaction_id" UUID NOT NULL,
    "line" SMALLINT NOT NULL,
    "kind" VARCHAR(40) NOT NULL,
    "account" VARCHAR(100) NOT NULL,
    "currency" VARCHAR(5) NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "escrow_id" UUID,
    "event_id" UUID NOT NULL,
    "occurred_at" TIMESTAMPTZ NOT NULL
);
CREATE INDEX "idx_ledger_entr_escrow__4a3c3b" ON "ledger_entries" ("escrow_id", "id");
CREATE INDEX "idx_ledger_entr_account_b5570b" ON "ledger_entries" ("account", "currency", "id");
COMMENT ON TABLE "ledger_entries" IS 'One line of a transaction; a transaction''s lines sum to zero per currency.';

-- Create model Operation
CREATE TABLE "operations" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(40) NOT NULL,
    "escrow_id" UUID,
    "requested_by" UUID,
    "channel" VARCHAR(24) NOT NULL,
    "status" VARCHAR(24) NOT NULL DEFAULT 'ACCEPTED',
    "command" BYTEA NOT NULL,
    "traceparent" VARCHAR(55) NOT NULL,
    "not_after" TIMESTAMPTZ NOT NULL,
    "sent_at" TIMESTAMPTZ,
    "escrow_version" BIGINT,
    "result" JSONB,
    "error_code" VARCHAR(60),
    "approval_id" UUID,
    "finished_at" TIMESTAMPTZ,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_operations_escrow__ed70f1" ON "operations" ("escrow_id", "created_at");
CREATE INDEX "idx_operations_request_83243f" ON "operations" ("requested_by", "created_at");
COMMENT ON TABLE "operations" IS 'A command on its way; its id is the command''s. `command` is the serialized message.';

-- Create model OutboxMessage
CREATE TABLE "outbox" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "event_id" UUID NOT NULL,
    "topic" VARCHAR(80) NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    "event_type" VARCHAR(60) NOT NULL,
    "payload" BYTEA NOT NULL,
    "headers" JSONB NOT NULL,
    "published_at" TIMESTAMPTZ,
    "attempts" INT NOT NULL DEFAULT 0,
    "last_error" VARCHAR(500)
);
COMMENT ON TABLE "outbox" IS 'A message that a transaction has to say; `headers` are hex by name.';

-- Create model PaymentArtifact
CREATE TABLE "payment_artifacts" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "provider" VARCHAR(24) NOT NULL,
    "kind" VARCHAR(24) NOT NULL,
    "ref" VARCHAR(255) NOT NULL,
    "escrow_id" UUID NOT NULL,
    "operation_id" UUID,
    "amount_minor" BIGINT,
    "currency" VARCHAR(5),
    "status" VARCHAR(40),
    "raw" BYTEA,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_payment_art_escrow__d2eb39" ON "payment_artifacts" ("escrow_id", "kind");
CREATE INDEX "idx_payment_art_operati_bd99cf" ON "payment_artifacts" ("operation_id");
COMMENT ON TABLE "payment_artifacts" IS 'An object at a provider: intent, charge, transfer, reversal, refund, dispute.';

-- Create model PaymentOperation
CREATE TABLE "payment_operations" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "operation_id" UUID NOT NULL  PRIMARY KEY,
    "escrow_id" UUID NOT NULL,
    "contract_id" UUID,
    "kind" VARCHAR(24) NOT NULL,
    "generation" INT NOT NULL,
    "attempt" INT NOT NULL DEFAULT 1,
    "rail" VARCHAR(24) NOT NULL,
    "provider" VARCHAR(24) NOT NULL,
    "amount_minor" BIGINT NOT NULL,
    "fees_minor" BIGINT NOT NULL DEFAULT 0,
    "currency" VARCHAR(5) NOT NULL,
    "destination" VARCHAR(128),
    "party_id" UUID,
    "intent_operation_id" UUID,
    "payment_ref" VARCHAR(255),
    "status" VARCHAR(24) NOT NULL DEFAULT 'REQUESTED',
    "provider_ref" VARCHAR(255),
    "attempts" INT NOT NULL DEFAULT 0,
    "last_error" VARCHAR(500),
    "result" JSONB,
    "not_before" TIMESTAMPTZ,
    "lease_owner" TEXT,
    "lease_until" TIMESTAMPTZ,
    "fencing_token" BIGINT NOT NULL,
    "escrow_sequence" BIGINT NOT NULL,
    "command_id" UUID NOT NULL,
    "traceparent" VARCHAR(55) NOT NULL DEFAULT '',
    "correlation_id" VARCHAR(64) NOT NULL DEFAULT '',
    "requested_at" TIMESTAMPTZ NOT NULL,
    "sent_at" TIMESTAMPTZ,
    "finished_at" TIMESTAMPTZ,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_payment_ope_status_c1c664" ON "payment_operations" ("status", "not_before");
CREATE INDEX "idx_payment_ope_escrow__7bfaf3" ON "payment_operations" ("escrow_id", "status");
CREATE INDEX "idx_payment_ope_payment_0753e2" ON "payment_operations" ("payment_ref");
COMMENT ON TABLE "payment_operations" IS 'One effect on the outside. `not_before` is when it may be tried (again).';

-- Create model StaffMember
CREATE TABLE "staff_members" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "user_id" UUID NOT NULL  PRIMARY KEY,
    "role" VARCHAR(24) NOT NULL,
    "granted_by" UUID,
    "granted_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "revoked_at" TIMESTAMPTZ,
    "revoke_reason" VARCHAR(1000),
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Create model StaffTask
CREATE TABLE "staff_tasks" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(40) NOT NULL,
    "subject_type" VARCHAR(30) NOT NULL,
    "subject_id" VARCHAR(64) NOT NULL,
    "amount_usd_minor" BIGINT,
    "priority" INT NOT NULL DEFAULT 0,
    "due_at" TIMESTAMPTZ NOT NULL,
    "status" VARCHAR(24) NOT NULL DEFAULT 'OPEN',
    "claimed_by" UUID,
    "claimed_at" TIMESTAMPTZ,
    "closed_at" TIMESTAMPTZ,
    "outcome" VARCHAR(60),
    "version" INT NOT NULL DEFAULT 1,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_staff_tasks_status_bcae17" ON "staff_tasks" ("status", "priority", "due_at");
COMMENT ON TABLE "staff_tasks" IS 'Something a person of staff has to look at.';

-- Create model User
CREATE TABLE "users" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "display_name" VARCHAR(80) NOT NULL,
    "avatar_url" VARCHAR(512),
    "email" VARCHAR(254),
    "email_verified" BOOL NOT NULL DEFAULT FALSE,
    "tier" VARCHAR(24) NOT NULL DEFAULT 'TIER_0',
    "tier2_until" TIMESTAMPTZ,
    "status" VARCHAR(24) NOT NULL DEFAULT 'ACTIVE',
    "status_reason" VARCHAR(1000),
    "locale" VARCHAR(10) NOT NULL DEFAULT 'en',
    "timezone" VARCHAR(64) NOT NULL DEFAULT 'UTC',
    "last_seen_at" TIMESTAMPTZ,
    "closed_at" TIMESTAMPTZ,
    "version" INT NOT NULL DEFAULT 1,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_users_status_941fc1" ON "users" ("status");
CREATE INDEX "idx_users_tier_84b6c5" ON "users" ("tier");

-- Create model Contract
CREATE TABLE "contracts" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "ref" VARCHAR(9) NOT NULL UNIQUE,
    "offer_id" UUID NOT NULL UNIQUE,
    "listing_id" UUID NOT NULL,
    "snapshot_id" UUID,
    "escrow_id" UUID NOT NULL UNIQUE,
    "status" VARCHAR(24) NOT NULL DEFAULT 'PENDING_SIGNATURE',
    "terms" JSONB,
    "price_minor" BIGINT NOT NULL,
    "rail" VARCHAR(24) NOT NULL,
    "settle_currency" VARCHAR(5) NOT NULL,
    "settle_minor" BIGINT NOT NULL,
    "fee_schedule" VARCHAR(8) NOT NULL,
    "buyer_fee_minor" BIGINT NOT NULL,
    "seller_fee_minor" BIGINT NOT NULL,
    "delivery_days" INT NOT NULL DEFAULT 7,
    "pdf_sha256" BYTEA,
    "rendered_at" TIMESTAMPTZ,
    "sign_deadline_at" TIMESTAMPTZ,
    "final_sha256" BYTEA,
    "executed_at" TIMESTAMPTZ,
    "voided_at" TIMESTAMPTZ,
    "void_reason" VARCHAR(24),
    "version" INT NOT NULL DEFAULT 1,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "buyer_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT,
    "seller_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_contracts_buyer_i_ffc33d" ON "contracts" ("buyer_id", "status");
CREATE INDEX "idx_contracts_seller__568b86" ON "contracts" ("seller_id", "status");
CREATE INDEX "idx_contracts_listing_29d974" ON "contracts" ("listing_id");
COMMENT ON TABLE "contracts" IS 'Amounts: `price_minor` in cents; `settle_minor` and fees in the settlement currency.';

-- Create model PayoutMethod
CREATE TABLE "payout_methods" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(24) NOT NULL,
    "external_ref" VARCHAR(64) NOT NULL,
    "status" VARCHAR(24) NOT NULL DEFAULT 'PENDING',
    "proof" JSONB,
    "verified_at" TIMESTAMPTZ,
    "usable_from" TIMESTAMPTZ,
    "disabled_at" TIMESTAMPTZ,
    "is_default" BOOL NOT NULL DEFAULT FALSE,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
COMMENT ON TABLE "payout_methods" IS 'Where a seller is paid: `external_ref` is a connected account or a wallet address.';

-- Create model Session
CREATE TABLE "sessions" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "auth_time" TIMESTAMPTZ NOT NULL,
    "mfa" BOOL NOT NULL DEFAULT FALSE,
    "ip" VARCHAR(45),
    "user_agent" VARCHAR(300),
    "last_used_at" TIMESTAMPTZ NOT NULL,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "revoked_at" TIMESTAMPTZ,
    "revoke_reason" VARCHAR(40),
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_sessions_user_id_80072d" ON "sessions" ("user_id");
CREATE INDEX "idx_sessions_expires_6bcc94" ON "sessions" ("expires_at");

-- Create model WebhookEvent
CREATE TABLE "webhook_events" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "provider" VARCHAR(24) NOT NULL,
    "provider_event_id" VARCHAR(255) NOT NULL,
    "provider_payment_id" VARCHAR(255) NOT NULL DEFAULT '',
    "type" VARCHAR(100) NOT NULL,
    "raw" BYTEA NOT NULL,
    "escrow_id" UUID,
    "status" VARCHAR(24) NOT NULL DEFAULT 'RECEIVED',
    "received_at" TIMESTAMPTZ NOT NULL,
    "handled_at" TIMESTAMPTZ
);
CREATE INDEX "idx_webhook_eve_escrow__666b9f" ON "webhook_events" ("escrow_id", "received_at");
CREATE INDEX "idx_webhook_eve_status_23a922" ON "webhook_events" ("status", "received_at");
COMMENT ON TABLE "webhook_events" IS 'A provider''s call, kept as it came; also what makes a repeated one known years later.';

-- Add constraint to Approval
ALTER TABLE "approvals" ADD CONSTRAINT "approvals_status_known" CHECK (status IN ('PENDING', 'APPROVED', 'REJECTED', 'EXPIRED', 'EXECUTED'));

-- Add constraint to Approval
CREATE UNIQUE INDEX "approvals_one_pending" ON "approvals" ("action", "subject_id") WHERE status = 'PENDING';

-- Add constraint to Approval
ALTER TABLE "approvals" ADD CONSTRAINT "approvals_two_people" CHECK (decided_by <> requested_by);

-- Add constraint to DeadLetter
ALTER TABLE "dead_letters" ADD CONSTRAINT "dead_letters_once" UNIQUE ("topic", "partition", "kafka_offset");

-- Add constraint to Dispute
ALTER TABLE "disputes" ADD CONSTRAINT "disputes_status_known" CHECK (status IN ('OPEN', 'WITHDRAWN', 'RESOLVED'));

-- Add constraint to Dispute
CREATE UNIQUE INDEX "disputes_one_open" ON "disputes" ("escrow_id") WHERE status = 'OPEN';

-- Add constraint to DisputeEvidence
ALTER TABLE "dispute_evidence" ADD CONSTRAINT "dispute_evidence_side_known" CHECK (side IN ('BUYER', 'SELLER', 'STAFF'));

-- Add constraint to DisputeEvidence
ALTER TABLE "dispute_evidence" ADD CONSTRAINT "dispute_evidence_kind_known" CHECK (kind IN ('STATEMENT', 'NOTE', 'VERDICT'));

-- Add constraint to Escrow
ALTER TABLE "escrows" ADD CONSTRAINT "escrows_money_adds_up" CHECK (received_minor = held_minor + released_minor + refunded_minor + fees_minor);

-- Add constraint to Escrow
ALTER TABLE "escrows" ADD CONSTRAINT "escrows_money_not_negative" CHECK (least(held_minor, released_minor, refunded_minor, fees_minor) >= 0);

-- Add constraint to EscrowEvent
ALTER TABLE "escrow_events" ADD CONSTRAINT "escrow_events_once" UNIQUE ("escrow_id", "sequence", "fencing_token");

-- Add constraint to EscrowFunds
ALTER TABLE "escrow_funds" ADD CONSTRAINT "escrow_funds_within_received" CHECK (paid_out_minor + refunded_minor + fees_minor <= received_minor);

-- Add constraint to EscrowFunds
ALTER TABLE "escrow_funds" ADD CONSTRAINT "escrow_funds_within_stray" CHECK (stray_refunded_minor <= stray_received_minor);

-- Add constraint to EscrowFunds
ALTER TABLE "escrow_funds" ADD CONSTRAINT "escrow_funds_not_negative" CHECK (least(paid_out_minor, refunded_minor, fees_minor, stray_refunded_minor) >= 0);

-- Add constraint to IdempotencyKey
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_once" UNIQUE ("caller", "route", "key");

-- Add constraint to InboxMessage
ALTER TABLE "inbox_messages" ADD CONSTRAINT "inbox_messages_once" UNIQUE ("consumer", "message_id");

-- Add constraint to LedgerAccount
ALTER TABLE "ledger_accounts" ADD CONSTRAINT "ledger_accounts_once" UNIQUE ("account", "currency");

-- Add constraint to LedgerAccount
ALTER TABLE "ledger_accounts" ADD CONSTRAINT "ledger_accounts_floor" CHECK (floor_minor IS NULL OR balance_minor >= floor_minor);

-- Add constraint to LedgerEntry
ALTER TABLE "ledger_entries" ADD CONSTRAINT "ledger_entries_once" UNIQUE ("transaction_id", "line");

-- Add constraint to LedgerEntry
ALTER TABLE "ledger_entries" ADD CONSTRAINT "ledger_entries_something" CHECK (amount_minor <> 0);

-- Add constraint to Operation
ALTER TABLE "operations" ADD CONSTRAINT "operations_status_known" CHECK (status IN ('ACCEPTED', 'SENT', 'SUCCEEDED', 'REJECTED', 'PENDING_APPROVAL', 'STALLED'));

-- Add constraint to OutboxMessage
ALTER TABLE "outbox" ADD CONSTRAINT "outbox_once" UNIQUE ("event_id", "topic");

-- Add constraint to PaymentArtifact
ALTER TABLE "payment_artifacts" ADD CONSTRAINT "payment_artifacts_ref" UNIQUE ("provider", "ref");

-- Add constraint to PaymentOperation
ALTER TABLE "payment_operations" ADD CONSTRAINT "payment_operations_kind_known" CHECK (kind IN ('INTENT', 'CANCEL', 'PAYOUT', 'REFUND', 'STRAY_REFUND'));

-- Add constraint to PaymentOperation
ALTER TABLE "payment_operations" ADD CONSTRAINT "payment_operations_status_known" CHECK (status IN ('REQUESTED', 'SENT', 'CONFIRMED', 'FAILED', 'UNKNOWN'));

-- Add constraint to PaymentOperation
ALTER TABLE "payment_operations" ADD CONSTRAINT "payment_operations_generation" UNIQUE ("escrow_id", "kind", "generation");

-- Add constraint to PaymentOperation
ALTER TABLE "payment_operations" ADD CONSTRAINT "payment_operations_provider_ref" UNIQUE ("provider", "kind", "provider_ref");

-- Add constraint to PaymentOperation
ALTER TABLE "payment_operations" ADD CONSTRAINT "payment_operations_amounts" CHECK (amount_minor >= 0 AND fees_minor >= 0 AND generation > 0);

-- Add constraint to StaffMember
ALTER TABLE "staff_members" ADD CONSTRAINT "staff_members_role_known" CHECK (role IN ('SUPPORT', 'MODERATOR', 'ADMIN'));

-- Add constraint to StaffTask
ALTER TABLE "staff_tasks" ADD CONSTRAINT "staff_tasks_status_known" CHECK (status IN ('OPEN', 'CLAIMED', 'CLOSED'));

-- Add constraint to StaffTask
CREATE UNIQUE INDEX "staff_tasks_one_open" ON "staff_tasks" ("kind", "subject_id") WHERE status <> 'CLOSED';

-- Add constraint to User
ALTER TABLE "users" ADD CONSTRAINT "users_tier_known" CHECK (tier IN ('TIER_0', 'TIER_1', 'TIER_2'));

-- Add constraint to User
ALTER TABLE "users" ADD CONSTRAINT "users_status_known" CHECK (status IN ('ACTIVE', 'FROZEN', 'CLOSED'));

-- Add constraint to Contract
ALTER TABLE "contracts" ADD CONSTRAINT "contracts_status_known" CHECK (status IN ('PENDING_SIGNATURE', 'EXECUTED', 'VOID'));

-- Add constraint to Contract
ALTER TABLE "contracts" ADD CONSTRAINT "contracts_rail_known" CHECK (rail IN ('STRIPE', 'USDC_BASE'));

-- Add constraint to Contract
ALTER TABLE "contracts" ADD CONSTRAINT "contracts_two_parties" CHECK (buyer_id <> seller_id);

-- Add constraint to Contract
ALTER TABLE "contracts" ADD CONSTRAINT "contracts_price_range" CHECK (price_minor BETWEEN 100 AND 100000000);

-- Add constraint to Contract
ALTER TABLE "contracts" ADD CONSTRAINT "contracts_amounts_positive" CHECK (settle_minor > 0 AND buyer_fee_minor >= 0 AND seller_fee_minor >= 0);

-- Add constraint to Contract
ALTER TABLE "contracts" ADD CONSTRAINT "contracts_delivery_days" CHECK (delivery_days BETWEEN 1 AND 30);

-- Add constraint to PayoutMethod
ALTER TABLE "payout_methods" ADD CONSTRAINT "payout_methods_kind_known" CHECK (kind IN ('STRIPE_ACCOUNT', 'BASE_WALLET'));

-- Add constraint to PayoutMethod
ALTER TABLE "payout_methods" ADD CONSTRAINT "payout_methods_status_known" CHECK (status IN ('PENDING', 'VERIFIED', 'DISABLED'));

-- Add constraint to PayoutMethod
CREATE UNIQUE INDEX "payout_methods_one_owner" ON "payout_methods" ("kind", "external_ref") WHERE disabled_at IS NULL;

-- Add constraint to PayoutMethod
CREATE UNIQUE INDEX "payout_methods_one_default" ON "payout_methods" ("user_id", "kind") WHERE is_default;

-- Add constraint to WebhookEvent
ALTER TABLE "webhook_events" ADD CONSTRAINT "webhook_events_status_known" CHECK (status IN ('RECEIVED', 'MATCHED', 'UNMATCHED', 'HANDLED', 'IGNORED'));

-- Add constraint to WebhookEvent
ALTER TABLE "webhook_events" ADD CONSTRAINT "webhook_events_once" UNIQUE ("provider", "provider_event_id");
