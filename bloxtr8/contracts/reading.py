"""Contracts as people read them: one, a person's own, and what a hash is of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from bloxtr8.contracts.rows import NAMES, Row
from bloxtr8.store import database
from bloxtr8.store.database import Transaction

Status = Literal["PENDING_SIGNATURE", "EXECUTED", "VOID"]
Side = Literal["BUYER", "SELLER"]

_COLUMNS = ", ".join(f"c.{name}" for name in NAMES)
_PEOPLE = (
    "b.display_name AS buyer_name, b.avatar_url AS buyer_avatar, b.tier AS buyer_tier,"
    " s.display_name AS seller_name, s.avatar_url AS seller_avatar, s.tier AS seller_tier,"
    " coalesce((SELECT jsonb_agg(jsonb_build_object('side', g.side, 'method', g.method,"
    "  'signed_at', g.signed_at, 'user_id', g.user_id) ORDER BY g.signed_at, g.id)"
    "  FROM signatures g WHERE g.contract_id = c.id), '[]') AS signatures"
)
_JOINS = "JOIN users b ON b.id = c.buyer_id JOIN users s ON s.id = c.seller_id"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of a list; None filters nothing."""

    status: Status | None = None
    role: Side | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a list: `limit` rows, newest first, after the row with this time and id."""

    limit: int
    after: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What anybody who has a document may learn about it."""

    ref: str
    variant: Literal["draft", "final"]
    status: Status
    template_version: str
    at: datetime


async def contract(name: str | UUID, tx: Transaction | None = None) -> Row | None:
    """Return a contract by id or reference with its people and signatures; None for none."""
    column = "id" if isinstance(name, UUID) else "ref"
    return await (tx or database).fetchrow(
        f"SELECT {_COLUMNS}, {_PEOPLE} FROM contracts c {_JOINS} WHERE c.{column} = $1",  # noqa: S608
        name,
    )


async def of_person(user_id: UUID, wanted: Wanted, part: Part) -> Sequence[Row]:
    """Return the user's contracts, the newest first."""
    sides = {"BUYER": "c.buyer_id = $1", "SELLER": "c.seller_id = $1"}
    mine = sides[wanted.role] if wanted.role else f"({' OR '.join(sides.values())})"
    args: list[Any] = [user_id, wanted.status, part.limit]
    beyond = ""
    if part.after is not None:
        beyond = "AND (c.created_at, c.id) < ($4, $5)"
        args += part.after
    async with database.transaction() as tx:
        return await tx.fetch(
            f"SELECT {_COLUMNS}, {_PEOPLE} FROM contracts c {_JOINS}"  # noqa: S608
            f" WHERE {mine} AND ($2::text IS NULL OR c.status = $2) {beyond}"
            " ORDER BY c.created_at DESC, c.id DESC LIMIT $3",
            *args,
        )


async def known(sha256: bytes) -> Known | None:
    """Return what document has this hash, None when none of ours has."""
    row = await database.fetchrow(
        "SELECT ref, status, template_version, pdf_sha256 = $1 AS draft, rendered_at, executed_at,"
        " created_at FROM contracts WHERE pdf_sha256 = $1 OR final_sha256 = $1",
        sha256,
    )
    if row is None:
        return None
    at = row["rendered_at"] if row["draft"] else row["executed_at"]
    variant: Literal["draft", "final"] = "draft" if row["draft"] else "final"
    version = row["template_version"]
    return Known(row["ref"], variant, row["status"], version, at or row["created_at"])
