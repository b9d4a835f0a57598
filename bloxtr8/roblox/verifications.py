"""Ownership as Bloxtr8 relies on it: asked afresh when it matters, kept for a day."""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.errors import InvalidState, NotFound, OwnershipUnknown, TierRequired
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.roblox import ownership
from bloxtr8.roblox.api import RobloxApi
from bloxtr8.roblox.client import ACTION_S
from bloxtr8.roblox.ownership import Finding, Outcome, Ownership
from bloxtr8.store.database import Transaction, run_in_transaction, to_json, transaction

VERIFIED_KEPT = timedelta(hours=24)
NOT_OWNER_KEPT = timedelta(minutes=15)
UNKNOWN_PAUSE_S = 60.0
# Why nothing is known when Roblox was not asked at all.
PAUSED = "paused"
_PAUSES_MAX = 10_000

Row = dict[str, Any]
NotOwnerEffect = Callable[[Transaction, Actor, UUID, int, datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Verification:
    """What is known about a person and an experience. `cached`: from an earlier check."""

    user_id: UUID
    roblox_user_id: int
    universe_id: int
    outcome: Outcome
    ownership: Ownership | None
    method: str
    reason: str | None
    group_id: int | None
    evidence: dict[str, Any]
    approved: bool
    checked_at: datetime
    expires_at: datetime
    cached: bool

    @property
    def verified(self) -> bool:
        return self.outcome is Outcome.VERIFIED

    @property
    def may_list(self) -> bool:
        """An owner may; an admin with the group owner's consent that staff have approved."""
        if self.ownership is Ownership.ADMIN:
            return self.approved
        return self.ownership is Ownership.OWNER


class Verifier:
    """Checks ownership. `effects` run in the transaction that learns that somebody may not list.

    That is NOT_OWNER, and a member of the owning group who is not its owner any more.
    """

    def __init__(
        self,
        api: RobloxApi,
        clock: Clock,
        *,
        effects: Sequence[NotOwnerEffect] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._clock = clock
        self._effects = tuple(effects)
        self._monotonic = monotonic
        self._paused: OrderedDict[tuple[UUID, int], float] = OrderedDict()

    async def verify(
        self,
        actor: Actor,
        universe_id: int,
        *,
        user_id: UUID | None = None,
        fresh: bool = False,
        budget_s: float = ACTION_S,
    ) -> Verification:
        """Return whether the experience is `user_id`'s (without: the actor's own).

        `fresh` asks Roblox now; a VERIFIED of the last 24 h still counts when Roblox does not
        answer. Raises OwnershipUnknown, and TierRequired when no Roblox account is linked.
        """
        of_user = user_id or actor.id
        roblox_id, row = await self._known(of_user, universe_id)
        now = self._clock.now()
        usable = row is not None and row["expires_at"] > now
        if row is not None and usable and not fresh:
            return _verification(row, cached=True)
        finding = await self._ask(of_user, roblox_id, universe_id, row, budget_s)
        if finding.outcome is Outcome.UNKNOWN:
            if finding.reason != PAUSED:
                await self._note_unknown(actor, of_user, universe_id, finding)
            if row is not None and usable and row["outcome"] == Outcome.VERIFIED:
                return _verification(row, cached=True)
            raise OwnershipUnknown(retry_after_s=max(1, round(finding.retry_after_s)))
        return await self._keep(actor, of_user, roblox_id, universe_id, finding)

    async def prove_group(self, actor: Actor, group_id: int) -> int:
        """Keep that the actor manages the group's experiences; return how many it concerns."""
        now = self._clock.now()

        async def work(tx: Transaction) -> int:
            raised = await tx.execute(
                "UPDATE asset_verifications SET ownership = 'ADMIN', checked_at = $3,"
                " expires_at = $4, updated_at = $3 WHERE user_id = $1 AND group_id = $2"
                " AND outcome = 'VERIFIED' AND ownership IN ('DEVELOPER', 'ADMIN')",
                actor.id,
                group_id,
                now,
                now + VERIFIED_KEPT,
            )
            deed = Deed("verification.done", ("roblox_group", str(group_id)))
            await audit.record(tx, actor, deed, now)
            return raised

        return await run_in_transaction(work)

    async def _known(self, user_id: UUID, universe_id: int) -> tuple[int, Row | None]:
        """Return the linked Roblox id, and the stored result if it is about that account."""
        async with transaction() as tx:
            linked = await _linked(tx, user_id)
            row = await tx.fetchrow(
                "SELECT * FROM asset_verifications WHERE user_id = $1 AND universe_id = $2"
                " AND roblox_user_id = $3",
                user_id,
                universe_id,
                linked,
            )
        return linked, row

    async def _ask(
        self, user_id: UUID, roblox_id: int, universe_id: int, row: Row | None, budget_s: float
    ) -> Finding:
        pair = (user_id, universe_id)
        paused_s = self._paused.get(pair, 0.0) - self._monotonic()
        if paused_s > 0:
            return Finding(Outcome.UNKNOWN, reason=PAUSED, retry_after_s=paused_s)
        try:
            async with asyncio.timeout(budget_s):
                finding = await ownership.decide(
                    self._api, roblox_id, universe_id, _proved(row, self._clock.now())
                )
        except TimeoutError:
            finding = Finding(Outcome.UNKNOWN, reason="timeout")
        if finding.outcome is Outcome.UNKNOWN:
            self._paused[pair] = self._monotonic() + UNKNOWN_PAUSE_S
            self._paused.move_to_end(pair)
            if len(self._paused) > _PAUSES_MAX:
                self._paused.popitem(last=False)
        return finding

    async def _note_unknown(
        self, actor: Actor, user_id: UUID, universe_id: int, finding: Finding
    ) -> None:
        """Keep that Roblox was asked and did not say; what was known before stays."""
        data = {"universe_id": str(universe_id), "reason": finding.reason}
        deed = Deed("verification.unknown", audit.on_user(user_id), data=data)

        async def work(tx: Transaction) -> None:
            await audit.record(tx, actor, deed, self._clock.now())

        await run_in_transaction(work)

    async def _keep(
        self, actor: Actor, user_id: UUID, roblox_id: int, universe_id: int, finding: Finding
    ) -> Verification:
        now = self._clock.now()

        async def work(tx: Transaction) -> Verification:
            await tx.execute("SELECT 1 FROM users WHERE id = $1 FOR SHARE", user_id)
            if await _linked(tx, user_id) != roblox_id:
                raise InvalidState("The linked Roblox account has changed meanwhile.")
            row = await _upsert(tx, user_id, roblox_id, universe_id, finding, now)
            data = {"universe_id": str(universe_id), "outcome": finding.outcome.value}
            deed = Deed("verification.done", audit.on_user(user_id), data=data)
            await audit.record(tx, actor, deed, now)
            kept = _verification(row, cached=False)
            if not kept.may_list:
                for effect in self._effects:
                    await effect(tx, actor, user_id, universe_id, now)
            return kept

        return await run_in_transaction(work)


async def approve_manually(
    tx: Transaction,
    actor: Actor,
    user_id: UUID,
    universe_id: int,
    proof: dict[str, str],
    now: datetime,
) -> Verification:
    """Staff approve the group owner's consent; `proof`: note and file_sha256.

    The person has to have been found in the owning group. Raises NotFound when they were not.
    """
    row = await tx.fetchrow(
        "UPDATE asset_verifications SET ownership = 'ADMIN', method = 'MANUAL', approved_by = $3,"
        " evidence = $4, checked_at = $5, expires_at = $6, updated_at = $5"
        " WHERE user_id = $1 AND universe_id = $2 AND outcome = 'VERIFIED'"
        " AND ownership <> 'OWNER' AND group_id IS NOT NULL RETURNING *",
        user_id,
        universe_id,
        actor.id,
        to_json(proof),
        now,
        now + VERIFIED_KEPT,
    )
    if row is None:
        raise NotFound("Roblox has not shown this person in the owning group.")
    data = {"universe_id": str(universe_id), **proof}
    deed = Deed("verification.approved", audit.on_user(user_id), proof["note"], data)
    await audit.record(tx, actor, deed, now)
    return _verification(row, cached=False)


async def of_user(
    tx: Transaction, user_id: UUID, before: int | None, limit: int
) -> list[Verification]:
    """Return what is known about a user's experiences, the newest first.

    `before`: the universe of the last one shown.
    """
    rows = await tx.fetch(
        "SELECT * FROM asset_verifications WHERE user_id = $1"
        " AND ($2::bigint IS NULL OR universe_id < $2) ORDER BY universe_id DESC LIMIT $3",
        user_id,
        before,
        limit,
    )
    return [_verification(row, cached=True) for row in rows]


def _proved(row: Row | None, now: datetime) -> set[int]:
    """Return the group whose experiences the person manages, as found or approved before."""
    if row is None or row["ownership"] != Ownership.ADMIN or row["group_id"] is None:
        return set()
    return {row["group_id"]} if row["approved_by"] or row["expires_at"] > now else set()


async def _linked(tx: Transaction, user_id: UUID) -> int:
    external_id = await tx.fetchval(
        "SELECT external_id FROM accounts"
        " WHERE user_id = $1 AND provider = 'ROBLOX' AND unlinked_at IS NULL",
        user_id,
    )
    if external_id is None:
        raise TierRequired("Link your Roblox account first.", required_tier="TIER_1")
    return int(external_id)


async def _upsert(
    tx: Transaction,
    user_id: UUID,
    roblox_id: int,
    universe_id: int,
    finding: Finding,
    now: datetime,
) -> Row:
    kept = VERIFIED_KEPT if finding.outcome is Outcome.VERIFIED else NOT_OWNER_KEPT
    # An approval stands as long as the same person is an admin of the same group.
    row = await tx.fetchrow(
        "INSERT INTO asset_verifications AS v (id, user_id, roblox_user_id, universe_id, outcome,"
        " ownership, method, reason, group_id, evidence, checked_at, expires_at, created_at,"
        " updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $11, $11)"
        " ON CONFLICT (user_id, universe_id) DO UPDATE SET roblox_user_id = $3, outcome = $5,"
        " ownership = $6, method = $7, reason = $8, group_id = $9, evidence = $10,"
        " checked_at = $11, expires_at = $12, updated_at = $11, approved_by = CASE"
        " WHEN $6 = 'ADMIN' AND v.roblox_user_id = $3 AND v.group_id = $9 THEN v.approved_by END"
        " RETURNING *",
        ids.uuid7(),
        user_id,
        roblox_id,
        universe_id,
        finding.outcome.value,
        finding.ownership.value if finding.ownership else None,
        finding.method,
        finding.reason,
        finding.group_id,
        to_json(finding.evidence),
        now,
        now + kept,
    )
    assert row is not None, "an upsert has a row"
    return row


def _verification(row: Row, *, cached: bool) -> Verification:
    return Verification(
        user_id=row["user_id"],
        roblox_user_id=row["roblox_user_id"],
        universe_id=row["universe_id"],
        outcome=Outcome(row["outcome"]),
        ownership=Ownership(row["ownership"]) if row["ownership"] else None,
        method=row["method"],
        reason=row["reason"],
        group_id=row["group_id"],
        evidence=json.loads(row["evidence"]),
        approved=row["approved_by"] is not None,
        checked_at=row["checked_at"],
        expires_at=row["expires_at"],
        cached=cached,
    )
