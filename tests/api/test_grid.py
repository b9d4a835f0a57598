"""Who may do what: every route, asked by everybody."""

import secrets
from typing import Any

import pytest
from aiohttp import ClientResponse

from bloxtr8.sandbox.roblox import RobloxStandIn
from tests.api.cast import CALLERS, Cast
from tests.api.expectations import EXPECTED, MAY, Expectation, may
from tests.integration.web.world import World
from web.application import ROUTES
from web.openapi import make_document
from web.openapi.parameters import names
from web.routes import KeyRule, Route

DOCUMENT = make_document(ROUTES)
# Refusals that say who may not, as opposed to what is not possible now.
OF_CALLERS = frozenset(
    {
        *("unauthenticated", "token_expired", "session_revoked", "forbidden", "account_frozen"),
        *("tier_required", "consent_required", "mfa_required", "step_up_required", "csrf_failed"),
        *("conflict_of_interest", "not_your_turn", "own_listing", "not_found"),
    }
)


def test_every_route_is_in_the_grid() -> None:
    assert {route.name for route in ROUTES} == set(EXPECTED)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_who_may(route: Route, world: World, roblox: RobloxStandIn) -> None:
    expected = EXPECTED[route.name]
    cast = await Cast(world, roblox).assemble(route.path)
    outcomes = {}
    # Those who may come last: what they do must not change what the others find.
    for caller in sorted(CALLERS, key=lambda name: may(expected, name, route) == MAY):
        outcomes[caller] = await _outcome(await _ask(route, caller, cast), expected)
    assert outcomes == {caller: _told(route, may(expected, caller, route)) for caller in CALLERS}


def _told(route: Route, outcome: str) -> str:
    return "refused" if route.page and outcome != MAY else outcome


async def _ask(route: Route, caller: str, cast: Cast) -> ClientResponse:
    """Ask for the thing of the cast, with the documented example as body."""
    path = route.path
    for part in names(path):
        path = path.replace(f"{{{part}}}", cast.parts.get(part, _absent(part)))
    headers = dict(cast.headers[caller])
    if route.key is not KeyRule.NONE:
        headers["Idempotency-Key"] = secrets.token_hex(16)
    if route.guarded:
        headers["If-Match"] = '"1"'
    body = _example(route) if route.body is not None else None
    return await cast.world.client.request(
        route.method, path, headers=headers, json=body, allow_redirects=False
    )


def _example(route: Route) -> Any:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    return operation["requestBody"]["content"]["application/json"]["example"]


def _absent(part: str) -> str:
    if part in ("token", "code"):
        return "none"
    return "1" if part in ("discord_id", "position") else "0199d7a2-6c1e-7d53-9c0b-2f1f0c9b7e11"


async def _outcome(answer: ClientResponse, expected: Expectation) -> str:
    """Return the refusal that is about the caller, or MAY."""
    if answer.content_type == "text/event-stream":
        answer.close()
        return MAY
    if answer.content_type != "application/problem+json":
        # A page says it in words.
        return MAY if answer.status not in (401, 403) else "refused"
    document = await answer.json(content_type=None)
    code: str = document["code"]
    assert code != "internal", document
    if code not in OF_CALLERS or (code == "not_found" and expected.absent):
        return MAY
    return code
