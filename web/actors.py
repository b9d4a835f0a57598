"""The acting person of a request, as the services take them."""

from uuid import UUID

from aiohttp import web

from bloxtr8.access.identity import Identity, StaffRole
from bloxtr8.errors import TokenExpired, Unauthenticated
from bloxtr8.market.actors import Actor, Channel
from web.addresses import client_address
from web.authentication import access_cookie
from web.call import Call

_USER_AGENT_MAX = 300


def actor_of(call: Call) -> Actor:
    """Return who acts in `call`: nobody known yet where the route is for anyone."""
    return Actor(
        user_id=UUID(call.identity.user_id) if call.identity else None,
        channel=Channel.WEB,
        traceparent=call.traceparent,
        role=acting_role(call),
        ip=client_address(call.request, call.deps.proxies),
        user_agent=user_agent(call.request),
    )


def user_agent(request: web.Request) -> str | None:
    """Return what the client calls itself; for bytes that are no text stands a question mark."""
    said = request.headers.get("User-Agent", "").encode("utf-8", "replace").decode()
    return said[:_USER_AGENT_MAX] or None


def acting_role(call: Call) -> StaffRole | None:
    """Return the staff role in which the caller acts here, None for whoever acts for themselves.

    Staff also use routes of the parties, to look at trades that are not theirs.
    """
    others = call.case is not None and call.case.side is None
    return call.role if call.route.staff or others else None


def visitor(call: Call) -> Identity | None:
    """Return who the browser is signed in as on a route for anyone, None for nobody.

    Raises TokenExpired, so that a page can renew the session.
    """
    cookie = call.request.cookies.get(access_cookie(call.deps.settings))
    if not cookie:
        return None
    try:
        return call.deps.tokens.verify(cookie)
    except TokenExpired:
        raise
    except Unauthenticated:
        return None


def earlier_session(request: web.Request, call: Call) -> UUID | None:
    """Return the session that this browser had, also when its token has ended."""
    cookie = request.cookies.get(access_cookie(call.deps.settings), "")
    session_id = call.deps.tokens.session_of(cookie) if cookie else None
    return UUID(session_id) if session_id else None
