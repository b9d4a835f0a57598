"""What the models cannot say: append-only tables, indexes with conditions."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

_APPEND_ONLY_TABLES = ("audit_chain", "roblox_snapshots")
_INDEXES = (
    "CREATE INDEX one_time_tokens_open ON one_time_tokens (user_id, purpose, subject_id) "
    "WHERE consumed_at IS NULL",
    "CREATE INDEX staff_members_active ON staff_members (role) WHERE revoked_at IS NULL",
)
_DROP_INDEXES = tuple(f"DROP INDEX {statement.split()[2]}" for statement in _INDEXES)


def _append_only(table: str) -> tuple[str, str]:
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )


def _drop_append_only(table: str) -> tuple[str, str]:
    return (
        f"DROP TRIGGER {table}_append_only ON {table}",
        f"DROP TRIGGER {table}_no_truncate ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [("models", "0003_people")]

    operations = [
        RunSQL(
            [statement for table in _APPEND_ONLY_TABLES for statement in _append_only(table)],
            [statement for table in _APPEND_ONLY_TABLES for statement in _drop_append_only(table)],
        ),
        RunSQL(list(_INDEXES), list(_DROP_INDEXES)),
    ]
