"""What is offered for sale, where it may be seen, and who keeps an eye on it.

Plain SQL adds what the models cannot say: `listings.price_band` and `listings.search` are
generated, `listings.tags` is an array.
"""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Created, Row, one_of
from bloxtr8.store.models.people import User
from bloxtr8.store.models.roblox import RobloxSnapshot


class Guild(Row):
    """A Discord server that the bot has been added to."""

    discord_id = fields.CharField(max_length=20, unique=True)
    name = fields.CharField(max_length=100)
    owner_discord_id = fields.CharField(max_length=20)
    joined_at = fields.DatetimeField()
    left_at = fields.DatetimeField(null=True)
    category_id = fields.CharField(max_length=20, null=True)
    trades_channel_id = fields.CharField(max_length=20, null=True)
    log_channel_id = fields.CharField(max_length=20, null=True)
    setup_status = fields.CharField(max_length=24, db_default="NONE")
    bands = fields.JSONField[list[str]]()
    scope = fields.CharField(max_length=24, db_default="ALL")
    locale = fields.CharField(max_length=10, db_default="en")
    setup_by = fields.UUIDField(null=True)
    setup_at = fields.DatetimeField(null=True)
    preflight = fields.JSONField[dict[str, object]](null=True)
    last_sync_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "guilds"
        indexes = (Index(fields=("setup_status",)),)
        constraints = (
            one_of("guilds", "setup_status", "NONE", "READY", "DEGRADED"),
            one_of("guilds", "scope", "ALL", "GUILD"),
        )


class GuildChannel(Row):
    """Where listings of a price band are posted."""

    guild: fields.ForeignKeyRelation[Guild] = fields.ForeignKeyField(
        "models.Guild", related_name="channels", on_delete=fields.CASCADE
    )
    price_band = fields.CharField(max_length=24)
    channel_id = fields.CharField(max_length=20, unique=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "guild_channels"
        constraints = (
            UniqueConstraint(fields=("guild_id", "price_band"), name="guild_channels_one"),
        )


class GuildMember(Created):
    """Whether a user was in a guild when Discord was last asked."""

    id = fields.BigIntField(primary_key=True)
    guild: fields.ForeignKeyRelation[Guild] = fields.ForeignKeyField(
        "models.Guild", related_name="members", on_delete=fields.CASCADE
    )
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="guilds", on_delete=fields.RESTRICT
    )
    is_member = fields.BooleanField()
    is_admin = fields.BooleanField(db_default=False)
    checked_at = fields.DatetimeField()

    class Meta:
        table = "guild_members"
        indexes = (Index(fields=("user_id",)),)
        constraints = (UniqueConstraint(fields=("guild_id", "user_id"), name="guild_members_one"),)


class Listing(Row):
    """Amounts in cents. `check_due_at`: when the ownership is to be checked again."""

    ref = fields.CharField(max_length=9, unique=True)
    seller: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="listings", on_delete=fields.RESTRICT
    )
    universe_id = fields.BigIntField()
    title = fields.CharField(max_length=100)
    summary = fields.CharField(max_length=1000)
    included_assets = fields.CharField(max_length=1000)
    category = fields.CharField(max_length=24)
    price_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3, db_default="USD")
    min_offer_minor = fields.BigIntField(null=True)
    delivery_days = fields.IntField(db_default=7)
    visibility = fields.CharField(max_length=24)
    guild: fields.ForeignKeyNullableRelation[Guild] = fields.ForeignKeyField(
        "models.Guild", related_name="listings", on_delete=fields.RESTRICT, null=True
    )
    status = fields.CharField(max_length=24)
    hold_reason = fields.CharField(max_length=24, null=True)
    snapshot: fields.ForeignKeyRelation[RobloxSnapshot] = fields.ForeignKeyField(
        "models.RobloxSnapshot", related_name="listings", on_delete=fields.RESTRICT
    )
    risk_level = fields.CharField(max_length=24)
    reserved_contract_id = fields.UUIDField(null=True)
    last_verified_at = fields.DatetimeField()
    check_due_at = fields.DatetimeField()
    cancelled_at = fields.DatetimeField(null=True)
    sold_at = fields.DatetimeField(null=True)
    version = fields.IntField(db_default=1)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "listings"
        indexes = (
            Index(fields=("seller_id", "status")),
            Index(fields=("guild_id", "status")),
            Index(fields=("status", "price_minor")),
        )
        constraints = (
            one_of("listings", "status", "ACTIVE", "INACTIVE", "RESERVED", "SOLD", "CANCELLED"),
            one_of(
                "listings",
                "hold_reason",
                *("REVIEW", "OWNERSHIP", "STALE", "POST_DISPUTE", "STAFF"),
            ),
            one_of("listings", "visibility", "PUBLIC", "GUILD"),
            one_of("listings", "risk_level", "LOW", "MEDIUM", "HIGH"),
            one_of(
                "listings",
                "category",
                *("SIMULATOR", "TYCOON", "OBBY", "ROLEPLAY", "RPG", "FIGHTING", "SHOOTER"),
                *("TOWER_DEFENSE", "HORROR", "RACING", "SOCIAL", "OTHER"),
            ),
            CheckConstraint(
                check="price_minor BETWEEN 100 AND 100000000", name="listings_price_range"
            ),
            CheckConstraint(
                check="min_offer_minor BETWEEN 100 AND price_minor", name="listings_min_offer"
            ),
            CheckConstraint(check="delivery_days BETWEEN 1 AND 30", name="listings_delivery_days"),
            CheckConstraint(
                check="(visibility = 'GUILD') = (guild_id IS NOT NULL)", name="listings_guild"
            ),
            CheckConstraint(
                check="(status = 'RESERVED') = (reserved_contract_id IS NOT NULL)",
                name="listings_reserved",
            ),
            CheckConstraint(
                check="hold_reason IS NULL OR status = 'INACTIVE'", name="listings_held"
            ),
            UniqueConstraint(
                fields=("universe_id",),
                name="listings_one_open",
                condition="status IN ('ACTIVE', 'INACTIVE', 'RESERVED')",
            ),
        )


class ListingPrice(Row):
    """What was asked for a listing, and since when; in cents."""

    listing: fields.ForeignKeyRelation[Listing] = fields.ForeignKeyField(
        "models.Listing", related_name="prices", on_delete=fields.RESTRICT
    )
    price_minor = fields.BigIntField()
    changed_by = fields.UUIDField()

    class Meta:
        table = "listing_prices"
        indexes = (Index(fields=("listing_id", "created_at")),)


class ListingWatch(Created):
    id = fields.BigIntField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="watches", on_delete=fields.RESTRICT
    )
    listing: fields.ForeignKeyRelation[Listing] = fields.ForeignKeyField(
        "models.Listing", related_name="watches", on_delete=fields.CASCADE
    )

    class Meta:
        table = "listing_watches"
        indexes = (Index(fields=("listing_id",)),)
        constraints = (
            UniqueConstraint(fields=("user_id", "listing_id"), name="listing_watches_one"),
        )


class ListingMessage(Row):
    """A listing's card in a guild: what it shows and what it should show."""

    listing: fields.ForeignKeyRelation[Listing] = fields.ForeignKeyField(
        "models.Listing", related_name="messages", on_delete=fields.CASCADE
    )
    guild: fields.ForeignKeyRelation[Guild] = fields.ForeignKeyField(
        "models.Guild", related_name="listing_messages", on_delete=fields.CASCADE
    )
    channel_id = fields.CharField(max_length=20)
    message_id = fields.CharField(max_length=20, null=True, unique=True)
    listing_version = fields.IntField(db_default=0)
    wanted_version = fields.IntField()
    state = fields.CharField(max_length=24, db_default="PENDING")
    attempts = fields.IntField(db_default=0)
    next_at = fields.DatetimeField()
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "listing_messages"
        constraints = (
            one_of("listing_messages", "state", "PENDING", "POSTED", "FAILED", "GONE"),
            UniqueConstraint(fields=("listing_id", "guild_id"), name="listing_messages_one"),
        )
