"""The front page: where a sign-in ends that nothing else asked for."""

from uuid import UUID

from bloxtr8.errors import TokenExpired
from bloxtr8.store import database
from web import html
from web.actors import visitor
from web.call import Call
from web.html import Link
from web.routes import Reply, Route, Who

_TITLE = "Bloxtr8"
_WHAT = "Two people trade a Roblox game; the money is held until the game has changed hands."
_API = Link("The API", "/docs")


async def home(call: Call) -> Reply:
    """Say what this is, and who is signed in."""
    try:
        identity = visitor(call)
    except TokenExpired:
        return Reply(html.renewal_page())
    if identity is None:
        sign_in = Link("Sign in with Discord", "/auth/discord/login")
        return Reply(html.page(_TITLE, _WHAT, actions=(sign_in, _API)))
    row = await database.fetchrow(
        "SELECT display_name FROM users WHERE id = $1", UUID(identity.user_id)
    )
    name = row["display_name"] if row else "somebody"
    return Reply(html.page(_TITLE, _WHAT, f"You are signed in as {name}.", actions=(_API,)))


ROUTES = (Route("GET", "/", home, Who.ANYONE, "The front page", page=True),)
