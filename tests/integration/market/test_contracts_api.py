"""Contracts over HTTP: read, downloaded, signed with a fresh sign-in or a link, called off."""

import hashlib
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from pypdf import PdfReader

from bloxtr8.contracts import signing
from bloxtr8.contracts.desk import Desk
from bloxtr8.contracts.paper.renderer import Renderer
from bloxtr8.contracts.vault import key_of
from bloxtr8.market.place import Change
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.roblox.world import Transfer
from bloxtr8.store import database
from tests.integration.market.world import Browser, People
from tests.integration.web.world import problem
from web.deps import DEPS

UNIVERSE = 5_795_192_361
CONTRACTS = "/api/v1/contracts"
REASON = "Looked at it together with a colleague."


def _usd(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "USD"}


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    made = Renderer(seconds_max=60.0)
    yield made
    await made.close()


@pytest.fixture
def desk(people: People, renderer: Renderer) -> Desk:
    """What a worker runs beside the API."""
    deps = people.application[DEPS]
    return Desk(deps.place, deps.vault, renderer, people.origin)


async def _trader(people: People, roblox_id: int) -> Browser:
    browser = await people.linked(roblox_id)
    await browser.consent()
    return browser


async def _agreed(people: People) -> tuple[Browser, Browser, str]:
    """Return seller, buyer and the id of their contract."""
    seller, buyer = await _trader(people, 7001), await _trader(people, 7002)
    people.experience(UNIVERSE, 7001)
    body = {
        "universe_id": str(UNIVERSE),
        "title": "Skyline <b>Tycoon</b>",
        "summary": "Complete tycoon with shop, pets & daily quests.",
        "category": "TYCOON",
        "price": _usd(150_000),
    }
    listing = await (await seller.post("/api/v1/listings", body)).json()
    offered = await buyer.post(
        f"/api/v1/listings/{listing['id']}/offers",
        {"amount": _usd(125_000), "conditions": "<script>alert(1)</script>"},
    )
    offer = await offered.json()
    accepted = await seller.post(f"/api/v1/offers/{offer['id']}/accept", {"version": 1})
    assert accepted.status == 200, await accepted.text()
    return seller, buyer, (await accepted.json())["contract"]["id"]


async def _ready(people: People, desk: Desk) -> tuple[Browser, Browser, dict[str, Any]]:
    seller, buyer, contract_id = await _agreed(people)
    assert await desk.work() == 1
    return seller, buyer, await _read(buyer, contract_id)


async def _read(reader: Browser, contract_id: str) -> dict[str, Any]:
    document: dict[str, Any] = await (await reader.get(f"{CONTRACTS}/{contract_id}")).json()
    return document


async def _sign(person: Browser, contract: dict[str, Any], **values: Any) -> Any:
    body = {"document_sha256": contract["document_sha256"], "consent": True, **values}
    return await person.post(f"{CONTRACTS}/{contract['id']}/sign", body)


async def _link(people: People, person: Browser, contract: dict[str, Any]) -> str:
    """Return the token of a link, as the bot asks for one."""
    place = people.application[DEPS].place

    async def work(tx: database.Transaction) -> str:
        change = Change(tx, person.actor, place, people.clock.now())
        return await signing.make_link(change, UUID(contract["id"]))

    return await database.run_in_transaction(work)


async def _download(person: Browser, contract: dict[str, Any], variant: str) -> bytes:
    answer = await person.get(f"{CONTRACTS}/{contract['id']}/pdf?variant={variant}")
    assert answer.status == 302, await answer.text()
    async with aiohttp.ClientSession() as stranger:
        found = await stranger.get(answer.headers["Location"])
        assert found.headers["Content-Disposition"].startswith("attachment")
        return await found.read()


async def test_both_read_sign_and_keep_it(people: People, desk: Desk) -> None:
    seller, buyer, contract = await _ready(people, desk)
    assert contract["status"] == "PENDING_SIGNATURE"
    assert contract["allowed_actions"] == ["sign", "decline"]
    assert contract["terms"]["conditions"] == "<script>alert(1)</script>"
    draft = await _download(buyer, contract, "draft")
    assert hashlib.sha256(draft).hexdigest() == contract["document_sha256"]
    words = "".join(page.extract_text() for page in PdfReader(io.BytesIO(draft)).pages)
    assert "<script>alert(1)</script>" in words
    first = await (await _sign(seller, contract)).json()
    assert [one["side"] for one in first["signatures"]] == ["SELLER"]
    assert first["allowed_actions"] == ["decline"]
    second = await (await _sign(buyer, contract)).json()
    assert second["status"] == "EXECUTED", second
    assert second["allowed_actions"] == ["open_escrow"]
    early = await buyer.get(f"{CONTRACTS}/{contract['id']}/pdf?variant=final")
    await problem(early, 409, "contract_not_ready")
    assert await desk.work() == 1
    after = await _read(seller, contract["ref"])
    final = await _download(seller, contract, "final")
    assert hashlib.sha256(final).hexdigest() == after["final_sha256"]
    assert len(await people.audited("contract.downloaded")) == 2


async def test_lists_are_ones_own(people: People, desk: Desk) -> None:
    seller, buyer, contract = await _ready(people, desk)
    other = await _trader(people, 7003)
    for reader, query, count in (
        (seller, "?role=SELLER", 1),
        (seller, "?role=BUYER", 0),
        (buyer, "?status=PENDING_SIGNATURE&limit=1", 1),
        (buyer, "?status=VOID", 0),
        (other, "", 0),
    ):
        found = await (await reader.get(f"{CONTRACTS}{query}")).json()
        assert len(found["items"]) == count
        assert found["next_cursor"] is None
    for path in ("", "/pdf"):
        await problem(await other.get(f"{CONTRACTS}/{contract['id']}{path}"), 404, "not_found")
    await problem(await _sign(other, contract), 404, "not_found")
    await problem(await other.post(f"{CONTRACTS}/{contract['id']}/decline", {}), 404, "not_found")
    staff = await people.staff("SUPPORT")
    assert (await _read(staff, contract["id"]))["allowed_actions"] == []


async def test_signing_needs_a_fresh_sign_in_or_a_link(people: People, desk: Desk) -> None:
    _, buyer, contract = await _ready(people, desk)
    token = await _link(people, buyer, contract)
    people.clock.advance(timedelta(minutes=14))
    assert (await buyer.post("/auth/refresh")).status == 200
    people.clock.advance(timedelta(minutes=2))
    await problem(await _sign(buyer, contract), 403, "step_up_required")
    await problem(await _sign(buyer, contract, token=token), 410, "link_expired")
    token = await _link(people, buyer, contract)
    answer = await _sign(buyer, contract, token=token)
    assert answer.status == 200, await answer.text()
    rows = await database.fetch("SELECT method, ip, token_id FROM signatures")
    assert [(row["method"], row["ip"], row["token_id"] is None) for row in rows] == [
        ("WEB", "127.0.0.1", False)
    ]


async def test_what_a_signature_is_refused_for(people: People, desk: Desk) -> None:
    seller, buyer, contract_id = await _agreed(people)
    contract = await _read(buyer, contract_id)
    assert contract["allowed_actions"] == ["decline"]
    contract["document_sha256"] = "0" * 64
    await problem(await _sign(buyer, contract), 409, "contract_not_ready")
    await desk.work()
    await problem(await _sign(buyer, contract), 409, "document_changed")
    contract = await _read(buyer, contract_id)
    await problem(await _sign(buyer, contract, consent=False), 422, "validation_failed")
    await problem(await _sign(buyer, contract, token="short"), 422, "validation_failed")
    people.clock.advance(timedelta(hours=72))
    for one in (buyer, seller):
        await one.sign_in(await _discord_id(one))
    await problem(await _sign(buyer, contract), 410, "signing_expired")


async def _discord_id(person: Browser) -> str:
    row = await database.fetchrow(
        "SELECT external_id FROM accounts WHERE user_id = $1 AND provider = 'DISCORD'",
        UUID(person.user_id),
    )
    assert row is not None
    return str(row["external_id"])


async def test_the_second_signature_asks_roblox(people: People, desk: Desk) -> None:
    seller, buyer, contract = await _ready(people, desk)
    assert (await _sign(seller, contract)).status == 200
    people.roblox.world.transfer(UNIVERSE, Transfer(to_type="USER", to_id=7002))
    await problem(await _sign(buyer, contract), 409, "ownership_lost")
    after = await _read(buyer, contract["id"])
    assert (after["status"], after["void_reason"]) == ("VOID", "OWNERSHIP_LOST")
    await problem(await _sign(buyer, contract), 409, "invalid_state")


async def test_roblox_down_holds_the_second_signature_up(people: People, desk: Desk) -> None:
    seller, buyer, contract = await _ready(people, desk)
    assert (await _sign(seller, contract)).status == 200
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM asset_verifications")
    people.roblox.faults.add(FaultRule(route="* *", fault=Fault.RATE_LIMIT, times=50))
    await problem(await _sign(buyer, contract), 503, "ownership_unknown")
    assert (await _read(buyer, contract["id"]))["status"] == "PENDING_SIGNATURE"


async def test_a_party_or_staff_end_it(people: People, desk: Desk) -> None:
    seller, buyer, contract = await _ready(people, desk)
    support, staff = await people.staff("SUPPORT"), await people.staff("MODERATOR")
    path = f"/api/v1/staff/contracts/{contract['id']}/void"
    await problem(await support.post(path, {"reason": REASON}), 403, "forbidden")
    ended = await staff.post(path, {"reason": REASON})
    assert (await ended.json())["void_reason"] == "STAFF"
    refused = await problem(await staff.post(path, {"reason": REASON}), 409, "invalid_state")
    assert refused["current_status"] == "VOID"
    shown = await _read(buyer, contract["id"])
    assert shown["terms"]["agreed_at"].endswith("Z")
    assert shown["terms"]["experience"]["taken_at"].endswith("Z")
    await problem(
        await buyer.post(f"{CONTRACTS}/{contract['id']}/decline", {}), 409, "invalid_state"
    )
    listing = await (await seller.get(f"/api/v1/listings/{contract['listing_id']}")).json()
    assert listing["status"] == "ACTIVE"


async def test_a_contract_stands_against_unlinking_until_it_ends(
    people: People, desk: Desk
) -> None:
    _, buyer, contract = await _ready(people, desk)
    answer = await buyer.send("DELETE", "/api/v1/me/accounts/roblox")
    await problem(answer, 409, "unlink_blocked")
    declined = await buyer.post(f"{CONTRACTS}/{contract['id']}/decline", {"reason": "No."})
    assert (await declined.json())["void_reason"] == "DECLINED_BY_BUYER"
    assert (await buyer.send("DELETE", "/api/v1/me/accounts/roblox")).status == 204


async def test_anybody_may_ask_about_a_hash_and_learns_little(people: People, desk: Desk) -> None:
    _, _, contract = await _ready(people, desk)
    stranger = people.client
    for sha256, known in ((contract["document_sha256"], True), ("0" * 64, False)):
        answer = await stranger.post(f"{CONTRACTS}/verify", json={"sha256": sha256})
        document = await answer.json()
        assert (answer.status, document["known"]) == (200, known)
    known_answer = await stranger.post(
        f"{CONTRACTS}/verify", json={"sha256": contract["document_sha256"]}
    )
    document = await known_answer.json()
    assert document["ref"] == contract["ref"]
    assert (document["variant"], document["status"]) == ("draft", "PENDING_SIGNATURE")
    assert set(document) == {"known", "ref", "variant", "status", "template_version", "date"}


async def test_the_link_shows_the_contract_to_its_owner_only(people: People, desk: Desk) -> None:
    seller, buyer, contract = await _ready(people, desk)
    token = await _link(people, buyer, contract)
    page = await (await buyer.get(f"/sign/{token}")).text()
    assert contract["document_sha256"] in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "checked" not in page
    theirs = await (await seller.get(f"/sign/{token}")).text()
    assert "belongs to another account" in theirs
    assert contract["document_sha256"] not in theirs
    assert "security_notice" in await people.said()
    stranger = people.browser()
    asked = await (await stranger.get(f"/sign/{token}")).text()
    assert "Sign in" in asked
    assert token not in asked
    # Looking has used nothing up.
    assert (await _sign(buyer, contract, token=token)).status == 200
    gone = await buyer.get(f"/sign/{token}")
    assert gone.status == 410
    assert (await buyer.get("/sign/nothing-like-it")).status == 410


async def test_the_link_is_there_again_after_the_sign_in(people: People, desk: Desk) -> None:
    _, buyer, contract = await _ready(people, desk)
    token = await _link(people, buyer, contract)
    fresh = people.browser()
    await fresh.get(f"/sign/{token}")
    answer = await fresh.sign_in(await _discord_id(buyer), "/sign/continue")
    assert answer.headers["Location"] == "/sign/continue"
    page = await (await fresh.get("/sign/continue")).text()
    assert contract["document_sha256"] in page


async def test_a_forged_document_is_neither_shown_nor_signed(people: People, desk: Desk) -> None:
    _, buyer, contract = await _ready(people, desk)
    deps = people.application[DEPS]
    key = key_of(UUID(contract["id"]), bytes.fromhex(contract["document_sha256"]))
    await deps.objects.put(key, b"%PDF-1.4 forged", content_type="application/pdf")
    answer = await buyer.get(f"{CONTRACTS}/{contract['id']}/pdf")
    await problem(answer, 409, "contract_integrity")
    await problem(await _sign(buyer, contract), 409, "contract_integrity")
    token = await _link(people, buyer, contract)
    assert (await buyer.get(f"/sign/{token}")).status == 409
