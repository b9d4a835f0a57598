"""Where people are paid: a connected account at Stripe, or a wallet that they prove is theirs."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from eth_utils.address import to_checksum_address

from bloxtr8 import ids
from bloxtr8.config import Settings
from bloxtr8.errors import (
    InvalidState,
    LimitReached,
    LinkExpired,
    NotFound,
    UpstreamUnavailable,
    ValidationFailed,
)
from bloxtr8.market import audit, links
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.events import Events
from bloxtr8.market.links import Permit
from bloxtr8.messaging.metadata import timestamp
from bloxtr8.payments.stripe_accounts import StripeAccounts
from bloxtr8.payments.usdc.chain import Chain, ChainUnavailable
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.wallet_proofs import (
    Challenge,
    Claim,
    ProofInvalid,
    Purpose,
    challenge,
    verify,
)
from bloxtr8.store import database
from bloxtr8.store.database import Transaction, run_in_transaction
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow
from proto.bloxtr8.market.v1 import market_pb2 as market

STRIPE_ACCOUNT, BASE_WALLET = "STRIPE_ACCOUNT", "BASE_WALLET"
# Whoever has taken over an account does not get the next payout.
USABLE_AFTER = timedelta(hours=24)
METHODS_MAX = 5
_OPEN_ESCROWS_MAX = 1_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Added:
    """A new method and what its owner has to do next: open a page, or sign a text."""

    method: Row
    onboarding_url: str = ""
    message: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """A connected account at Stripe and the page on which its owner goes on."""

    ref: str
    onboarding_url: str


@dataclass(frozen=True, slots=True)
class Proven:
    """A wallet whose signature was right; `token_id` is of what was signed, good once."""

    method_id: UUID
    token_id: UUID


class PayoutMethods:
    """`chain` None: no USDC is taken here, and no wallets."""

    def __init__(
        self, settings: Settings, accounts: StripeAccounts, chain: Chain | None, events: Events
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._chain = chain
        self._events = events

    async def close(self) -> None:
        await self._accounts.close()
        if self._chain is not None:
            await self._chain.close()

    async def list_of(self, user_id: UUID) -> list[Row]:
        """Return the methods of a user that are not disabled, oldest first."""
        return await database.fetch(
            "SELECT * FROM payout_methods WHERE user_id = $1 AND disabled_at IS NULL"
            " ORDER BY created_at, id",
            user_id,
        )

    # Stripe.

    async def open_account(self, actor: Actor) -> OpenedAccount:
        """Open a connected account, or go on with the one there is; outside any transaction.

        Raises UpstreamUnavailable.
        """
        begun = await database.fetchrow(
            "SELECT external_ref FROM payout_methods WHERE user_id = $1 AND kind = $2"
            " AND status = 'PENDING' AND disabled_at IS NULL ORDER BY created_at DESC LIMIT 1",
            actor.id,
            STRIPE_ACCOUNT,
        )
        account = begun["external_ref"] if begun else await self._accounts.create(str(actor.id))
        origin = self._settings.web.public_url.rstrip("/")
        page = f"{origin}/settings/payouts"
        return OpenedAccount(
            account, await self._accounts.onboarding(account, page, f"{page}?again=1")
        )

    async def add_account(
        self, tx: Transaction, actor: Actor, opened: OpenedAccount, now: datetime
    ) -> Added:
        """Take an account down that was opened for the actor; raises LimitReached."""
        row = await self._added(tx, actor, STRIPE_ACCOUNT, opened.ref, now)
        return Added(row, onboarding_url=opened.onboarding_url)

    # Wallets.

    async def add_wallet(self, tx: Transaction, actor: Actor, address: str, now: datetime) -> Added:
        """Take a wallet down and return the text that proves it.

        Raises ValidationFailed, LimitReached.
        """
        claim = Claim(str(actor.id), address, Purpose.PAYOUT)
        try:
            asked = challenge(claim, self._network(), self._settings.web.public_url, now)
        except ProofInvalid as error:
            raise _invalid("/address", str(error)) from None
        checksummed = to_checksum_address(asked.wallet)
        await _release_unproven(tx, actor.id, checksummed, now)
        row = await self._added(tx, actor, BASE_WALLET, checksummed, now)
        permit = Permit("WALLET_PROOF", actor.id, row["id"])
        kept = asdict(asked) | {"issued_at": asked.issued_at.isoformat()}
        await links.make(tx, permit, now, kept)
        return Added(row, message=asked.text, expires_at=asked.expires_at)

    async def check(self, actor: Actor, method_id: UUID, signature: str, now: datetime) -> Proven:
        """Verify a wallet's signature over the text; outside any transaction.

        Raises LinkExpired, ValidationFailed, NotFound, and UpstreamUnavailable when nobody can
        say whether the wallet is a contract.
        """
        await _own(actor.id, method_id)
        waiting = await database.fetchrow(
            "SELECT id, data FROM one_time_tokens WHERE user_id = $1 AND purpose = 'WALLET_PROOF'"
            " AND subject_id = $2 AND consumed_at IS NULL AND expires_at > $3"
            " ORDER BY created_at DESC LIMIT 1",
            actor.id,
            method_id,
            now,
        )
        if waiting is None or self._chain is None:
            raise LinkExpired
        try:
            await verify(_challenge(waiting["data"]), signature, self._chain, now)
        except ProofInvalid as error:
            raise _invalid("/signature", str(error)) from None
        except ChainUnavailable:
            raise UpstreamUnavailable from None
        return Proven(method_id, waiting["id"])

    async def prove(self, tx: Transaction, actor: Actor, proven: Proven, now: datetime) -> Row:
        """Let a wallet be paid whose signature was right; raises LinkExpired, NotFound."""
        used = await tx.execute(
            "UPDATE one_time_tokens SET consumed_at = $2 WHERE id = $1 AND consumed_at IS NULL",
            proven.token_id,
            now,
        )
        if not used:
            raise LinkExpired
        return await self._verified(tx, actor, proven.method_id, now)

    # Both.

    async def make_default(
        self, tx: Transaction, actor: Actor, method_id: UUID, now: datetime
    ) -> Row:
        """Raises NotFound, and InvalidState for one that is not verified."""
        row = await _locked(tx, actor.id, method_id)
        if row["status"] != "VERIFIED":
            raise InvalidState("Only a verified method can be the default.")
        await tx.execute(
            "UPDATE payout_methods SET is_default = false, updated_at = $3"
            " WHERE user_id = $1 AND kind = $2 AND is_default",
            actor.id,
            row["kind"],
            now,
        )
        return await _set_default(tx, actor, method_id, now)

    async def disable(self, actor: Actor, method_id: UUID, now: datetime) -> None:
        """Raises NotFound, and InvalidState while a trade will be paid by it."""

        async def work(tx: Transaction) -> None:
            await _locked(tx, actor.id, method_id)
            if await _is_used(tx, actor.id, method_id):
                raise InvalidState("A trade that is not over will be paid by this method.")
            await tx.execute(
                "UPDATE payout_methods SET status = 'DISABLED', is_default = false,"
                " disabled_at = $2, updated_at = $2 WHERE id = $1",
                method_id,
                now,
            )
            await audit.record(tx, actor, _deed("disabled", method_id), now)

        await run_in_transaction(work)

    async def _added(
        self, tx: Transaction, actor: Actor, kind: str, ref: str, now: datetime
    ) -> Row:
        """Return the actor's method for `ref`, a new one if there is none."""
        # The user's row serialises their additions, and so their count.
        await tx.execute("SELECT 1 FROM users WHERE id = $1 FOR UPDATE", actor.id)
        rows = await tx.fetch(
            "SELECT * FROM payout_methods WHERE user_id = $1 AND kind = $2 AND disabled_at IS NULL",
            actor.id,
            kind,
        )
        for row in rows:
            if row["external_ref"] == ref:
                return row
        if len(rows) >= METHODS_MAX:
            raise LimitReached
        made = await tx.fetchrow(
            "INSERT INTO payout_methods (id, user_id, kind, external_ref, created_at, updated_at)"
            " VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT DO NOTHING RETURNING *",
            ids.uuid7(),
            actor.id,
            kind,
            ref,
            now,
        )
        if made is None:
            raise _invalid("/address", "Somebody else has proven that they are paid there.")
        await audit.record(tx, actor, _deed("added", made["id"]), now)
        body = market.PayoutMethodAdded(payout_method_id=str(made["id"]))
        await self._events.say(tx, actor, actor.id, body, now)
        return made

    async def _verified(self, tx: Transaction, actor: Actor, method_id: UUID, now: datetime) -> Row:
        await _locked(tx, actor.id, method_id)
        row = await set_verified(tx, method_id, now)
        await audit.record(tx, actor, _deed("verified", method_id), now)
        body = market.PayoutMethodVerified(
            payout_method_id=str(method_id), usable_from=timestamp(row["usable_from"])
        )
        await self._events.say(tx, actor, actor.id, body, now)
        return row

    def _network(self) -> Network:
        if self._chain is None:
            raise InvalidState("Wallets cannot be added here.")
        return Network.of(self._settings.base)


async def set_verified(tx: Transaction, method_id: UUID, now: datetime) -> Row:
    """Let a method be paid, from a day after it was first verified; the first is the default."""
    row = await tx.fetchrow(
        "UPDATE payout_methods m SET status = 'VERIFIED', updated_at = $2,"
        " verified_at = coalesce(verified_at, $2), usable_from = coalesce(usable_from, $3),"
        " is_default = is_default OR NOT EXISTS (SELECT FROM payout_methods o"
        "   WHERE o.user_id = m.user_id AND o.kind = m.kind AND o.is_default)"
        " WHERE id = $1 RETURNING *",
        method_id,
        now,
        now + USABLE_AFTER,
    )
    assert row is not None, "the row was locked"
    return row


async def _release_unproven(tx: Transaction, user_id: UUID, address: str, now: datetime) -> None:
    """End others' claims to a wallet that they never proved, so that they block nobody."""
    await tx.execute(
        "UPDATE payout_methods SET status = 'DISABLED', disabled_at = $3, updated_at = $3"
        " WHERE kind = 'BASE_WALLET' AND external_ref = $1 AND user_id <> $2"
        " AND disabled_at IS NULL AND status = 'PENDING'",
        address,
        user_id,
        now,
    )


async def _own(user_id: UUID, method_id: UUID) -> None:
    row = await database.fetchrow(
        "SELECT 1 FROM payout_methods WHERE id = $1 AND user_id = $2 AND disabled_at IS NULL",
        method_id,
        user_id,
    )
    if row is None:
        raise NotFound


async def _locked(tx: Transaction, user_id: UUID, method_id: UUID) -> Row:
    row = await tx.fetchrow(
        "SELECT * FROM payout_methods WHERE id = $1 AND user_id = $2 AND disabled_at IS NULL"
        " FOR UPDATE",
        method_id,
        user_id,
    )
    if row is None:
        raise NotFound
    return row


async def _set_default(tx: Transaction, actor: Actor, method_id: UUID, now: datetime) -> Row:
    row = await tx.fetchrow(
        "UPDATE payout_methods SET is_default = true, updated_at = $2 WHERE id = $1 RETURNING *",
        method_id,
        now,
    )
    assert row is not None, "the row was locked"
    await audit.record(tx, actor, _deed("default", method_id), now)
    return row


async def _is_used(tx: Transaction, user_id: UUID, method_id: UUID) -> bool:
    rows = await tx.fetch(
        "SELECT state_bytes FROM escrows WHERE seller_id = $1 AND ended_at IS NULL LIMIT $2",
        user_id,
        _OPEN_ESCROWS_MAX,
    )
    wanted = str(method_id)
    return any(
        Escrow.FromString(row["state_bytes"]).payee.payout_method_id == wanted for row in rows
    )


def _challenge(data: str) -> Challenge:
    kept = json.loads(data)
    issued_at = datetime.fromisoformat(kept.pop("issued_at"))
    return Challenge(**kept | {"issued_at": issued_at, "purpose": Purpose(kept["purpose"])})


def _deed(what: str, method_id: UUID) -> Deed:
    return Deed(f"payout_method.{what}", ("payout_method", str(method_id)))


def _invalid(field: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[{"field": field, "code": "invalid", "message": message}])
