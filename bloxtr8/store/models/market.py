"""Contracts: what two people agreed on."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint

from bloxtr8.store.models.base import Row, one_of
from bloxtr8.store.models.people import User


class Contract(Row):
    """Amounts: `price_minor` in cents; `settle_minor` and fees in the settlement currency."""

    ref = fields.CharField(max_length=9, unique=True)
    offer_id = fields.UUIDField(unique=True)
    listing_id = fields.UUIDField()
    snapshot_id = fields.UUIDField(null=True)
    buyer: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="purchases", on_delete=fields.RESTRICT
    )
    seller: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="sales", on_delete=fields.RESTRICT
    )
    escrow_id = fields.UUIDField(unique=True)
    status = fields.CharField(max_length=24, db_default="PENDING_SIGNATURE")
    terms = fields.JSONField[dict[str, object]](null=True)
    price_minor = fields.BigIntField()
    rail = fields.CharField(max_length=24)
    settle_currency = fields.CharField(max_length=5)
    settle_minor = fields.BigIntField()
    fee_schedule = fields.CharField(max_length=8)
    buyer_fee_minor = fields.BigIntField()
    seller_fee_minor = fields.BigIntField()
    delivery_days = fields.IntField(db_default=7)
    pdf_sha256 = fields.BinaryField(null=True)
    rendered_at = fields.DatetimeField(null=True)
    sign_deadline_at = fields.DatetimeField(null=True)
    final_sha256 = fields.BinaryField(null=True)
    executed_at = fields.DatetimeField(null=True)
    voided_at = fields.DatetimeField(null=True)
    void_reason = fields.CharField(max_length=24, null=True)
    version = fields.IntField(db_default=1)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "contracts"
        indexes = (
            Index(fields=("buyer_id", "status")),
            Index(fields=("seller_id", "status")),
            Index(fields=("listing_id",)),
        )
        constraints = (
            one_of("contracts", "status", "PENDING_SIGNATURE", "EXECUTED", "VOID"),
            one_of("contracts", "rail", "STRIPE", "USDC_BASE"),
            CheckConstraint(check="buyer_id <> seller_id", name="contracts_two_parties"),
            CheckConstraint(
                check="price_minor BETWEEN 100 AND 100000000", name="contracts_price_range"
            ),
            CheckConstraint(
                check="settle_minor > 0 AND buyer_fee_minor >= 0 AND seller_fee_minor >= 0",
                name="contracts_amounts_positive",
            ),
            CheckConstraint(check="delivery_days BETWEEN 1 AND 30", name="contracts_delivery_days"),
        )
