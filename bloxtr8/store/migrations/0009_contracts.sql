-- 0009_contracts, 8ba1d2553843dae67d4712631f9cab9f027ffe205e470cbfbac7895422ba86f8; written by scripts/migrations.py

-- Create model ContractTemplate
CREATE TABLE "contract_templates" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "version" VARCHAR(10) NOT NULL  PRIMARY KEY,
    "source_sha256" BYTEA NOT NULL,
    "active_from" TIMESTAMPTZ NOT NULL,
    "retired_at" TIMESTAMPTZ
);
COMMENT ON TABLE "contract_templates" IS 'A released wording and the SHA-256 that it was released with.';

-- Create model Signature
CREATE TABLE "signatures" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "side" VARCHAR(24) NOT NULL,
    "document_sha256" BYTEA NOT NULL,
    "method" VARCHAR(24) NOT NULL,
    "ip" VARCHAR(45),
    "user_agent" VARCHAR(300),
    "interaction_id" VARCHAR(24),
    "token_id" UUID,
    "signed_at" TIMESTAMPTZ NOT NULL,
    "contract_id" UUID NOT NULL REFERENCES "contracts" ("id") ON DELETE RESTRICT,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
COMMENT ON TABLE "signatures" IS 'One side''s signature under the document with that hash; append-only.';

-- Add field reminders to Contract
ALTER TABLE "contracts" ADD COLUMN "reminders" INT NOT NULL DEFAULT 0;

-- Add field render_due_at to Contract
ALTER TABLE "contracts" ADD COLUMN "render_due_at" TIMESTAMPTZ;

-- Add field render_tries to Contract
ALTER TABLE "contracts" ADD COLUMN "render_tries" INT NOT NULL DEFAULT 0;

-- Add field template_version to Contract
ALTER TABLE "contracts" ADD COLUMN "template_version" VARCHAR(10) NOT NULL DEFAULT 'v1';

-- Add field terms_sha256 to Contract
ALTER TABLE "contracts" ADD COLUMN "terms_sha256" BYTEA;

-- Add field void_by to Contract
ALTER TABLE "contracts" ADD COLUMN "void_by" UUID;

-- Add field void_note to Contract
ALTER TABLE "contracts" ADD COLUMN "void_note" VARCHAR(1000);

-- Add constraint to Contract
ALTER TABLE "contracts" ADD CONSTRAINT "contracts_void_reason_known" CHECK (void_reason IN ('EXPIRED', 'DECLINED_BY_BUYER', 'DECLINED_BY_SELLER', 'OWNERSHIP_LOST', 'PARTY_FROZEN', 'STAFF'));

-- Add constraint to Contract
ALTER TABLE "contracts" ADD CONSTRAINT "contracts_voided" CHECK ((status = 'VOID') = (void_reason IS NOT NULL));

-- Add constraint to Signature
ALTER TABLE "signatures" ADD CONSTRAINT "signatures_side_known" CHECK (side IN ('BUYER', 'SELLER'));

-- Add constraint to Signature
ALTER TABLE "signatures" ADD CONSTRAINT "signatures_method_known" CHECK (method IN ('DISCORD', 'WEB'));

-- Add constraint to Signature
ALTER TABLE "signatures" ADD CONSTRAINT "signatures_proved" CHECK (CASE method WHEN 'DISCORD' THEN interaction_id IS NOT NULL ELSE ip IS NOT NULL END);

-- Add constraint to Signature
ALTER TABLE "signatures" ADD CONSTRAINT "signatures_one_a_person" UNIQUE ("contract_id", "user_id");

-- Add constraint to Signature
ALTER TABLE "signatures" ADD CONSTRAINT "signatures_one_a_side" UNIQUE ("contract_id", "side");

-- Run SQL
CREATE TRIGGER signatures_append_only BEFORE UPDATE OR DELETE ON signatures FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER signatures_never_truncated BEFORE TRUNCATE ON signatures FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Run SQL
CREATE INDEX contracts_to_render ON contracts (render_due_at) WHERE render_due_at IS NOT NULL;
CREATE INDEX contracts_to_sign ON contracts (sign_deadline_at) WHERE status = 'PENDING_SIGNATURE';
CREATE UNIQUE INDEX contracts_by_pdf ON contracts (pdf_sha256);
CREATE UNIQUE INDEX contracts_by_final ON contracts (final_sha256);
CREATE INDEX contracts_of_buyer ON contracts (buyer_id, created_at DESC, id DESC);
CREATE INDEX contracts_of_seller ON contracts (seller_id, created_at DESC, id DESC);

-- Run SQL
UPDATE contracts SET render_due_at = created_at WHERE pdf_sha256 IS NULL AND status = 'PENDING_SIGNATURE' AND terms IS NOT NULL;
