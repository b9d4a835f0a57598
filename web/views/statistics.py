"""Figures for everybody, for oneself, for a guild's admins."""

from datetime import timedelta
from functools import partial
from uuid import UUID

from bloxtr8.errors import NotFound, ValidationFailed
from bloxtr8.market import clocks, stats
from bloxtr8.market.stats import Window
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from web import trading, trading_present
from web.call import Call
from web.fields import findable, money
from web.routes import Reply, Route, Who
from web.trading_answers import BandStats, GuildStats, MyStats, PublicStats
from web.trading_requests import StatsPeriod, StatsSpan

_SPAN_MAX = timedelta(days=400)
_SPAN = timedelta(days=30)
_PUBLIC_KEPT_S, _GUILD_KEPT_S = 60.0, 300.0


async def public(call: Call) -> Reply:
    answer = await call.deps.kept.get("public", _PUBLIC_KEPT_S, partial(_public, call))
    return Reply(answer, headers={"Cache-Control": "public, max-age=60"})


async def _public(call: Call) -> PublicStats:
    async with database.transaction() as tx:
        spans = [stats.window(period, call.now) for period in ("day", "month", "all")]
        day, month, everything = [
            trading_present.trades(await stats.trades(tx, span)) for span in spans
        ]
        bands = await stats.active_by_band(tx)
    return PublicStats(day=day, month=month, all=everything, active_listings=bands)


async def own(call: Call) -> Reply:
    query: StatsPeriod = call.query
    async with database.transaction() as tx:
        span = stats.window(query.period, call.now)
        rows = await stats.of_person(tx, UUID(call.caller.user_id), span)
    by_side = {row["side"]: row for row in rows}
    return Reply(
        MyStats(
            buyer=trading_present.side_stats(by_side.get("BUYER")),
            seller=trading_present.side_stats(by_side.get("SELLER")),
        )
    )


async def of_guild(call: Call) -> Reply:
    span = _span(call)
    viewer = await trading.viewer_of(call)
    async with database.transaction() as tx:
        guild_id = await _guild(tx, call, viewer)
    name = ("guild", guild_id, call.query.since, call.query.until)
    return Reply(await call.deps.kept.get(name, _GUILD_KEPT_S, partial(_of_guild, guild_id, span)))


async def _of_guild(guild_id: UUID, span: Window) -> GuildStats:
    async with database.transaction() as tx:
        rows = await stats.of_guild(tx, guild_id, span)
    items = [
        BandStats(
            price_band=row["price_band"],
            listings=row["listings"],
            offers=row["offers"],
            completed=row["completed"],
            volume=money(row["volume_minor"], "USD"),
        )
        for row in rows
    ]
    return GuildStats(items=items)


async def _guild(tx: Transaction, call: Call, viewer: trading_present.Viewer) -> UUID:
    """Return the guild if the viewer is an admin of it, or staff; raises NotFound."""
    found: UUID | None = await tx.fetchval(
        "SELECT g.id FROM guilds g LEFT JOIN guild_members m ON m.guild_id = g.id"
        " AND m.user_id = $2 AND m.is_admin AND m.checked_at > $3"
        " WHERE g.discord_id = $1 AND ($4 OR m.user_id IS NOT NULL)",
        findable(call.parameter("discord_id")),
        viewer.user_id,
        call.now - clocks.MEMBERSHIP.length,
        viewer.staff,
    )
    if found is None:
        raise NotFound
    return found


def _span(call: Call) -> Window:
    query: StatsSpan = call.query
    until = query.until or call.now
    since = query.since or until - _SPAN
    if not timedelta(0) < until - since <= _SPAN_MAX:
        message = "Give at most 400 days, the beginning first."
        raise ValidationFailed(
            message, errors=[{"field": "/from", "code": "span", "message": message}]
        )
    return Window(since, until)


ROUTES = (
    Route("GET", "/api/v1/stats/public", public, Who.ANYONE, "The market", answer=PublicStats),
    Route(
        "GET",
        "/api/v1/me/stats",
        own,
        Who.USER,
        "Own trades",
        query=StatsPeriod,
        answer=MyStats,
    ),
    Route(
        "GET",
        "/api/v1/guilds/{discord_id}/stats",
        of_guild,
        Who.USER,
        "A guild's own listings",
        query=StatsSpan,
        answer=GuildStats,
    ),
)
