"""What buyer and seller propose to each other, and what people report."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Row, one_of
from bloxtr8.store.models.listings import Listing
from bloxtr8.store.models.people import User


class Offer(Row):
    """One round of a negotiation, in cents. `terms` is what the listing said when it began.

    `reminders` counts those sent to the addressee.
    `active` is false once the offer's contract is void or its trade has ended.
    """

    ref = fields.CharField(max_length=9, unique=True)
    listing: fields.ForeignKeyRelation[Listing] = fields.ForeignKeyField(
        "models.Listing", related_name="offers", on_delete=fields.RESTRICT
    )
    buyer: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="offers_made", on_delete=fields.RESTRICT
    )
    seller: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="offers_received", on_delete=fields.RESTRICT
    )
    proposed_by = fields.CharField(max_length=24)
    parent: fields.ForeignKeyNullableRelation["Offer"] = fields.ForeignKeyField(
        "models.Offer", related_name="children", on_delete=fields.RESTRICT, null=True
    )
    root_id = fields.UUIDField()
    round = fields.IntField(db_default=1)
    amount_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3, db_default="USD")
    conditions = fields.CharField(max_length=1000, db_default="")
    terms = fields.JSONField[dict[str, object]]()
    listing_version = fields.IntField()
    status = fields.CharField(max_length=24, db_default="PENDING")
    decline_reason = fields.CharField(max_length=24, null=True)
    note = fields.CharField(max_length=300, null=True)
    expires_at = fields.DatetimeField()
    reminders = fields.IntField(db_default=0)
    responded_at = fields.DatetimeField(null=True)
    responded_by = fields.UUIDField(null=True)
    active = fields.BooleanField(db_default=True)
    version = fields.IntField(db_default=1)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "offers"
        indexes = (
            Index(fields=("listing_id", "status")),
            Index(fields=("buyer_id", "status")),
            Index(fields=("seller_id", "status")),
            Index(fields=("root_id", "round")),
        )
        constraints = (
            one_of("offers", "proposed_by", "BUYER", "SELLER"),
            one_of(
                "offers",
                "status",
                *("PENDING", "COUNTERED", "ACCEPTED", "DECLINED", "EXPIRED", "WITHDRAWN"),
            ),
            one_of(
                "offers",
                "decline_reason",
                *("BY_RECIPIENT", "SUPERSEDED", "LISTING_CLOSED", "STAFF"),
            ),
            CheckConstraint(
                check="(status = 'DECLINED') = (decline_reason IS NOT NULL)",
                name="offers_declined",
            ),
            CheckConstraint(check="buyer_id <> seller_id", name="offers_two_people"),
            CheckConstraint(check="round BETWEEN 1 AND 10", name="offers_round"),
            CheckConstraint(check="(round = 1) = (parent_id IS NULL)", name="offers_first_round"),
            CheckConstraint(
                check="amount_minor BETWEEN 100 AND 100000000", name="offers_amount_range"
            ),
            UniqueConstraint(
                fields=("listing_id", "buyer_id"),
                name="offers_one_open",
                condition="status = 'PENDING'",
            ),
            UniqueConstraint(
                fields=("listing_id",),
                name="offers_one_accepted",
                condition="status = 'ACCEPTED' AND active",
            ),
            UniqueConstraint(fields=("parent_id",), name="offers_one_child"),
        )


class OfferDraft(Row):
    """An offer, or a counter to `parent`, that its writer has not sent yet."""

    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="drafts", on_delete=fields.RESTRICT
    )
    listing: fields.ForeignKeyRelation[Listing] = fields.ForeignKeyField(
        "models.Listing", related_name="drafts", on_delete=fields.CASCADE
    )
    parent: fields.ForeignKeyNullableRelation[Offer] = fields.ForeignKeyField(
        "models.Offer", related_name="drafts", on_delete=fields.RESTRICT, null=True
    )
    amount_minor = fields.BigIntField()
    conditions = fields.CharField(max_length=1000)
    expires_at = fields.DatetimeField()
    version = fields.IntField(db_default=1)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "offer_drafts"
        indexes = (Index(fields=("expires_at",)),)
        constraints = (UniqueConstraint(fields=("user_id", "listing_id"), name="offer_drafts_one"),)


class Report(Row):
    """What a user finds wrong with a listing, a person or an offer; staff see who said it."""

    reporter: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="reports", on_delete=fields.RESTRICT
    )
    subject_type = fields.CharField(max_length=24)
    subject_id = fields.UUIDField()
    reason = fields.CharField(max_length=24)
    text = fields.CharField(max_length=1000, null=True)
    status = fields.CharField(max_length=24, db_default="OPEN")
    handled_by = fields.UUIDField(null=True)

    class Meta:
        table = "reports"
        indexes = (Index(fields=("subject_type", "subject_id")),)
        constraints = (
            one_of("reports", "subject_type", "LISTING", "USER", "OFFER"),
            one_of("reports", "status", "OPEN", "HANDLED", "DISMISSED"),
            UniqueConstraint(
                fields=("reporter_id", "subject_type", "subject_id"),
                name="reports_one_open",
                condition="status = 'OPEN'",
            ),
        )
