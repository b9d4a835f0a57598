-- 0004_people_guards, 634109f24736ea6d63812d9ebfbf4ede7f0665bf2d50e85ce796ed121097f506; written by scripts/migrations.py

-- Run SQL
CREATE TRIGGER audit_chain_append_only BEFORE UPDATE OR DELETE ON audit_chain FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_chain_no_truncate BEFORE TRUNCATE ON audit_chain FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER roblox_snapshots_append_only BEFORE UPDATE OR DELETE ON roblox_snapshots FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER roblox_snapshots_no_truncate BEFORE TRUNCATE ON roblox_snapshots FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Run SQL
CREATE INDEX one_time_tokens_open ON one_time_tokens (user_id, purpose, subject_id) WHERE consumed_at IS NULL;
CREATE INDEX staff_members_active ON staff_members (role) WHERE revoked_at IS NULL;
