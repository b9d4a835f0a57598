"""What the models cannot say: append-only tables, sums that hold, indexes with conditions."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

_APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""
_APPEND_ONLY_TABLES = ("escrow_events", "ledger_entries", "audit_log")

# Checked at commit, when all lines of the transaction are there.
_BALANCED = """
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
END $$
"""
_BALANCED_TRIGGER = """
CREATE CONSTRAINT TRIGGER ledger_entries_balanced AFTER INSERT ON ledger_entries
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_balance()
"""

# The last line before money: whatever ordered it, an escrow cannot pay more than it received.
# The funds row is locked first, so that two orders at once see each other.
_WITHIN_RECEIVED = """
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
END $$
"""
_OPERATION_TRIGGER_FUNCTION = """
CREATE FUNCTION check_operation_funds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM require_within_received(NEW.escrow_id);
  RETURN NULL;
END $$
"""
_OPERATION_INSERT_TRIGGER = """
CREATE TRIGGER payment_operations_within_received
AFTER INSERT ON payment_operations FOR EACH ROW
WHEN (NEW.kind IN ('PAYOUT', 'REFUND', 'STRAY_REFUND'))
EXECUTE FUNCTION check_operation_funds()
"""
_OPERATION_UPDATE_TRIGGER = """
CREATE TRIGGER payment_operations_stay_within_received
AFTER UPDATE OF kind, escrow_id, amount_minor, fees_minor, status ON payment_operations
FOR EACH ROW WHEN (
  NEW.kind IN ('PAYOUT', 'REFUND', 'STRAY_REFUND')
  AND (NEW.amount_minor, NEW.fees_minor, NEW.kind, NEW.escrow_id)
      IS DISTINCT FROM (OLD.amount_minor, OLD.fees_minor, OLD.kind, OLD.escrow_id)
  OR (OLD.status = 'FAILED' AND NEW.status <> 'FAILED')
)
EXECUTE FUNCTION check_operation_funds()
"""
_FUNDS_TRIGGER = """
CREATE TRIGGER escrow_funds_cover_operations
AFTER UPDATE OF received_minor, stray_received_minor ON escrow_funds FOR EACH ROW
WHEN (NEW.received_minor < OLD.received_minor
      OR NEW.stray_received_minor < OLD.stray_received_minor)
EXECUTE FUNCTION check_operation_funds()
"""

_INDEXES = (
    "CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL",
    "CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL",
    "CREATE INDEX operations_unfinished ON operations (status, created_at) "
    "WHERE finished_at IS NULL",
    "CREATE INDEX payment_operations_open ON payment_operations (not_before NULLS FIRST) "
    "WHERE finished_at IS NULL",
    "CREATE INDEX sessions_open ON sessions (user_id) WHERE revoked_at IS NULL",
    "CREATE INDEX users_email ON users (lower(email))",
)
_DROP_INDEXES = tuple(f"DROP INDEX {statement.split()[2]}" for statement in _INDEXES)


def _append_only(table: str) -> tuple[str, str]:
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )


class Migration(migrations.Migration):
    dependencies = [("models", "0001_initial")]

    operations = [
        RunSQL(
            [
                _APPEND_ONLY,
                *(statement for table in _APPEND_ONLY_TABLES for statement in _append_only(table)),
            ],
            "DROP FUNCTION refuse_change CASCADE",
        ),
        RunSQL([_BALANCED, _BALANCED_TRIGGER], "DROP FUNCTION require_balance CASCADE"),
        RunSQL(
            [
                _WITHIN_RECEIVED,
                _OPERATION_TRIGGER_FUNCTION,
                _OPERATION_INSERT_TRIGGER,
                _OPERATION_UPDATE_TRIGGER,
                _FUNDS_TRIGGER,
            ],
            [
                "DROP FUNCTION check_operation_funds CASCADE",
                "DROP FUNCTION require_within_received",
            ],
        ),
        RunSQL(list(_INDEXES), list(_DROP_INDEXES)),
        # Tortoise cannot have a foreign key for a primary key without losing track of it.
        RunSQL(
            "ALTER TABLE staff_members ADD CONSTRAINT staff_members_user "
            "FOREIGN KEY (user_id) REFERENCES users (id)",
            "ALTER TABLE staff_members DROP CONSTRAINT staff_members_user",
        ),
    ]
