"""What the tables share."""

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.migrations.constraints import CheckConstraint
from tortoise.models import Model

from bloxtr8 import ids


class Created(Model):
    created_at = fields.DatetimeField(db_default=Now())

    class Meta:
        abstract = True


class Row(Created):
    id = fields.UUIDField(primary_key=True, default=ids.uuid7)

    class Meta:
        abstract = True


def one_of(table: str, column: str, *values: str) -> CheckConstraint:
    """Return the CHECK that makes `column` an enumeration."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(check=f"{column} IN ({listed})", name=f"{table}_{column}_known")
