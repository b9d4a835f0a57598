-- 0011_signed_bytes, 6ed9e7395c432f1043618429225a174fd077a41a7191685931884d80897fd051; written by scripts/migrations.py

-- Add field signed to ChainTransaction
ALTER TABLE "chain_transactions" ADD COLUMN "signed" TEXT NOT NULL DEFAULT '';
