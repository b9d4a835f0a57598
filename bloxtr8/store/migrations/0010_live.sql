-- 0010_live, bc1cb0de390ff0f5bc8cc88cd6cc11700ef6ebc45a0f788d2d14aea2e0bfc88d; written by scripts/migrations.py

-- Run SQL
CREATE FUNCTION tell_parties() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR NEW.version IS DISTINCT FROM OLD.version THEN
    PERFORM pg_notify('bloxtr8_live', json_build_array(
      TG_ARGV[0], NEW.id, NEW.version, NEW.buyer_id, NEW.seller_id)::text);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION tell_seller() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR NEW.version IS DISTINCT FROM OLD.version THEN
    PERFORM pg_notify('bloxtr8_live', json_build_array(
      'listing', NEW.id, NEW.version, NEW.seller_id)::text);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION tell_requester() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR NEW.status IS DISTINCT FROM OLD.status
     OR NEW.finished_at IS DISTINCT FROM OLD.finished_at THEN
    PERFORM pg_notify('bloxtr8_live', json_build_array(
      'operation', NEW.id, (extract(epoch FROM NEW.updated_at) * 1000)::bigint,
      NEW.requested_by)::text);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION tell_reader() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('bloxtr8_live', json_build_array(
    'notice', NEW.id, (extract(epoch FROM NEW.created_at) * 1000)::bigint, NEW.user_id)::text);
  RETURN NULL;
END $$;

-- Run SQL
CREATE TRIGGER escrows_live AFTER INSERT OR UPDATE ON escrows FOR EACH ROW EXECUTE FUNCTION tell_parties('escrow');
CREATE TRIGGER offers_live AFTER INSERT OR UPDATE ON offers FOR EACH ROW EXECUTE FUNCTION tell_parties('offer');
CREATE TRIGGER contracts_live AFTER INSERT OR UPDATE ON contracts FOR EACH ROW EXECUTE FUNCTION tell_parties('contract');
CREATE TRIGGER listings_live AFTER INSERT OR UPDATE ON listings FOR EACH ROW EXECUTE FUNCTION tell_seller();
CREATE TRIGGER operations_live AFTER INSERT OR UPDATE ON operations FOR EACH ROW EXECUTE FUNCTION tell_requester();
CREATE TRIGGER notification_deliveries_live AFTER INSERT ON notification_deliveries FOR EACH ROW EXECUTE FUNCTION tell_reader();
