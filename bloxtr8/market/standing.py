"""What a person may do here now: status, tier and consents, read per action."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from bloxtr8.config import PolicySettings
from bloxtr8.errors import AccountFrozen, ConsentRequired, Forbidden, NotFound, TierRequired
from bloxtr8.market import consents
from bloxtr8.market.actors import Actor
from bloxtr8.store.database import Transaction


class Tier(IntEnum):
    """Tiers compare by order."""

    TIER_0 = 0
    TIER_1 = 1
    TIER_2 = 2


class Lock(StrEnum):
    """How a user's row is held until the transaction ends.

    SHARE for whoever relies on the standing, COUNT for limits, UPDATE for whoever changes it.
    """

    NONE = ""
    SHARE = " FOR SHARE"
    COUNT = " FOR NO KEY UPDATE"
    UPDATE = " FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Standing:
    """A person's rights at one moment. `roblox_user_id`: of the linked account."""

    user_id: UUID
    status: str
    tier: Tier
    roblox_user_id: int | None
    missing_consents: tuple[str, ...]

    def require_active(self) -> None:
        """Raises AccountFrozen, and Forbidden for a closed account."""
        if self.status == "CLOSED":
            raise Forbidden("The account is closed.")
        if self.status == "FROZEN":
            raise AccountFrozen

    def require_tier(self, tier: Tier) -> None:
        """Raises TierRequired."""
        if self.tier < tier:
            raise TierRequired(required_tier=tier.name)

    def require_consents(self) -> None:
        """Raises ConsentRequired, naming the documents."""
        if self.missing_consents:
            raise ConsentRequired(missing_consents=list(self.missing_consents))


async def hold(tx: Transaction, user_id: UUID) -> None:
    """Hold a user's row as Lock.COUNT does: of what they do, one thing comes after the other."""
    await tx.execute(f"SELECT 1 FROM users WHERE id = $1{Lock.COUNT}", user_id)  # noqa: S608


async def read(
    tx: Transaction,
    user_id: UUID,
    policy: PolicySettings,
    now: datetime,
    lock: Lock = Lock.NONE,
) -> Standing:
    """Return the standing of a user; raises NotFound."""
    row = await tx.fetchrow(
        f"SELECT status, tier, tier2_until FROM users WHERE id = $1{lock}",  # noqa: S608
        user_id,
    )
    if row is None:
        raise NotFound
    tier = Tier[row["tier"]]
    if tier is Tier.TIER_2 and row["tier2_until"] is not None and row["tier2_until"] <= now:
        tier = Tier.TIER_1
    # A statement of its own: it sees what was committed while the lock was waited for.
    roblox = await tx.fetchval(
        "SELECT external_id FROM accounts"
        " WHERE user_id = $1 AND provider = 'ROBLOX' AND unlinked_at IS NULL",
        user_id,
    )
    return Standing(
        user_id=user_id,
        status=row["status"],
        tier=tier,
        roblox_user_id=int(roblox) if roblox else None,
        missing_consents=await consents.missing(tx, user_id, policy),
    )


async def require_tier(
    tx: Transaction,
    actor: Actor,
    policy: PolicySettings,
    now: datetime,
    *,
    tier: Tier = Tier.TIER_1,
    lock: Lock = Lock.SHARE,
) -> Standing:
    """Return the actor's standing, held by `lock`, if they may trade with `tier`.

    Raises AccountFrozen, Forbidden (closed), TierRequired and ConsentRequired.
    """
    standing = await read(tx, actor.id, policy, now, lock)
    standing.require_active()
    standing.require_tier(tier)
    standing.require_consents()
    return standing


def tier_for_price(price_minor: int, policy: PolicySettings) -> Tier:
    """Return the tier that both sides of a trade over `price_minor` USD cents need."""
    return Tier.TIER_2 if price_minor > policy.tier2_above_minor else Tier.TIER_1
