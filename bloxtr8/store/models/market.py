"""Contracts: what two people agreed on, and their signatures."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Created, Row, one_of
from bloxtr8.store.models.people import User


class Contract(Row):
    """Amounts: `price_minor` in cents; `settle_minor` and fees in the settlement currency.

    `pdf_sha256` is of the document that is signed, `final_sha256` of the one with the signatures.
    `render_due_at`: when the next document is to be made, null when none is missing;
    `render_tries`: how often that was begun. `reminders` counts those to sign.
    `receiving_group_id`: the Roblox group that the buyer wants the game in, `receiving_group`
    what Roblox showed of it at `receiving_group_at`.
    """

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
    template_version = fields.CharField(max_length=10, db_default="v1")
    terms = fields.JSONField[dict[str, object]](null=True)
    terms_sha256 = fields.BinaryField(null=True)
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
    void_note = fields.CharField(max_length=1000, null=True)
    void_by = fields.UUIDField(null=True)
    receiving_group_id = fields.BigIntField(null=True)
    receiving_group = fields.JSONField[dict[str, object]](null=True)
    receiving_group_at = fields.DatetimeField(null=True)
    render_due_at = fields.DatetimeField(null=True)
    render_tries = fields.IntField(db_default=0)
    reminders = fields.IntField(db_default=0)
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
            one_of(
                "contracts",
                "void_reason",
                *("EXPIRED", "DECLINED_BY_BUYER", "DECLINED_BY_SELLER"),
                *("OWNERSHIP_LOST", "PARTY_FROZEN", "STAFF"),
            ),
            CheckConstraint(
                check="(status = 'VOID') = (void_reason IS NOT NULL)", name="contracts_voided"
            ),
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


class ContractTemplate(Created):
    """A released wording and the SHA-256 that it was released with."""

    version = fields.CharField(primary_key=True, max_length=10)
    source_sha256 = fields.BinaryField()
    active_from = fields.DatetimeField()
    retired_at = fields.DatetimeField(null=True)

    class Meta:
        table = "contract_templates"


class Signature(Row):
    """One side's signature under the document with that hash; append-only."""

    contract: fields.ForeignKeyRelation[Contract] = fields.ForeignKeyField(
        "models.Contract", related_name="signatures", on_delete=fields.RESTRICT
    )
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="signatures", on_delete=fields.RESTRICT
    )
    side = fields.CharField(max_length=24)
    document_sha256 = fields.BinaryField()
    method = fields.CharField(max_length=24)
    ip = fields.CharField(max_length=45, null=True)
    user_agent = fields.CharField(max_length=300, null=True)
    interaction_id = fields.CharField(max_length=24, null=True)
    token_id = fields.UUIDField(null=True)
    signed_at = fields.DatetimeField()

    class Meta:
        table = "signatures"
        constraints = (
            one_of("signatures", "side", "BUYER", "SELLER"),
            one_of("signatures", "method", "DISCORD", "WEB"),
            CheckConstraint(
                check="CASE method WHEN 'DISCORD' THEN interaction_id IS NOT NULL"
                " ELSE ip IS NOT NULL END",
                name="signatures_proved",
            ),
            UniqueConstraint(fields=("contract_id", "user_id"), name="signatures_one_a_person"),
            UniqueConstraint(fields=("contract_id", "side"), name="signatures_one_a_side"),
        )
