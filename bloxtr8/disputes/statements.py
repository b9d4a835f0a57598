"""What the sides and staff say in a dispute."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.disputes import sides
from bloxtr8.disputes.sides import Side
from bloxtr8.errors import (
    AlreadyDecided,
    ConflictOfInterest,
    InvalidState,
    LimitReached,
    NotFound,
)
from bloxtr8.market import audit, notices
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.notices import Notice
from bloxtr8.store.database import Transaction

STATEMENTS_MAX = 20
QUESTIONS_MAX = 50
_SHOWN_MAX = 200
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """50 to 5,000 characters; `question_id`: what it answers."""

    text: str
    question_id: UUID | None = None


async def of_escrow(tx: Transaction, escrow_id: UUID) -> list[Row]:
    """Return what was said in a trade, in order: of each side and of staff the last 200.

    However much one side says, nobody else's words go out of sight.
    """
    return await tx.fetch(
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY side"
        "  ORDER BY created_at DESC, id DESC) AS place FROM dispute_evidence"
        "  WHERE escrow_id = $1) said WHERE place <= $2 ORDER BY created_at, id",
        escrow_id,
        _SHOWN_MAX,
    )


async def state(
    tx: Transaction, actor: Actor, escrow_id: UUID, statement: Statement, now: datetime
) -> Row:
    """Add a statement of the actor's side; return its row.

    Raises NotFound (also a question not put to this side), InvalidState, LimitReached.
    """
    trade = await sides.lock(tx, actor, escrow_id)
    trade.require_state("DISPUTED")
    said: int = await tx.fetchval(
        "SELECT count(*) FROM dispute_evidence WHERE escrow_id = $1 AND side = $2"
        " AND kind = 'STATEMENT'",
        escrow_id,
        trade.side,
    )
    if said >= STATEMENTS_MAX:
        raise LimitReached(f"A side may make {STATEMENTS_MAX} statements.")
    if statement.question_id is not None:
        await _require_question(tx, escrow_id, trade.side, statement.question_id)
    values = {"side": trade.side, "kind": "STATEMENT", "question_id": statement.question_id}
    row = await _insert(tx, actor, escrow_id, values | {"text": statement.text}, now)
    await _record(tx, actor, "dispute.stated", row, now)
    notice = Notice("dispute_statement", "DISPUTES", f"escrow:{escrow_id}", {"side": trade.side})
    await notices.tell(tx, row["id"], notice, [trade.other], now)
    return row


async def ask(
    tx: Transaction, actor: Actor, dispute_id: UUID, side: Side, text: str, now: datetime
) -> Row:
    """Put staff's question to a side; raises as `claim` does, and LimitReached."""
    dispute = await _open_dispute(tx, actor, dispute_id)
    escrow_id = dispute["escrow_id"]
    asked: int = await tx.fetchval(
        "SELECT count(*) FROM dispute_evidence WHERE escrow_id = $1 AND kind = 'QUESTION'",
        escrow_id,
    )
    if asked >= QUESTIONS_MAX:
        raise LimitReached(f"A dispute may have {QUESTIONS_MAX} questions.")
    values = {"side": "STAFF", "kind": "QUESTION", "asked_side": side, "text": text}
    row = await _insert(tx, actor, escrow_id, values, now)
    await _record(tx, actor, "dispute.asked", row, now)
    reader = dispute["buyer_id"] if side == "BUYER" else dispute["seller_id"]
    notice = Notice("dispute_question", "DISPUTES", f"escrow:{escrow_id}", {"side": side})
    await notices.tell(tx, row["id"], notice, [reader], now)
    return row


async def claim(tx: Transaction, actor: Actor, dispute_id: UUID, now: datetime) -> Row:
    """Make the dispute the actor's to decide, and its task; return its row.

    Claiming one's own again changes nothing. Raises NotFound, AlreadyDecided (another's, or
    over), ConflictOfInterest.
    """
    dispute = await _open_dispute(tx, actor, dispute_id)
    if dispute["claimed_by"] == actor.id:
        return dispute
    if dispute["claimed_by"] is not None:
        raise AlreadyDecided("Somebody else decides this dispute.")
    await tx.execute(
        "UPDATE disputes SET claimed_by = $2, claimed_at = $3, updated_at = $3 WHERE id = $1",
        dispute_id,
        actor.id,
        now,
    )
    await tx.execute(
        "UPDATE staff_tasks SET status = 'CLAIMED', claimed_by = $2, claimed_at = $3,"
        " version = version + 1, updated_at = $3"
        " WHERE kind = 'DISPUTE' AND subject_id = $1 AND status = 'OPEN'",
        str(dispute["escrow_id"]),
        actor.id,
        now,
    )
    deed = Deed("dispute.claimed", ("dispute", str(dispute_id)), escrow_id=dispute["escrow_id"])
    await audit.record(tx, actor, deed, now)
    return dispute | {"claimed_by": actor.id, "claimed_at": now}


async def _open_dispute(tx: Transaction, actor: Actor, dispute_id: UUID) -> Row:
    dispute = await tx.fetchrow(
        "SELECT d.*, e.buyer_id, e.seller_id FROM disputes d JOIN escrows e ON e.id = d.escrow_id"
        " WHERE d.id = $1 FOR NO KEY UPDATE OF d",
        dispute_id,
    )
    if dispute is None:
        raise NotFound
    if actor.id in (dispute["buyer_id"], dispute["seller_id"]):
        raise ConflictOfInterest
    if dispute["status"] != "OPEN":
        raise AlreadyDecided
    return dispute


async def _require_question(
    tx: Transaction, escrow_id: UUID, side: Side, question_id: UUID
) -> None:
    asked = await tx.fetchval(
        "SELECT asked_side FROM dispute_evidence WHERE id = $1 AND escrow_id = $2"
        " AND kind = 'QUESTION'",
        question_id,
        escrow_id,
    )
    if asked is None:
        raise NotFound("There is no such question.")
    if asked != side:
        raise InvalidState("The question was put to the other side.")


async def _insert(
    tx: Transaction, actor: Actor, escrow_id: UUID, values: Row, now: datetime
) -> Row:
    columns = values | {
        "id": ids.uuid7(),
        "escrow_id": escrow_id,
        "sha256": hashlib.sha256(values["text"].encode()).hexdigest(),
        "created_by": actor.id,
        "created_at": now,
    }
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    row = await tx.fetchrow(
        f"INSERT INTO dispute_evidence ({', '.join(columns)})"  # noqa: S608
        f" VALUES ({places}) RETURNING *",
        *columns.values(),
    )
    assert row is not None, "an insert returns its row"
    return row


async def _record(tx: Transaction, actor: Actor, action: str, row: Row, now: datetime) -> None:
    deed = Deed(
        action,
        ("evidence", str(row["id"])),
        data={"sha256": row["sha256"]},
        escrow_id=row["escrow_id"],
    )
    await audit.record(tx, actor, deed, now)
