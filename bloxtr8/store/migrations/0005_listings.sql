-- 0005_listings, 4099971b21edfefa12bc7969134ca0cc0fa57960c5c5802e6be012e51aaeb250; written by scripts/migrations.py

-- Create model Guild
CREATE TABLE "guilds" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "discord_id" VARCHAR(20) NOT NULL UNIQUE,
    "name" VARCHAR(100) NOT NULL,
    "owner_discord_id" VARCHAR(20) NOT NULL,
    "joined_at" TIMESTAMPTZ NOT NULL,
    "left_at" TIMESTAMPTZ,
    "category_id" VARCHAR(20),
    "trades_channel_id" VARCHAR(20),
    "log_channel_id" VARCHAR(20),
    "setup_status" VARCHAR(24) NOT NULL DEFAULT 'NONE',
    "bands" JSONB NOT NULL,
    "scope" VARCHAR(24) NOT NULL DEFAULT 'ALL',
    "locale" VARCHAR(10) NOT NULL DEFAULT 'en',
    "setup_by" UUID,
    "setup_at" TIMESTAMPTZ,
    "preflight" JSONB,
    "last_sync_at" TIMESTAMPTZ,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "idx_guilds_setup_s_534ea8" ON "guilds" ("setup_status");
COMMENT ON TABLE "guilds" IS 'A Discord server that the bot has been added to.';

-- Create model GuildChannel
CREATE TABLE "guild_channels" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "price_band" VARCHAR(24) NOT NULL,
    "channel_id" VARCHAR(20) NOT NULL UNIQUE,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "guild_id" UUID NOT NULL REFERENCES "guilds" ("id") ON DELETE CASCADE
);
COMMENT ON TABLE "guild_channels" IS 'Where listings of a price band are posted.';

-- Create model GuildMember
CREATE TABLE "guild_members" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "is_member" BOOL NOT NULL,
    "is_admin" BOOL NOT NULL DEFAULT FALSE,
    "checked_at" TIMESTAMPTZ NOT NULL,
    "guild_id" UUID NOT NULL REFERENCES "guilds" ("id") ON DELETE CASCADE,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_guild_membe_user_id_f90736" ON "guild_members" ("user_id");
COMMENT ON TABLE "guild_members" IS 'Whether a user was in a guild when Discord was last asked.';

-- Create model Listing
CREATE TABLE "listings" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "ref" VARCHAR(9) NOT NULL UNIQUE,
    "universe_id" BIGINT NOT NULL,
    "title" VARCHAR(100) NOT NULL,
    "summary" VARCHAR(1000) NOT NULL,
    "included_assets" VARCHAR(1000) NOT NULL,
    "category" VARCHAR(24) NOT NULL,
    "price_minor" BIGINT NOT NULL,
    "currency" VARCHAR(3) NOT NULL DEFAULT 'USD',
    "min_offer_minor" BIGINT,
    "delivery_days" INT NOT NULL DEFAULT 7,
    "visibility" VARCHAR(24) NOT NULL,
    "status" VARCHAR(24) NOT NULL,
    "hold_reason" VARCHAR(24),
    "risk_level" VARCHAR(24) NOT NULL,
    "reserved_contract_id" UUID,
    "last_verified_at" TIMESTAMPTZ NOT NULL,
    "check_due_at" TIMESTAMPTZ NOT NULL,
    "cancelled_at" TIMESTAMPTZ,
    "sold_at" TIMESTAMPTZ,
    "version" INT NOT NULL DEFAULT 1,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "guild_id" UUID REFERENCES "guilds" ("id") ON DELETE RESTRICT,
    "seller_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT,
    "snapshot_id" UUID NOT NULL REFERENCES "roblox_snapshots" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_listings_seller__2ee633" ON "listings" ("seller_id", "status");
CREATE INDEX "idx_listings_guild_i_9963e7" ON "listings" ("guild_id", "status");
CREATE INDEX "idx_listings_status_773fcd" ON "listings" ("status", "price_minor");
COMMENT ON TABLE "listings" IS 'Amounts in cents. `check_due_at`: when the ownership is to be checked again.';

-- Create model ListingMessage
CREATE TABLE "listing_messages" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "channel_id" VARCHAR(20) NOT NULL,
    "message_id" VARCHAR(20)  UNIQUE,
    "listing_version" INT NOT NULL DEFAULT 0,
    "wanted_version" INT NOT NULL,
    "state" VARCHAR(24) NOT NULL DEFAULT 'PENDING',
    "attempts" INT NOT NULL DEFAULT 0,
    "next_at" TIMESTAMPTZ NOT NULL,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "guild_id" UUID NOT NULL REFERENCES "guilds" ("id") ON DELETE CASCADE,
    "listing_id" UUID NOT NULL REFERENCES "listings" ("id") ON DELETE CASCADE
);
COMMENT ON TABLE "listing_messages" IS 'A listing''s card in a guild: what it shows and what it should show.';

-- Create model ListingPrice
CREATE TABLE "listing_prices" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "price_minor" BIGINT NOT NULL,
    "changed_by" UUID NOT NULL,
    "listing_id" UUID NOT NULL REFERENCES "listings" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_listing_pri_listing_4cf8eb" ON "listing_prices" ("listing_id", "created_at");
COMMENT ON TABLE "listing_prices" IS 'What was asked for a listing, and since when; in cents.';

-- Create model ListingWatch
CREATE TABLE "listing_watches" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "listing_id" UUID NOT NULL REFERENCES "listings" ("id") ON DELETE CASCADE,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_listing_wat_listing_c792fa" ON "listing_watches" ("listing_id");

-- Create model NotificationDelivery
CREATE TABLE "notification_deliveries" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "event_id" UUID NOT NULL,
    "channel" VARCHAR(24) NOT NULL,
    "template" VARCHAR(60) NOT NULL,
    "category" VARCHAR(24) NOT NULL,
    "entity" VARCHAR(64) NOT NULL,
    "data" JSONB NOT NULL,
    "status" VARCHAR(24) NOT NULL DEFAULT 'PENDING',
    "attempts" INT NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ NOT NULL,
    "last_code" INT,
    "discord_channel_id" VARCHAR(20),
    "discord_message_id" VARCHAR(20),
    "sent_at" TIMESTAMPTZ,
    "read_at" TIMESTAMPTZ,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_notificatio_user_id_313c8b" ON "notification_deliveries" ("user_id", "created_at");
COMMENT ON TABLE "notification_deliveries" IS 'One notice to one person over one channel; the words are made when it is sent.';

-- Create model Offer
CREATE TABLE "offers" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "ref" VARCHAR(9) NOT NULL UNIQUE,
    "proposed_by" VARCHAR(24) NOT NULL,
    "root_id" UUID NOT NULL,
    "round" INT NOT NULL DEFAULT 1,
    "amount_minor" BIGINT NOT NULL,
    "currency" VARCHAR(3) NOT NULL DEFAULT 'USD',
    "conditions" VARCHAR(1000) NOT NULL DEFAULT '',
    "terms" JSONB NOT NULL,
    "listing_version" INT NOT NULL,
    "status" VARCHAR(24) NOT NULL DEFAULT 'PENDING',
    "decline_reason" VARCHAR(24),
    "note" VARCHAR(300),
    "expires_at" TIMESTAMPTZ NOT NULL,
    "reminders" INT NOT NULL DEFAULT 0,
    "responded_at" TIMESTAMPTZ,
    "responded_by" UUID,
    "active" BOOL NOT NULL DEFAULT TRUE,
    "version" INT NOT NULL DEFAULT 1,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "buyer_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT,
    "listing_id" UUID NOT NULL REFERENCES "listings" ("id") ON DELETE RESTRICT,
    "parent_id" UUID REFERENCES "offers" ("id") ON DELETE RESTRICT,
    "seller_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_offers_listing_1fd0ad" ON "offers" ("listing_id", "status");
CREATE INDEX "idx_offers_buyer_i_989c30" ON "offers" ("buyer_id", "status");
CREATE INDEX "idx_offers_seller__1e42aa" ON "offers" ("seller_id", "status");
CREATE INDEX "idx_offers_root_id_b06fe8" ON "offers" ("root_id", "round");
COMMENT ON TABLE "offers" IS 'One round of a negotiation, in cents. `terms` is what the listing said when it began.';

-- Create model OfferDraft
CREATE TABLE "offer_drafts" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "amount_minor" BIGINT NOT NULL,
    "conditions" VARCHAR(1000) NOT NULL,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "version" INT NOT NULL DEFAULT 1,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "listing_id" UUID NOT NULL REFERENCES "listings" ("id") ON DELETE CASCADE,
    "parent_id" UUID REFERENCES "offers" ("id") ON DELETE RESTRICT,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_offer_draft_expires_8dd602" ON "offer_drafts" ("expires_at");
COMMENT ON TABLE "offer_drafts" IS 'An offer, or a counter to `parent`, that its writer has not sent yet.';

-- Create model Outage
CREATE TABLE "outages" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "scope" VARCHAR(24) NOT NULL,
    "started_at" TIMESTAMPTZ NOT NULL,
    "ended_at" TIMESTAMPTZ,
    "reason" VARCHAR(1000) NOT NULL,
    "recorded_by" UUID NOT NULL
);
CREATE INDEX "idx_outages_started_6e963a" ON "outages" ("started_at");
COMMENT ON TABLE "outages" IS 'A time in which people could not act; `ended_at` is null while it lasts.';

-- Create model DeadlineExtension
CREATE TABLE "deadline_extensions" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "subject_type" VARCHAR(30) NOT NULL,
    "subject_id" UUID NOT NULL,
    "seconds" INT NOT NULL,
    "outage_id" UUID NOT NULL REFERENCES "outages" ("id") ON DELETE RESTRICT
);
COMMENT ON TABLE "deadline_extensions" IS 'By how much an outage has moved one deadline; once per outage and subject.';

-- Create model Report
CREATE TABLE "reports" (
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "id" UUID NOT NULL  PRIMARY KEY,
    "subject_type" VARCHAR(24) NOT NULL,
    "subject_id" UUID NOT NULL,
    "reason" VARCHAR(24) NOT NULL,
    "text" VARCHAR(1000),
    "status" VARCHAR(24) NOT NULL DEFAULT 'OPEN',
    "handled_by" UUID,
    "reporter_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_reports_subject_58df71" ON "reports" ("subject_type", "subject_id");
COMMENT ON TABLE "reports" IS 'What a user finds wrong with a listing, a person or an offer; staff see who said it.';

-- Add constraint to Guild
ALTER TABLE "guilds" ADD CONSTRAINT "guilds_setup_status_known" CHECK (setup_status IN ('NONE', 'READY', 'DEGRADED'));

-- Add constraint to Guild
ALTER TABLE "guilds" ADD CONSTRAINT "guilds_scope_known" CHECK (scope IN ('ALL', 'GUILD'));

-- Add constraint to GuildChannel
ALTER TABLE "guild_channels" ADD CONSTRAINT "guild_channels_one" UNIQUE ("guild_id", "price_band");

-- Add constraint to GuildMember
ALTER TABLE "guild_members" ADD CONSTRAINT "guild_members_one" UNIQUE ("guild_id", "user_id");

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_status_known" CHECK (status IN ('ACTIVE', 'INACTIVE', 'RESERVED', 'SOLD', 'CANCELLED'));

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_hold_reason_known" CHECK (hold_reason IN ('REVIEW', 'OWNERSHIP', 'STALE', 'POST_DISPUTE', 'STAFF'));

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_visibility_known" CHECK (visibility IN ('PUBLIC', 'GUILD'));

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_risk_level_known" CHECK (risk_level IN ('LOW', 'MEDIUM', 'HIGH'));

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_category_known" CHECK (category IN ('SIMULATOR', 'TYCOON', 'OBBY', 'ROLEPLAY', 'RPG', 'FIGHTING', 'SHOOTER', 'TOWER_DEFENSE', 'HORROR', 'RACING', 'SOCIAL', 'OTHER'));

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_price_range" CHECK (price_minor BETWEEN 100 AND 100000000);

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_min_offer" CHECK (min_offer_minor BETWEEN 100 AND price_minor);

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_delivery_days" CHECK (delivery_days BETWEEN 1 AND 30);

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_guild" CHECK ((visibility = 'GUILD') = (guild_id IS NOT NULL));

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_reserved" CHECK ((status = 'RESERVED') = (reserved_contract_id IS NOT NULL));

-- Add constraint to Listing
ALTER TABLE "listings" ADD CONSTRAINT "listings_held" CHECK (hold_reason IS NULL OR status = 'INACTIVE');

-- Add constraint to Listing
CREATE UNIQUE INDEX "listings_one_open" ON "listings" ("universe_id") WHERE status IN ('ACTIVE', 'INACTIVE', 'RESERVED');

-- Add constraint to ListingMessage
ALTER TABLE "listing_messages" ADD CONSTRAINT "listing_messages_state_known" CHECK (state IN ('PENDING', 'POSTED', 'FAILED', 'GONE'));

-- Add constraint to ListingMessage
ALTER TABLE "listing_messages" ADD CONSTRAINT "listing_messages_one" UNIQUE ("listing_id", "guild_id");

-- Add constraint to ListingWatch
ALTER TABLE "listing_watches" ADD CONSTRAINT "listing_watches_one" UNIQUE ("user_id", "listing_id");

-- Add constraint to NotificationDelivery
ALTER TABLE "notification_deliveries" ADD CONSTRAINT "notification_deliveries_channel_known" CHECK (channel IN ('DISCORD_DM', 'THREAD', 'INBOX'));

-- Add constraint to NotificationDelivery
ALTER TABLE "notification_deliveries" ADD CONSTRAINT "notification_deliveries_category_known" CHECK (category IN ('ESCROW', 'DISPUTES', 'ACCOUNT', 'CONTRACTS', 'OFFERS', 'NEWS'));

-- Add constraint to NotificationDelivery
ALTER TABLE "notification_deliveries" ADD CONSTRAINT "notification_deliveries_status_known" CHECK (status IN ('PENDING', 'SENT', 'RETRYING', 'DEFERRED', 'FAILED', 'SUPPRESSED'));

-- Add constraint to NotificationDelivery
ALTER TABLE "notification_deliveries" ADD CONSTRAINT "notification_deliveries_once" UNIQUE ("event_id", "user_id", "channel", "template");

-- Add constraint to Offer
ALTER TABLE "offers" ADD CONSTRAINT "offers_proposed_by_known" CHECK (proposed_by IN ('BUYER', 'SELLER'));

-- Add constraint to Offer
ALTER TABLE "offers" ADD CONSTRAINT "offers_status_known" CHECK (status IN ('PENDING', 'COUNTERED', 'ACCEPTED', 'DECLINED', 'EXPIRED', 'WITHDRAWN'));

-- Add constraint to Offer
ALTER TABLE "offers" ADD CONSTRAINT "offers_decline_reason_known" CHECK (decline_reason IN ('BY_RECIPIENT', 'SUPERSEDED', 'LISTING_CLOSED', 'STAFF'));

-- Add constraint to Offer
ALTER TABLE "offers" ADD CONSTRAINT "offers_declined" CHECK ((status = 'DECLINED') = (decline_reason IS NOT NULL));

-- Add constraint to Offer
ALTER TABLE "offers" ADD CONSTRAINT "offers_two_people" CHECK (buyer_id <> seller_id);

-- Add constraint to Offer
ALTER TABLE "offers" ADD CONSTRAINT "offers_round" CHECK (round BETWEEN 1 AND 10);

-- Add constraint to Offer
ALTER TABLE "offers" ADD CONSTRAINT "offers_first_round" CHECK ((round = 1) = (parent_id IS NULL));

-- Add constraint to Offer
ALTER TABLE "offers" ADD CONSTRAINT "offers_amount_range" CHECK (amount_minor BETWEEN 100 AND 100000000);

-- Add constraint to Offer
CREATE UNIQUE INDEX "offers_one_open" ON "offers" ("listing_id", "buyer_id") WHERE status = 'PENDING';

-- Add constraint to Offer
CREATE UNIQUE INDEX "offers_one_accepted" ON "offers" ("listing_id") WHERE status = 'ACCEPTED' AND active;

-- Add constraint to Offer
ALTER TABLE "offers" ADD CONSTRAINT "offers_one_child" UNIQUE ("parent_id");

-- Add constraint to OfferDraft
ALTER TABLE "offer_drafts" ADD CONSTRAINT "offer_drafts_one" UNIQUE ("user_id", "listing_id");

-- Add constraint to Outage
ALTER TABLE "outages" ADD CONSTRAINT "outages_scope_known" CHECK (scope IN ('ALL', 'WEB', 'BOT', 'STRIPE', 'BASE', 'ROBLOX'));

-- Add constraint to Outage
ALTER TABLE "outages" ADD CONSTRAINT "outages_forward" CHECK (ended_at > started_at);

-- Add constraint to DeadlineExtension
ALTER TABLE "deadline_extensions" ADD CONSTRAINT "deadline_extensions_once" UNIQUE ("outage_id", "subject_type", "subject_id");

-- Add constraint to Report
ALTER TABLE "reports" ADD CONSTRAINT "reports_subject_type_known" CHECK (subject_type IN ('LISTING', 'USER', 'OFFER'));

-- Add constraint to Report
ALTER TABLE "reports" ADD CONSTRAINT "reports_status_known" CHECK (status IN ('OPEN', 'HANDLED', 'DISMISSED'));

-- Add constraint to Report
CREATE UNIQUE INDEX "reports_one_open" ON "reports" ("reporter_id", "subject_type", "subject_id") WHERE status = 'OPEN';
