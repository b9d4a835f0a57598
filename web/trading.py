"""What the views of listings and offers share: who reads, what is named, one change at a time."""

import re
from collections.abc import Awaitable, Callable
from uuid import UUID

from pydantic import BaseModel

from bloxtr8.access import sessions
from bloxtr8.errors import BadHeader, NotFound, PreconditionRequired
from bloxtr8.market import refs
from bloxtr8.market.place import Change
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from web.actors import actor_of
from web.call import Call
from web.routes import Reply
from web.submission import once
from web.trading_present import Viewer

_ETAG = re.compile(r'"([1-9][0-9]{0,9})"')


async def viewer_of(call: Call) -> Viewer:
    """Return who reads; on routes for anyone that may be nobody."""
    identity = call.identity
    if identity is None:
        return Viewer(None, None)
    if not identity.mfa:
        return Viewer(UUID(identity.user_id), None)
    async with database.transaction() as tx:
        role = await sessions.reading_role(tx, identity, call.now)
    return Viewer(UUID(identity.user_id), role)


async def change_once(call: Call, work: Callable[[Change], Awaitable[Reply]]) -> Reply:
    """Do `work` in one transaction of the caller's, with their idempotency key."""

    async def in_transaction(tx: Transaction) -> Reply:
        return await work(Change(tx, actor_of(call), call.deps.place, call.now))

    return await once(call, in_transaction)


def told(answer: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Return an answer in the form that is also kept for a repeated request."""
    return Reply(answer.model_dump(mode="json", by_alias=True), status, headers)


def if_match(call: Call) -> int:
    """Return the version that the caller has seen; raises PreconditionRequired and BadHeader."""
    given = call.request.headers.get("If-Match")
    if given is None:
        raise PreconditionRequired
    match = _ETAG.fullmatch(given.strip())
    if match is None:
        raise BadHeader('If-Match is not of the form "<version>".')
    return int(match[1])


async def learn_membership(call: Call, guild_id: UUID | None = None) -> None:
    """Ask Discord whether the caller is in the guild, or that of the listing in the path."""
    if call.identity is None:
        return
    user_id, memberships = UUID(call.identity.user_id), call.deps.market.memberships
    if guild_id is not None:
        await memberships.learn(user_id, guild_id)
    elif "listing_id" in call.request.match_info:
        await memberships.learn_of_listing(user_id, named(call, "listing_id"))


def named(call: Call, parameter: str) -> UUID | str:
    """Return what the path names, by id or by reference; raises NotFound for neither."""
    text = call.parameter(parameter)
    if is_uuid(text):
        return UUID(text)
    ref = refs.normalised(text)
    if ref is None:
        raise NotFound
    return ref


def id_of(call: Call, parameter: str) -> UUID:
    """Return the id in the path; raises NotFound for what is none."""
    text = call.parameter(parameter)
    if not is_uuid(text):
        raise NotFound
    return UUID(text)
