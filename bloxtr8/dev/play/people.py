"""Users to play as: rows in the database, sessions, tokens, payout accounts."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.access import AccessTokens, Session, StaffRole, open_session
from bloxtr8.clock import Clock
from bloxtr8.config import Settings
from bloxtr8.store import database

# Money moves need a sign-in at most 15 minutes old.
_SIGN_IN_AGAIN_AFTER = timedelta(minutes=10)


@dataclass(slots=True)
class Person:
    """Somebody who can sign in. `role`: a member of staff; `payout_method_id`: may be paid.

    `wallet`: the name of their wallet on the local chain, where they have one.
    """

    id: str
    name: str
    role: StaffRole | None
    payout_method_id: str
    wallet: str
    _people: "People" = field(repr=False)
    _session: Session | None = field(default=None, repr=False)

    async def token(self) -> str:
        """Return an access token of a sign-in that is recent enough to move money."""
        now = self._people.clock.now()
        if self._session is None or now - self._session.auth_time > _SIGN_IN_AGAIN_AFTER:
            self._session = await self._people.sign_in(self, now)
        return self._people.tokens.mint(self._session, self.role)


class People:
    """Makes persons. The database of this process must be open."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.clock = clock
        self.tokens = AccessTokens.from_settings(settings, clock)

    async def join(
        self,
        name: str,
        *,
        role: StaffRole | None = None,
        payout_account: str = "",
        wallet: str = "",
    ) -> Person:
        """Register `name` (TIER_1); `payout_account` (Stripe, or 0x…): where they can be paid."""
        method_id = str(ids.uuid7()) if payout_account else ""
        person = Person(str(ids.uuid7()), name, role, method_id, wallet, self)
        now = self.clock.now()
        async with database.transaction() as tx:
            await tx.execute(
                "INSERT INTO users (id, display_name, tier, created_at, updated_at)"
                " VALUES ($1, $2, 'TIER_1', $3, $3)",
                UUID(person.id),
                name,
                now,
            )
            if role is not None:
                await tx.execute(
                    "INSERT INTO staff_members (user_id, role, granted_at) VALUES ($1, $2, $3)",
                    UUID(person.id),
                    role.name,
                    now,
                )
            if payout_account:
                await tx.execute(
                    "INSERT INTO payout_methods"
                    " (id, user_id, kind, external_ref, status, verified_at, usable_from,"
                    " is_default) VALUES ($1, $2, $5, $3, 'VERIFIED', $4, $4, true)",
                    UUID(method_id),
                    UUID(person.id),
                    payout_account,
                    now,
                    "BASE_WALLET" if payout_account.startswith("0x") else "STRIPE_ACCOUNT",
                )
        return person

    async def sign_in(self, person: Person, now: datetime) -> Session:
        """Open a session of `person` as a sign-in through Discord would."""
        async with database.transaction() as tx:
            return await open_session(tx, person.id, now, mfa=person.role is not None)
