"""What anybody may know before asking anything: limits, clocks, fees, outages."""

from datetime import timedelta
from typing import get_args

from bloxtr8.errors import AmountOutOfRange
from bloxtr8.escrow import deadlines, fees
from bloxtr8.market import clocks, consents, costs, rules
from bloxtr8.market.agreement import TEMPLATE
from bloxtr8.market.rules import Category, PriceBand
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from web.call import Call
from web.fields import money
from web.limits import RateClass
from web.openapi.document import VERSION
from web.routes import Reply, Route, Who
from web.system_answers import Meta, OutageSpan, QuoteIn, QuoteOut, Status
from web.trading_answers import CostsOut

_COMPONENTS = ("WEB", "BOT", "STRIPE", "BASE", "ROBLOX")
_RECENT = timedelta(days=90)
_RECENT_MAX = 200
_CACHED = {"Cache-Control": "public, max-age=30"}


async def meta(call: Call) -> Reply:
    """Version, limits, clocks, categories, fees' schedule and current documents."""
    policy = call.deps.settings.policy
    card_max = fees.units(common.RAIL_STRIPE, fees.STRIPE_TOTAL_MAX)
    answer = Meta(
        version=VERSION,
        mode=call.deps.settings.mode,
        now=call.now,
        clocks_s=_clocks(),
        price_min=money(rules.PRICE_MIN, "USD"),
        price_max=money(rules.PRICE_MAX, "USD"),
        price_bands=list(get_args(PriceBand)),
        categories=list(get_args(Category)),
        rail_threshold=money(card_max, "USD"),
        tier2_above=money(policy.tier2_above_minor, "USD"),
        fee_schedule=costs.SCHEDULE,
        template_version=TEMPLATE,
        consents=dict(consents.current_versions(policy)),
    )
    return Reply(answer, headers=_CACHED)


def _clocks() -> dict[str, int]:
    """Return the length of each clock in seconds, the trade's own too."""
    lengths = {name: int(span.length.total_seconds()) for name, span in clocks.TABLE.items()}
    return lengths | {
        "funding": deadlines.FUNDING_SECONDS,
        "confirmation": deadlines.CONFIRMATION_SECONDS,
        "dispute": deadlines.DISPUTE_SECONDS,
        "settlement": deadlines.SETTLEMENT_SECONDS,
    }


async def status(call: Call) -> Reply:
    """What is down now, and what was in the last 90 days."""
    rows = await database.fetch(
        "SELECT scope, started_at, ended_at FROM outages WHERE ended_at IS NULL OR ended_at > $1"
        " ORDER BY started_at DESC, id DESC LIMIT $2",
        call.now - _RECENT,
        _RECENT_MAX,
    )
    spans = [OutageSpan(**row) for row in rows]
    running = [span for span in spans if span.ended_at is None and span.started_at <= call.now]
    down = {span.scope for span in running}
    components = {name: "outage" if down & {name, "ALL"} else "ok" for name in _COMPONENTS}
    past = [span for span in spans if span.ended_at is not None]
    return Reply(Status(components=components, open=running, recent=past), headers=_CACHED)


async def quote(call: Call) -> Reply:
    """What a trade of a price costs each side, and the rail it takes."""
    body: QuoteIn = call.body
    cents = body.price.in_currency("USD")
    if not rules.PRICE_MIN <= cents <= rules.PRICE_MAX:
        raise AmountOutOfRange
    found = costs.quote(cents)
    answer = QuoteOut(
        rail=found.rail,
        price=money(cents, "USD"),
        settle=money(found.settle_minor, found.currency),
        costs=CostsOut(
            buyer_pays=money(found.buyer_pays_minor, found.currency),
            buyer_fee=money(found.buyer_fee_minor, found.currency),
            seller_fee=money(found.seller_fee_minor, found.currency),
            seller_receives=money(found.seller_receives_minor, found.currency),
        ),
        fee_schedule=found.schedule,
    )
    return Reply(answer)


ROUTES = (
    Route("GET", "/api/v1/meta", meta, Who.ANYONE, "Limits, clocks and versions", answer=Meta),
    Route("GET", "/api/v1/status", status, Who.ANYONE, "What is down", answer=Status),
    Route(
        "POST",
        "/api/v1/fees/quote",
        quote,
        Who.ANYONE,
        "What a trade costs",
        RateClass.WRITE,
        body=QuoteIn,
        answer=QuoteOut,
        errors=(AmountOutOfRange,),
    ),
)
