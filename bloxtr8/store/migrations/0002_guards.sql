-- 0002_guards, d59b2a47ee87cc4b64bbd8d885ca2d2f2e92f4023b8249b05eafd220e22e15a8; written by scripts/migrations.py

-- Run SQL
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER escrow_events_append_only BEFORE UPDATE OR DELETE ON escrow_events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER escrow_events_no_truncate BEFORE TRUNCATE ON escrow_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entries_no_truncate BEFORE TRUNCATE ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Run SQL
CREATE FUNCTION require_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM ledger_entries WHERE transaction_id = NEW.transaction_id
    GROUP BY currency HAVING sum(amount_minor) <> 0
  ) THEN
    RAISE EXCEPTION 'ledger transaction % does not sum to zero', NEW.transaction_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_balanced';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_entries_balanced AFTER INSERT ON ledger_entries
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_balance();

-- Run SQL
CREATE FUNCTION require_within_received(escrow uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  funds escrow_funds%ROWTYPE;
  out_minor numeric;
  stray_minor numeric;
BEGIN
  SELECT * INTO funds FROM escrow_funds WHERE escrow_id = escrow FOR UPDATE;
  SELECT
    coalesce(sum(amount_minor + fees_minor) FILTER (WHERE kind IN ('PAYOUT', 'REFUND')), 0),
    coalesce(sum(amount_minor) FILTER (WHERE kind = 'STRAY_REFUND'), 0)
  INTO out_minor, stray_minor
  FROM payment_operations WHERE escrow_id = escrow AND status <> 'FAILED';
  IF out_minor > coalesce(funds.received_minor, 0)
     OR stray_minor > coalesce(funds.stray_received_minor, 0) THEN
    RAISE EXCEPTION 'operations of escrow % exceed what it received', escrow
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_operations_within_received';
  END IF;
END $$;
CREATE FUNCTION check_operation_funds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM require_within_received(NEW.escrow_id);
  RETURN NULL;
END $$;
CREATE TRIGGER payment_operations_within_received
AFTER INSERT ON payment_operations FOR EACH ROW
WHEN (NEW.kind IN ('PAYOUT', 'REFUND', 'STRAY_REFUND'))
EXECUTE FUNCTION check_operation_funds();
CREATE TRIGGER payment_operations_stay_within_received
AFTER UPDATE OF kind, escrow_id, amount_minor, fees_minor, status ON payment_operations
FOR EACH ROW WHEN (
  NEW.kind IN ('PAYOUT', 'REFUND', 'STRAY_REFUND')
  AND (NEW.amount_minor, NEW.fees_minor, NEW.kind, NEW.escrow_id)
      IS DISTINCT FROM (OLD.amount_minor, OLD.fees_minor, OLD.kind, OLD.escrow_id)
  OR (OLD.status = 'FAILED' AND NEW.status <> 'FAILED')
)
EXECUTE FUNCTION check_operation_funds();
CREATE TRIGGER escrow_funds_cover_operations
AFTER UPDATE OF received_minor, stray_received_minor ON escrow_funds FOR EACH ROW
WHEN (NEW.received_minor < OLD.received_minor
      OR NEW.stray_received_minor < OLD.stray_received_minor)
EXECUTE FUNCTION check_operation_funds();

-- Run SQL
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX operations_unfinished ON operations (status, created_at) WHERE finished_at IS NULL;
CREATE INDEX payment_operations_open ON payment_operations (not_before NULLS FIRST) WHERE finished_at IS NULL;
CREATE INDEX sessions_open ON sessions (user_id) WHERE revoked_at IS NULL;
CREATE INDEX users_email ON users (lower(email));

-- Run SQL
ALTER TABLE staff_members ADD CONSTRAINT staff_members_user FOREIGN KEY (user_id) REFERENCES users (id);
