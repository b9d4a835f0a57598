-- 0006_listings_guards, 2e7440c84b57b770a9d939f29ff1f853226683c84ecbe120ea8e9cd499500542; written by scripts/migrations.py

-- Run SQL
ALTER TABLE listings ADD COLUMN tags varchar(24)[] NOT NULL DEFAULT '{}' CONSTRAINT listings_tags CHECK (cardinality(tags) <= 5);
ALTER TABLE listings ADD COLUMN price_band varchar(24) NOT NULL GENERATED ALWAYS AS (CASE WHEN price_minor < 500000 THEN 'under-5k' WHEN price_minor < 2000000 THEN '5k-20k' WHEN price_minor < 10000000 THEN '20k-100k' ELSE '100k-plus' END) STORED;
ALTER TABLE listings ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (setweight(to_tsvector('english'::regconfig, title), 'A') || setweight(to_tsvector('english'::regconfig, summary), 'B')) STORED;

-- Run SQL
CREATE INDEX listings_newest ON listings (created_at DESC, id DESC) WHERE status = 'ACTIVE';
CREATE INDEX listings_cheapest ON listings (price_minor, id) WHERE status = 'ACTIVE';
CREATE INDEX listings_of_category ON listings (category, created_at DESC, id DESC) WHERE status = 'ACTIVE';
CREATE INDEX listings_of_band ON listings (price_band, created_at DESC, id DESC) WHERE status = 'ACTIVE';
CREATE INDEX listings_of_seller ON listings (seller_id, created_at DESC, id DESC);
CREATE INDEX listings_tagged ON listings USING gin (tags) WHERE status = 'ACTIVE';
CREATE INDEX listings_found ON listings USING gin (search) WHERE status = 'ACTIVE';
CREATE INDEX listings_to_check ON listings (check_due_at) WHERE status = 'ACTIVE';
CREATE INDEX listings_untouched ON listings (updated_at) WHERE status = 'ACTIVE';
CREATE INDEX listing_messages_due ON listing_messages (next_at) WHERE wanted_version <> listing_version;
CREATE INDEX offers_due ON offers (expires_at) WHERE status = 'PENDING';
CREATE INDEX offers_of_buyer ON offers (buyer_id, created_at DESC, id DESC);
CREATE INDEX offers_of_seller ON offers (seller_id, created_at DESC, id DESC);
CREATE INDEX notification_deliveries_due ON notification_deliveries (next_attempt_at) WHERE status IN ('PENDING', 'RETRYING', 'DEFERRED');
CREATE INDEX outages_open ON outages (scope) WHERE ended_at IS NULL;

-- Run SQL
ALTER TABLE listings ADD CONSTRAINT listings_reserved_contract FOREIGN KEY (reserved_contract_id) REFERENCES contracts (id) DEFERRABLE INITIALLY DEFERRED;
