"""What Roblox said: snapshots for ever, ownership for a day, names for a while."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Created, Row, one_of
from bloxtr8.store.models.people import User


class RobloxSnapshot(Row):
    """An experience as it was at one moment; append-only. Unknown values are null."""

    purpose = fields.CharField(max_length=24)
    universe_id = fields.BigIntField()
    root_place_id = fields.BigIntField(null=True)
    name = fields.CharField(max_length=200)
    description = fields.TextField(null=True)
    icon_url = fields.CharField(max_length=512, null=True)
    creator_type = fields.CharField(max_length=24)
    creator_id = fields.BigIntField()
    creator_name = fields.CharField(max_length=200, null=True)
    visibility = fields.CharField(max_length=20, null=True)
    playing = fields.BigIntField(null=True)
    visits = fields.BigIntField(null=True)
    favorites = fields.BigIntField(null=True)
    max_players = fields.IntField(null=True)
    genre = fields.CharField(max_length=60, null=True)
    roblox_created_at = fields.DatetimeField(null=True)
    roblox_updated_at = fields.DatetimeField(null=True)
    for_user: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="snapshots", on_delete=fields.RESTRICT, null=True
    )
    roblox_user_id = fields.BigIntField(null=True)
    ownership = fields.CharField(max_length=24, null=True)
    risk_score = fields.IntField()
    risk_level = fields.CharField(max_length=24)
    risk_factors = fields.JSONField[list[dict[str, object]]]()
    risk_rules = fields.CharField(max_length=8)
    taken_at = fields.DatetimeField()
    payload = fields.JSONField[dict[str, object]]()
    payload_sha256 = fields.BinaryField()

    class Meta:
        table = "roblox_snapshots"
        indexes = (Index(fields=("universe_id", "taken_at")), Index(fields=("for_user_id",)))
        constraints = (
            one_of(
                "roblox_snapshots",
                "purpose",
                *("LISTING", "RELIST", "ACCEPT", "DELIVERED", "RELEASED"),
            ),
            one_of("roblox_snapshots", "creator_type", "USER", "GROUP"),
            one_of("roblox_snapshots", "ownership", "OWNER", "ADMIN", "DEVELOPER"),
            one_of("roblox_snapshots", "risk_level", "LOW", "MEDIUM", "HIGH"),
            CheckConstraint(check="risk_score BETWEEN 0 AND 100", name="roblox_snapshots_score"),
        )


class AssetVerification(Row):
    """Whether an experience is the user's, as found last. `roblox_user_id`: who was asked about."""

    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="verifications", on_delete=fields.RESTRICT
    )
    roblox_user_id = fields.BigIntField()
    universe_id = fields.BigIntField()
    outcome = fields.CharField(max_length=24)
    ownership = fields.CharField(max_length=24, null=True)
    method = fields.CharField(max_length=24)
    reason = fields.CharField(max_length=60, null=True)
    group_id = fields.BigIntField(null=True)
    evidence = fields.JSONField[dict[str, object]]()
    approved_by = fields.UUIDField(null=True)
    checked_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "asset_verifications"
        indexes = (Index(fields=("universe_id", "outcome")), Index(fields=("expires_at",)))
        constraints = (
            one_of("asset_verifications", "outcome", "VERIFIED", "NOT_OWNER"),
            one_of("asset_verifications", "ownership", "OWNER", "ADMIN", "DEVELOPER"),
            one_of("asset_verifications", "method", "OPEN_CLOUD", "GAMES_API", "MANUAL"),
            CheckConstraint(
                check="(outcome = 'VERIFIED') = (ownership IS NOT NULL)",
                name="asset_verifications_ownership",
            ),
            UniqueConstraint(fields=("user_id", "universe_id"), name="asset_verifications_one"),
        )


class RobloxCacheEntry(Created):
    """Decoration that may be old: names, pictures, places. Never ownership."""

    id = fields.BigIntField(primary_key=True)
    kind = fields.CharField(max_length=24)
    external_id = fields.BigIntField()
    payload = fields.JSONField[dict[str, object]]()
    fetched_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "roblox_cache"
        indexes = (Index(fields=("expires_at",)),)
        constraints = (UniqueConstraint(fields=("kind", "external_id"), name="roblox_cache_one"),)


class Handover(Created):
    """Whether the buyer of a delivered trade is seen as owner of the experience by now.

    Asked again at `next_check_at` (null: no more) while the trade's confirmation runs. The
    owner is whom Roblox named last, `ownership` what the buyer is in that.
    """

    escrow_id = fields.UUIDField(primary_key=True)
    buyer_id = fields.UUIDField()
    seller_id = fields.UUIDField()
    universe_id = fields.BigIntField()
    delivered_at = fields.DatetimeField()
    next_check_at = fields.DatetimeField(null=True)
    checks = fields.IntField(db_default=0)
    checked_at = fields.DatetimeField(null=True)
    ownership = fields.CharField(max_length=24, null=True)
    owner_type = fields.CharField(max_length=24, null=True)
    owner_id = fields.BigIntField(null=True)
    owner_name = fields.CharField(max_length=200, null=True)
    snapshot_id = fields.UUIDField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "handovers"
        indexes = (Index(fields=("next_check_at",)),)
        constraints = (
            one_of("handovers", "ownership", "OWNER", "ADMIN", "DEVELOPER", "NONE"),
            one_of("handovers", "owner_type", "USER", "GROUP"),
        )


class TradeRemark(Row):
    """What belongs in a trade's timeline and is no event of its escrow. `side`: who said it."""

    escrow_id = fields.UUIDField()
    at = fields.DatetimeField()
    kind = fields.CharField(max_length=40)
    side = fields.CharField(max_length=24)
    data = fields.JSONField[dict[str, object]]()

    class Meta:
        table = "trade_remarks"
        indexes = (Index(fields=("escrow_id", "at")),)
        constraints = (
            one_of("trade_remarks", "kind", "OWNERSHIP_SEEN", "RECEIVING_GROUP_SET"),
            one_of("trade_remarks", "side", "BUYER", "SELLER", "SYSTEM"),
        )
