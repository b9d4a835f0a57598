"""Signing: under one document's hash, each side once, and with the second the contract is in force.

On the web the person proves themselves by a fresh sign-in or by a link; in Discord by the
interaction.
"""

import hmac
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.contracts import messages, rows, voiding
from bloxtr8.contracts.execution import execute_contract
from bloxtr8.contracts.rows import Row, on_contract
from bloxtr8.errors import (
    ContractNotReady,
    DocumentChanged,
    Forbidden,
    InvalidState,
    LinkExpired,
    NotFound,
    OwnershipLost,
    SigningExpired,
)
from bloxtr8.market import links, notices, standing
from bloxtr8.market.actors import Channel
from bloxtr8.market.links import Permit
from bloxtr8.market.place import Change, Marketplace, Proof
from bloxtr8.market.standing import Lock
from bloxtr8.store import database

Method = Literal["WEB", "DISCORD"]
_BOTH = 2


@dataclass(frozen=True, slots=True)
class Signing:
    """A wish to sign. `document_sha256`: of the document that the person was shown.

    `token`: of a link made for it, used up with the signature.
    """

    contract_id: UUID
    document_sha256: bytes
    token: str | None = None


class OwnershipUnproved(Exception):
    """This is the second signature, which needs an answer of Roblox that was not asked for."""


async def prove(place: Marketplace, contract_id: UUID) -> Proof:
    """Ask Roblox, before the transaction of `sign`, whether the seller is still the owner.

    Raises NotFound, OwnershipUnknown. Needed for the second signature only.
    """
    row = await database.fetchrow(
        "SELECT c.seller_id, l.universe_id FROM contracts c JOIN listings l ON l.id = c.listing_id"
        " WHERE c.id = $1",
        contract_id,
    )
    if row is None:
        raise NotFound
    return await place.experiences.verify(row["seller_id"], row["universe_id"], fresh=True)


async def sign(change: Change, signing: Signing, proof: Proof | None = None) -> Row:
    """Sign as the acting party; the second signature puts the contract in force.

    Signing again changes nothing. Returns the contract. Raises NotFound, ContractNotReady,
    DocumentChanged, SigningExpired, InvalidState, AccountFrozen, Forbidden, TierRequired,
    ConsentRequired, LinkExpired, OwnershipLost (the caller ends the contract then), and
    OwnershipUnproved for a second signature without `proof`. Locks users, then the contract.
    """
    before, side = await rows.of_party(change.tx, signing.contract_id, change.actor.id)
    seller = await _hold_people(change, before)
    row = await rows.locked(change.tx, signing.contract_id)
    earlier = await rows.signatures(change.tx, row["id"])
    if any(one["user_id"] == change.actor.id for one in earlier):
        return row
    _require_open(change, row, signing)
    # Before Roblox is asked for anybody: what is raised below takes the use back.
    token_id = await _use_link(change, signing)
    second = len(earlier) + 1 == _BOTH
    if second:
        _require_owner(proof, seller.roblox_user_id)
    await _insert(change, row, side, token_id)
    await _tell(change, row, side)
    if second:
        await _execute(change, row)
    return await rows.locked(change.tx, row["id"])


async def lose(change: Change, contract_id: UUID) -> None:
    """End a contract whose `sign` has raised OwnershipLost."""
    await voiding.for_lost_ownership(change, contract_id)


async def make_link(change: Change, contract_id: UUID) -> str:
    """Return the token of a link with which the acting party may sign the present document.

    Raises NotFound, ContractNotReady, SigningExpired and InvalidState.
    """
    row, _ = await rows.of_party(change.tx, contract_id, change.actor.id)
    _require_waiting(change, row)
    permit = Permit("SIGN_CONTRACT", change.actor.id, contract_id)
    return await links.make(
        change.tx, permit, change.now, {"document_sha256": row["pdf_sha256"].hex()}
    )


async def _hold_people(change: Change, row: Row) -> standing.Standing:
    """Hold both users; check the actor's rights and that the other side may trade; the seller."""
    policy, found = change.place.policy, {}
    for user_id in sorted((row["buyer_id"], row["seller_id"])):
        found[user_id] = await standing.read(change.tx, user_id, policy, change.now, Lock.SHARE)
    tier = standing.tier_for_price(row["price_minor"], policy)
    mine = found[change.actor.id]
    mine.require_active()
    mine.require_tier(tier)
    mine.require_consents()
    (theirs,) = (other for user_id, other in found.items() if user_id != change.actor.id)
    if theirs.status != "ACTIVE":
        raise Forbidden("The other side's account is not active.")
    theirs.require_tier(tier)
    return found[row["seller_id"]]


def _require_waiting(change: Change, row: Row) -> None:
    if row["status"] != "PENDING_SIGNATURE":
        raise InvalidState(current_status=row["status"])
    if row["pdf_sha256"] is None:
        raise ContractNotReady(retry_after_s=5)
    if rows.is_over(row, change.now):
        raise SigningExpired


def _require_open(change: Change, row: Row, signing: Signing) -> None:
    _require_waiting(change, row)
    if not hmac.compare_digest(row["pdf_sha256"], signing.document_sha256):
        raise DocumentChanged


def _require_owner(proof: Proof | None, roblox_user_id: int | None) -> None:
    if proof is None:
        raise OwnershipUnproved
    if not proof.may_list or proof.roblox_user_id != roblox_user_id:
        raise OwnershipLost


async def _use_link(change: Change, signing: Signing) -> UUID | None:
    if signing.token is None:
        return None
    permit = Permit("SIGN_CONTRACT", change.actor.id, signing.contract_id)
    row = await links.consume(change.tx, signing.token, permit, change.now)
    if links.data_of(row).get("document_sha256") != signing.document_sha256.hex():
        raise LinkExpired
    found: UUID = row["id"]
    return found


def _method(change: Change) -> Method:
    return "DISCORD" if change.actor.channel is Channel.DISCORD else "WEB"


async def _insert(change: Change, row: Row, side: str, token_id: UUID | None) -> None:
    actor = change.actor
    await change.tx.execute(
        "INSERT INTO signatures (id, contract_id, user_id, side, document_sha256, method, ip,"
        " user_agent, interaction_id, token_id, signed_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        ids.uuid7(),
        row["id"],
        actor.id,
        side,
        row["pdf_sha256"],
        _method(change),
        actor.ip,
        actor.user_agent,
        actor.interaction_id,
        token_id,
        change.now,
    )
    await change.tx.execute(
        "UPDATE contracts SET version = version + 1, updated_at = $2 WHERE id = $1",
        row["id"],
        change.now,
    )


async def _tell(change: Change, row: Row, side: str) -> None:
    data: dict[str, Any] = {
        "side": side,
        "method": _method(change),
        "document_sha256": row["pdf_sha256"].hex(),
    }
    await change.audit("contract.signed", on_contract(row["id"]), data=data)
    body = messages.signed(row, side, _method(change))
    event_id = await messages.say(change, row, body, side)
    notice = notices.Notice("contract_signed", "CONTRACTS", f"contract:{row['id']}", {"side": side})
    readers = [row["buyer_id"], row["seller_id"]]
    await notices.tell(change.tx, event_id, notice, readers, change.now)


async def _execute(change: Change, row: Row) -> None:
    escrow_id = await execute_contract(change.tx, row["id"], change.place.contracts, change.now)
    await change.audit("contract.executed", on_contract(row["id"]), data={"escrow_id": escrow_id})
    await change.tx.execute(
        "UPDATE one_time_tokens SET consumed_at = $2 WHERE subject_id = $1"
        " AND purpose = 'SIGN_CONTRACT' AND consumed_at IS NULL",
        row["id"],
        change.now,
    )
    notice = notices.Notice("contract_executed", "CONTRACTS", f"contract:{row['id']}")
    event_id = ids.derived("executed", str(row["id"]))
    readers = [row["buyer_id"], row["seller_id"]]
    await notices.tell(change.tx, event_id, notice, readers, change.now)
