"""Texts about a trade: they stay in PostgreSQL, messages carry their id and SHA-256."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from bloxtr8 import ids
from bloxtr8.store.database import Transaction
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web.call import Call

Kind = Literal["STATEMENT", "NOTE", "VERDICT"]


@dataclass(frozen=True, slots=True)
class Text:
    """A text that will be stored with the operation that speaks of it."""

    id: str
    kind: Kind
    text: str

    @classmethod
    def new(cls, kind: Kind, text: str) -> "Text":
        return cls(str(ids.uuid7()), kind, text)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def ref(self) -> types.EvidenceRef:
        return types.EvidenceRef(id=self.id, sha256=self.sha256)


async def insert(tx: Transaction, call: Call, text: Text) -> None:
    """Store `text` as said by the caller about the call's escrow."""
    await tx.execute(
        "INSERT INTO dispute_evidence (id, escrow_id, side, kind, text, sha256, created_by,"
        " created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        text.id,
        call.trade.escrow.escrow_id,
        call.trade.side or "STAFF",
        text.kind,
        text.text,
        text.sha256,
        call.caller.user_id,
        call.now,
    )
