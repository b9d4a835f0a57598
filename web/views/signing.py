"""The page behind a link to sign: it shows, and changes nothing."""

from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from bloxtr8.contracts import reading, rows
from bloxtr8.errors import (
    ContractIntegrity,
    LinkExpired,
    SigningExpired,
    TokenExpired,
    UpstreamUnavailable,
)
from bloxtr8.market import links
from bloxtr8.market.links import Permit
from bloxtr8.market.place import Change
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from proto.bloxtr8.market.v1 import market_pb2 as market
from web import contract_present, cookies, html, people_answers
from web.actors import actor_of, visitor
from web.authentication import csrf_token
from web.call import Call
from web.html import Link
from web.limits import RateClass
from web.routes import Handler, Reply, Route, Who
from web.sign_page import sign_page
from web.trading_present import Viewer

_TITLE = "Sign a contract"
_CONTINUE = "/sign/continue"


async def open_link(call: Call) -> Reply:
    """Show the contract to whom the link belongs."""
    return await _shown(call, call.parameter("token"))


async def continue_link(call: Call) -> Reply:
    """Show the link again that the browser opened before it signed in."""
    return await _shown(call, call.request.cookies.get(cookies.link_cookie(call.deps.settings), ""))


async def _shown(call: Call, token: str) -> Reply:
    if not 0 < len(token) <= people_answers.SECRET_MAX:
        raise LinkExpired
    try:
        identity = visitor(call)
    except TokenExpired:
        return Reply(html.renewal_page())
    owner = await _owner(call, token)
    if identity is None:
        return _ask_login(call, "First sign in with Discord.", "Sign in", token)
    if UUID(identity.user_id) != owner:
        await _tell_owner(call, token, owner)
        text = "This link belongs to another account than the one you are signed in with."
        return _ask_login(call, text, "Change account", token)
    return Reply(await _page(call, token, owner, identity.session_id))


async def _owner(call: Call, token: str) -> UUID:
    async with database.transaction() as tx:
        return await links.owner(tx, token, "SIGN_CONTRACT", call.now)


async def _tell_owner(call: Call, token: str, owner: UUID) -> None:
    """Tell the owner, once, that somebody else has the link."""

    async def work(tx: Transaction) -> None:
        if await links.note_misuse(tx, token, call.now):
            change = Change(tx, actor_of(call), call.deps.place, call.now)
            kind = market.SECURITY_KIND_LINK_OPENED_BY_OTHER
            await change.say(owner, market.SecurityNotice(kind=kind))

    await database.run_in_transaction(work)


async def _page(call: Call, token: str, user_id: UUID, session_id: str) -> web.Response:
    async with database.transaction() as tx:
        subject = await links.subject(tx, token, Permit("SIGN_CONTRACT", user_id), call.now)
    assert subject is not None, "a link to sign is about a contract"
    row = await reading.contract(subject)
    assert row is not None, "contracts are never deleted"
    viewer, side = Viewer(user_id, None), rows.side_of(row, user_id)
    assert side is not None, "links to sign are made for parties"
    shown = contract_present.with_terms(row, viewer, call.now)
    if "sign" not in shown.allowed_actions:
        if rows.is_over(row, call.now):
            raise SigningExpired
        return html.page(_TITLE, "You have signed this contract.")
    await call.deps.vault.check(row["id"], row["pdf_sha256"])
    return sign_page(shown, side, token, csrf_token(call.deps.tokens.keys, session_id))


def _ask_login(call: Call, text: str, button: str, token: str) -> Reply:
    href = f"/auth/discord/login?{urlencode({'return_to': _CONTINUE})}"
    page = html.page(_TITLE, text, actions=(Link(button, href),))
    # The link itself does not travel through the sign-in: it is a secret.
    cookies.set_link(page, call.deps.settings, token)
    return Reply(page)


def _route(path: str, handler: Handler, summary: str) -> Route:
    errors = (LinkExpired, SigningExpired, ContractIntegrity, UpstreamUnavailable)
    return Route(
        "GET", path, handler, Who.ANYONE, summary, RateClass.AUTH, page=True, errors=errors
    )


ROUTES = (
    _route(_CONTINUE, continue_link, "A link to sign that was opened before"),
    _route("/sign/{token}", open_link, "See what a link to sign is for"),
)
