from tortoise import migrations
from tortoise.migrations import operations as ops
import functools
from bloxtr8.ids import uuid7
from json import dumps, loads
from tortoise.fields.db_defaults import Now
from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint


class Migration(migrations.Migration):
    dependencies = [("models", "0011_signed_bytes")]

    initial = False

    operations = [
        ops.CreateModel(
            name="TradeRemark",
            fields=[
                (
                    "created_at",
                    fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=False),
                ),
                (
                    "id",
                    fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True),
                ),
                ("escrow_id", fields.UUIDField()),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("kind", fields.CharField(max_length=40)),
                ("side", fields.CharField(max_length=24)),
                (
                    "data",
                    fields.JSONField(
                        encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
                    ),
                ),
            ],
            options={
                "table": "trade_remarks",
                "app": "models",
                "indexes": [Index(fields=["escrow_id", "at"])],
                "pk_attr": "id",
                "table_description": "What belongs in a trade's timeline and is no event of its escrow. `side`: who said it.",
            },
            bases=["Row"],
        ),
        ops.AddField(
            model_name="Contract",
            name="receiving_group",
            field=fields.JSONField(
                null=True, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads
            ),
        ),
        ops.AddField(
            model_name="Contract",
            name="receiving_group_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name="Contract",
            name="receiving_group_id",
            field=fields.BigIntField(null=True),
        ),
        ops.AddConstraint(
            model_name="TradeRemark",
            constraint=CheckConstraint(
                check="kind IN ('OWNERSHIP_SEEN', 'RECEIVING_GROUP_SET')",
                name="trade_remarks_kind_known",
            ),
        ),
        ops.AddConstraint(
            model_name="TradeRemark",
            constraint=CheckConstraint(
                check="side IN ('BUYER', 'SELLER', 'SYSTEM')", name="trade_remarks_side_known"
            ),
        ),
    ]
