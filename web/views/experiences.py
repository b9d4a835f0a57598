"""Experiences: picked, looked up, and whether they are one's own."""

from collections.abc import Sequence
from uuid import UUID

from bloxtr8.market.experiences import Named
from bloxtr8.roblox import verifications
from bloxtr8.roblox.details import Details
from bloxtr8.roblox.verifications import Verification
from bloxtr8.store.database import Transaction, fetch, transaction
from web import pages
from web.actors import actor_of
from web.call import Call
from web.limits import RateClass
from web.people_answers import (
    ExperienceOut,
    Experiences,
    OwnerOut,
    VerificationOut,
    Verifications,
)
from web.people_requests import ExperienceList, FindExperience, Verify
from web.requests import Page
from web.routes import KeyRule, Reply, Route, Who
from web.submission import once
from web.trading import told


async def list_own(call: Call) -> Reply:
    """The public experiences of the caller's Roblox account, or of its groups, newest first."""
    query: ExperienceList = call.query
    user_id = UUID(call.caller.user_id)
    found = await call.deps.market.experiences.of_user(user_id, query.source)
    last = pages.number_position(call)
    newest_first = sorted(found.items, key=lambda item: item.universe_id, reverse=True)
    rest = [item for item in newest_first if last is None or item.universe_id < last]
    shown, cursor = pages.cut(call, rest, lambda item: [str(item.universe_id)])
    items = await _shown(shown)
    answer = Experiences(items=items, next_cursor=cursor, complete=found.complete)
    return Reply(answer, headers=pages.link(call, cursor))


async def resolve(call: Call) -> Reply:
    """One experience by its id, a place's id, or an address."""
    body: FindExperience = call.body
    named = Named(
        universe_id=int(body.universe_id) if body.universe_id else None,
        place_id=int(body.place_id) if body.place_id else None,
        url=body.url,
    )
    found = await call.deps.market.experiences.resolve(named)
    (item,) = await _shown((found,))
    return Reply(item)


async def list_verifications(call: Call) -> Reply:
    """What is known about the caller's experiences, newest first."""
    async with transaction() as tx:
        found = await verifications.of_user(
            tx, UUID(call.caller.user_id), pages.number_position(call), call.query.limit + 1
        )
    shown, cursor = pages.cut(call, found, lambda item: [str(item.universe_id)])
    answer = Verifications(items=[verification_out(item) for item in shown], next_cursor=cursor)
    return Reply(answer, headers=pages.link(call, cursor))


async def verify(call: Call) -> Reply:
    """Whether an experience is the caller's."""
    body: Verify = call.body
    found = await call.deps.market.verify_ownership(
        actor_of(call), int(body.universe_id), fresh=body.fresh
    )

    async def work(_tx: Transaction) -> Reply:
        # What was found is kept by then: asked again, it is found again.
        return told(verification_out(found))

    return await once(call, work)


def verification_out(found: Verification) -> VerificationOut:
    return VerificationOut(
        universe_id=str(found.universe_id),
        outcome=found.outcome.value,
        ownership=found.ownership.value if found.ownership else None,
        method=found.method,
        reason=found.reason,
        checked_at=found.checked_at,
        expires_at=found.expires_at,
        cached=found.cached,
    )


async def _shown(found: Sequence[Details]) -> list[ExperienceOut]:
    rows = await fetch(
        "SELECT universe_id FROM listings WHERE universe_id = ANY($1::bigint[])"
        " AND status IN ('ACTIVE', 'INACTIVE', 'RESERVED')",
        [item.universe_id for item in found],
    )
    listed = {row["universe_id"] for row in rows}
    return [_experience(item, item.universe_id in listed) for item in found]


def _experience(item: Details, listed: bool) -> ExperienceOut:
    return ExperienceOut(
        universe_id=str(item.universe_id),
        root_place_id=_digits(item.root_place_id),
        name=item.name,
        icon_url=item.icon_url,
        visits=_digits(item.visits),
        playing=_digits(item.playing),
        owner=OwnerOut(type=item.owner.type, id=str(item.owner.id), name=item.owner.name),
        listed=listed,
    )


def _digits(number: int | None) -> str | None:
    return None if number is None else str(number)


ROUTES = (
    Route(
        "GET",
        "/api/v1/me/experiences",
        list_own,
        Who.USER,
        "One's experiences",
        RateClass.LOOK_UP,
        query=ExperienceList,
        answer=Experiences,
    ),
    Route(
        "POST",
        "/api/v1/experiences/resolve",
        resolve,
        Who.USER,
        "Look an experience up",
        RateClass.LOOK_UP,
        body=FindExperience,
        answer=ExperienceOut,
    ),
    Route(
        "GET",
        "/api/v1/me/verifications",
        list_verifications,
        Who.USER,
        "What is known about one's experiences",
        query=Page,
        answer=Verifications,
    ),
    Route(
        "POST",
        "/api/v1/me/verifications",
        verify,
        Who.USER,
        "Check whether an experience is one's own",
        RateClass.VERIFY,
        body=Verify,
        answer=VerificationOut,
        key=KeyRule.OPTIONAL,
    ),
)
