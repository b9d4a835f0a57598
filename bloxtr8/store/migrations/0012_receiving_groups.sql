-- 0012_receiving_groups, 3b88cf5714857714306ea60a41d516b9d2a94d92f174e51b8d2441bf97806afd; written by scripts/migrations.py

-- Create model TradeRemark
CREATE TABLE "trade_remarks" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "escrow_id" UUID NOT NULL,
    "at" TIMESTAMPTZ NOT NULL,
    "kind" VARCHAR(40) NOT NULL,
    "side" VARCHAR(24) NOT NULL,
    "data" JSONB NOT NULL
);
CREATE INDEX "idx_trade_remar_escrow__f8f345" ON "trade_remarks" ("escrow_id", "at");
COMMENT ON TABLE "trade_remarks" IS 'What belongs in a trade''s timeline and is no event of its escrow. `side`: who said it.';

-- Add field receiving_group to Contract
ALTER TABLE "contracts" ADD COLUMN "receiving_group" JSONB;

-- Add field receiving_group_at to Contract
ALTER TABLE "contracts" ADD COLUMN "receiving_group_at" TIMESTAMPTZ;

-- Add field receiving_group_id to Contract
ALTER TABLE "contracts" ADD COLUMN "receiving_group_id" BIGINT;

-- Add constraint to TradeRemark
ALTER TABLE "trade_remarks" ADD CONSTRAINT "trade_remarks_kind_known" CHECK (kind IN ('OWNERSHIP_SEEN', 'RECEIVING_GROUP_SET'));

-- Add constraint to TradeRemark
ALTER TABLE "trade_remarks" ADD CONSTRAINT "trade_remarks_side_known" CHECK (side IN ('BUYER', 'SELLER', 'SYSTEM'));
