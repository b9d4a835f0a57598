-- 0003_people, ba18bdd1cff6f2fddc03d8ed4c2d278101fd07c43452dfc6568e7e916d1d9eb9; written by scripts/migrations.py

-- Create model Account
CREATE TABLE "accounts" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "provider" VARCHAR(24) NOT NULL,
    "external_id" VARCHAR(32) NOT NULL,
    "username" VARCHAR(64) NOT NULL,
    "display_name" VARCHAR(80),
    "provider_created_at" TIMESTAMPTZ,
    "linked_at" TIMESTAMPTZ NOT NULL,
    "unlinked_at" TIMESTAMPTZ,
    "unlink_reason" VARCHAR(200),
    "wait_waived_at" TIMESTAMPTZ,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_accounts_provide_4ad30d" ON "accounts" ("provider", "external_id");
COMMENT ON TABLE "accounts" IS 'A provider''s account of a user: Discord to sign in, Roblox to prove what they own.';

-- Create model AssetVerification
CREATE TABLE "asset_verifications" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "roblox_user_id" BIGINT NOT NULL,
    "universe_id" BIGINT NOT NULL,
    "outcome" VARCHAR(24) NOT NULL,
    "ownership" VARCHAR(24),
    "method" VARCHAR(24) NOT NULL,
    "reason" VARCHAR(60),
    "group_id" BIGINT,
    "evidence" JSONB NOT NULL,
    "approved_by" UUID,
    "checked_at" TIMESTAMPTZ NOT NULL,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_asset_verif_univers_f8986c" ON "asset_verifications" ("universe_id", "outcome");
CREATE INDEX "idx_asset_verif_expires_db2409" ON "asset_verifications" ("expires_at");
COMMENT ON TABLE "asset_verifications" IS 'Whether an experience is the user''s, as found last. `roblox_user_id`: who was asked about.';

-- Create model AuditSeal
CREATE TABLE "audit_chain" (
    "seq" BIGINT NOT NULL  PRIMARY KEY,
    "audit_id" BIGINT NOT NULL UNIQUE,
    "prev_hash" BYTEA NOT NULL,
    "hash" BYTEA NOT NULL,
    "sealed_at" TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE "audit_chain" IS 'A link of the chain over `audit_log`; append-only.';

-- Create model Consent
CREATE TABLE "consents" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "document" VARCHAR(24) NOT NULL,
    "version" VARCHAR(20) NOT NULL,
    "method" VARCHAR(24) NOT NULL,
    "ip" VARCHAR(45),
    "interaction_id" VARCHAR(24),
    "accepted_at" TIMESTAMPTZ NOT NULL,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
COMMENT ON TABLE "consents" IS 'A document, in one version, that a user agreed to.';

-- Create model OauthState
CREATE TABLE "oauth_states" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "state_hash" BYTEA NOT NULL,
    "provider" VARCHAR(24) NOT NULL,
    "purpose" VARCHAR(24) NOT NULL,
    "browser_hash" BYTEA NOT NULL,
    "return_to" VARCHAR(512) NOT NULL,
    "subject" VARCHAR(64),
    "expires_at" TIMESTAMPTZ NOT NULL,
    "consumed_at" TIMESTAMPTZ,
    "outcome" VARCHAR(40),
    "session_id" UUID REFERENCES "sessions" ("id") ON DELETE CASCADE,
    "user_id" UUID REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_oauth_state_expires_fc54e9" ON "oauth_states" ("expires_at");
COMMENT ON TABLE "oauth_states" IS 'A sign-in or link that a browser has begun at a provider.';

-- Create model OneTimeToken
CREATE TABLE "one_time_tokens" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "token_hash" BYTEA NOT NULL,
    "purpose" VARCHAR(24) NOT NULL,
    "subject_id" UUID,
    "data" JSONB,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "consumed_at" TIMESTAMPTZ,
    "misused_at" TIMESTAMPTZ,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_one_time_to_expires_ad5792" ON "one_time_tokens" ("expires_at");
COMMENT ON TABLE "one_time_tokens" IS 'A link that permits one act of one person once.';

-- Create model RefreshToken
CREATE TABLE "refresh_tokens" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "token_hash" BYTEA NOT NULL,
    "issued_at" TIMESTAMPTZ NOT NULL,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "used_at" TIMESTAMPTZ,
    "replaced_by" UUID,
    "session_id" UUID NOT NULL REFERENCES "sessions" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx_refresh_tok_session_11127b" ON "refresh_tokens" ("session_id");
CREATE INDEX "idx_refresh_tok_expires_310999" ON "refresh_tokens" ("expires_at");
COMMENT ON TABLE "refresh_tokens" IS 'One rotation of a session''s refresh token; `token_hash` is its SHA-256.';

-- Create model RobloxCacheEntry
CREATE TABLE "roblox_cache" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "kind" VARCHAR(24) NOT NULL,
    "external_id" BIGINT NOT NULL,
    "payload" JSONB NOT NULL,
    "fetched_at" TIMESTAMPTZ NOT NULL,
    "expires_at" TIMESTAMPTZ NOT NULL
);
CREATE INDEX "idx_roblox_cach_expires_5e020c" ON "roblox_cache" ("expires_at");
COMMENT ON TABLE "roblox_cache" IS 'Decoration that may be old: names, pictures, places. Never ownership.';

-- Create model RobloxSnapshot
CREATE TABLE "roblox_snapshots" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "purpose" VARCHAR(24) NOT NULL,
    "universe_id" BIGINT NOT NULL,
    "root_place_id" BIGINT,
    "name" VARCHAR(200) NOT NULL,
    "description" TEXT,
    "icon_url" VARCHAR(512),
    "creator_type" VARCHAR(24) NOT NULL,
    "creator_id" BIGINT NOT NULL,
    "creator_name" VARCHAR(200),
    "visibility" VARCHAR(20),
    "playing" BIGINT,
    "visits" BIGINT,
    "favorites" BIGINT,
    "max_players" INT,
    "genre" VARCHAR(60),
    "roblox_created_at" TIMESTAMPTZ,
    "roblox_updated_at" TIMESTAMPTZ,
    "roblox_user_id" BIGINT,
    "ownership" VARCHAR(24),
    "risk_score" INT NOT NULL,
    "risk_level" VARCHAR(24) NOT NULL,
    "risk_factors" JSONB NOT NULL,
    "risk_rules" VARCHAR(8) NOT NULL,
    "taken_at" TIMESTAMPTZ NOT NULL,
    "payload" JSONB NOT NULL,
    "payload_sha256" BYTEA NOT NULL,
    "for_user_id" UUID REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_roblox_snap_univers_717f6c" ON "roblox_snapshots" ("universe_id", "taken_at");
CREATE INDEX "idx_roblox_snap_for_use_098cab" ON "roblox_snapshots" ("for_user_id");
COMMENT ON TABLE "roblox_snapshots" IS 'An experience as it was at one moment; append-only. Unknown values are null.';

-- Create model StaffNote
CREATE TABLE "staff_notes" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "author_id" UUID NOT NULL,
    "text" VARCHAR(2000) NOT NULL,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_staff_notes_user_id_39446d" ON "staff_notes" ("user_id", "id");
COMMENT ON TABLE "staff_notes" IS 'What staff remember about a user; the user does not see it.';

-- Create model UserBlock
CREATE TABLE "user_blocks" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "blocked_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_user_blocks_blocked_6add38" ON "user_blocks" ("blocked_id");
COMMENT ON TABLE "user_blocks" IS 'Whom a user does not want to trade with.';

-- Add constraint to Account
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_provider_known" CHECK (provider IN ('DISCORD', 'ROBLOX'));

-- Add constraint to Account
CREATE UNIQUE INDEX "accounts_one_user" ON "accounts" ("provider", "external_id") WHERE unlinked_at IS NULL;

-- Add constraint to Account
CREATE UNIQUE INDEX "accounts_one_of_a_kind" ON "accounts" ("user_id", "provider") WHERE unlinked_at IS NULL;

-- Add constraint to AssetVerification
ALTER TABLE "asset_verifications" ADD CONSTRAINT "asset_verifications_outcome_known" CHECK (outcome IN ('VERIFIED', 'NOT_OWNER'));

-- Add constraint to AssetVerification
ALTER TABLE "asset_verifications" ADD CONSTRAINT "asset_verifications_ownership_known" CHECK (ownership IN ('OWNER', 'ADMIN', 'DEVELOPER'));

-- Add constraint to AssetVerification
ALTER TABLE "asset_verifications" ADD CONSTRAINT "asset_verifications_method_known" CHECK (method IN ('OPEN_CLOUD', 'GAMES_API', 'MANUAL'));

-- Add constraint to AssetVerification
ALTER TABLE "asset_verifications" ADD CONSTRAINT "asset_verifications_ownership" CHECK ((outcome = 'VERIFIED') = (ownership IS NOT NULL));

-- Add constraint to AssetVerification
ALTER TABLE "asset_verifications" ADD CONSTRAINT "asset_verifications_one" UNIQUE ("user_id", "universe_id");

-- Add constraint to AuditSeal
ALTER TABLE "audit_chain" ADD CONSTRAINT "audit_chain_once" UNIQUE ("hash");

-- Add constraint to Consent
ALTER TABLE "consents" ADD CONSTRAINT "consents_document_known" CHECK (document IN ('TERMS', 'PRIVACY', 'AGE_18', 'ROBLOX_POLICY'));

-- Add constraint to Consent
ALTER TABLE "consents" ADD CONSTRAINT "consents_method_known" CHECK (method IN ('WEB', 'DISCORD'));

-- Add constraint to Consent
ALTER TABLE "consents" ADD CONSTRAINT "consents_once" UNIQUE ("user_id", "document", "version");

-- Add constraint to OauthState
ALTER TABLE "oauth_states" ADD CONSTRAINT "oauth_states_once" UNIQUE ("state_hash");

-- Add constraint to OauthState
ALTER TABLE "oauth_states" ADD CONSTRAINT "oauth_states_provider_known" CHECK (provider IN ('DISCORD', 'ROBLOX'));

-- Add constraint to OauthState
ALTER TABLE "oauth_states" ADD CONSTRAINT "oauth_states_purpose_known" CHECK (purpose IN ('LOGIN', 'STEP_UP', 'LINK', 'GROUP_CHECK'));

-- Add constraint to OneTimeToken
ALTER TABLE "one_time_tokens" ADD CONSTRAINT "one_time_tokens_once" UNIQUE ("token_hash");

-- Add constraint to OneTimeToken
ALTER TABLE "one_time_tokens" ADD CONSTRAINT "one_time_tokens_purpose_known" CHECK (purpose IN ('LINK_ROBLOX', 'SIGN_CONTRACT', 'WALLET_PROOF'));

-- Add constraint to RefreshToken
ALTER TABLE "refresh_tokens" ADD CONSTRAINT "refresh_tokens_once" UNIQUE ("token_hash");

-- Add constraint to RobloxCacheEntry
ALTER TABLE "roblox_cache" ADD CONSTRAINT "roblox_cache_one" UNIQUE ("kind", "external_id");

-- Add constraint to RobloxSnapshot
ALTER TABLE "roblox_snapshots" ADD CONSTRAINT "roblox_snapshots_purpose_known" CHECK (purpose IN ('LISTING', 'RELIST', 'ACCEPT', 'DELIVERED', 'RELEASED'));

-- Add constraint to RobloxSnapshot
ALTER TABLE "roblox_snapshots" ADD CONSTRAINT "roblox_snapshots_creator_type_known" CHECK (creator_type IN ('USER', 'GROUP'));

-- Add constraint to RobloxSnapshot
ALTER TABLE "roblox_snapshots" ADD CONSTRAINT "roblox_snapshots_ownership_known" CHECK (ownership IN ('OWNER', 'ADMIN', 'DEVELOPER'));

-- Add constraint to RobloxSnapshot
ALTER TABLE "roblox_snapshots" ADD CONSTRAINT "roblox_snapshots_risk_level_known" CHECK (risk_level IN ('LOW', 'MEDIUM', 'HIGH'));

-- Add constraint to RobloxSnapshot
ALTER TABLE "roblox_snapshots" ADD CONSTRAINT "roblox_snapshots_score" CHECK (risk_score BETWEEN 0 AND 100);

-- Add constraint to UserBlock
ALTER TABLE "user_blocks" ADD CONSTRAINT "user_blocks_once" UNIQUE ("user_id", "blocked_id");

-- Add constraint to UserBlock
ALTER TABLE "user_blocks" ADD CONSTRAINT "user_blocks_two_people" CHECK (user_id <> blocked_id);
