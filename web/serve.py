"""From a route to an answer: limit, identify, permit, read, handle."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from bloxtr8.access import sessions
from bloxtr8.access.identity import Identity, StaffRole
from bloxtr8.errors import (
    Bloxtr8Error,
    ConflictOfInterest,
    Forbidden,
    MfaRequired,
    NotAcceptable,
    NotFound,
)
from bloxtr8.market import standing
from bloxtr8.market.standing import Tier
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from web import body as bodies
from web import cases, html, idempotency
from web.addresses import client_address
from web.authentication import authenticate, require
from web.call import Call
from web.cases import Case
from web.deps import DEPS, Deps
from web.headers import ALLOWANCE, PRIVATE
from web.limits import RateClass
from web.problems import CONTENT_TYPE
from web.routes import Reply, Route, Who
from web.trace import TRACEPARENT

# What unsigned callers are counted as. For the rest: reading where the API is served to other
# origins, and the ceiling of their address everywhere else.
_UNSIGNED = {
    RateClass.READ: RateClass.READ_UNSIGNED,
    RateClass.AUTH: RateClass.AUTH,
    RateClass.HASH: RateClass.HASH,
}
_STAFF_RANK = {
    Who.SUPPORT: StaffRole.SUPPORT,
    Who.MODERATOR: StaffRole.MODERATOR,
    Who.ADMIN: StaffRole.ADMIN,
}
# Statuses of answers that only lead elsewhere.
_LEADING = frozenset({302, 303})
# Statuses of answers about something new, which has an address.
_MADE = frozenset({201, 202})
_SIDES = {
    Who.BUYER: frozenset({"BUYER"}),
    Who.SELLER: frozenset({"SELLER"}),
    Who.PARTY: frozenset({"BUYER", "SELLER"}),
    Who.PARTY_OR_SUPPORT: frozenset({"BUYER", "SELLER"}),
}


async def serve(route: Route, request: web.Request) -> web.StreamResponse:
    """Answer `request` as `route` says; raises the errors of bloxtr8.errors."""
    try:
        return await _serve(route, request)
    except Bloxtr8Error as error:
        if not route.page:
            raise
        return html.error_page(error)


async def _serve(route: Route, request: web.Request) -> web.StreamResponse:
    deps = request.app[DEPS]
    now = deps.clock.now()
    form = await bodies.read_form(request) if route.form else {}
    _check_accept(route, request)
    identity = _identify(route, request, deps, form)
    if route.signed_in:
        identity = require(identity)
    role = await _permit(route, identity, deps, now)
    case = await _case(route, request, identity, role)
    key = idempotency.read_key(request, route, identity, now)
    raw, value = b"{}", None
    if route.body is not None:
        raw = await bodies.read_json(request)
        value = bodies.validated(route.body, raw)
    call = Call(
        request=request,
        deps=deps,
        route=route,
        now=now,
        traceparent=request[TRACEPARENT],
        identity=identity,
        role=role,
        case=case,
        key=idempotency.with_body(key, raw),
        body=value,
        query=bodies.validated_query(route.query, request.query) if route.query else None,
    )
    return _response(route, await _handled_once(call))


def _check_accept(route: Route, request: web.Request) -> None:
    """Raises NotAcceptable when the caller takes nothing of what the route may answer."""
    accepted = request.headers.get("Accept")
    if route.page or not accepted or route.status in _LEADING:
        return
    kinds = {part.partition(";")[0].strip().lower() for part in accepted.split(",")}
    family = route.content.partition("/")[0]
    # Whoever takes JSON takes problem documents too.
    if not kinds & {"*/*", f"{family}/*", route.content, "application/json", CONTENT_TYPE}:
        raise NotAcceptable


def _identify(
    route: Route, request: web.Request, deps: Deps, form: dict[str, str]
) -> Identity | None:
    """Return who asks; what is left of their limit is told with the answer."""
    if route.rate is None:
        return None
    address = client_address(request, deps.proxies)
    ceiling = deps.limiter.take_address(route.rate, address)
    if not (route.signed_in or route.shared):
        unsigned = _UNSIGNED.get(route.rate)
        taken = deps.limiter.take_from(unsigned, address) if unsigned else ceiling
        request[ALLOWANCE] = taken
        return None
    as_unsigned = _UNSIGNED.get(route.rate, RateClass.READ_UNSIGNED)
    try:
        identity = authenticate(request, deps.tokens, deps.settings, form_token=form.get("_csrf"))
    except Bloxtr8Error:
        # Counted also when the credential is refused: guessing is not free.
        request[ALLOWANCE] = deps.limiter.take_from(as_unsigned, address)
        raise
    if identity is None:
        request[ALLOWANCE] = deps.limiter.take_from(as_unsigned, address)
        return None
    request[PRIVATE] = True
    request[ALLOWANCE] = deps.limiter.take(route.rate, identity.user_id)
    return identity


async def _permit(
    route: Route, identity: Identity | None, deps: Deps, now: datetime
) -> StaffRole | None:
    """Return the caller's staff role; raises when the caller may not use the route at all."""
    if identity is None or not route.signed_in:
        return None
    if route.step_up or (route.staff and route.changes):
        identity.require_step_up(now)
    reads_rows = route.who in (Who.PARTY_OR_SUPPORT, Who.TRADER)
    if not (route.changes or route.staff or reads_rows):
        return None
    async with database.transaction() as tx:
        if route.changes or route.staff:
            await sessions.check_session(tx, identity, now)
        if route.changes:
            await sessions.check_standing(tx, identity.user_id, frozen_may=route.frozen_may)
        if route.who is Who.TRADER:
            await _require_trader(tx, identity, deps, now)
        if not route.staff:
            return await sessions.reading_role(tx, identity, now)
        role = await sessions.staff_role(tx, identity.user_id)
    if role is None or role < _STAFF_RANK[route.who]:
        raise Forbidden
    if not identity.mfa:
        raise MfaRequired
    return role


async def _require_trader(tx: Transaction, identity: Identity, deps: Deps, now: datetime) -> None:
    found = await standing.read(tx, UUID(identity.user_id), deps.settings.policy, now)
    found.require_active()
    found.require_tier(Tier.TIER_1)
    found.require_consents()


async def _case(
    route: Route, request: web.Request, identity: Identity | None, role: StaffRole | None
) -> Case | None:
    """Return the escrow that the path names, if the caller may see it."""
    if "escrow_id" not in request.match_info or identity is None:
        return None
    case = await cases.load(request.match_info["escrow_id"], identity.user_id)
    if route.staff:
        if route.changes and case.side is not None:
            raise ConflictOfInterest
        return case
    if case.side is None and not (route.who is Who.PARTY_OR_SUPPORT and role is not None):
        raise NotFound
    if case.side is not None and case.side not in _SIDES[route.who]:
        raise Forbidden
    return case


async def _handled_once(call: Call) -> Reply:
    """Return the stored answer of a repeated request, else the handler's."""
    if call.route.upload is not None:
        # What was sent is known when the handler has read it.
        return await call.route.handler(call)
    earlier = await idempotency.earlier_reply(call.key, call.now)
    if earlier is not None:
        return earlier
    try:
        return await call.route.handler(call)
    except Bloxtr8Error:
        # The first request with this key may have changed the state in the meantime.
        earlier = await idempotency.earlier_reply(call.key, call.now)
        if earlier is None:
            raise
        return earlier


def _response(route: Route, reply: Reply) -> web.StreamResponse:
    if isinstance(reply.body, web.StreamResponse):
        return reply.body
    content: bytes | None = None
    if isinstance(reply.body, BaseModel):
        content = reply.body.model_dump_json(by_alias=True).encode()
    elif reply.body is not None:
        content = json.dumps(reply.body, ensure_ascii=False).encode()
    return web.Response(
        status=reply.status,
        body=content,
        content_type="application/json" if content is not None else None,
        headers=_named(route, reply) | (reply.headers or {}),
    )


def _named(route: Route, reply: Reply) -> dict[str, str]:
    """Return the header fields that name what is answered, also when it is answered again."""
    if reply.body is None or route.answer is None:
        return {}
    headers: dict[str, str] = {}
    version = _member(reply.body, "version") if "version" in route.answer.model_fields else None
    if version is not None:
        headers["ETag"] = f'"{version}"'
    location = getattr(route.answer, "location", None)
    if location is not None and reply.status in _MADE:
        headers["Location"] = location.format(id=_member(reply.body, "id"))
    return headers


def _member(body: BaseModel | dict[str, Any] | web.StreamResponse, name: str) -> Any:
    return body.get(name) if isinstance(body, dict) else getattr(body, name, None)
