"""Linking a Roblox account: the page behind a link from Discord, and Roblox's answer."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from bloxtr8.access.identity import Identity
from bloxtr8.errors import Bloxtr8Error, Forbidden, LinkExpired, TokenExpired
from bloxtr8.market import users
from bloxtr8.market.actors import Actor
from bloxtr8.market.linking import SignedInAs, claim_account
from bloxtr8.market.signin import Departure
from bloxtr8.roblox.openid import CALLBACK
from bloxtr8.store.database import Transaction, transaction
from web import cookies, html, people_answers, submission
from web.actors import actor_of, visitor
from web.authentication import csrf_token
from web.call import Call
from web.html import Form, Link
from web.limits import RateClass
from web.people_requests import Callback, GroupCheck, LinkClaim
from web.problems import error_classes
from web.routes import Handler, KeyRule, Reply, Route, Who
from web.views.auth import returned

_CONTINUE = "/link/continue"
_TITLE = "Link your Roblox account"


async def begin(call: Call) -> Reply:
    """Start linking for whoever is signed in."""
    linking = call.deps.market.linking
    return _departing(call, await linking.begin(actor_of(call), _signed_in(call.caller)))


async def group_check(call: Call) -> Reply:
    """Start a look at the caller's role in a group, with their consent at Roblox."""
    body: GroupCheck = call.body
    market = call.deps.market
    group_id = int(body.group_id)
    await market.experiences.group(group_id)
    departure = await market.linking.begin_group_check(
        actor_of(call), _signed_in(call.caller), group_id
    )
    return _departing(call, departure)


async def roblox_callback(call: Call) -> Reply:
    """Finish a link. Whatever comes of it, the binding cookie ends here."""
    try:
        identity = visitor(call)
    except TokenExpired:
        identity = None
    target = "/link/done"
    try:
        await call.deps.market.linking.finish(
            actor_of(call),
            returned(call),
            present_user=UUID(identity.user_id) if identity else None,
        )
    except Bloxtr8Error as error:
        target = f"/link/error?{urlencode({'code': error.code})}"
    response = web.Response(status=303, headers={"Location": target, "Cache-Control": "no-store"})
    cookies.clear_oauth(response, call.deps.settings)
    cookies.clear_link(response, call.deps.settings)
    return Reply(response)


async def open_link(call: Call) -> Reply:
    """Show what a link would do, and to whom; nothing is used up."""
    return await _link_page(call, call.parameter("token"))


async def continue_link(call: Call) -> Reply:
    """Show the link again that the browser opened before it signed in."""
    return await _link_page(call, call.request.cookies.get(_link_cookie(call), ""))


async def _link_page(call: Call, token: str) -> Reply:
    if not 0 < len(token) <= people_answers.SECRET_MAX:
        raise LinkExpired
    try:
        identity = visitor(call)
    except TokenExpired:
        return Reply(html.renewal_page())
    linking = call.deps.market.linking
    actor = actor_of(call)
    if identity is None:
        await linking.belongs_to(actor, token)
        return _with_link(call, _ask_login("First sign in with Discord.", "Sign in"), token)
    acting = _acting(call, identity)
    if not await linking.belongs_to(acting, token):
        text = "This link belongs to another Discord account than the one you are signed in with."
        return _with_link(call, _ask_login(text, "Change account"), token)
    async with transaction() as tx:
        accounts = await users.accounts_of(tx, acting.id)
    discord = next(row for row in accounts if row["provider"] == "DISCORD")
    form = Form(
        "Continue to Roblox",
        f"/link/{token}/start",
        csrf_token(call.deps.tokens.keys, identity.session_id),
    )
    page = html.page(
        _TITLE,
        "A Roblox account will be linked to this Discord account:",
        f"{discord['username']} ({discord['external_id']})",
        "If that is not you, close this page.",
        actions=(form,),
    )
    return _with_link(call, page, token)


async def start_link(call: Call) -> Reply:
    """Use up the link and lead to Roblox."""
    actor, token = actor_of(call), call.parameter("token")
    linking = call.deps.market.linking
    if not await linking.belongs_to(actor, token):
        raise Forbidden("This link belongs to another account.")
    departure = await linking.begin(actor, _signed_in(call.caller), token=token)
    # A page, not a redirect: a form of ours may lead to our own origin only.
    response = html.page(
        _TITLE,
        "Roblox asks which account it is.",
        actions=(Link("Go to Roblox", departure.url),),
    )
    cookies.set_oauth(response, call.deps.settings, departure.cookie)
    cookies.clear_link(response, call.deps.settings)
    return Reply(response)


async def done(call: Call) -> Reply:
    """Show both accounts."""
    try:
        identity = visitor(call)
    except TokenExpired:
        return Reply(html.renewal_page())
    lines: list[str] = []
    if identity is not None:
        async with transaction() as tx:
            accounts = await users.accounts_of(tx, UUID(identity.user_id))
        lines = [f"{row['provider'].capitalize()}: {row['username']}" for row in accounts]
    return Reply(html.page("Done", *lines, "You can close this page."))


async def failed(call: Call) -> Reply:
    """Explain why linking ended, in the words of the code."""
    found = error_classes().get(call.request.query.get("code", ""))
    if found is None:
        return Reply(html.page("Nothing was linked", "Begin again."))
    return Reply(html.page("Nothing was linked", found.title, f"Code: {found.code}"))


async def unlink(call: Call) -> Reply:
    """Take the caller's Roblox account off."""
    await call.deps.market.linking.unlink(actor_of(call))
    return Reply(None, 204)


async def claim(call: Call) -> Reply:
    """Ask staff to look at a Roblox account that is linked to somebody else."""
    body: LinkClaim = call.body

    async def work(tx: Transaction) -> Reply:
        opened = await claim_account(tx, actor_of(call), int(body.roblox_id), body.text, call.now)
        answer = people_answers.ClaimOut(roblox_id=body.roblox_id, status="OPEN")
        return Reply(answer.model_dump(mode="json"), 202 if opened else 200)

    return await submission.once(call, work)


def _departing(call: Call, departure: Departure) -> Reply:
    answer = people_answers.AuthorizeOut(authorize_url=departure.url)
    response = web.Response(body=answer.model_dump_json().encode(), content_type="application/json")
    cookies.set_oauth(response, call.deps.settings, departure.cookie)
    return Reply(response)


def _with_link(call: Call, page: web.Response, token: str) -> Reply:
    cookies.set_link(page, call.deps.settings, token)
    return Reply(page)


def _ask_login(text: str, button: str) -> web.Response:
    href = f"/auth/discord/login?{urlencode({'return_to': _CONTINUE})}"
    return html.page(_TITLE, text, actions=(Link(button, href),))


def _link_cookie(call: Call) -> str:
    return cookies.link_cookie(call.deps.settings)


def _acting(call: Call, identity: Identity) -> Actor:
    return replace(actor_of(call), user_id=UUID(identity.user_id))


def _signed_in(identity: Identity) -> SignedInAs:
    return SignedInAs(UUID(identity.user_id), UUID(identity.session_id))


def _page(method: str, path: str, handler: Handler, who: Who, summary: str, **more: Any) -> Route:
    return Route(method, path, handler, who, summary, RateClass.AUTH, page=True, **more)


ROUTES = (
    Route(
        "POST",
        "/auth/roblox/link",
        begin,
        Who.USER,
        "Start linking a Roblox account",
        RateClass.TOKEN,
        answer=people_answers.AuthorizeOut,
    ),
    Route(
        "POST",
        "/auth/roblox/group-check",
        group_check,
        Who.TRADER,
        "Start showing one's role in a group",
        RateClass.TOKEN,
        body=GroupCheck,
        answer=people_answers.AuthorizeOut,
    ),
    _page(
        "GET", CALLBACK, roblox_callback, Who.ANYONE, "Roblox's answer", query=Callback, status=303
    ),
    _page("GET", _CONTINUE, continue_link, Who.ANYONE, "A link that was opened before"),
    _page("GET", "/link/done", done, Who.ANYONE, "What is linked now"),
    _page("GET", "/link/error", failed, Who.ANYONE, "Why nothing was linked"),
    _page("GET", "/link/{token}", open_link, Who.ANYONE, "A one-time link from Discord"),
    _page("POST", "/link/{token}/start", start_link, Who.USER, "Use the link", form=True),
    Route(
        "DELETE",
        "/api/v1/me/accounts/roblox",
        unlink,
        Who.USER,
        "Unlink the Roblox account",
        RateClass.WRITE,
        status=204,
        step_up=True,
    ),
    Route(
        "POST",
        "/api/v1/me/link-claims",
        claim,
        Who.USER,
        "Say that a linked Roblox account is one's own",
        RateClass.WRITE,
        body=LinkClaim,
        answer=people_answers.ClaimOut,
        status=202,
        also=(200,),
        key=KeyRule.OPTIONAL,
    ),
)
