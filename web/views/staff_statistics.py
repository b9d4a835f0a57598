"""Figures for staff."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from bloxtr8.errors import ValidationFailed
from bloxtr8.market import staff_stats, stats
from bloxtr8.market.stats import Window
from bloxtr8.messaging import inspection
from bloxtr8.messaging.topics import TOPICS
from bloxtr8.store import database
from web.call import Call
from web.fields import Answer, Moment, MoneyOut, Query, Time, money
from web.limits import RateClass
from web.routes import Reply, Route, Who

_SPAN = timedelta(days=7)
_SPAN_MAX = {"hour": timedelta(days=31), "day": timedelta(days=400)}
_KEPT_S = 30.0
_LAG_WITHIN_S = 5.0
_TOPICS = tuple(spec.name for spec in TOPICS)


class StaffStatsQuery(Query):
    """Without `from` the last seven days; at most 31 days by hour, 400 by day."""

    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")
    bucket: Literal["hour", "day"] = "day"
    group: Literal["rail", "status", "guild"] = "rail"


class SeriesItem(Answer):
    """Trades that began in the bucket."""

    at: Time
    key: str
    trades: int
    completed: int
    disputed: int
    volume: MoneyOut


class StateItem(Answer):
    """Trades in the state now, and for those that left it in the window, how long they were."""

    state: str
    trades: int
    volume: MoneyOut
    left: int
    p50_s: int | None
    p95_s: int | None


class Funnel(Answer):
    listed: int
    offered: int
    agreed: int
    signed: int
    paid: int
    released: int


class Troubles(Answer):
    """`handovers_unseen`: deliveries about which Roblox has said nothing.

    `roblox_unknown_bps`: of the times that Roblox was asked who owns something, those without an
    answer, in 1/10,000; null: it was not asked. `consumer_lag`: messages that no worker has
    handled yet; null: the broker does not say.
    """

    failed_payouts: int
    webhook_failures: int
    open_tasks: int
    queue_age_s: int
    outbox_lag_s: int
    handovers_unseen: int
    roblox_unknown_bps: int | None
    consumer_lag: int | None


class StaffStats(Answer):
    since: Time = Field(serialization_alias="from")
    until: Time = Field(serialization_alias="to")
    series: list[SeriesItem]
    states: list[StateItem]
    funnel: Funnel
    troubles: Troubles


async def read(call: Call) -> Reply:
    query: StaffStatsQuery = call.query
    span = _span(call)

    async def make() -> StaffStats:
        lag = await inspection.consumer_lag(call.deps.settings.kafka, _TOPICS, _LAG_WITHIN_S)
        return await _stats(span, query, lag)

    name = ("staff", query.since, query.until, query.bucket, query.group)
    return Reply(await call.deps.kept.get(name, _KEPT_S, make))


async def _stats(span: Window, query: StaffStatsQuery, lag: int | None) -> StaffStats:
    async with database.transaction() as tx:
        series = await staff_stats.series(tx, span, query.bucket, query.group)
        states = {row["state"]: row for row in await staff_stats.states(tx)}
        lengths = {row["state"]: row for row in await staff_stats.durations(tx, span)}
        funnel = await stats.funnel(tx, span)
        troubles = await staff_stats.troubles(tx, span)
    return StaffStats(
        since=span.since,
        until=span.until,
        series=[_item(row) for row in series],
        states=[
            _state(state, states.get(state), lengths.get(state))
            for state in sorted(states.keys() | lengths.keys())
        ],
        funnel=Funnel(**funnel),
        troubles=Troubles(**troubles, consumer_lag=lag),
    )


def _item(row: stats.Row) -> SeriesItem:
    names = ("at", "key", "trades", "completed", "disputed")
    return SeriesItem(
        volume=money(row["volume_minor"], "USD"), **{name: row[name] for name in names}
    )


def _state(state: str, row: stats.Row | None, length: stats.Row | None) -> StateItem:
    return StateItem(
        state=state,
        trades=row["trades"] if row else 0,
        volume=money(row["volume_minor"] if row else 0, "USD"),
        left=length["times"] if length else 0,
        p50_s=length["p50_s"] if length else None,
        p95_s=length["p95_s"] if length else None,
    )


def _span(call: Call) -> Window:
    query: StaffStatsQuery = call.query
    until = query.until or call.now
    since = query.since or until - _SPAN
    most = _SPAN_MAX[query.bucket]
    if not timedelta(0) < until - since <= most:
        message = f"Give at most {most.days} days, the beginning first."
        entry = {"field": "/from", "code": "span", "message": message}
        raise ValidationFailed(message, errors=[entry])
    return Window(since, until)


ROUTES = (
    Route(
        "GET",
        "/api/v1/staff/stats",
        read,
        Who.SUPPORT,
        "Figures for staff",
        RateClass.STAFF,
        query=StaffStatsQuery,
        answer=StaffStats,
    ),
)
