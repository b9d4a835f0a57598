"""What waits for oneself, what one was told, and how one wants to be told."""

import json
from typing import Any
from uuid import UUID

from bloxtr8.market import preferences, waiting
from bloxtr8.market.preferences import NEVER_OFF, Preferences, Quiet, Wish
from bloxtr8.store.database import Transaction, run_in_transaction, transaction
from web import pages
from web.actors import actor_of
from web.call import Call
from web.limits import RateClass
from web.personal import (
    DeliveryOut,
    NoticeOut,
    NoticePage,
    NoticesRead,
    PreferencesIn,
    PreferencesOut,
    QuietOut,
    Summary,
    Waiting,
    WishOut,
)
from web.requests import Page
from web.routes import KeyRule, Reply, Route, Who
from web.submission import once


async def summary(call: Call) -> Reply:
    """What waits for the caller, the nearest end first."""
    user_id = actor_of(call).id
    async with transaction() as tx:
        rows = await waiting.of_user(tx, user_id, call.now)
        unread = await waiting.unread(tx, user_id, call.now - preferences.SHOWN_FOR)
    items = [Waiting(**row | {"id": str(row["id"])}) for row in rows]
    return Reply(Summary(items=items, unread_notices=unread))


async def read_preferences(call: Call) -> Reply:
    """How the caller wants to be told, and what others see."""
    async with transaction() as tx:
        return Reply(_preferences(await preferences.read(tx, actor_of(call).id)))


async def write_preferences(call: Call) -> Reply:
    """Replace all of the caller's preferences."""
    body: PreferencesIn = call.body
    quiet = body.quiet_hours
    wishes = {
        category: Wish(wish.place, wish.enabled)
        for category in preferences.CATEGORIES
        for wish in [getattr(body.categories, category)]
    }
    wanted = Preferences(
        wishes=wishes,
        quiet=Quiet(quiet.start, quiet.end, quiet.zone) if quiet else None,
        **body.model_dump(exclude={"categories", "quiet_hours"}),
    )

    async def work(tx: Transaction) -> Preferences:
        await preferences.write(tx, actor_of(call), wanted, call.now)
        return await preferences.read(tx, actor_of(call).id)

    return Reply(_preferences(await run_in_transaction(work)))


async def inbox(call: Call) -> Reply:
    """What the caller was told in the last 90 days, the newest first."""
    query: Page = call.query
    async with transaction() as tx:
        rows = await preferences.inbox(
            tx, actor_of(call).id, call.now, pages.moment_position(call), query.limit + 1
        )
    shown, cursor = pages.cut(call, rows, pages.by_moment("created_at"))
    page = NoticePage(items=[_notice(row) for row in shown], next_cursor=cursor)
    return Reply(page, headers=pages.link(call, cursor))


async def mark_read(call: Call) -> Reply:
    """Note what the caller has read; notices of others are left alone."""
    body: NoticesRead = call.body

    async def work(tx: Transaction) -> Reply:
        ids = [UUID(notice_id) for notice_id in body.ids]
        await preferences.mark_read(tx, actor_of(call).id, ids, call.now)
        return Reply(None, 204)

    return await once(call, work)


def _preferences(found: Preferences) -> PreferencesOut:
    quiet = found.quiet
    names = ("quiet_money", "discreet", "show_roblox", "show_trades", "offers_from_new")
    return PreferencesOut(
        categories={
            category: WishOut(place=wish.place, enabled=wish.enabled, fixed=category in NEVER_OFF)
            for category, wish in found.wishes.items()
        },
        quiet_hours=QuietOut(start=quiet.start, end=quiet.end, zone=quiet.zone) if quiet else None,
        **{name: getattr(found, name) for name in names},
    )


def _notice(row: dict[str, Any]) -> NoticeOut:
    delivery = None
    if row["channel"] is not None:
        delivery = DeliveryOut(channel=row["channel"], status=row["status"], sent_at=row["sent_at"])
    names = ("template", "category", "entity", "read_at")
    return NoticeOut(
        id=str(row["id"]),
        data=json.loads(row["data"]),
        at=row["created_at"],
        delivery=delivery,
        **{name: row[name] for name in names},
    )


_PREFERENCES = "/api/v1/me/notification-preferences"
ROUTES = (
    Route("GET", "/api/v1/me/summary", summary, Who.USER, "What waits for oneself", answer=Summary),
    Route(
        "GET",
        _PREFERENCES,
        read_preferences,
        Who.USER,
        "How one is told",
        answer=PreferencesOut,
    ),
    Route(
        "PUT",
        _PREFERENCES,
        write_preferences,
        Who.USER,
        "Choose how one is told",
        RateClass.WRITE,
        body=PreferencesIn,
        answer=PreferencesOut,
    ),
    Route(
        "GET",
        "/api/v1/me/notices",
        inbox,
        Who.USER,
        "What one was told",
        query=Page,
        answer=NoticePage,
    ),
    Route(
        "POST",
        "/api/v1/me/notices/read",
        mark_read,
        Who.USER,
        "Note what one has read",
        RateClass.WRITE,
        body=NoticesRead,
        status=204,
        key=KeyRule.OPTIONAL,
        frozen_may=True,
    ),
)
