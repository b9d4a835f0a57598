"""Who gets in: every route for every kind of caller, tokens, sessions, cookies."""

import re
import secrets
from collections import defaultdict
from datetime import timedelta
from uuid import uuid4

import pytest
from aiohttp import ClientResponse
from joserfc import jwt
from joserfc.jwk import ECKey

from bloxtr8.access import StaffRole, revoke_session
from bloxtr8.access.tokens import AUDIENCE
from bloxtr8.store import database
from tests.integration.web.world import Someone, Trade, World, accepted, problem
from web.application import ROUTES
from web.authentication import csrf_token
from web.routes import Route, Who

_RANK = {Who.SUPPORT: 1, Who.MODERATOR: 2, Who.ADMIN: 3}
_SIDES = {
    Who.BUYER: {"buyer"},
    Who.SELLER: {"seller"},
    Who.PARTY: {"buyer", "seller"},
    Who.PARTY_OR_SUPPORT: {"buyer", "seller"},
}


# Routes that end the caller's sessions.
_ENDING = {"/auth/logout", "/auth/logout-all"}
# Routes for anyone that refuse whoever has no cookie for them.
_NEED_A_COOKIE = {("POST", "/auth/refresh"): (403, "csrf_failed")}

# Routes for signed-in people that refuse whoever has linked nothing.
_NEED_A_LINK = {("GET", "/api/v1/me/experiences"): (403, "tier_required")}


def _expected(route: Route, kind: str, role: StaffRole | None) -> tuple[int, str] | None:
    """Return the refusal that the route's `who` means for a caller, None when they get in."""
    if route.who is Who.ANYONE:
        return _NEED_A_COOKIE.get((route.method, route.path))
    if kind == "nobody":
        return 401, "unauthenticated"
    if route.staff:
        if role is None or role < _RANK[route.who]:
            return 403, "forbidden"
        if kind == "buyer who is staff" and route.changes and "escrow_id" in route.path:
            return 403, "conflict_of_interest"
        return None
    if route.who is Who.USER:
        return _NEED_A_LINK.get((route.method, route.path))
    if route.who is Who.TRADER:
        return 403, "consent_required"  # nobody here has agreed to anything
    side = kind.removesuffix(" who is staff")
    if side not in ("buyer", "seller"):
        staff_reads = role is not None and route.who is Who.PARTY_OR_SUPPORT
        return None if staff_reads else (404, "not_found")
    if route.path.endswith("/dispute/withdraw") and side == "seller":
        return 403, "forbidden"  # the buyer opened it
    return None if side in _SIDES[route.who] else (403, "forbidden")


def _path(route: Route, trade: Trade) -> str:
    unknown = str(uuid4())
    known = {"escrow_id": trade.escrow_id, "code": "not_found"}
    return route.path.format_map(defaultdict(lambda: unknown, known))


async def _ask(world: World, route: Route, trade: Trade, who: Someone | None) -> ClientResponse:
    if who is not None and route.path in _ENDING:
        # It ends sessions, so somebody does it who is not needed any more.
        who = await world.person()
    headers = {"Idempotency-Key": secrets.token_hex(16)} | (who.bearer if who else {})
    return await world.client.request(route.method, _path(route, trade), headers=headers)


async def _code(answer: ClientResponse) -> str | None:
    """Return the code of a refusal, which pages name in their text."""
    if answer.status < 400:
        return None
    if answer.content_type == "text/html":
        found = re.search(r"Code: (\w+)", await answer.text())
        return found[1] if found else None
    code: str = (await answer.json())["code"]
    return code


async def test_every_route_for_every_kind_of_caller(world: World) -> None:
    staff_buyer = await world.person(StaffRole.ADMIN)
    trade = await world.disputed(buyer=staff_buyer)
    plain = await world.disputed()
    callers: list[tuple[str, Someone | None, StaffRole | None, Trade]] = [
        ("nobody", None, None, plain),
        ("stranger", await world.person(), None, plain),
        ("buyer", plain.buyer_person, None, plain),
        ("seller", plain.seller_person, None, plain),
        ("buyer who is staff", staff_buyer, StaffRole.ADMIN, trade),
        *[(role.name, await world.person(role), role, plain) for role in StaffRole],
    ]
    assert len(ROUTES) > 40
    wrong = []
    for route in ROUTES:
        for kind, who, role, about in callers:
            answer = await _ask(world, route, about, who)
            expected = _expected(route, kind, role)
            code = await _code(answer)
            if expected is not None:
                fits = (answer.status, code) == expected
            else:
                # Who got in may find that the provider behind is not set up here.
                fits = answer.status not in (401, 403, 405)
                fits &= answer.status < 500 or code == "upstream_unavailable"
                fits &= answer.status != 404 or _names_something_unknown(route)
            if not fits:
                wrong.append((route.method, route.path, kind, answer.status, code, expected))
    assert wrong == []
    # Nobody of them sent a command: every body was empty.
    assert {command.WhichOneof("body") for command in world.commands} <= {"withdraw_dispute"}


def _names_something_unknown(route: Route) -> bool:
    named = ("_id}", "/internal/", "/me/accounts/roblox")
    return any(part in route.path for part in named if part != "{escrow_id}")


async def test_staff_without_a_second_factor_are_no_staff(world: World) -> None:
    trade, staff = await world.disputed(), await world.person(StaffRole.ADMIN, mfa=False)
    await problem(await world.get("/api/v1/staff/escrows", staff), 403, "mfa_required")
    await problem(await world.get(trade.path, staff), 404, "not_found")


async def test_a_role_ends_when_it_is_taken_away(world: World) -> None:
    staff = await world.person(StaffRole.SUPPORT)
    assert (await world.get("/api/v1/staff/escrows", staff)).status == 200
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE staff_members SET revoked_at = $2 WHERE user_id = $1",
            staff.id,
            world.clock.now(),
        )
    await problem(await world.get("/api/v1/staff/escrows", staff), 403, "forbidden")


async def test_a_claimed_role_is_not_a_role(world: World) -> None:
    someone = await world.person()
    token = world.tokens.mint(someone.session, StaffRole.ADMIN)
    claimed = Someone(someone.id, someone.session, token)
    await problem(await world.get("/api/v1/staff/escrows", claimed), 403, "forbidden")


async def test_an_expired_token_is_told_from_a_bad_one(world: World) -> None:
    someone = await world.person()
    assert (await world.get("/api/v1/escrows", someone)).status == 200
    world.clock.advance(timedelta(minutes=10, seconds=1))
    await problem(await world.get("/api/v1/escrows", someone), 401, "token_expired")
    answer = await world.client.get(
        "/api/v1/escrows", headers={"Authorization": f"Bearer {someone.token[:-4]}AAAA"}
    )
    await problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "somebody-else"},
        {"iss": "https://elsewhere.example"},
        {"aud": None},
        {"exp": "tomorrow"},
        {"sub": "not-a-uuid"},
        {"iat": 4102444800, "exp": 4102445400},
        {"exp": 10**30},
        {"amr": 1},
        {"role": "KING"},
    ],
)
async def test_tokens_with_other_claims(world: World, changes: dict[str, object]) -> None:
    someone = await world.person()
    now = int(world.clock.now().timestamp())
    claims = {
        "iss": world.process.settings.web.public_url,
        "aud": AUDIENCE,
        "sub": someone.id,
        "sid": someone.session.id,
        "iat": now,
        "exp": now + 60,
        "auth_time": now,
        "amr": ["discord"],
        "role": None,
    }
    key = world.tokens.keys.signing_key
    header = {"alg": "ES256", "kid": key.kid}
    good = Someone(someone.id, someone.session, jwt.encode(header, claims, key, ["ES256"]))
    assert (await world.get("/api/v1/escrows", good)).status == 200
    bad = Someone(someone.id, someone.session, jwt.encode(header, claims | changes, key, ["ES256"]))
    await problem(await world.get("/api/v1/escrows", bad), 401, "unauthenticated")


async def test_a_token_by_another_key_or_without_signature(world: World) -> None:
    someone = await world.person()
    claims = jwt.decode(someone.token, world.tokens.keys.key_set, ["ES256"]).claims
    stranger = ECKey.generate_key("P-256", {"kid": "tokens-1"})
    forged = jwt.encode({"alg": "ES256", "kid": "tokens-1"}, claims, stranger, ["ES256"])
    unsigned = ".".join(["eyJhbGciOiJub25lIn0", someone.token.split(".")[1], ""])
    for token in (forged, unsigned, "", "x", "a.b.c", "x" * 5000):
        headers = {"Authorization": f"Bearer {token}"}
        answer = await world.client.get("/api/v1/escrows", headers=headers)
        assert answer.status in (400, 401)
        assert (await answer.json())["code"] in ("unauthenticated", "bad_header")
    basic = await world.client.get("/api/v1/escrows", headers={"Authorization": "Basic eDp5"})
    await problem(basic, 400, "bad_header")


async def test_a_revoked_session_changes_nothing_more(world: World) -> None:
    trade = await world.delivered()
    buyer = trade.buyer_person
    async with database.transaction() as tx:
        await revoke_session(tx, buyer.session.id, world.clock.now(), "signed_out")
    answer = await world.post(f"{trade.path}/release", buyer, {"confirm": True})
    await problem(answer, 401, "session_revoked")
    assert world.commands == []


async def test_at_most_ten_sessions_live(world: World) -> None:
    trade = await world.delivered()
    oldest = trade.buyer_person
    for _ in range(10):
        world.clock.advance(timedelta(seconds=1))
        newest = await world.again(oldest)
    path = f"{trade.path}/release"
    await problem(await world.post(path, oldest, {"confirm": True}), 401, "session_revoked")
    await accepted(await world.post(path, newest, {"confirm": True}))


async def test_money_needs_a_recent_sign_in(world: World) -> None:
    trade = await world.delivered()
    buyer = trade.buyer_person
    world.clock.advance(timedelta(minutes=16))
    # A renewed token of the same, older sign-in.
    renewed = Someone(buyer.id, buyer.session, world.tokens.mint(buyer.session))
    path = f"{trade.path}/release"
    await problem(await world.post(path, renewed, {"confirm": True}), 403, "step_up_required")
    fresh = await world.again(buyer)
    await accepted(await world.post(path, fresh, {"confirm": True}))


async def test_a_frozen_account_reads_and_moves_nothing(world: World) -> None:
    trade = await world.delivered()
    async with database.transaction() as tx:
        await tx.execute("UPDATE users SET status = 'FROZEN' WHERE id = $1", trade.buyer_id)
    answer = await world.post(f"{trade.path}/release", trade.buyer_person, {"confirm": True})
    await problem(answer, 403, "account_frozen")
    assert (await world.get(trade.path, trade.buyer_person)).status == 200


async def test_a_cookie_needs_our_own_page(world: World) -> None:
    trade = await world.delivered()
    buyer = trade.buyer_person
    origin = world.process.settings.web.public_url
    token = csrf_token(world.tokens.keys, buyer.session.id)
    good = {
        "Cookie": f"b8_at={buyer.token}",
        "Origin": origin,
        "X-CSRF-Token": token,
        "Idempotency-Key": secrets.token_hex(16),
    }
    path = f"{trade.path}/release"
    other_token = csrf_token(world.tokens.keys, str(uuid4()))
    for changes in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": other_token},
    ):
        answer = await world.client.post(path, headers=good | changes, json={"confirm": True})
        await problem(answer, 403, "csrf_failed")
    no_origin = {name: value for name, value in good.items() if name != "Origin"}
    answer = await world.client.post(path, headers=no_origin, json={"confirm": True})
    await problem(answer, 403, "csrf_failed")
    # Reading needs neither; and a header outranks the cookie.
    seen = await world.client.get(trade.path, headers={"Cookie": good["Cookie"]})
    assert seen.status == 200
    stranger = await world.person()
    as_stranger = await world.client.get(
        trade.path, headers={"Cookie": good["Cookie"]} | stranger.bearer
    )
    await problem(as_stranger, 404, "not_found")
    same_site = no_origin | {"Sec-Fetch-Site": "same-origin"}
    await accepted(await world.client.post(path, headers=same_site, json={"confirm": True}))
