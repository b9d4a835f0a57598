"""Staff about people: looking them up, freezing, tiers, notes, and who is staff."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.access.identity import StaffRole
from bloxtr8.errors import NotFound
from bloxtr8.market import audit, consents, roblox_accounts, sessions, staff, tiers, users
from bloxtr8.market.audit import Deed
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.roblox.verifications import approve_manually
from bloxtr8.store.database import Transaction, run_in_transaction
from web import pages, people, people_answers, submission
from web.actors import actor_of
from web.call import Call
from web.fields import findable
from web.limits import RateClass
from web.people_requests import ManualVerification, Note, Role, UserList
from web.requests import StaffAction
from web.routes import Handler, KeyRule, Reply, Route, Who
from web.views.experiences import verification_out

_NOTES_MAX = 100
_TRADES_MAX = 100

Act = Callable[[Transaction, UUID, str], Awaitable[None]]


async def list_users(call: Call) -> Reply:
    """Users by id, name, Discord or Roblox id, the newest first."""
    query: UserList = call.query

    async def work(tx: Transaction) -> list[dict[str, Any]]:
        rows = await tx.fetch(
            "SELECT u.id, u.display_name, u.status, u.tier, u.created_at FROM users u"
            " WHERE ($1::text IS NULL OR u.id::text = $1"
            " OR lower(left(u.display_name, length($1))) = lower($1) OR EXISTS (SELECT 1"
            " FROM accounts a WHERE a.user_id = u.id AND a.external_id = $1))"
            " AND ($2::timestamptz IS NULL OR (u.created_at, u.id) < ($2, $3::uuid))"
            " ORDER BY u.created_at DESC, u.id DESC LIMIT $4",
            findable(query.q),
            *pages.moment_position(call),
            query.limit + 1,
        )
        # Whoever looks people up leaves a trace.
        deed = Deed("user.searched", ("user", "-"), data={"found": len(rows)})
        await audit.record(tx, actor_of(call), deed, call.now)
        return rows

    rows = await run_in_transaction(work)
    shown, cursor = pages.cut(call, rows, pages.by_moment("created_at"))
    items = [people_answers.StaffUser(**_brief(row)) for row in shown]
    answer = people_answers.StaffUsers(items=items, next_cursor=cursor)
    return Reply(answer, headers=pages.link(call, cursor))


async def read_user(call: Call) -> Reply:
    """One user: accounts, sessions, trades, notes. Looking is audited."""
    user_id = _user_id(call)

    async def work(tx: Transaction) -> people_answers.StaffUserFull:
        row = await tx.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
        if row is None:
            raise NotFound
        viewed = Deed("user.viewed", audit.on_user(user_id))
        await audit.record(tx, actor_of(call), viewed, call.now)
        return await _full(tx, call, row)

    return Reply(await run_in_transaction(work))


async def freeze(call: Call) -> Reply:
    async def act(tx: Transaction, user_id: UUID, reason: str) -> None:
        await call.deps.market.freezing.freeze(tx, actor_of(call), user_id, reason, call.now)

    return await _act(call, act)


async def unfreeze(call: Call) -> Reply:
    async def act(tx: Transaction, user_id: UUID, reason: str) -> None:
        await call.deps.market.freezing.unfreeze(tx, actor_of(call), user_id, reason, call.now)

    return await _act(call, act)


async def waive_relink(call: Call) -> Reply:
    async def act(tx: Transaction, user_id: UUID, reason: str) -> None:
        await roblox_accounts.waive_waits(tx, actor_of(call), user_id, reason, call.now)

    return await _act(call, act)


async def grant_tier(call: Call) -> Reply:
    async def act(tx: Transaction, user_id: UUID, reason: str) -> None:
        events = call.deps.market.events
        await tiers.grant_verified(tx, actor_of(call), user_id, reason, events, call.now)

    return await _act(call, act)


async def revoke_tier(call: Call) -> Reply:
    async def act(tx: Transaction, user_id: UUID, reason: str) -> None:
        events = call.deps.market.events
        await tiers.revoke_verified(tx, actor_of(call), user_id, reason, events, call.now)

    return await _act(call, act)


async def add_note(call: Call) -> Reply:
    """Keep a note about a user that only staff read."""

    async def act(tx: Transaction, user_id: UUID, reason: str) -> None:
        note_id = ids.uuid7()
        if await tx.fetchval("SELECT 1 FROM users WHERE id = $1", user_id) is None:
            raise NotFound
        await tx.execute(
            "INSERT INTO staff_notes (id, user_id, author_id, text, created_at)"
            " VALUES ($1, $2, $3, $4, $5)",
            note_id,
            user_id,
            actor_of(call).id,
            reason,
            call.now,
        )
        noted = Deed("user.noted", audit.on_user(user_id), data={"note_id": str(note_id)})
        await audit.record(tx, actor_of(call), noted, call.now)

    return await _act(call, act)


async def list_members(call: Call) -> Reply:
    """Everybody who has a role."""

    async def work(tx: Transaction) -> list[dict[str, Any]]:
        return await staff.members(tx)

    items = [
        people_answers.StaffMemberOut(
            user_id=str(row["user_id"]),
            display_name=row["display_name"],
            role=row["role"],
            granted_by=str(row["granted_by"]) if row["granted_by"] else None,
            granted_at=row["granted_at"],
        )
        for row in await run_in_transaction(work)
    ]
    return Reply(people_answers.StaffMembers(items=items))


async def grant_role(call: Call) -> Reply:
    """Give somebody a role."""
    body: Role = call.body
    user_id = _user_id(call)

    async def work(tx: Transaction) -> None:
        role = StaffRole[body.role]
        await staff.grant(tx, actor_of(call), user_id, role, body.reason, call.now)

    await run_in_transaction(work)
    return await list_members(call)


async def revoke_role(call: Call) -> Reply:
    """Take somebody's role away."""
    body: StaffAction = call.body
    user_id = _user_id(call)

    async def work(tx: Transaction) -> None:
        await staff.revoke(tx, actor_of(call), user_id, body.reason, call.now)

    await run_in_transaction(work)
    return Reply(None, 204)


async def verify_manually(call: Call) -> Reply:
    """Approve the group owner's written consent that somebody lists their experience."""
    body: ManualVerification = call.body
    actor = actor_of(call)
    staff.require_no_interest(actor, UUID(body.user_id))
    proof = {"note": body.note, "file_sha256": body.file_sha256}

    async def work(tx: Transaction) -> Reply:
        found = await approve_manually(
            tx, actor, UUID(body.user_id), int(body.universe_id), proof, call.now
        )
        return Reply(verification_out(found).model_dump(mode="json"), 201)

    return await submission.once(call, work)


async def _act(call: Call, act: Act) -> Reply:
    """Do `act` to the user that the path names; answer with the user as they are then."""
    body: StaffAction = call.body
    user_id = _user_id(call)
    staff.require_no_interest(actor_of(call), user_id)

    async def work(tx: Transaction) -> Reply:
        await act(tx, user_id, body.reason)
        row = await tx.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
        assert row is not None, "somebody was acted on"
        return Reply((await _full(tx, call, row)).model_dump(mode="json"))

    return await submission.once(call, work)


async def _full(tx: Transaction, call: Call, row: dict[str, Any]) -> people_answers.StaffUserFull:
    user_id = row["id"]
    notes = await tx.fetch(
        "SELECT * FROM staff_notes WHERE user_id = $1 ORDER BY id DESC LIMIT $2",
        user_id,
        _NOTES_MAX,
    )
    trades = await tx.fetch(
        "SELECT id, state, buyer_id, seller_id FROM escrows WHERE $1 IN (buyer_id, seller_id)"
        " ORDER BY updated_at DESC LIMIT $2",
        user_id,
        _TRADES_MAX,
    )
    open_sessions = await sessions.open_sessions(tx, user_id, call.now)
    policy = call.deps.settings.policy
    return people_answers.StaffUserFull(
        **_brief(row),
        status_reason=row["status_reason"],
        accounts=[
            people.account_out(item) for item in await users.accounts_of(tx, user_id, past=True)
        ],
        sessions=[people.session_out(item) for item in open_sessions],
        notes=[_note(item) for item in notes],
        trades=[_trade(item, user_id) for item in trades],
        missing_consents=list(await consents.missing(tx, user_id, policy)),
    )


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    names = ("display_name", "status", "tier", "created_at")
    return {"id": str(row["id"]), **{name: row[name] for name in names}}


def _note(row: dict[str, Any]) -> people_answers.StaffNoteOut:
    return people_answers.StaffNoteOut(
        id=str(row["id"]), author_id=str(row["author_id"]), text=row["text"], at=row["created_at"]
    )


def _trade(row: dict[str, Any], user_id: UUID) -> dict[str, Any]:
    side = "SELLER" if row["seller_id"] == user_id else "BUYER"
    return {"escrow_id": str(row["id"]), "status": row["state"], "side": side}


def _user_id(call: Call) -> UUID:
    text = call.parameter("user_id")
    if not is_uuid(text):
        raise NotFound
    return UUID(text)


def _on_user(path: str, handler: Handler, who: Who, summary: str, **more: Any) -> Route:
    return Route(
        "POST",
        f"/api/v1/staff/users/{{user_id}}/{path}",
        handler,
        who,
        summary,
        RateClass.STAFF,
        answer=people_answers.StaffUserFull,
        key=KeyRule.OPTIONAL,
        **{"body": StaffAction} | more,
    )


def _member(method: str, handler: Handler, summary: str, **more: Any) -> Route:
    path = "/api/v1/staff/members/{user_id}"
    return Route(method, path, handler, Who.ADMIN, summary, RateClass.STAFF, **more)


ROUTES = (
    Route(
        "GET",
        "/api/v1/staff/users",
        list_users,
        Who.SUPPORT,
        "Find users",
        RateClass.STAFF,
        query=UserList,
        answer=people_answers.StaffUsers,
    ),
    Route(
        "GET",
        "/api/v1/staff/users/{user_id}",
        read_user,
        Who.SUPPORT,
        "One user",
        RateClass.STAFF,
        answer=people_answers.StaffUserFull,
    ),
    _on_user("freeze", freeze, Who.ADMIN, "Freeze a user"),
    _on_user("unfreeze", unfreeze, Who.ADMIN, "Unfreeze a user"),
    _on_user("relink-waiver", waive_relink, Who.ADMIN, "End the waits between Roblox accounts"),
    _on_user("tier/grant", grant_tier, Who.ADMIN, "Grant TIER_2"),
    _on_user("tier/revoke", revoke_tier, Who.ADMIN, "Take TIER_2 away"),
    _on_user("notes", add_note, Who.SUPPORT, "Keep a note about a user", body=Note),
    Route(
        "GET",
        "/api/v1/staff/members",
        list_members,
        Who.ADMIN,
        "Who is staff",
        RateClass.STAFF,
        answer=people_answers.StaffMembers,
    ),
    _member("PUT", grant_role, "Give a role", body=Role, answer=people_answers.StaffMembers),
    _member("DELETE", revoke_role, "Take a role away", body=StaffAction, status=204),
    Route(
        "POST",
        "/api/v1/staff/verifications",
        verify_manually,
        Who.MODERATOR,
        "Approve a group owner's consent",
        RateClass.STAFF,
        body=ManualVerification,
        answer=people_answers.VerificationOut,
        status=201,
        key=KeyRule.OPTIONAL,
    ),
)
