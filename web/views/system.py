"""Health, readiness, metrics, and what machines and people may look up."""

import hmac
from datetime import UTC, datetime

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bloxtr8 import telemetry
from bloxtr8.errors import NotFound
from bloxtr8.store import database, migrate
from web.addresses import is_loopback
from web.call import Call
from web.deps import Deps
from web.limits import RateClass
from web.problems import LATER_S
from web.routes import Reply, Route, Who
from web.system_answers import Health, Jwks, Ready

_CLOCK_OFF_S_MAX = 1.0
_OUTBOX_LAG_S_MAX = 60.0
_TICK_AGE_S_MAX = 10.0


async def health(_call: Call) -> Reply:
    """The process answers; nothing else is looked at."""
    return Reply({"status": "ok"})


async def ready(call: Call) -> Reply:
    """Tell which of the things that this process needs work."""
    checks = {**_stream_checks(call.deps), **await _database_checks(call.deps)}
    passed = all(checks.values())
    shown = {name: "ok" if fine else "fail" for name, fine in sorted(checks.items())}
    body = {"status": "ok" if passed else "fail", "checks": shown}
    return Reply(body) if passed else Reply(body, 503, {"Retry-After": str(LATER_S)})


async def metrics(call: Call) -> Reply:
    """Prometheus text, for the token's holder; without a token for this machine only."""
    token = call.deps.settings.web.metrics_token.get_secret_value()
    given = call.request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token:
        allowed = hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
    else:
        allowed = is_loopback(call.request)
    if not allowed:
        raise NotFound
    return Reply(
        web.Response(
            body=generate_latest(telemetry.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
    )


async def jwks(call: Call) -> Reply:
    """The public keys of access tokens (RFC 7517)."""
    return Reply(call.deps.tokens.keys.jwks(), headers={"Cache-Control": "public, max-age=300"})


def _stream_checks(deps: Deps) -> dict[str, bool]:
    facts = deps.process.health()
    return {
        "kafka_assignment": bool(facts.get("kafka_assignment", False)),
        "recovery": bool(facts.get("recovery", False)),
        "event_loop": float(facts.get("tick_age_s", 0.0)) <= _TICK_AGE_S_MAX,
    }


async def _database_checks(deps: Deps) -> dict[str, bool]:
    names = ("db", "migrations", "clock", "outbox_lag_s")
    try:
        # The machine's clock, not the business clock: that one may travel.
        asked_at = datetime.now(UTC)
        row = await database.fetchrow(
            "SELECT clock_timestamp() AS now, (SELECT extract(epoch FROM clock_timestamp()"
            " - min(created_at)) FROM outbox WHERE published_at IS NULL) AS lag"
        )
        waited = datetime.now(UTC) - asked_at
        assert row is not None, "a SELECT without FROM has a row"
        off_s = abs((row["now"] - asked_at - waited / 2).total_seconds())
        if not deps.schema_current:
            deps.schema_current = not await migrate.pending(deps.settings)
    except Exception as error:
        if not database.is_transient(error):
            telemetry.get_logger(__name__).exception("readiness_failed")
        return dict.fromkeys(names, False)
    lag_s = float(row["lag"] or 0.0)
    return {
        "db": True,
        "migrations": deps.schema_current,
        "clock": off_s <= _CLOCK_OFF_S_MAX + waited.total_seconds() / 2,
        "outbox_lag_s": lag_s <= _OUTBOX_LAG_S_MAX,
    }


ROUTES = (
    Route(
        "GET", "/health", health, Who.ANYONE, "The process runs", RateClass.SYSTEM, answer=Health
    ),
    Route(
        "GET",
        "/ready",
        ready,
        Who.ANYONE,
        "What works and what does not",
        RateClass.SYSTEM,
        answer=Ready,
        also=(503,),
    ),
    Route(
        "GET",
        "/metrics",
        metrics,
        Who.ANYONE,
        "Prometheus metrics",
        RateClass.SYSTEM,
        content="text/plain",
        errors=(NotFound,),
    ),
    Route("GET", "/.well-known/jwks.json", jwks, Who.ANYONE, "Keys of access tokens", answer=Jwks),
)
