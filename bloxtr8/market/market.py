"""The marketplace's services, put together once for a process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from bloxtr8.access.tokens import TokenKeys
from bloxtr8.clock import Clock
from bloxtr8.config import PolicySettings, Settings
from bloxtr8.errors import OauthExchangeFailed, OwnershipUnknown, UpstreamUnavailable
from bloxtr8.market import standing
from bloxtr8.market.actors import Actor
from bloxtr8.market.discord import Discord
from bloxtr8.market.events import Events
from bloxtr8.market.experiences import Experiences
from bloxtr8.market.freezing import Effect, Freezing
from bloxtr8.market.linking import GroupConsent, Linking
from bloxtr8.market.memberships import Memberships
from bloxtr8.market.roblox_accounts import Tools
from bloxtr8.market.signin import SignIn
from bloxtr8.market.standing import Lock, Standing, Tier
from bloxtr8.messaging.signatures import Signer
from bloxtr8.outbound import Outbound
from bloxtr8.roblox.api import Refused, RobloxApi
from bloxtr8.roblox.client import ACTION_S, RobloxClient, RobloxUnknown
from bloxtr8.roblox.details import Details, Looks
from bloxtr8.roblox.openid import RobloxOpenId
from bloxtr8.roblox.verifications import NotOwnerEffect, Verification, Verifier
from bloxtr8.store.database import Transaction, transaction


@dataclass(frozen=True, slots=True)
class Effects:
    """What other parts do in the transactions of this one.

    `frozen`: a person was frozen. `not_owner`: by what Roblox says they may not list something.
    """

    frozen: Sequence[Effect] = ()
    not_owner: Sequence[NotOwnerEffect] = ()


@dataclass(slots=True)
class Market:
    """Services about people and Roblox. Made by `make_market`, closed by its owner."""

    policy: PolicySettings
    clock: Clock
    events: Events
    discord: Discord
    sign_in: SignIn
    linking: Linking
    verifier: Verifier
    experiences: Experiences
    freezing: Freezing
    looks: Looks
    memberships: Memberships
    http: Outbound = field(repr=False)

    async def require_tier(
        self,
        tx: Transaction,
        actor: Actor,
        tier: Tier = Tier.TIER_1,
        *,
        lock: Lock = Lock.SHARE,
    ) -> Standing:
        """Return the actor's standing, locked, if they may trade with `tier`.

        Raises AccountFrozen, Forbidden, TierRequired and ConsentRequired.
        """
        now = self.clock.now()
        return await standing.require_tier(tx, actor, self.policy, now, tier=tier, lock=lock)

    async def verify_ownership(
        self,
        actor: Actor,
        universe_id: int,
        *,
        user_id: UUID | None = None,
        fresh: bool = False,
        budget_s: float = ACTION_S,
    ) -> Verification:
        """Return whether the experience is `user_id`'s (without: the actor's).

        Asks Roblox outside of any transaction, at most `budget_s` seconds. Raises
        OwnershipUnknown and TierRequired.
        """
        return await self.verifier.verify(
            actor, universe_id, user_id=user_id, fresh=fresh, budget_s=budget_s
        )

    async def details(self, universe_id: int) -> Details:
        """Return what a snapshot of the experience will hold; raises OwnershipUnknown."""
        try:
            found = await self.looks.details(universe_id)
        except RobloxUnknown as unknown:
            raise OwnershipUnknown(retry_after_s=max(1, round(unknown.retry_after_s))) from None
        if found is None:
            raise OwnershipUnknown(retry_after_s=30)
        return found

    async def close(self) -> None:
        await self.http.close()


def make_market(
    settings: Settings,
    clock: Clock,
    keys: TokenKeys,
    signer: Signer,
    effects: Effects | None = None,
) -> Market:
    """Return the services of a process; `signer` speaks for it on marketplace.events.v1."""
    effects = effects or Effects()
    http = Outbound()
    events = Events(signer)
    api = RobloxApi(RobloxClient(settings.roblox, http, clock))
    verifier = Verifier(api, clock, effects=effects.not_owner)
    looks = Looks(api, clock)
    origin = settings.web.public_url
    discord = Discord(settings.discord, origin, http)
    openid = RobloxOpenId(settings.roblox, origin, http, clock)
    tools = Tools(settings.policy, events)
    checks = _GroupChecks(api, verifier, settings.policy, clock)
    return Market(
        policy=settings.policy,
        clock=clock,
        events=events,
        discord=discord,
        sign_in=SignIn(discord, keys, events, clock),
        linking=Linking(openid, looks, keys, tools, clock, checks.use),
        verifier=verifier,
        experiences=Experiences(api, looks, clock),
        freezing=Freezing(events, signer, effects.frozen),
        looks=looks,
        memberships=Memberships(discord, clock),
        http=http,
    )


@dataclass(frozen=True, slots=True)
class _GroupChecks:
    """Looks at a person's role in a group with their own consent."""

    api: RobloxApi
    verifier: Verifier
    policy: PolicySettings
    clock: Clock

    async def use(self, consent: GroupConsent) -> None:
        """Keep that they manage the group's experiences, if they do.

        Raises OauthExchangeFailed when another Roblox account agreed, UpstreamUnavailable.
        """
        now: datetime = self.clock.now()
        async with transaction() as tx:
            found = await standing.read(tx, consent.actor.id, self.policy, now)
        if found.roblox_user_id != consent.roblox_id:
            raise OauthExchangeFailed("Another Roblox account than the linked one agreed.")
        try:
            role_id = await self.api.role_in(consent.group_id, consent.roblox_id)
            if role_id is None or isinstance(role_id, Refused):
                return
            manages = await self.api.manages_universes(
                consent.group_id, role_id, consent.access_token
            )
        except RobloxUnknown:
            raise UpstreamUnavailable(retry_after_s=30) from None
        if manages:
            await self.verifier.prove_group(consent.actor, consent.group_id)
