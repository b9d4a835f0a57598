"""The rail as the executor uses it, over both kinds of custody."""

from collections.abc import AsyncIterator

import pytest

from bloxtr8.payments.operations import Kind, Operation
from bloxtr8.payments.rails import (
    Absent,
    Confirmed,
    Failed,
    Instrument,
    InstrumentStatus,
    Pending,
    Receipt,
    Unknown,
)
from bloxtr8.payments.usdc.rail import REFUND_WALLET_NEEDED, WALLET_IS_CONTRACT, UsdcRail
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.rpc import Lies
from bloxtr8.sandbox.custodian import CustodianStandIn
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.screening import ScreeningStandIn
from tests.integration.usdc.world import DUE, USDC, Screens, World, operation

ESCROW = "00000000-0000-7000-8000-000000000001"
BUYER = people.named("buyer").address.lower()
SELLER = people.named("seller").address


@pytest.fixture
async def rail(world: World, screens: Screens) -> UsdcRail:
    world.fund_hot()
    return world.rail(screens)


async def opened(world: World, rail: UsdcRail, due: int = DUE) -> tuple[Operation, str]:
    intent = operation(Kind.INTENT, ESCROW, due)
    made = await rail.create_intent(intent)
    assert isinstance(made, Instrument)
    assert made.status is InstrumentStatus.OPEN
    await world.watcher.step()
    return intent, made.ref


async def paid(world: World, rail: UsdcRail, amount: int = DUE, wallet: str = "buyer") -> Receipt:
    intent, address = await opened(world, rail)
    world.pay(address, amount, wallet=wallet)
    world.finalize()
    await world.watcher.step()
    found = await rail.look_up(intent)
    assert isinstance(found, Instrument)
    assert found.receipt is not None
    return found.receipt


async def swept(world: World) -> None:
    account = await world.accounts.find_by_escrow(ESCROW)
    assert account is not None
    for _ in range(4):
        await world.sweeper.step([account])
        world.finalize()


async def test_intent_is_open_then_processing_then_paid(world: World, rail: UsdcRail) -> None:
    intent, address = await opened(world, rail)
    assert await rail.create_intent(intent) == Instrument(address, InstrumentStatus.OPEN)
    world.pay(address, DUE)
    await world.watcher.step()
    found = await rail.look_up(intent)
    assert found == Instrument(address, InstrumentStatus.PROCESSING)
    world.finalize()
    await world.watcher.step()
    found = await rail.look_up(intent)
    assert isinstance(found, Instrument)
    assert found.receipt is not None
    assert found.receipt.amount_minor == DUE
    assert found.receipt.metadata == {
        "escrow_id": ESCROW,
        "operation_id": intent.operation_id,
        "contract_id": "",
    }
    assert found.receipt.risk == "LOW"


async def test_unknown_intent_is_absent(rail: UsdcRail) -> None:
    assert await rail.look_up(operation(Kind.INTENT, ESCROW)) == Absent()


@pytest.mark.parametrize("kind", ["medium", "high", "sanctioned"])
async def test_receipt_carries_the_senders_risk(
    world: World, rail: UsdcRail, screening: ScreeningStandIn, kind: str
) -> None:
    screening.know(BUYER, kind)
    assert (await paid(world, rail)).risk == kind.upper()


async def test_receipt_of_a_sender_nobody_could_tell_of(
    world: World, rail: UsdcRail, screening: ScreeningStandIn
) -> None:
    screening.faults.add(FaultRule("*", Fault.ERROR_BEFORE, times=2))
    assert (await paid(world, rail)).risk == "UNKNOWN"


# Cancelling.


def cancel_of(address: str) -> Operation:
    return operation(Kind.CANCEL, ESCROW, 0, payment_ref=address)


async def test_cancel_of_an_empty_address(world: World, rail: UsdcRail) -> None:
    _, address = await opened(world, rail)
    done = Instrument(address, InstrumentStatus.CANCELLED)
    assert await rail.cancel(cancel_of(address)) == done
    assert await rail.cancel(cancel_of(address)) == done
    assert await rail.look_up(cancel_of(address)) == done


async def test_cancel_while_money_is_coming_waits(world: World, rail: UsdcRail) -> None:
    _, address = await opened(world, rail)
    world.pay(address, DUE)
    found = await rail.cancel(cancel_of(address))
    assert found == Instrument(address, InstrumentStatus.PROCESSING)
    world.finalize()
    found = await rail.cancel(cancel_of(address))
    assert isinstance(found, Instrument)
    assert found.status is InstrumentStatus.PAID


async def test_cancel_with_a_part_of_it_gives_the_part_as_receipt(
    world: World, rail: UsdcRail
) -> None:
    _, address = await opened(world, rail)
    world.pay(address, DUE // 3)
    world.finalize()
    found = await rail.cancel(cancel_of(address))
    assert isinstance(found, Instrument)
    assert found.receipt is not None
    assert found.receipt.amount_minor == DUE // 3


async def test_cancel_does_not_trust_a_node_that_hides_logs(world: World, rail: UsdcRail) -> None:
    _, address = await opened(world, rail)
    world.pay(address, DUE)
    world.finalize()
    world.local.rpc.lies = Lies(hide_logs=1)
    found = await rail.cancel(cancel_of(address))
    assert found == Instrument(address, InstrumentStatus.PROCESSING)
    found = await rail.cancel(cancel_of(address))
    assert isinstance(found, Instrument)
    assert found.status is InstrumentStatus.PAID


async def test_cancel_is_not_held_up_by_dust_or_other_tokens(world: World, rail: UsdcRail) -> None:
    _, address = await opened(world, rail)
    world.pay(address, 5)
    world.pay(address, DUE, token=people.OTHER)
    found = await rail.cancel(cancel_of(address))
    assert found == Instrument(address, InstrumentStatus.CANCELLED)


async def test_cancel_with_a_silent_chain_is_unknown(world: World, rail: UsdcRail) -> None:
    _, address = await opened(world, rail)
    world.local.faults.add(FaultRule("RPC *", Fault.ERROR_BEFORE))
    assert isinstance(await rail.cancel(cancel_of(address)), Unknown)


# Paying out.


def payout(to: str = SELLER, amount: int = DUE // 2) -> Operation:
    return operation(Kind.PAYOUT, ESCROW, amount, destination=to, party_id="seller")


async def test_payout_and_refund_over_our_own_keys(world: World, rail: UsdcRail) -> None:
    receipt = await paid(world, rail)
    assert await rail.payout(payout()) == Unknown("HOT_WALLET_SHORT", asked=False), "not swept yet"
    await swept(world)
    refund = operation(
        Kind.REFUND, ESCROW, DUE // 2, payment_ref=receipt.payment_ref, party_id="buyer"
    )
    assert isinstance(await rail.payout(payout()), Pending)
    assert isinstance(await rail.refund(refund), Pending)
    world.finalize()
    done = await rail.look_up(payout())
    assert isinstance(done, Confirmed)
    assert done.destination == SELLER, "as it was ordered, checksum and all"
    done = await rail.look_up(refund)
    assert isinstance(done, Confirmed)
    assert await world.balance(SELLER) == await world.balance(BUYER) == DUE // 2


@pytest.fixture
async def over_custodian(
    world: World, screens: Screens, custodian: CustodianStandIn
) -> AsyncIterator[UsdcRail]:
    adapter = world.http_custodian(custodian)
    world.use(adapter)
    yield world.rail(screens)
    await adapter.close()


async def test_payout_over_a_custodian(
    world: World, over_custodian: UsdcRail, custodian: CustodianStandIn
) -> None:
    intent, address = await opened(world, over_custodian)
    world.pay(address, DUE)
    world.finalize()
    await custodian.vault.tick()
    await world.watcher.step()
    found = await over_custodian.look_up(intent)
    assert isinstance(found, Instrument)
    assert found.status is InstrumentStatus.PAID
    assert isinstance(await over_custodian.payout(payout()), Pending)
    for _ in range(4):
        await custodian.vault.tick()
    world.finalize()
    done = await over_custodian.look_up(payout())
    assert isinstance(done, Confirmed)
    assert done.destination == SELLER


async def test_payout_to_a_wallet_that_is_not_one(world: World, rail: UsdcRail) -> None:
    assert await rail.payout(payout("acct_123")) == Failed("BAD_ADDRESS")
    assert await rail.payout(payout(people.USDC.hex)) == Failed(WALLET_IS_CONTRACT)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("medium", "WALLET_RISK_MEDIUM"),
        ("high", "WALLET_RISK_HIGH"),
        ("severe", "WALLET_RISK_HIGH"),
        ("sanctioned", "WALLET_SANCTIONED"),
        ("listed", "WALLET_SANCTIONED"),
    ],
)
async def test_payout_to_a_risky_wallet_fails_unless_staff_let_it(
    world: World, rail: UsdcRail, screening: ScreeningStandIn, kind: str, code: str
) -> None:
    world.fund_hot(DUE)
    screening.know(SELLER, kind)
    wanted = payout()
    assert await rail.payout(wanted) == Failed(code)
    world.wallet.approved.add((wanted.operation_id, SELLER.lower()))
    again = await rail.payout(wanted)
    assert again == Failed(code) if "SANCTIONED" in code else isinstance(again, Pending)


async def test_payout_is_screened_afresh_each_time(
    world: World, rail: UsdcRail, screens: Screens, screening: ScreeningStandIn
) -> None:
    world.fund_hot(DUE)
    assert (await screens.service.screen(SELLER.lower())).clear
    screening.know(SELLER, "sanctioned")
    assert await rail.payout(payout()) == Failed("WALLET_SANCTIONED")


async def test_payout_waits_while_nobody_can_tell(
    world: World, rail: UsdcRail, screening: ScreeningStandIn
) -> None:
    world.fund_hot(DUE)
    screening.faults.add(FaultRule("*", Fault.ERROR_BEFORE, times=2))
    assert await rail.payout(payout()) == Unknown("SCREENING_INCOMPLETE", asked=False)
    assert isinstance(await rail.payout(payout()), Pending)


# Refunds: to whom.


def refund_of(receipt: Receipt) -> Operation:
    return operation(Kind.REFUND, ESCROW, DUE, payment_ref=receipt.payment_ref, party_id="buyer")


def prove_another(world: World) -> str:
    """Let the buyer have proven another wallet; return it."""
    other = people.named("buyer-2").address.lower()
    world.wallet.refund["buyer"] = other
    return other


async def test_refund_to_a_risky_sender_needs_a_proven_wallet(
    world: World, rail: UsdcRail, screening: ScreeningStandIn
) -> None:
    receipt = await paid(world, rail)
    await swept(world)
    screening.know(BUYER, "high")
    wanted = refund_of(receipt)
    assert await rail.refund(wanted) == Unknown(REFUND_WALLET_NEEDED, asked=False)
    other = prove_another(world)
    assert isinstance(await rail.refund(wanted), Pending)
    assert await world.balance(other) == DUE


async def test_refund_to_a_sanctioned_sender_is_frozen_whatever_was_proven(
    world: World, rail: UsdcRail, screening: ScreeningStandIn
) -> None:
    receipt = await paid(world, rail)
    await swept(world)
    screening.know(BUYER, "sanctioned")
    prove_another(world)
    wanted = refund_of(receipt)
    world.wallet.approved.add((wanted.operation_id, BUYER))
    assert await rail.refund(wanted) == Unknown(REFUND_WALLET_NEEDED, asked=False)


async def test_refund_of_two_senders_needs_a_proven_wallet(world: World, rail: UsdcRail) -> None:
    wanted = await paid_by_two(world, rail)
    assert await rail.refund(wanted) == Unknown(REFUND_WALLET_NEEDED, asked=False)


async def paid_by_two(world: World, rail: UsdcRail) -> Operation:
    """Return the refund of a payment that came from two senders."""
    intent, address = await opened(world, rail)
    for wallet in ("one", "two"):
        world.pay(address, DUE // 2, wallet=wallet)
    world.finalize()
    await world.watcher.step()
    found = await rail.look_up(intent)
    assert isinstance(found, Instrument)
    assert found.receipt is not None
    await swept(world)
    return refund_of(found.receipt)


async def test_refund_of_two_senders_is_frozen_when_one_is_sanctioned(
    world: World, rail: UsdcRail, screening: ScreeningStandIn
) -> None:
    wanted = await paid_by_two(world, rail)
    other = prove_another(world)
    screening.know(people.named("two").address.lower(), "sanctioned")
    assert await rail.refund(wanted) == Unknown(REFUND_WALLET_NEEDED, asked=False)
    assert await world.balance(other) == 0


async def test_refund_waits_while_a_sender_is_not_screened(
    world: World, rail: UsdcRail, screening: ScreeningStandIn
) -> None:
    wanted = await paid_by_two(world, rail)
    other = prove_another(world)
    screening.faults.add(FaultRule("*", Fault.ERROR_BEFORE, times=2))
    assert await rail.refund(wanted) == Unknown("SCREENING_INCOMPLETE", asked=False)
    assert await world.balance(other) == 0
    assert isinstance(await rail.refund(wanted), Pending)
    assert await world.balance(other) == DUE


async def test_a_proven_wallet_is_screened_before_a_refund(
    world: World, rail: UsdcRail, screening: ScreeningStandIn
) -> None:
    wanted = await paid_by_two(world, rail)
    other = prove_another(world)
    screening.know(other, "high")
    refused = await rail.refund(wanted)
    assert isinstance(refused, Failed)
    assert refused.code == "WALLET_RISK_HIGH"
    assert await world.balance(other) == 0


async def test_stray_refund_goes_to_whoever_sent_it(world: World, rail: UsdcRail) -> None:
    await paid(world, rail)
    account = await world.accounts.find_by_escrow(ESCROW)
    assert account is not None
    world.pay(account.address, 50 * USDC, wallet="late")
    world.finalize()
    await world.watcher.step()
    account = await world.state(account.address)
    (stray,) = [entry for entry in account.deposits if entry.stray]
    found = await rail.look_up(operation(Kind.INTENT, ESCROW))
    assert isinstance(found, Instrument)
    assert [(entry.payment_ref, entry.amount_minor) for entry in found.strays] == [
        (stray.ref, 50 * USDC)
    ]
    await swept(world)
    wanted = operation(
        Kind.STRAY_REFUND, ESCROW, 50 * USDC, payment_ref=stray.ref, party_id="buyer"
    )
    assert isinstance(await rail.refund(wanted), Pending)
    assert await world.balance(people.named("late").address) == 50 * USDC
