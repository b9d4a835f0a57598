"""Double entry: lines that are never changed, and the balances they make."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint

from bloxtr8.store.models.base import Created


class LedgerAccount(Created):
    """The balance of an account: the sum of its lines. Without `floor_minor` it may be negative."""

    id = fields.BigIntField(primary_key=True)
    account = fields.CharField(max_length=100)
    currency = fields.CharField(max_length=5)
    balance_minor = fields.BigIntField(db_default=0)
    floor_minor = fields.BigIntField(null=True)
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "ledger_accounts"
        constraints = (
            UniqueConstraint(fields=("account", "currency"), name="ledger_accounts_once"),
            CheckConstraint(
                check="floor_minor IS NULL OR balance_minor >= floor_minor",
                name="ledger_accounts_floor",
            ),
        )


class LedgerEntry(Created):
    """One line of a transaction; a transaction's lines sum to zero per currency."""

    id = fields.BigIntField(primary_key=True)
    transaction_id = fields.UUIDField()
    line = fields.SmallIntField()
    kind = fields.CharField(max_length=40)
    account = fields.CharField(max_length=100)
    currency = fields.CharField(max_length=5)
    amount_minor = fields.BigIntField()
    escrow_id = fields.UUIDField(null=True)
    event_id = fields.UUIDField()
    occurred_at = fields.DatetimeField()

    class Meta:
        table = "ledger_entries"
        indexes = (
            Index(fields=("escrow_id", "id")),
            Index(fields=("account", "currency", "id")),
        )
        constraints = (
            UniqueConstraint(fields=("transaction_id", "line"), name="ledger_entries_once"),
            CheckConstraint(check="amount_minor <> 0", name="ledger_entries_something"),
        )
