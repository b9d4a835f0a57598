"""Signing in with Discord: begun by one browser, finished by the same one, once."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from bloxtr8.access.tokens import TokenKeys
from bloxtr8.clock import Clock
from bloxtr8.errors import Bloxtr8Error, Forbidden, OauthDenied, OauthStateInvalid
from bloxtr8.market import notices, sessions, states
from bloxtr8.market.actors import Actor
from bloxtr8.market.discord import Discord
from bloxtr8.market.events import Events
from bloxtr8.market.notices import Notice
from bloxtr8.market.sessions import SignedIn
from bloxtr8.market.states import Handshake, Wanted
from bloxtr8.market.users import DiscordPerson, ensure_user
from bloxtr8.store.database import Transaction, run_in_transaction

# What tells browsers apart; many name others too, so the order counts.
_BROWSERS = (
    ("Edg", "EDGE"),
    ("OPR/", "OPERA"),
    ("Firefox/", "FIREFOX"),
    ("FxiOS/", "FIREFOX"),
    ("Chrome/", "CHROME"),
    ("CriOS/", "CHROME"),
    ("Safari/", "SAFARI"),
)


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser goes, and the cookie that binds the return to it."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Return:
    """What a provider's callback was asked with; empty strings where nothing was given.

    `cookie`: the binding cookie of the browser.
    """

    state: str
    cookie: str
    code: str = ""
    error: str = ""
    issuer: str = ""

    @property
    def handshake(self) -> Handshake:
        return Handshake(self.state, self.cookie)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A finished sign-in."""

    signed_in: SignedIn
    return_to: str


class SignIn:
    """Discord login."""

    def __init__(self, discord: Discord, keys: TokenKeys, events: Events, clock: Clock) -> None:
        self._discord = discord
        self._keys = keys
        self._events = events
        self._clock = clock

    async def begin(self, return_to: str, *, step_up_of: UUID | None = None) -> Departure:
        """Start a sign-in; `step_up_of`: the signed-in user who proves themselves again."""
        purpose: states.Purpose = "STEP_UP" if step_up_of else "LOGIN"
        wanted = Wanted("DISCORD", purpose, return_to=return_to, user_id=step_up_of)
        now = self._clock.now()

        async def work(tx: Transaction) -> Handshake:
            return await states.begin(tx, wanted, now)

        handshake = await run_in_transaction(work)
        url = self._discord.authorize_url(
            handshake.state, handshake.verifier(self._keys), step_up=step_up_of is not None
        )
        return Departure(url, handshake.cookie)

    async def finish(
        self, actor: Actor, returned: Return, *, earlier_session: UUID | None = None
    ) -> Arrival:
        """Return the new session; the browser's earlier one ends.

        Raises OauthStateInvalid, OauthDenied, OauthExchangeFailed, and Forbidden for closed and
        bot accounts and for a step-up as somebody else. The state is used up in any case.
        """
        wanted = await consume(returned, "DISCORD", self._clock.now())
        try:
            return await self._finish(actor, returned, wanted, earlier_session)
        except Bloxtr8Error as error:
            await note_outcome(returned.handshake, error.code)
            raise

    async def _finish(
        self, actor: Actor, returned: Return, wanted: Wanted, earlier_session: UUID | None
    ) -> Arrival:
        if wanted.purpose not in ("LOGIN", "STEP_UP"):
            raise OauthStateInvalid
        check_return(returned, self._discord.issuer)
        person = await self._discord.person(returned.code, returned.handshake.verifier(self._keys))
        now = self._clock.now()

        async def work(tx: Transaction) -> SignedIn:
            user_id = await self._admit(tx, actor, person, wanted, now)
            same_browser = await _had(tx, user_id, earlier_session)
            known = replace(actor, user_id=user_id)
            if earlier_session is not None:
                await sessions.end_earlier(tx, known, earlier_session, now)
            started = await sessions.start(tx, known, person.mfa, now)
            if not same_browser:
                await _tell(tx, known, UUID(started.session.id), now)
            return started

        return Arrival(await run_in_transaction(work), wanted.return_to)

    async def _admit(
        self, tx: Transaction, actor: Actor, person: DiscordPerson, wanted: Wanted, now: datetime
    ) -> UUID:
        user_id = await ensure_user(tx, actor, person, self._events, now)
        if wanted.user_id is not None and wanted.user_id != user_id:
            raise Forbidden("You signed in as somebody else.")
        status = await tx.fetchval("SELECT status FROM users WHERE id = $1", user_id)
        if status == "CLOSED":
            raise Forbidden("Your account is closed.")
        return user_id


async def _had(tx: Transaction, user_id: UUID, session_id: UUID | None) -> bool:
    """Tell whether a session was that user's, so that its browser is theirs."""
    if session_id is None:
        return False
    owner = await tx.fetchval("SELECT user_id FROM sessions WHERE id = $1", session_id)
    return bool(owner == user_id)


async def _tell(tx: Transaction, actor: Actor, session_id: UUID, now: datetime) -> None:
    """Tell the person that somebody signed in as them; whoever it was not ends the session."""
    data = {"session_id": str(session_id), "browser": browser_of(actor.user_agent or "")}
    notice = Notice("session_started", "ACCOUNT", f"user:{actor.id}", data)
    await notices.tell(tx, session_id, notice, [actor.id], now)


def browser_of(user_agent: str) -> str:
    """Return the family of a browser, OTHER for one that is not known."""
    return next((family for mark, family in _BROWSERS if mark in user_agent), "OTHER")


async def consume(returned: Return, provider: states.Provider, now: datetime) -> Wanted:
    """Use up the state of a callback and commit that; raises OauthStateInvalid."""

    async def work(tx: Transaction) -> Wanted | None:
        return await states.consume(tx, returned.handshake, provider, now)

    if not (returned.state and returned.cookie):
        # A state without its browser is known to somebody else.
        await run_in_transaction(work)
        raise OauthStateInvalid
    return states.require(await run_in_transaction(work))


async def note_outcome(handshake: Handshake, outcome: str) -> None:
    """Keep how a sign-in ended."""

    async def work(tx: Transaction) -> None:
        await states.note_outcome(tx, handshake, outcome)

    await run_in_transaction(work)


def check_return(returned: Return, issuer: str) -> None:
    """Raises OauthStateInvalid when another provider answered, OauthDenied on a refusal."""
    if returned.issuer and returned.issuer.rstrip("/") != issuer.rstrip("/"):
        raise OauthStateInvalid
    if returned.error:
        raise OauthDenied
