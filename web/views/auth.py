"""Signing in and out: Discord's redirects, the session and its renewal."""

from uuid import UUID

from aiohttp import web

from bloxtr8.errors import Bloxtr8Error, OauthStateInvalid, TokenExpired, Unauthenticated
from bloxtr8.market import sessions
from bloxtr8.market.discord import CALLBACK
from bloxtr8.market.sessions import SignedIn
from bloxtr8.market.signin import Return
from bloxtr8.market.states import safe_return
from bloxtr8.store.database import Transaction, run_in_transaction
from web import cookies, html, people_answers
from web.actors import actor_of, earlier_session, visitor
from web.authentication import check_origin, csrf_token
from web.call import Call
from web.limits import RateClass
from web.people_requests import Callback, LoginQuery
from web.problems import problem_response
from web.routes import Reply, Route, Who
from web.trace import trace_id


async def login(call: Call) -> Reply:
    """Send the browser to Discord; `step_up` asks whoever is signed in to prove it again."""
    query: LoginQuery = call.query
    step_up_of = None
    if query.step_up == "1":
        try:
            identity = visitor(call)
        except TokenExpired:
            return Reply(html.renewal_page())
        step_up_of = UUID(identity.user_id) if identity else None
    departure = await call.deps.market.sign_in.begin(
        safe_return(query.return_to), step_up_of=step_up_of
    )
    response = _redirect(departure.url)
    cookies.set_oauth(response, call.deps.settings, departure.cookie)
    return Reply(response)


async def discord_callback(call: Call) -> Reply:
    """Finish a sign-in. Whatever comes of it, the binding cookie ends here."""
    settings = call.deps.settings
    try:
        arrival = await call.deps.market.sign_in.finish(
            actor_of(call), returned(call), earlier_session=earlier_session(call.request, call)
        )
        response = _redirect(arrival.return_to)
        _keep(call, response, arrival.signed_in)
    except Bloxtr8Error as error:
        response = html.error_page(error)
    cookies.clear_oauth(response, settings)
    return Reply(response)


def returned(call: Call) -> Return:
    """Return what a provider's callback was asked with."""
    query: Callback = call.query
    cookie = call.request.cookies.get(cookies.oauth_cookie(call.deps.settings), "")
    if len(cookie) > people_answers.SECRET_MAX:
        raise OauthStateInvalid
    return Return(
        state=query.state,
        cookie=cookie,
        code=query.code,
        error=query.error,
        issuer=query.iss,
    )


async def read_session(call: Call) -> Reply:
    """Tell a page who is signed in, and the token that its changes need."""
    try:
        identity = visitor(call)
    except Unauthenticated:
        identity = None
    no_store = {"Cache-Control": "no-store"}
    if identity is None:
        return Reply(people_answers.SessionOut(signed_in=False), headers=no_store)
    answer = people_answers.SessionOut(
        signed_in=True,
        user_id=identity.user_id,
        csrf_token=csrf_token(call.deps.tokens.keys, identity.session_id),
        expires_at=identity.expires_at,
        auth_time=identity.auth_time,
    )
    return Reply(answer, headers=no_store)


async def refresh(call: Call) -> Reply:
    """Renew the session from its refresh cookie; a copied one ends it."""
    settings, now = call.deps.settings, call.now
    check_origin(call.request, settings)
    token = call.request.cookies.get(cookies.refresh_cookie(settings), "")
    try:
        signed_in = await sessions.refresh(token, actor_of(call), call.deps.market.events, now)
    except Unauthenticated as error:
        return Reply(_signed_out(call, error))
    session = signed_in.session
    answer = people_answers.SessionOut(
        signed_in=True,
        user_id=session.user_id,
        csrf_token=csrf_token(call.deps.tokens.keys, session.id),
        expires_at=min(now + people_answers.ACCESS_LIFETIME, session.expires_at),
        auth_time=session.auth_time,
    )
    response = web.Response(
        body=answer.model_dump_json().encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
    _keep(call, response, signed_in)
    return Reply(response)


async def logout(call: Call) -> Reply:
    """End this session."""

    async def work(tx: Transaction) -> None:
        session_id = UUID(call.caller.session_id)
        await sessions.revoke_own(tx, actor_of(call), session_id, call.now)

    await run_in_transaction(work)
    return Reply(cookies.signed_out(call.deps.settings))


async def logout_all(call: Call) -> Reply:
    """End every session of the caller."""

    async def work(tx: Transaction) -> None:
        actor = actor_of(call)
        await sessions.revoke_all(tx, actor, actor.id, "signed_out_everywhere", call.now)

    await run_in_transaction(work)
    return Reply(cookies.signed_out(call.deps.settings))


def _keep(call: Call, response: web.Response, signed_in: SignedIn) -> None:
    settings = call.deps.settings
    access = call.deps.tokens.mint(signed_in.session, signed_in.role)
    cookies.set_access(response, settings, access)
    if signed_in.refresh_token is not None:
        cookies.set_refresh(response, settings, signed_in.refresh_token)


def _redirect(location: str) -> web.Response:
    headers = {"Location": location, "Cache-Control": "no-store"}
    return web.Response(status=303, headers=headers)


def _signed_out(call: Call, error: Bloxtr8Error) -> web.Response:
    response = problem_response(
        error,
        origin=call.deps.settings.web.public_url.rstrip("/"),
        path=call.request.path,
        trace_id=trace_id(call.traceparent),
    )
    cookies.clear_session(response, call.deps.settings)
    return response


ROUTES = (
    Route(
        "GET",
        "/auth/discord/login",
        login,
        Who.ANYONE,
        "Sign in with Discord",
        RateClass.AUTH,
        query=LoginQuery,
        status=303,
        page=True,
    ),
    Route(
        "GET",
        CALLBACK,
        discord_callback,
        Who.ANYONE,
        "Discord's answer to a sign-in",
        RateClass.AUTH,
        query=Callback,
        status=303,
        page=True,
    ),
    Route(
        "GET",
        "/auth/session",
        read_session,
        Who.ANYONE,
        "Who is signed in",
        answer=people_answers.SessionOut,
    ),
    Route(
        "POST",
        cookies.REFRESH_PATH,
        refresh,
        Who.ANYONE,
        "Renew the session",
        RateClass.WRITE,
        answer=people_answers.SessionOut,
    ),
    Route(
        "POST",
        "/auth/logout",
        logout,
        Who.USER,
        "Sign out",
        RateClass.WRITE,
        status=204,
        frozen_may=True,
    ),
    Route(
        "POST",
        "/auth/logout-all",
        logout_all,
        Who.USER,
        "Sign out everywhere",
        RateClass.WRITE,
        status=204,
        frozen_may=True,
    ),
)
