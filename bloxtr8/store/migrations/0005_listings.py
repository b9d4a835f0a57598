from tortoise import migrations
from tortoise.migrations import operations as ops
import functools
from bloxtr8.ids import uuid7
from json import dumps, loads
from tortoise.fields.base import OnDelete
from tortoise.fields.db_defaults import Now
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0004_people_guards")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Guild",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("discord_id", fields.CharField(unique=True, max_length=20)),
                ("name", fields.CharField(max_length=100)),
                ("owner_discord_id", fields.CharField(max_length=20)),
                ("joined_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("left_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("category_id", fields.CharField(null=True, max_length=20)),
                ("trades_channel_id", fields.CharField(null=True, max_length=20)),
                ("log_channel_id", fields.CharField(null=True, max_length=20)),
                ("setup_status", fields.CharField(db_default="NONE", max_length=24)),
                (
                    "bands",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("scope", fields.CharField(db_default="ALL", max_length=24)),
                ("locale", fields.CharField(db_default="en", max_length=10)),
                ("setup_by", fields.UUIDField(null=True)),
                ("setup_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "preflight",
                    fields.JSONField(
                        null=True,
                        encoder=functools.partial(dumps, separators=(",", ":")),
                        decoder=loads,
                    ),
                ),
                (
                    "last_sync_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "guilds",
                "app": "models",
                "indexes": [Index(fields=["setup_status"])],
                "pk_attr": "id",
                "table_description": "A Discord server that the bot has been added to.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="GuildChannel",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                (
                    "guild",
                    fields.ForeignKeyField(
                        "models.Guild",
                        source_field="guild_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="channels",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("price_band", fields.CharField(max_length=24)),
                ("channel_id", fields.CharField(unique=True, max_length=20)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "guild_channels",
                "app": "models",
                "pk_attr": "id",
                "table_description": "Where listings of a price band are posted.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="GuildMember",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                (
                    "guild",
                    fields.ForeignKeyField(
                        "models.Guild",
                        source_field="guild_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="members",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="guilds",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("is_member", fields.BooleanField()),
                ("is_admin", fields.BooleanField(db_default=False)),
                ("checked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "guild_members",
                "app": "models",
                "indexes": [Index(fields=["user_id"])],
                "pk_attr": "id",
                "table_description": "Whether a user was in a guild when Discord was last asked.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="Listing",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("ref", fields.CharField(unique=True, max_length=9)),
                (
                    "seller",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="seller_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="listings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("universe_id", fields.BigIntField()),
                ("title", fields.CharField(max_length=100)),
                ("summary", fields.CharField(max_length=1000)),
                ("included_assets", fields.CharField(max_length=1000)),
                ("category", fields.CharField(max_length=24)),
                ("price_minor", fields.BigIntField()),
                ("currency", fields.CharField(db_default="USD", max_length=3)),
                ("min_offer_minor", fields.BigIntField(null=True)),
                ("delivery_days", fields.IntField(db_default=7)),
                ("visibility", fields.CharField(max_length=24)),
                (
                    "guild",
                    fields.ForeignKeyField(
                        "models.Guild",
                        source_field="guild_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="listings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("status", fields.CharField(max_length=24)),
                ("hold_reason", fields.CharField(null=True, max_length=24)),
                (
                    "snapshot",
                    fields.ForeignKeyField(
                        "models.RobloxSnapshot",
                        source_field="snapshot_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="listings",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("risk_level", fields.CharField(max_length=24)),
                ("reserved_contract_id", fields.UUIDField(null=True)),
                ("last_verified_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("check_due_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "cancelled_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("sold_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("version", fields.IntField(db_default=1)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "listings",
                "app": "models",
                "indexes": [
                    Index(fields=["seller_id", "status"]),
                    Index(fields=["guild_id", "status"]),
                    Index(fields=["status", "price_minor"]),
                ],
                "pk_attr": "id",
                "table_description": "Amounts in cents. `check_due_at`: when the ownership is to be checked again.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="ListingMessage",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                (
                    "listing",
                    fields.ForeignKeyField(
                        "models.Listing",
                        source_field="listing_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="messages",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "guild",
                    fields.ForeignKeyField(
                        "models.Guild",
                        source_field="guild_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="listing_messages",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("channel_id", fields.CharField(max_length=20)),
                ("message_id", fields.CharField(null=True, unique=True, max_length=20)),
                ("listing_version", fields.IntField(db_default=0)),
                ("wanted_version", fields.IntField()),
                ("state", fields.CharField(db_default="PENDING", max_length=24)),
                ("attempts", fields.IntField(db_default=0)),
                ("next_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "listing_messages",
                "app": "models",
                "pk_attr": "id",
                "table_description": "A listing's card in a guild: what it shows and what it should show.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="ListingPrice",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                (
                    "listing",
                    fields.ForeignKeyField(
                        "models.Listing",
                        source_field="listing_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="prices",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("price_minor", fields.BigIntField()),
                ("changed_by", fields.UUIDField()),
            ],
            options={
                "table": "listing_prices",
                "app": "models",
                "indexes": [Index(fields=["listing_id", "created_at"])],
                "pk_attr": "id",
                "table_description": "What was asked for a listing, and since when; in cents.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="ListingWatch",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="watches",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "listing",
                    fields.ForeignKeyField(
                        "models.Listing",
                        source_field="listing_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="watches",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
            ],
            options={
                "table": "listing_watches",
                "app": "models",
                "indexes": [Index(fields=["listing_id"])],
                "pk_attr": "id",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="NotificationDelivery",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("event_id", fields.UUIDField()),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="notices",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("channel", fields.CharField(max_length=24)),
                ("template", fields.CharField(max_length=60)),
                ("category", fields.CharField(max_length=24)),
                ("entity", fields.CharField(max_length=64)),
                (
                    "data",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("status", fields.CharField(db_default="PENDING", max_length=24)),
                ("attempts", fields.IntField(db_default=0)),
                ("next_attempt_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("last_code", fields.IntField(null=True)),
                ("discord_channel_id", fields.CharField(null=True, max_length=20)),
                ("discord_message_id", fields.CharField(null=True, max_length=20)),
                ("sent_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("read_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "notification_deliveries",
                "app": "models",
                "indexes": [Index(fields=["user_id", "created_at"])],
                "pk_attr": "id",
                "table_description": "One notice to one person over one channel; the words are made when it is sent.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Offer",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("ref", fields.CharField(unique=True, max_length=9)),
                (
                    "listing",
                    fields.ForeignKeyField(
                        "models.Listing",
                        source_field="listing_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="offers",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "buyer",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="buyer_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="offers_made",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "seller",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="seller_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="offers_received",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("proposed_by", fields.CharField(max_length=24)),
                (
                    "parent",
                    fields.ForeignKeyField(
                        "models.Offer",
                        source_field="parent_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="children",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("root_id", fields.UUIDField()),
                ("round", fields.IntField(db_default=1)),
                ("amount_minor", fields.BigIntField()),
                ("currency", fields.CharField(db_default="USD", max_length=3)),
                ("conditions", fields.CharField(db_default="", max_length=1000)),
                (
                    "terms",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
                ("listing_version", fields.IntField()),
                ("status", fields.CharField(db_default="PENDING", max_length=24)),
                ("decline_reason", fields.CharField(null=True, max_length=24)),
                ("note", fields.CharField(null=True, max_length=300)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("reminders", fields.IntField(db_default=0)),
                (
                    "responded_at",
                    fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
                ),
                ("responded_by", fields.UUIDField(null=True)),
                ("active", fields.BooleanField(db_default=True)),
                ("version", fields.IntField(db_default=1)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "offers",
                "app": "models",
                "indexes": [
                    Index(fields=["listing_id", "status"]),
                    Index(fields=["buyer_id", "status"]),
                    Index(fields=["seller_id", "status"]),
                    Index(fields=["root_id", "round"]),
                ],
                "pk_attr": "id",
                "table_description": "One round of a negotiation, in cents. `terms` is what the listing said when it began.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="OfferDraft",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="drafts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "listing",
                    fields.ForeignKeyField(
                        "models.Listing",
                        source_field="listing_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="drafts",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "parent",
                    fields.ForeignKeyField(
                        "models.Offer",
                        source_field="parent_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="drafts",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("amount_minor", fields.BigIntField()),
                ("conditions", fields.CharField(max_length=1000)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("version", fields.IntField(db_default=1)),
                (
                    "updated_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
            ],
            options={
                "table": "offer_drafts",
                "app": "models",
                "indexes": [Index(fields=["expires_at"])],
                "pk_attr": "id",
                "table_description": "An offer, or a counter to `parent`, that its writer has not sent yet.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Outage",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("scope", fields.CharField(max_length=24)),
                ("started_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("reason", fields.CharField(max_length=1000)),
                ("recorded_by", fields.UUIDField()),
            ],
            options={
                "table": "outages",
                "app": "models",
                "indexes": [Index(fields=["started_at"])],
                "pk_attr": "id",
                "table_description": "A time in which people could not act; `ended_at` is null while it lasts.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="DeadlineExtension",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.BigIntField(
                        generated=True, primary_key=True, unique=True, db_index=True
                    ),
                ),
                (
                    "outage",
                    fields.ForeignKeyField(
                        "models.Outage",
                        source_field="outage_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="extensions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("subject_type", fields.CharField(max_length=30)),
                ("subject_id", fields.UUIDField()),
                ("seconds", fields.IntField()),
            ],
            options={
                "table": "deadline_extensions",
                "app": "models",
                "pk_attr": "id",
                "table_description": "By how much an outage has moved one deadline; once per outage and subject.",
            },
            bases=["Created"],
        ),
        ops.CreateModel(
            name="Report",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                (
                    "reporter",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="reporter_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="reports",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("subject_type", fields.CharField(max_length=24)),
                ("subject_id", fields.UUIDField()),
                ("reason", fields.CharField(max_length=24)),
                ("text", fields.CharField(null=True, max_length=1000)),
                ("status", fields.CharField(db_default="OPEN", max_length=24)),
                ("handled_by", fields.UUIDField(null=True)),
            ],
            options={
                "table": "reports",
                "app": "models",
                "indexes": [Index(fields=["subject_type", "subject_id"])],
                "pk_attr": "id",
                "table_description": "What a user finds wrong with a listing, a person or an offer; staff see who said it.",
            },
            bases=["Row"],
        ),
        ops.AddConstraint(
            model_name="Guild",
            constraint=CheckConstraint(
                check="setup_status IN ('NONE', 'READY', 'DEGRADED')",
                name="guilds_setup_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Guild",
            constraint=CheckConstraint(
                check="scope IN ('ALL', 'GUILD')", name="guilds_scope_known"
            ),
        ),
        ops.AddConstraint(
            model_name="GuildChannel",
            constraint=UniqueConstraint(
                fields=("guild_id", "price_band"), name="guild_channels_one"
            ),
        ),
        ops.AddConstraint(
            model_name="GuildMember",
            constraint=UniqueConstraint(fields=("guild_id", "user_id"), name="guild_members_one"),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="status IN ('ACTIVE', 'INACTIVE', 'RESERVED', 'SOLD', 'CANCELLED')",
                name="listings_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="hold_reason IN ('REVIEW', 'OWNERSHIP', 'STALE', 'POST_DISPUTE', 'STAFF')",
                name="listings_hold_reason_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="visibility IN ('PUBLIC', 'GUILD')", name="listings_visibility_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="risk_level IN ('LOW', 'MEDIUM', 'HIGH')", name="listings_risk_level_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="category IN ('SIMULATOR', 'TYCOON', 'OBBY', 'ROLEPLAY', 'RPG', 'FIGHTING', 'SHOOTER', 'TOWER_DEFENSE', 'HORROR', 'RACING', 'SOCIAL', 'OTHER')",
                name="listings_category_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="price_minor BETWEEN 100 AND 100000000", name="listings_price_range"
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="min_offer_minor BETWEEN 100 AND price_minor", name="listings_min_offer"
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="delivery_days BETWEEN 1 AND 30", name="listings_delivery_days"
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="(visibility = 'GUILD') = (guild_id IS NOT NULL)", name="listings_guild"
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="(status = 'RESERVED') = (reserved_contract_id IS NOT NULL)",
                name="listings_reserved",
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=CheckConstraint(
                check="hold_reason IS NULL OR status = 'INACTIVE'", name="listings_held"
            ),
        ),
        ops.AddConstraint(
            model_name="Listing",
            constraint=UniqueConstraint(
                fields=("universe_id",),
                name="listings_one_open",
                condition="status IN ('ACTIVE', 'INACTIVE', 'RESERVED')",
            ),
        ),
        ops.AddConstraint(
            model_name="ListingMessage",
            constraint=CheckConstraint(
                check="state IN ('PENDING', 'POSTED', 'FAILED', 'GONE')",
                name="listing_messages_state_known",
            ),
        ),
        ops.AddConstraint(
            model_name="ListingMessage",
            constraint=UniqueConstraint(
                fields=("listing_id", "guild_id"), name="listing_messages_one"
            ),
        ),
        ops.AddConstraint(
            model_name="ListingWatch",
            constraint=UniqueConstraint(
                fields=("user_id", "listing_id"), name="listing_watches_one"
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationDelivery",
            constraint=CheckConstraint(
                check="channel IN ('DISCORD_DM', 'THREAD', 'INBOX')",
                name="notification_deliveries_channel_known",
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationDelivery",
            constraint=CheckConstraint(
                check="category IN ('ESCROW', 'DISPUTES', 'ACCOUNT', 'CONTRACTS', 'OFFERS', 'NEWS')",
                name="notification_deliveries_category_known",
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationDelivery",
            constraint=CheckConstraint(
                check="status IN ('PENDING', 'SENT', 'RETRYING', 'DEFERRED', 'FAILED', 'SUPPRESSED')",
                name="notification_deliveries_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="NotificationDelivery",
            constraint=UniqueConstraint(
                fields=("event_id", "user_id", "channel", "template"),
                name="notification_deliveries_once",
            ),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=CheckConstraint(
                check="proposed_by IN ('BUYER', 'SELLER')", name="offers_proposed_by_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=CheckConstraint(
                check="status IN ('PENDING', 'COUNTERED', 'ACCEPTED', 'DECLINED', 'EXPIRED', 'WITHDRAWN')",
                name="offers_status_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=CheckConstraint(
                check="decline_reason IN ('BY_RECIPIENT', 'SUPERSEDED', 'LISTING_CLOSED', 'STAFF')",
                name="offers_decline_reason_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=CheckConstraint(
                check="(status = 'DECLINED') = (decline_reason IS NOT NULL)", name="offers_declined"
            ),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=CheckConstraint(check="buyer_id <> seller_id", name="offers_two_people"),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=CheckConstraint(check="round BETWEEN 1 AND 10", name="offers_round"),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=CheckConstraint(
                check="(round = 1) = (parent_id IS NULL)", name="offers_first_round"
            ),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=CheckConstraint(
                check="amount_minor BETWEEN 100 AND 100000000", name="offers_amount_range"
            ),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=UniqueConstraint(
                fields=("listing_id", "buyer_id"),
                name="offers_one_open",
                condition="status = 'PENDING'",
            ),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=UniqueConstraint(
                fields=("listing_id",),
                name="offers_one_accepted",
                condition="status = 'ACCEPTED' AND active",
            ),
        ),
        ops.AddConstraint(
            model_name="Offer",
            constraint=UniqueConstraint(fields=("parent_id",), name="offers_one_child"),
        ),
        ops.AddConstraint(
            model_name="OfferDraft",
            constraint=UniqueConstraint(fields=("user_id", "listing_id"), name="offer_drafts_one"),
        ),
        ops.AddConstraint(
            model_name="Outage",
            constraint=CheckConstraint(
                check="scope IN ('ALL', 'WEB', 'BOT', 'STRIPE', 'BASE', 'ROBLOX')",
                name="outages_scope_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Outage",
            constraint=CheckConstraint(check="ended_at > started_at", name="outages_forward"),
        ),
        ops.AddConstraint(
            model_name="DeadlineExtension",
            constraint=UniqueConstraint(
                fields=("outage_id", "subject_type", "subject_id"), name="deadline_extensions_once"
            ),
        ),
        ops.AddConstraint(
            model_name="Report",
            constraint=CheckConstraint(
                check="subject_type IN ('LISTING', 'USER', 'OFFER')",
                name="reports_subject_type_known",
            ),
        ),
        ops.AddConstraint(
            model_name="Report",
            constraint=CheckConstraint(
                check="status IN ('OPEN', 'HANDLED', 'DISMISSED')", name="reports_status_known"
            ),
        ),
        ops.AddConstraint(
            model_name="Report",
            constraint=UniqueConstraint(
                fields=("reporter_id", "subject_type", "subject_id"),
                name="reports_one_open",
                condition="status = 'OPEN'",
            ),
        ),
    ]
