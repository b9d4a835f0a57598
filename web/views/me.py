"""What people see and change about themselves: profile, sessions, consents, blocks, the end."""

from typing import Any
from uuid import UUID

from bloxtr8.errors import BadHeader, NotFound, PreconditionRequired
from bloxtr8.market import blocks, closing, consents, sessions, users
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.store.database import Transaction, run_in_transaction, transaction
from web import cookies, pages, people, people_answers, submission
from web.actors import actor_of
from web.call import Call
from web.limits import RateClass
from web.people_requests import Close, ConsentGiven, Profile
from web.requests import Page
from web.routes import Handler, KeyRule, Reply, Route, Who

_VERSION_DIGITS_MAX = 9


async def read(call: Call) -> Reply:
    """Everything about the caller."""
    async with transaction() as tx:
        found = await people.me(tx, call)
    return Reply(found)


async def edit(call: Call) -> Reply:
    """Change one's name, language or time zone; If-Match names the version that was read."""
    body: Profile = call.body
    version = _if_match(call)

    async def work(tx: Transaction) -> people_answers.Me:
        changes = body.model_dump(exclude_none=True)
        await users.edit_profile(tx, actor_of(call), version, changes, call.now)
        return await people.me(tx, call)

    found = await run_in_transaction(work)
    return Reply(found)


async def public(call: Call) -> Reply:
    """What anybody may know about a user."""
    user_id = _uuid(call.parameter("user_id"))
    async with transaction() as tx:
        return Reply(await people.public(tx, user_id))


async def list_sessions(call: Call) -> Reply:
    """Where the caller is signed in."""
    async with transaction() as tx:
        rows = await sessions.open_sessions(tx, actor_of(call).id, call.now)
    items = [people.session_out(row, call.caller.session_id) for row in rows]
    return Reply(people_answers.OpenSessions(items=items))


async def end_session(call: Call) -> Reply:
    """Sign out elsewhere."""
    session_id = _uuid(call.parameter("session_id"))

    async def work(tx: Transaction) -> None:
        await sessions.revoke_own(tx, actor_of(call), session_id, call.now)

    await run_in_transaction(work)
    return Reply(None, 204)


async def list_consents(call: Call) -> Reply:
    """What the caller agreed to, and what is missing."""
    policy = call.deps.settings.policy
    async with transaction() as tx:
        rows = await consents.given_by(tx, actor_of(call).id)
        missing = await consents.missing(tx, actor_of(call).id, policy)
    current = consents.current_versions(policy)
    items = [_consent(row, current) for row in rows]
    return Reply(people_answers.Consents(items=items, missing=list(missing)))


async def give_consent(call: Call) -> Reply:
    """Agree to the current version of a document."""
    body: ConsentGiven = call.body
    policy = call.deps.settings.policy

    async def work(tx: Transaction) -> Reply:
        given = await consents.give(
            tx, actor_of(call), policy, call.now, document=body.document, version=body.version
        )
        answer = _consent(given.row, consents.current_versions(policy))
        return Reply(answer.model_dump(mode="json"), 201 if given.new else 200)

    return await submission.once(call, work)


async def list_blocks(call: Call) -> Reply:
    """Whom the caller has blocked, the latest first."""
    async with transaction() as tx:
        rows = await blocks.of_user(
            tx, actor_of(call).id, pages.number_position(call), call.query.limit + 1
        )
    shown, cursor = pages.cut(call, rows, lambda row: [str(row["id"])])
    answer = people_answers.Blocks(items=[_block(row) for row in shown], next_cursor=cursor)
    return Reply(answer, headers=pages.link(call, cursor))


async def read_block(call: Call) -> Reply:
    """Whether, and since when, the caller has blocked somebody."""
    async with transaction() as tx:
        row = await blocks.one(tx, actor_of(call), _uuid(call.parameter("user_id")))
    return Reply(_block(row))


async def block(call: Call) -> Reply:
    """Block somebody."""
    blocked_id = _uuid(call.parameter("user_id"))

    async def work(tx: Transaction) -> None:
        await blocks.add(tx, actor_of(call), blocked_id, call.now)

    await run_in_transaction(work)
    return Reply(None, 204)


async def unblock(call: Call) -> Reply:
    """Lift a block."""
    blocked_id = _uuid(call.parameter("user_id"))

    async def work(tx: Transaction) -> None:
        await blocks.remove(tx, actor_of(call), blocked_id)

    await run_in_transaction(work)
    return Reply(None, 204)


async def close(call: Call) -> Reply:
    """Close the caller's account."""

    async def work(tx: Transaction) -> Reply:
        policy, events = call.deps.settings.policy, call.deps.market.events
        await closing.close(tx, actor_of(call), policy, events, call.now)
        return Reply(None, 204)

    await submission.once(call, work)
    return Reply(cookies.signed_out(call.deps.settings))


def _block(row: dict[str, Any]) -> people_answers.BlockOut:
    return people_answers.BlockOut(
        user_id=str(row["blocked_id"]),
        display_name=row["display_name"],
        since=row["created_at"],
    )


def _consent(row: dict[str, Any], current: Any) -> people_answers.ConsentOut:
    return people_answers.ConsentOut(
        document=row["document"],
        version=row["version"],
        current=current[row["document"]] == row["version"],
        accepted_at=row["accepted_at"],
    )


def _if_match(call: Call) -> int:
    """Return the version in If-Match; raises PreconditionRequired and BadHeader."""
    header = call.request.headers.get("If-Match")
    if header is None:
        raise PreconditionRequired
    version = header.strip().removeprefix("W/").strip('"')
    if not (version.isascii() and version.isdigit() and len(version) <= _VERSION_DIGITS_MAX):
        raise BadHeader("If-Match is not a version of ours.")
    return int(version)


def _uuid(text: str) -> UUID:
    if not is_uuid(text):
        raise NotFound
    return UUID(text)


def _route(method: str, path: str, handler: Handler, summary: str, **more: Any) -> Route:
    rate = RateClass.READ if method == "GET" else RateClass.WRITE
    return Route(method, f"/api/v1/{path}", handler, Who.USER, summary, rate, **more)


ROUTES = (
    _route("GET", "me", read, "Oneself", answer=people_answers.Me),
    _route("PATCH", "me", edit, "Change one's profile", body=Profile, answer=people_answers.Me),
    _route(
        "GET", "me/sessions", list_sessions, "One's sessions", answer=people_answers.OpenSessions
    ),
    _route(
        "DELETE",
        "me/sessions/{session_id}",
        end_session,
        "End a session",
        status=204,
        frozen_may=True,
    ),
    _route("GET", "me/consents", list_consents, "One's consents", answer=people_answers.Consents),
    _route(
        "POST",
        "me/consents",
        give_consent,
        "Agree to a document",
        body=ConsentGiven,
        answer=people_answers.ConsentOut,
        status=201,
        also=(200,),
        key=KeyRule.OPTIONAL,
    ),
    _route(
        "GET",
        "me/blocks",
        list_blocks,
        "Whom one has blocked",
        query=Page,
        answer=people_answers.Blocks,
    ),
    _route("GET", "me/blocks/{user_id}", read_block, "One block", answer=people_answers.BlockOut),
    _route("PUT", "me/blocks/{user_id}", block, "Block somebody", status=204),
    _route("DELETE", "me/blocks/{user_id}", unblock, "Lift a block", status=204),
    _route(
        "POST",
        "me/close",
        close,
        "Close one's account",
        body=Close,
        status=204,
        key=KeyRule.OPTIONAL,
        step_up=True,
    ),
    Route(
        "GET",
        "/api/v1/users/{user_id}",
        public,
        Who.ANYONE,
        "What anybody may know about a user",
        answer=people_answers.UserPublic,
    ),
)
