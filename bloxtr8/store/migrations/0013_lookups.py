"""Indexes for what is looked up: references followed back, and lists by time."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

_INDEXES = (
    # References, from the other side.
    "CREATE INDEX accounts_of_user ON accounts (user_id)",
    "CREATE INDEX payout_methods_of_user ON payout_methods (user_id)",
    "CREATE INDEX oauth_states_of_session ON oauth_states (session_id)",
    "CREATE INDEX oauth_states_of_user ON oauth_states (user_id)",
    "CREATE INDEX listings_of_snapshot ON listings (snapshot_id)",
    "CREATE INDEX listings_reserved ON listings (reserved_contract_id) "
    "WHERE reserved_contract_id IS NOT NULL",
    "CREATE INDEX listing_messages_of_guild ON listing_messages (guild_id)",
    "CREATE INDEX one_time_tokens_of_user ON one_time_tokens (user_id)",
    "CREATE INDEX offer_drafts_of_listing ON offer_drafts (listing_id)",
    "CREATE INDEX offer_drafts_of_parent ON offer_drafts (parent_id) WHERE parent_id IS NOT NULL",
    "CREATE INDEX signatures_of_user ON signatures (user_id)",
    "CREATE INDEX reports_of_reporter ON reports (reporter_id)",
    "CREATE INDEX dispute_evidence_of_author ON dispute_evidence (created_by)",
    "CREATE INDEX operations_of_approval ON operations (approval_id) WHERE approval_id IS NOT NULL",
    # Keys by how they begin.
    "CREATE INDEX chain_transactions_of_key ON chain_transactions (key varchar_pattern_ops)",
    # What was asked for an experience before, whoever sold it.
    "CREATE INDEX listings_of_experience ON listings (universe_id)",
    # Lists by time.
    "CREATE INDEX approvals_newest ON approvals (created_at DESC, id DESC)",
    "CREATE INDEX reports_newest ON reports (created_at DESC, id DESC)",
    "CREATE INDEX users_newest ON users (created_at DESC, id DESC)",
    "CREATE INDEX escrows_ended ON escrows (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE INDEX payment_operations_asked ON payment_operations (requested_at)",
    "CREATE INDEX payment_artifacts_stray ON payment_artifacts (updated_at, ref) "
    "WHERE status IN ('STRAY', 'FOREIGN')",
    "CREATE INDEX exports_kept ON exports (finished_at) "
    "WHERE object_key IS NOT NULL AND deleted_at IS NULL",
)
_DROP = tuple(f"DROP INDEX {statement.split()[2]}" for statement in _INDEXES)


class Migration(migrations.Migration):
    dependencies = [("models", "0012_receiving_groups")]

    operations = [RunSQL(list(_INDEXES), list(_DROP))]
