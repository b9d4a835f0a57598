"""Two people whom nobody knows: from the sign-up to the payout, all over the public routes."""

import pytest

from bloxtr8.dev.play import Stage, newcomer
from bloxtr8.dev.play.api import ApiProblem
from bloxtr8.dev.play.negotiation import NegotiatedTrade
from bloxtr8.store import database
from bloxtr8.store.verify import verify

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_two_strangers_trade(own_stage: Stage) -> None:
    # Mira and Tom sign in with Discord, link Roblox, and agree to the documents.
    seller = await newcomer.arrive(own_stage, "Mira", 1)
    buyer = await newcomer.arrive(own_stage, "Tom", 2)

    # Mira will be paid to an account at Stripe, which counts after a day.
    await newcomer.become_payable(own_stage, seller)

    # She lists her game; he offers, she counters, he accepts.
    trade = NegotiatedTrade(own_stage, buyer, seller, 125_000)
    listing_id = await trade.list(150_000)
    await trade.negotiate(listing_id, 110_000)

    # Both get the document, find that its hash is the one they sign, and sign.
    await trade.sign()

    # From here on only the escrow ends the trade.
    with pytest.raises(ApiProblem) as refusal:
        await own_stage.api.post(f"/contracts/{trade.contract_id}/decline", buyer)
    assert refusal.value.code == "invalid_state"

    await trade.fund()
    await trade.deliver()
    await trade.release()
    await trade.until("RELEASED")

    # The listing is sold, the signed document is made, and the books agree.
    await newcomer.until(lambda: _sold(own_stage, listing_id, seller), "the listing is not sold")
    await newcomer.until(lambda: _final(trade), "the final document was not made")
    report = await verify()
    assert report.ok, report.differences


async def _sold(stage: Stage, listing_id: str, seller: newcomer.Newcomer) -> bool:
    found = await stage.api.get(f"/listings/{listing_id}", seller)
    return bool(found["status"] == "SOLD")


async def _final(trade: NegotiatedTrade) -> bool:
    row = await database.fetchrow(
        "SELECT final_sha256 FROM contracts WHERE id = $1::uuid", trade.contract_id
    )
    return row is not None and row["final_sha256"] is not None
