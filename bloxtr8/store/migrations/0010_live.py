"""Tell listeners what has changed for whom, with the commit that changes it."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

# Names only: whoever hears of a change reads the thing, and is judged there.
_TRADE = """
CREATE FUNCTION tell_parties() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR NEW.version IS DISTINCT FROM OLD.version THEN
    PERFORM pg_notify('bloxtr8_live', json_build_array(
      TG_ARGV[0], NEW.id, NEW.version, NEW.buyer_id, NEW.seller_id)::text);
  END IF;
  RETURN NULL;
END $$
"""
_LISTING = """
CREATE FUNCTION tell_seller() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR NEW.version IS DISTINCT FROM OLD.version THEN
    PERFORM pg_notify('bloxtr8_live', json_build_array(
      'listing', NEW.id, NEW.version, NEW.seller_id)::text);
  END IF;
  RETURN NULL;
END $$
"""
_OPERATION = """
CREATE FUNCTION tell_requester() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR NEW.status IS DISTINCT FROM OLD.status
     OR NEW.finished_at IS DISTINCT FROM OLD.finished_at THEN
    PERFORM pg_notify('bloxtr8_live', json_build_array(
      'operation', NEW.id, (extract(epoch FROM NEW.updated_at) * 1000)::bigint,
      NEW.requested_by)::text);
  END IF;
  RETURN NULL;
END $$
"""
_NOTICE = """
CREATE FUNCTION tell_reader() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('bloxtr8_live', json_build_array(
    'notice', NEW.id, (extract(epoch FROM NEW.created_at) * 1000)::bigint, NEW.user_id)::text);
  RETURN NULL;
END $$
"""
_TRIGGERS = (
    ("escrows", "INSERT OR UPDATE", "tell_parties('escrow')"),
    ("offers", "INSERT OR UPDATE", "tell_parties('offer')"),
    ("contracts", "INSERT OR UPDATE", "tell_parties('contract')"),
    ("listings", "INSERT OR UPDATE", "tell_seller()"),
    ("operations", "INSERT OR UPDATE", "tell_requester()"),
    ("notification_deliveries", "INSERT", "tell_reader()"),
)


class Migration(migrations.Migration):
    dependencies = [("models", "0009_contracts")]

    operations = [
        RunSQL(
            [_TRADE, _LISTING, _OPERATION, _NOTICE],
            [
                f"DROP FUNCTION {name}"
                for name in ("tell_reader", "tell_requester", "tell_seller", "tell_parties")
            ],
        ),
        RunSQL(
            [
                f"CREATE TRIGGER {table}_live AFTER {when} ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION {function}"
                for table, when, function in _TRIGGERS
            ],
            [f"DROP TRIGGER {table}_live ON {table}" for table, _when, _function in _TRIGGERS],
        ),
    ]
