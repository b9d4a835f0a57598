"""A whole trade, from the signed contract to the money, as the people in it live it.

Everything here goes through the HTTP API, a real broker, a real database and a payment provider
that speaks Stripe's protocol; on the broker in this process and, in CI, on Apache Kafka.
"""

import pytest

from bloxtr8.access import StaffRole
from bloxtr8.dev.play import ApiProblem, Stage
from bloxtr8.store.verify import verify

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_seller_is_paid_when_the_buyer_has_the_game(stage: Stage) -> None:
    # Two people agree on a game for 1,250.00 USD, and both sign.
    trade = await stage.trade(125_000)
    await trade.sign()

    # The buyer opens the pay page and pays the price and the fee, 36.55 USD.
    await trade.fund()
    assert await _paid_in(stage, trade.escrow_id) == 125_000 + 3_655

    # The money is safe now, so the seller hands the game over and says so.
    await trade.deliver()

    # The buyer has looked at it and lets the money go.
    await trade.release()
    await trade.until("RELEASED")

    # The seller has the price less 0.50 USD, and the books balance.
    assert await _paid_out(stage, trade.escrow_id) == 125_000 - 50
    await _all_is_well(trade.escrow_id)


async def test_the_buyer_is_repaid_when_the_seller_gives_up(stage: Stage) -> None:
    trade = await stage.trade(48_000)
    await trade.sign()
    await trade.fund()

    await trade.refund()
    await trade.until("REFUNDED")

    # All of it goes back, the fee too.
    assert await _repaid(stage, trade.escrow_id) == await _paid_in(stage, trade.escrow_id)
    await _all_is_well(trade.escrow_id)


async def test_staff_divide_the_money_when_the_two_disagree(stage: Stage) -> None:
    judge = await stage.staff(StaffRole.MODERATOR)
    trade = await stage.trade(300_000)
    await trade.sign()
    await trade.fund()
    await trade.deliver()

    # The buyer finds that passes are missing, and the trade is frozen.
    await trade.dispute(trade.buyer)
    with pytest.raises(ApiProblem) as refusal:
        await trade.release()
    assert refusal.value.code == "invalid_state"

    # Staff hear both and give the seller 1,800.00 of the 3,000.00 USD.
    await trade.resolve(judge, "SPLIT", 180_000)
    await trade.until("SPLIT")

    paid_in = await _paid_in(stage, trade.escrow_id)
    assert await _paid_out(stage, trade.escrow_id) == 180_000 - 50
    # The buyer gets the rest of the price and that part of the fee back.
    fee = paid_in - 300_000
    kept = fee * 180_000 // 300_000
    assert await _repaid(stage, trade.escrow_id) == 120_000 + fee - kept
    await _all_is_well(trade.escrow_id)


async def test_the_two_settle_it_between_themselves(stage: Stage) -> None:
    trade = await stage.trade(90_000)
    await trade.sign()
    await trade.fund()
    await trade.deliver()

    proposal = await trade.propose(trade.buyer, 60_000)
    # Nobody accepts a proposal of their own.
    with pytest.raises(ApiProblem):
        await trade.answer(trade.buyer, proposal, "accept")
    await trade.answer(trade.seller, proposal, "accept")
    await trade.until("SPLIT")

    assert await _paid_out(stage, trade.escrow_id) == 60_000 - 50
    await _all_is_well(trade.escrow_id)


async def test_it_is_called_off_before_anybody_paid(stage: Stage) -> None:
    trade = await stage.trade(20_000)
    await trade.sign()
    await trade.pay_page()

    await trade.cancel(trade.buyer)
    await trade.until("CANCELLED")

    assert await _paid_in(stage, trade.escrow_id) == 0
    await _all_is_well(trade.escrow_id)


async def test_only_the_two_and_staff_see_a_trade(stage: Stage) -> None:
    trade = await stage.trade(20_000)
    await trade.sign()
    stranger = await stage.people.join("stranger")

    for path in ("", "/timeline", "/ledger", "/payment"):
        with pytest.raises(ApiProblem) as refusal:
            await stage.api.get(f"/escrows/{trade.escrow_id}{path}", stranger)
        assert refusal.value.status == 404


async def test_each_step_is_for_the_side_whose_it_is(stage: Stage) -> None:
    trade = await stage.trade(20_000)
    await trade.sign()
    await trade.fund()
    escrow = f"/escrows/{trade.escrow_id}"

    with pytest.raises(ApiProblem) as refusal:
        await stage.api.act(f"{escrow}/mark-delivered", trade.buyer, {"method": "OTHER"})
    assert refusal.value.status == 403
    await trade.deliver()
    with pytest.raises(ApiProblem) as refusal:
        await stage.api.act(f"{escrow}/release", trade.seller, {"confirm": True})
    assert refusal.value.status == 403


async def _paid_in(stage: Stage, escrow_id: str) -> int:
    charges = stage.stack.stripe.world.all("charge", transfer_group=escrow_id)
    return sum(charge["amount_captured"] for charge in charges)


async def _paid_out(stage: Stage, escrow_id: str) -> int:
    transfers = stage.stack.stripe.world.all("transfer", transfer_group=escrow_id)
    return sum(transfer["amount"] - transfer["amount_reversed"] for transfer in transfers)


async def _repaid(stage: Stage, escrow_id: str) -> int:
    charges = stage.stack.stripe.world.all("charge", transfer_group=escrow_id)
    return sum(charge["amount_refunded"] for charge in charges)


async def _all_is_well(escrow_id: str) -> None:
    """Events, mirror, ledger and operations of the escrow say the same."""
    report = await verify(escrow_id)
    assert report.ok, report.differences
