"""The USDC rail: deposit addresses, the watcher's place, our transactions, wallets' screenings."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Created, Row, one_of


class DepositAccount(Created):
    """A deposit address and all that came to it; amounts in micro-USDC, addresses lower-case.

    `waiting`: something is seen and not accepted; `newest_block`: of what is accepted.
    """

    address = fields.CharField(max_length=42, primary_key=True)
    escrow_id = fields.UUIDField()
    operation_id = fields.UUIDField()
    contract_id = fields.CharField(max_length=36, db_default="")
    due_minor = fields.BigIntField()
    first_block = fields.BigIntField()
    state = fields.CharField(max_length=8, db_default="OPEN")
    payment_ref = fields.CharField(max_length=100, db_default="")
    deposits = fields.JSONField[list[dict[str, object]]]()
    overfull = fields.BooleanField(db_default=False)
    waiting = fields.BooleanField(db_default=False)
    newest_block = fields.BigIntField(null=True)
    accepted_minor = fields.BigIntField(db_default=0)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "deposit_accounts"
        indexes = (Index(fields=("waiting",)), Index(fields=("newest_block",)))
        constraints = (
            one_of("deposit_accounts", "state", "OPEN", "PAID", "CLOSED"),
            UniqueConstraint(fields=("escrow_id",), name="deposit_accounts_one_an_escrow"),
            CheckConstraint(check="due_minor > 0", name="deposit_accounts_due"),
        )


class ChainCursor(Created):
    """The last block that the watcher has read."""

    chain_id = fields.BigIntField(primary_key=True, generated=False)
    block_number = fields.BigIntField()
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "chain_cursors"


class DepositNumber(Created):
    """Which key of the wallet's path is whose; given once and for ever."""

    number = fields.BigIntField(primary_key=True, generated=False)
    reference = fields.CharField(max_length=64)
    address = fields.CharField(max_length=42, null=True)

    class Meta:
        table = "deposit_numbers"
        constraints = (
            UniqueConstraint(fields=("reference",), name="deposit_numbers_once"),
            UniqueConstraint(fields=("address",), name="deposit_numbers_address"),
        )


class ChainTransaction(Created):
    """A transaction that we sign: nonce and content are fixed, only its fee may rise."""

    key = fields.CharField(max_length=160, primary_key=True)
    signer = fields.CharField(max_length=42)
    signer_number = fields.BigIntField(null=True)
    nonce = fields.BigIntField()
    to = fields.CharField(max_length=42, source_field="recipient_contract")
    data = fields.TextField()
    value_wei = fields.DecimalField(max_digits=78, decimal_places=0)
    gas = fields.BigIntField()
    fee_max_wei = fields.BigIntField()
    tip_wei = fields.BigIntField()
    amount_minor = fields.BigIntField(db_default=0)
    recipient = fields.CharField(max_length=42, db_default="")
    stage = fields.CharField(max_length=10, db_default="RESERVED")
    hashes = fields.JSONField[list[str]]()
    sent_block = fields.BigIntField(db_default=0)
    signed = fields.TextField(db_default="")
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "chain_transactions"
        indexes = (Index(fields=("stage", "signer", "nonce")),)
        constraints = (
            one_of("chain_transactions", "stage", "RESERVED", "MINED", "REVERTED"),
            UniqueConstraint(fields=("signer", "nonce"), name="chain_transactions_nonce"),
        )


class WalletScreening(Row):
    """What all providers together said of a wallet at one time."""

    address = fields.CharField(max_length=42)
    risk = fields.CharField(max_length=12)
    score = fields.IntField(null=True)
    complete = fields.BooleanField()
    asked_at = fields.DatetimeField()

    class Meta:
        table = "wallet_screenings"
        indexes = (Index(fields=("address", "asked_at")),)
        constraints = (
            one_of(
                "wallet_screenings",
                "risk",
                *("LOW", "MEDIUM", "UNKNOWN", "HIGH", "SANCTIONED"),
            ),
        )


class ScreeningAnswer(Row):
    """A provider's raw answer, encrypted, kept for seven years."""

    address = fields.CharField(max_length=42)
    provider = fields.CharField(max_length=24)
    risk = fields.CharField(max_length=12)
    score = fields.IntField(null=True)
    reason = fields.CharField(max_length=120, db_default="")
    asked_at = fields.DatetimeField()
    encrypted = fields.BinaryField()
    keep_until = fields.DatetimeField()

    class Meta:
        table = "screening_answers"
        indexes = (Index(fields=("address", "asked_at")), Index(fields=("keep_until",)))
