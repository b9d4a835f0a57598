"""Linking a Roblox account: the Discord identity first, then Roblox, in one browser."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.access.tokens import TokenKeys
from bloxtr8.clock import Clock
from bloxtr8.errors import (
    Bloxtr8Error,
    LimitReached,
    OauthExchangeFailed,
    OauthStateInvalid,
    SessionRevoked,
    UpstreamUnavailable,
)
from bloxtr8.market import audit, links, roblox_accounts, sessions, standing, states
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.links import Permit
from bloxtr8.market.roblox_accounts import Tools
from bloxtr8.market.signin import Departure, Return, check_return, consume, note_outcome
from bloxtr8.market.states import Handshake, Wanted
from bloxtr8.roblox.details import Looks
from bloxtr8.roblox.openid import SCOPE_GROUP, SCOPE_LINK, RobloxOpenId, RobloxPerson
from bloxtr8.store.database import Transaction, run_in_transaction, transaction
from proto.bloxtr8.market.v1 import market_pb2 as market

DONE = "/link/done"
_CLAIM_DUE = timedelta(hours=72)
_CLAIM_PRIORITY = 50
# Whoever could claim more would bury what else waits for staff.
_CLAIMS_MAX = 5


@dataclass(frozen=True, slots=True)
class SignedInAs:
    """The session in which a link is begun."""

    user_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True)
class GroupConsent:
    """A person's own token for a look at their role in a group. Used once, then given back."""

    actor: Actor
    roblox_id: int
    group_id: int
    access_token: str = field(repr=False)


class Linking:
    """Roblox linking by OpenID Connect. `on_group` uses a person's consent to a group check."""

    def __init__(
        self,
        openid: RobloxOpenId,
        looks: Looks,
        keys: TokenKeys,
        tools: Tools,
        clock: Clock,
        on_group: Callable[[GroupConsent], Awaitable[None]],
    ) -> None:
        self._openid = openid
        self._looks = looks
        self._on_group = on_group
        self._keys = keys
        self._tools = tools
        self._clock = clock

    async def make_link(self, actor: Actor) -> str:
        """Return the token of a new one-time link for the actor.

        Raises AccountFrozen, Forbidden and RobloxAlreadyLinked.
        """
        now = self._clock.now()

        async def work(tx: Transaction) -> str:
            await roblox_accounts.require_linkable(tx, actor.id, self._tools, now)
            return await links.make(tx, Permit("LINK_ROBLOX", actor.id), now)

        return await run_in_transaction(work)

    async def belongs_to(self, actor: Actor, token: str) -> bool:
        """Tell whether the link is the actor's; its owner is told once when it is not.

        `actor.user_id` None: nobody is signed in, and only the link is looked at. Raises
        LinkExpired.
        """
        now = self._clock.now()

        async def work(tx: Transaction) -> bool:
            owner = await links.owner(tx, token, "LINK_ROBLOX", now)
            if actor.user_id is None or actor.user_id == owner:
                return True
            if await links.note_misuse(tx, token, now):
                notice = market.SecurityNotice(kind=market.SECURITY_KIND_LINK_OPENED_BY_OTHER)
                await self._tools.events.say(tx, actor, owner, notice, now)
            return False

        return await run_in_transaction(work)

    async def begin(
        self, actor: Actor, signed_in: SignedInAs, *, token: str | None = None
    ) -> Departure:
        """Start linking at Roblox; `token`: the one-time link, which is used up.

        Raises LinkExpired, RobloxAlreadyLinked, AccountFrozen, UpstreamUnavailable.
        """
        assert actor.user_id == signed_in.user_id, "people link accounts to themselves"
        wanted = Wanted(
            "ROBLOX", "LINK", DONE, user_id=signed_in.user_id, session_id=signed_in.session_id
        )
        return await self._depart(wanted, SCOPE_LINK, token)

    async def begin_group_check(
        self, actor: Actor, signed_in: SignedInAs, group_id: int
    ) -> Departure:
        """Start asking for a look at the actor's role in a group."""
        assert actor.user_id == signed_in.user_id, "people show their own roles"
        wanted = Wanted(
            "ROBLOX",
            "GROUP_CHECK",
            DONE,
            user_id=signed_in.user_id,
            session_id=signed_in.session_id,
            subject=str(group_id),
        )
        return await self._depart(wanted, SCOPE_GROUP, None)

    async def _depart(self, wanted: Wanted, scope: str, token: str | None) -> Departure:
        # Asked before anything is used up: without its addresses there is nowhere to go.
        await self._openid.discover()
        now = self._clock.now()

        async def work(tx: Transaction) -> Handshake:
            user_id = wanted.user_id
            assert user_id is not None, "somebody is signed in"
            if wanted.purpose == "LINK":
                await roblox_accounts.require_linkable(tx, user_id, self._tools, now)
            if token is not None:
                await links.consume(tx, token, Permit("LINK_ROBLOX", user_id), now)
            return await states.begin(tx, wanted, now)

        handshake = await run_in_transaction(work)
        verifier, nonce = handshake.verifier(self._keys), handshake.nonce(self._keys)
        url = await self._openid.authorize_url(handshake.state, verifier, nonce, scope)
        return Departure(url, handshake.cookie)

    async def finish(self, actor: Actor, returned: Return, *, present_user: UUID | None) -> None:
        """Link the account that came back, or make the group check that was agreed to.

        `present_user`: whom the browser is signed in as now, None when as nobody. Raises
        OauthStateInvalid, OauthDenied, OauthExchangeFailed, SessionRevoked,
        RobloxAlreadyLinked, RobloxLinkedElsewhere, WaitRequired, AccountFrozen, Forbidden.
        """
        wanted = await consume(returned, "ROBLOX", self._clock.now())
        try:
            await self._finish(actor, returned, wanted, present_user)
        except Bloxtr8Error as error:
            await note_outcome(returned.handshake, error.code)
            raise

    async def _finish(
        self, actor: Actor, returned: Return, wanted: Wanted, present_user: UUID | None
    ) -> None:
        user_id = await self._require_session(wanted, present_user)
        check_return(returned, self._openid.issuer)
        handshake = returned.handshake
        try:
            subject, tokens = await self._openid.exchange(
                returned.code, handshake.verifier(self._keys), handshake.nonce(self._keys)
            )
        except UpstreamUnavailable:
            raise OauthExchangeFailed from None
        acting = replace(actor, user_id=user_id)
        try:
            if wanted.purpose == "GROUP_CHECK":
                group_id = int(wanted.subject or 0)
                await self._on_group(GroupConsent(acting, subject, group_id, tokens.access_token))
                return
            person = await self._openid.person(subject, tokens)
        finally:
            await self._openid.revoke(tokens)
        if person.created_at is None:
            # A profile may leave it out; an account of unknown age counts as new.
            created_at = await self._looks.account_created_at(person.roblox_id)
            person = replace(person, created_at=created_at)
        await self._link(acting, person)

    async def _link(self, actor: Actor, person: RobloxPerson) -> None:
        now = self._clock.now()

        async def work(tx: Transaction) -> Bloxtr8Error | None:
            return await roblox_accounts.link(tx, actor, person, self._tools, now)

        # A refusal is audited, so its transaction commits before it is raised.
        refusal = await run_in_transaction(work)
        if refusal is not None:
            raise refusal

    async def _require_session(self, wanted: Wanted, present_user: UUID | None) -> UUID:
        """Return who began; their session has to live, and nobody else be signed in."""
        if wanted.user_id is None or wanted.session_id is None:
            raise OauthStateInvalid
        async with transaction() as tx:
            live = await sessions.is_live(tx, wanted.session_id, wanted.user_id, self._clock.now())
        if not live:
            raise SessionRevoked
        if present_user is not None and present_user != wanted.user_id:
            raise OauthStateInvalid
        return wanted.user_id

    async def unlink(self, actor: Actor) -> None:
        """Unlink the actor's account; raises NotFound, UnlinkBlocked, AccountFrozen."""
        now = self._clock.now()

        async def work(tx: Transaction) -> None:
            await roblox_accounts.unlink(tx, actor, self._tools, now)

        await run_in_transaction(work)


async def claim_account(
    tx: Transaction, actor: Actor, roblox_id: int, text: str, now: datetime
) -> bool:
    """Ask staff to look at who a linked Roblox account belongs to; false when it is open already.

    The text is on the task's audit row. Raises LimitReached.
    """
    subject = f"{actor.id}:{roblox_id}"
    # The user's row is held while what they have open is counted.
    await standing.hold(tx, actor.id)
    others: int = await tx.fetchval(
        "SELECT count(*) FROM staff_tasks WHERE kind = 'LINK_CLAIM' AND status <> 'CLOSED'"
        " AND starts_with(subject_id, $1) AND subject_id <> $2",
        f"{actor.id}:",
        subject,
    )
    if others >= _CLAIMS_MAX:
        message = f"You may have {_CLAIMS_MAX} accounts looked at at once."
        raise LimitReached(message, limit=_CLAIMS_MAX)
    opened = await tx.execute(
        "INSERT INTO staff_tasks (id, kind, subject_type, subject_id, priority, due_at,"
        " created_at, updated_at) VALUES ($1, 'LINK_CLAIM', 'roblox_account', $2, $3, $4, $5, $5)"
        " ON CONFLICT (kind, subject_id) WHERE status <> 'CLOSED' DO NOTHING",
        ids.uuid7(),
        subject,
        _CLAIM_PRIORITY,
        now + _CLAIM_DUE,
        now,
    )
    if not opened:
        return False
    deed = Deed("roblox.claimed", ("roblox_account", subject), reason=text)
    await audit.record(tx, actor, deed, now)
    return True
