-- 0008_evidence_notices, fbc63702948ecd832decb755696297dbc30a44114ee59bca7ac66700d7366f00; written by scripts/migrations.py

-- Create model EvidenceFile
CREATE TABLE "evidence_files" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "escrow_id" UUID NOT NULL,
    "side" VARCHAR(24) NOT NULL,
    "position" INT NOT NULL,
    "kind" VARCHAR(24) NOT NULL,
    "note" VARCHAR(500) NOT NULL DEFAULT '',
    "content_type" VARCHAR(40) NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "sha256" VARCHAR(64) NOT NULL,
    "created_by" UUID NOT NULL,
    "stored_at" TIMESTAMPTZ
);
CREATE INDEX "idx_evidence_fi_created_b8b8e6" ON "evidence_files" ("created_by", "created_at");
CREATE INDEX "idx_evidence_fi_stored__db3690" ON "evidence_files" ("stored_at");
COMMENT ON TABLE "evidence_files" IS 'A file that a side has given as evidence; the store has it under `evidence/`.';

-- Create model Export
CREATE TABLE "exports" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(24) NOT NULL,
    "requested_by" UUID NOT NULL,
    "asked" JSONB NOT NULL,
    "status" VARCHAR(24) NOT NULL DEFAULT 'ACCEPTED',
    "attempts" INT NOT NULL DEFAULT 0,
    "next_at" TIMESTAMPTZ,
    "object_key" VARCHAR(120),
    "sha256" VARCHAR(64),
    "size_bytes" BIGINT,
    "facts" JSONB,
    "finished_at" TIMESTAMPTZ,
    "deleted_at" TIMESTAMPTZ,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_exports_request_915480" ON "exports" ("requested_by", "created_at");
CREATE INDEX "idx_exports_next_at_77a1e2" ON "exports" ("next_at");
COMMENT ON TABLE "exports" IS 'Data that somebody asked for, put together in the background and kept for a day.';

-- Create model Handover
CREATE TABLE "handovers" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "escrow_id" UUID NOT NULL  PRIMARY KEY,
    "buyer_id" UUID NOT NULL,
    "seller_id" UUID NOT NULL,
    "universe_id" BIGINT NOT NULL,
    "delivered_at" TIMESTAMPTZ NOT NULL,
    "next_check_at" TIMESTAMPTZ,
    "checks" INT NOT NULL DEFAULT 0,
    "checked_at" TIMESTAMPTZ,
    "ownership" VARCHAR(24),
    "owner_type" VARCHAR(24),
    "owner_id" BIGINT,
    "owner_name" VARCHAR(200),
    "snapshot_id" UUID,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_handovers_next_ch_31a4e1" ON "handovers" ("next_check_at");
COMMENT ON TABLE "handovers" IS 'Whether the buyer of a delivered trade is seen as owner of the experience by now.';

-- Create model NotificationPreference
CREATE TABLE "notification_preferences" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "category" VARCHAR(24) NOT NULL,
    "place" VARCHAR(24) NOT NULL DEFAULT 'DISCORD_DM',
    "enabled" BOOL NOT NULL DEFAULT TRUE,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
COMMENT ON TABLE "notification_preferences" IS 'Where a person wants the notices of a category; without a row as by default.';

-- Create model UserSettings
CREATE TABLE "user_settings" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "user_id" UUID NOT NULL  PRIMARY KEY,
    "quiet_start" VARCHAR(5),
    "quiet_end" VARCHAR(5),
    "quiet_zone" VARCHAR(64),
    "quiet_money" BOOL NOT NULL DEFAULT FALSE,
    "discreet" BOOL NOT NULL DEFAULT FALSE,
    "show_roblox" BOOL NOT NULL DEFAULT TRUE,
    "show_trades" BOOL NOT NULL DEFAULT TRUE,
    "offers_from_new" BOOL NOT NULL DEFAULT TRUE,
    "theme" VARCHAR(10) NOT NULL DEFAULT 'system',
    "dm_closed_at" TIMESTAMPTZ,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON TABLE "user_settings" IS 'How a person is told and what others see; quiet hours are \"HH:MM\" in `quiet_zone`.';

-- Remove constraint from DisputeEvidence
ALTER TABLE "dispute_evidence" DROP CONSTRAINT "dispute_evidence_kind_known";

-- Alter options for DisputeEvidence

-- (no-op)

-- Add field asked_side to DisputeEvidence
ALTER TABLE "dispute_evidence" ADD COLUMN "asked_side" VARCHAR(24);

-- Add field question_id to DisputeEvidence
ALTER TABLE "dispute_evidence" ADD COLUMN "question_id" UUID;

-- Add constraint to DisputeEvidence
ALTER TABLE "dispute_evidence" ADD CONSTRAINT "dispute_evidence_kinds" CHECK (kind IN ('STATEMENT', 'NOTE', 'VERDICT', 'QUESTION'));

-- Add constraint to DisputeEvidence
ALTER TABLE "dispute_evidence" ADD CONSTRAINT "dispute_evidence_questions" CHECK ((kind = 'QUESTION') = (asked_side IS NOT NULL) AND (question_id IS NULL OR kind = 'STATEMENT'));

-- Add constraint to EvidenceFile
ALTER TABLE "evidence_files" ADD CONSTRAINT "evidence_files_side_known" CHECK (side IN ('BUYER', 'SELLER'));

-- Add constraint to EvidenceFile
ALTER TABLE "evidence_files" ADD CONSTRAINT "evidence_files_kind_known" CHECK (kind IN ('DELIVERY', 'SCREENSHOT', 'CHAT', 'PAYMENT', 'OTHER'));

-- Add constraint to EvidenceFile
ALTER TABLE "evidence_files" ADD CONSTRAINT "evidence_files_size" CHECK (size_bytes > 0);

-- Add constraint to EvidenceFile
ALTER TABLE "evidence_files" ADD CONSTRAINT "evidence_files_once" UNIQUE ("escrow_id", "side", "sha256");

-- Add constraint to EvidenceFile
ALTER TABLE "evidence_files" ADD CONSTRAINT "evidence_files_place" UNIQUE ("escrow_id", "side", "position");

-- Add constraint to Export
ALTER TABLE "exports" ADD CONSTRAINT "exports_kind_known" CHECK (kind IN ('PERSON', 'AUDIT'));

-- Add constraint to Export
ALTER TABLE "exports" ADD CONSTRAINT "exports_status_known" CHECK (status IN ('ACCEPTED', 'SUCCEEDED', 'FAILED'));

-- Add constraint to Handover
ALTER TABLE "handovers" ADD CONSTRAINT "handovers_ownership_known" CHECK (ownership IN ('OWNER', 'ADMIN', 'DEVELOPER', 'NONE'));

-- Add constraint to Handover
ALTER TABLE "handovers" ADD CONSTRAINT "handovers_owner_type_known" CHECK (owner_type IN ('USER', 'GROUP'));

-- Add constraint to NotificationPreference
ALTER TABLE "notification_preferences" ADD CONSTRAINT "notification_preferences_place_known" CHECK (place IN ('DISCORD_DM', 'THREAD', 'INBOX'));

-- Add constraint to NotificationPreference
ALTER TABLE "notification_preferences" ADD CONSTRAINT "notification_preferences_category_known" CHECK (category IN ('ESCROW', 'DISPUTES', 'ACCOUNT', 'CONTRACTS', 'OFFERS', 'NEWS'));

-- Add constraint to NotificationPreference
ALTER TABLE "notification_preferences" ADD CONSTRAINT "notification_preferences_never_off" CHECK (enabled OR category NOT IN ('ESCROW', 'DISPUTES', 'ACCOUNT'));

-- Add constraint to NotificationPreference
ALTER TABLE "notification_preferences" ADD CONSTRAINT "notification_preferences_one" UNIQUE ("user_id", "category");

-- Add constraint to UserSettings
ALTER TABLE "user_settings" ADD CONSTRAINT "user_settings_quiet" CHECK ((quiet_start IS NULL) = (quiet_end IS NULL) AND (quiet_start IS NULL) = (quiet_zone IS NULL));

-- Add constraint to UserSettings
ALTER TABLE "user_settings" ADD CONSTRAINT "user_settings_theme_known" CHECK (theme IN ('system', 'light', 'dark'));
