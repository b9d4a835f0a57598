"""What exports hold: everything about a person, or a part of the audit log."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from bloxtr8.store import audit_chain, database
from bloxtr8.store.canonical import canonical_json

Row = dict[str, Any]

_ROWS_MAX = 10_000
# Name in the file → rows about user $1, as JSON. Nothing that belongs to somebody else.
_PERSON = {
    "profile": (
        "SELECT id, display_name, avatar_url, email, email_verified, tier, tier2_until, status,"
        " status_reason, locale, timezone, created_at FROM users WHERE id = $1"
    ),
    "accounts": (
        "SELECT provider, external_id, username, display_name, linked_at, unlinked_at"
        " FROM accounts WHERE user_id = $1 ORDER BY linked_at"
    ),
    "consents": (
        "SELECT document, version, method, ip, accepted_at FROM consents"
        " WHERE user_id = $1 ORDER BY accepted_at"
    ),
    "sessions": (
        "SELECT id, auth_time, ip, user_agent, last_used_at, revoked_at, revoke_reason"
        " FROM sessions WHERE user_id = $1 ORDER BY auth_time"
    ),
    "preferences": (
        "SELECT category, place, enabled FROM notification_preferences WHERE user_id = $1"
    ),
    "settings": "SELECT * FROM user_settings WHERE user_id = $1",
    "payout_methods": (
        "SELECT id, kind, external_ref, status, verified_at, usable_from, disabled_at"
        " FROM payout_methods WHERE user_id = $1 ORDER BY created_at"
    ),
    "blocks": "SELECT blocked_id, created_at FROM user_blocks WHERE user_id = $1",
    "verifications": (
        "SELECT universe_id, outcome, ownership, method, checked_at FROM asset_verifications"
        " WHERE user_id = $1"
    ),
    "listings": (
        "SELECT id, ref, universe_id, title, summary, included_assets, category, tags,"
        " price_minor, currency, status, hold_reason, created_at FROM listings"
        " WHERE seller_id = $1 ORDER BY created_at"
    ),
    "offers": (
        "SELECT id, ref, listing_id, CASE WHEN buyer_id = $1 THEN 'BUYER' ELSE 'SELLER' END AS"
        " side, proposed_by, round, amount_minor, currency, conditions, note, status, created_at"
        " FROM offers WHERE $1 IN (buyer_id, seller_id) ORDER BY created_at"
    ),
    "contracts": (
        "SELECT id, ref, offer_id, CASE WHEN buyer_id = $1 THEN 'BUYER' ELSE 'SELLER' END AS"
        " side, status, price_minor, rail, receiving_group_id, receiving_group_at, created_at"
        " FROM contracts"
        " WHERE $1 IN (buyer_id, seller_id) ORDER BY created_at"
    ),
    "signatures": (
        "SELECT contract_id, side, method, ip, user_agent, signed_at FROM signatures"
        " WHERE user_id = $1 ORDER BY signed_at"
    ),
    "trades": (
        "SELECT id, contract_id, CASE WHEN buyer_id = $1 THEN 'BUYER' ELSE 'SELLER' END AS side,"
        " state, rail, currency, price_minor, created_at, ended_at FROM escrows"
        " WHERE $1 IN (buyer_id, seller_id) ORDER BY created_at"
    ),
    "statements": (
        "SELECT id, escrow_id, kind, text, created_at FROM dispute_evidence"
        " WHERE created_by = $1 AND side <> 'STAFF' ORDER BY created_at"
    ),
    "evidence": (
        "SELECT id, escrow_id, kind, note, content_type, size_bytes, sha256, created_at"
        " FROM evidence_files WHERE created_by = $1 ORDER BY created_at"
    ),
    "reports": (
        "SELECT subject_type, subject_id, reason, text, status, created_at FROM reports"
        " WHERE reporter_id = $1 ORDER BY created_at"
    ),
    "notices": (
        "SELECT template, category, entity, data, created_at, read_at FROM"
        " notification_deliveries WHERE user_id = $1 AND channel = 'INBOX' ORDER BY created_at"
    ),
    "deeds": (
        "SELECT at, action, subject_type, subject_id, ip, user_agent FROM audit_log"
        " WHERE actor_id = $1 ORDER BY id"
    ),
}
_COLUMNS = (
    *("seq", "hash", "id", "at", "actor_type", "actor_id", "channel", "action", "subject_type"),
    *("subject_id", "escrow_id", "reason", "data", "ip", "user_agent", "trace_id"),
)


def name_and_type(row: Row) -> tuple[str, str]:
    """Return what an export's file is called, and its media type."""
    if row["kind"] == "PERSON":
        return "bloxtr8-data.json", "application/json"
    if json.loads(row["asked"])["format"] == "csv":
        return "bloxtr8-audit.csv", "text/csv"
    return "bloxtr8-audit.jsonl", "application/x-ndjson"


class Contents:
    """An export's bytes. `facts` are known when `lines` has come to its end."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self.facts: dict[str, Any] = {}

    def lines(self) -> AsyncIterator[bytes]:
        return self._person() if self._row["kind"] == "PERSON" else self._audit()

    async def _person(self) -> AsyncIterator[bytes]:
        yield b"{"
        for number, (name, sql) in enumerate(_PERSON.items()):
            row = await database.fetchrow(
                "SELECT coalesce(json_agg(x), '[]')::text AS found"  # noqa: S608
                f" FROM ({sql} LIMIT {_ROWS_MAX}) x",
                self._row["requested_by"],
            )
            assert row is not None, "an aggregate has a row"
            yield f"{',' if number else ''}{json.dumps(name)}:{row['found']}".encode()
        yield b"}\n"

    async def _audit(self) -> AsyncIterator[bytes]:
        asked = json.loads(self._row["asked"])
        since, until = (datetime.fromisoformat(asked[name]) for name in ("from", "to"))
        count, head = 0, None
        if asked["format"] == "csv":
            yield _csv_line(_COLUMNS)
        async for row in audit_chain.export(since, until):
            count, head = count + 1, row["hash"]
            if asked["format"] == "csv":
                shown = row | {"data": canonical_json(row["data"]).decode()}
                yield _csv_line([_text(shown[name]) for name in _COLUMNS])
            else:
                yield canonical_json(row) + b"\n"
        self.facts = {"rows": count, "chain_head": head}


def _csv_line(values: Any) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue().encode()


def _text(value: Any) -> str:
    """Return a cell's text; one that a spreadsheet would run is shown as text."""
    text = value.isoformat() if isinstance(value, datetime) else "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
