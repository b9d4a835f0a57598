from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0010_live")]

    initial = False

    operations = [
        ops.AddField(
            model_name="ChainTransaction",
            name="signed",
            field=fields.TextField(db_default="", unique=False),
        ),
    ]
