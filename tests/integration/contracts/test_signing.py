"""From an accepted offer to a contract in force: made, signed, executed, or void."""

import hashlib
import json
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from bloxtr8 import ids
from bloxtr8.contracts import signing, voiding
from bloxtr8.contracts.source import executed_contract
from bloxtr8.contracts.vault import key_of
from bloxtr8.errors import (
    AccountFrozen,
    ConflictOfInterest,
    ContractIntegrity,
    ContractNotReady,
    DocumentChanged,
    Forbidden,
    InvalidState,
    LinkExpired,
    NotFound,
    OwnershipLost,
    OwnershipUnknown,
    SigningExpired,
    TierRequired,
)
from bloxtr8.escrow import decide
from bloxtr8.escrow.change import Context
from bloxtr8.market import outages
from bloxtr8.market.actors import Actor
from bloxtr8.market.outages import NewOutage
from bloxtr8.messaging import metadata
from bloxtr8.store import canonical, database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.contracts.v1.contracts_pb2 import ContractEvent
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1.events_pb2 import EscrowEvent
from proto.bloxtr8.escrow.v1.record_pb2 import Origin
from tests.integration.contracts.world import HOUR, REASON, ContractWorld, Deal


async def _status(world: ContractWorld, user_id: UUID, status: str) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE users SET status = $2 WHERE id = $1", user_id, status)


async def test_two_signatures_put_it_in_force(world: ContractWorld) -> None:
    deal = await world.ready()
    stored = await world.objects.get(key_of(deal.id, deal.sha256), bytes_max=10**7)
    assert hashlib.sha256(stored).digest() == deal.sha256
    assert deal.row["sign_deadline_at"] == world.clock.now() + 72 * HOUR
    first = await world.sign(world.in_discord(deal.seller), deal)
    assert first["status"] == "PENDING_SIGNATURE"
    await world.check(deal)
    second = await world.sign(deal.buyer, deal)
    assert second["status"] == "EXECUTED"
    methods = [(one["side"], one["method"]) for one in await world.signatures(deal)]
    assert methods == [("SELLER", "DISCORD"), ("BUYER", "WEB")]
    await world.check(deal)
    assert await world.said(deal.id) == [
        *("contract_requested", "contract_ready", "contract_signed", "contract_signed"),
        "contract_executed",
    ]
    assert await world.audited(deal.id) == [
        *("contract.requested", "contract.rendered", "contract.signed", "contract.signed"),
        "contract.executed",
    ]
    for person in (deal.seller, deal.buyer):
        told = await world.told(person.id)
        assert told.count("contract_signed") == 2
        assert {"contract_ready", "contract_executed"} <= set(told)


async def test_the_event_says_what_the_contract_says(world: ContractWorld) -> None:
    deal = await world.ready()
    await world.sign(deal.seller, deal)
    await world.sign(deal.buyer, deal)
    payload = await database.fetchrow(
        "SELECT payload FROM outbox WHERE event_type = 'contract_executed'"
    )
    assert payload is not None
    event = ContractEvent.FromString(payload["payload"]).contract_executed
    found = await executed_contract(deal.id, world.clock.now())
    assert found is not None
    assert found.says_the_same(event)
    assert event.document_sha256 == deal.sha256.hex()


async def test_the_terms_are_hashed_as_they_are_kept(world: ContractWorld) -> None:
    row = (await world.agreed()).row
    assert canonical.sha256(json.loads(row["terms"])) == row["terms_sha256"]


async def test_the_final_document_follows(world: ContractWorld) -> None:
    deal = await world.ready()
    await world.sign(deal.seller, deal)
    await world.sign(deal.buyer, deal)
    assert await world.desk.work() == 1
    row = await world.contract(deal)
    assert row["final_sha256"] not in (None, deal.sha256)
    await world.vault.check(deal.id, row["final_sha256"])
    assert await world.desk.work() == 0


async def test_signing_again_gives_the_same_answer(world: ContractWorld) -> None:
    deal = await world.ready()
    await world.sign(deal.buyer, deal)
    again = await world.sign(world.in_discord(deal.buyer), deal, b"another hash")
    assert again["id"] == deal.id
    assert [one["method"] for one in await world.signatures(deal)] == ["WEB"]
    await world.check(deal)


async def test_who_may_not_sign(world: ContractWorld) -> None:
    deal = await world.ready()
    with pytest.raises(NotFound):
        await world.sign(await world.person(), deal)
    with pytest.raises(DocumentChanged):
        await world.sign(deal.buyer, deal, b"\0" * 32)
    await _status(world, deal.buyer.id, "FROZEN")
    with pytest.raises(AccountFrozen):
        await world.sign(deal.buyer, deal)
    with pytest.raises(Forbidden):
        await world.sign(deal.seller, deal)
    assert not await world.signatures(deal)


async def test_nobody_signs_what_is_not_made(world: ContractWorld) -> None:
    deal = await world.agreed()
    with pytest.raises(ContractNotReady):
        await world.sign(deal.buyer, deal, b"\0" * 32)
    with pytest.raises(ContractNotReady):
        await world.link(deal.buyer, deal)


async def test_the_tier_counts_when_it_is_signed(world: ContractWorld) -> None:
    deal = await world.ready(2_000_000, tier="TIER_2")
    async with database.transaction() as tx:
        await tx.execute("UPDATE users SET tier = 'TIER_1' WHERE id = $1", deal.buyer.id)
    for person in (deal.buyer, deal.seller):
        with pytest.raises(TierRequired):
            await world.sign(person, deal)


async def test_a_link_signs_once_what_it_was_made_for(world: ContractWorld) -> None:
    deal, other = await world.ready(), await world.ready()
    token = await world.link(deal.buyer, deal)
    for wrong in (
        world.sign(deal.seller, deal, token=token),
        world.sign(other.buyer, other, token=token),
        world.sign(deal.buyer, deal, token="no such token"),
    ):
        with pytest.raises(LinkExpired):
            await wrong
    await world.sign(deal.buyer, deal, token=token)
    row = await database.fetchrow(
        "SELECT s.token_id = t.id AS used, t.consumed_at FROM signatures s, one_time_tokens t"
    )
    assert row == {"used": True, "consumed_at": world.clock.now()}


async def test_a_wrong_link_does_not_ask_roblox(world: ContractWorld) -> None:
    deal = await world.ready()
    await world.sign(deal.seller, deal)
    token = await world.link(deal.buyer, deal)
    asked = world.roblox.asked
    with pytest.raises(LinkExpired):
        await world.sign(deal.buyer, deal, token="no such token")
    assert world.roblox.asked == asked
    world.roblox.silent = True
    with pytest.raises(OwnershipUnknown):
        await world.sign(deal.buyer, deal, token=token)
    world.roblox.silent = False
    signed = await world.sign(deal.buyer, deal, token=token)
    assert signed["status"] == "EXECUTED", "a link is used up by a signature only"


async def test_a_new_link_ends_the_earlier_and_all_end_in_time(world: ContractWorld) -> None:
    deal = await world.ready()
    first, second = await world.link(deal.buyer, deal), await world.link(deal.buyer, deal)
    with pytest.raises(LinkExpired):
        await world.sign(deal.buyer, deal, token=first)
    world.later(timedelta(minutes=15))
    with pytest.raises(LinkExpired):
        await world.sign(deal.buyer, deal, token=second)


async def test_a_seller_who_is_no_owner_ends_it(world: ContractWorld) -> None:
    deal = await world.ready()
    await world.sign(deal.buyer, deal)
    world.roblox.silent = True
    with pytest.raises(OwnershipUnknown):
        await world.sign(deal.seller, deal)
    assert (await world.contract(deal))["status"] == "PENDING_SIGNATURE"
    world.roblox.silent = False
    world.roblox.owners[deal.listing["universe_id"]] = deal.buyer.id
    with pytest.raises(OwnershipLost):
        await world.sign(deal.seller, deal)
    await world.change(deal.seller, lambda change: signing.lose(change, deal.id))
    row = await world.contract(deal)
    assert (row["status"], row["void_reason"]) == ("VOID", "OWNERSHIP_LOST")
    listing = await world.row("listings", deal.listing["id"])
    assert (listing["status"], listing["hold_reason"]) == ("INACTIVE", "OWNERSHIP")
    await world.check(deal)


@pytest.mark.parametrize("side", ["seller", "buyer"])
async def test_a_party_calls_it_off(world: ContractWorld, side: str) -> None:
    deal = await world.ready()
    token = await world.link(deal.buyer, deal)
    await world.sign(deal.seller, deal)
    row = await world.call_off(getattr(deal, side), deal)
    assert (row["status"], row["void_reason"]) == ("VOID", f"DECLINED_BY_{side.upper()}")
    assert (await world.row("listings", deal.listing["id"]))["status"] == "ACTIVE"
    await world.check(deal)
    with pytest.raises(InvalidState):
        await world.call_off(deal.buyer, deal)
    with pytest.raises(InvalidState):
        await world.sign(deal.buyer, deal, token=token)
    with pytest.raises(NotFound):
        await world.call_off(await world.person(), deal)


async def test_staff_end_it_but_not_their_own(world: ContractWorld) -> None:
    deal, staff = await world.ready(), await world.person()
    with pytest.raises(ConflictOfInterest):
        await world.change(deal.buyer, lambda change: voiding.by_staff(change, deal.id, REASON))
    row = await world.change(staff, lambda change: voiding.by_staff(change, deal.id, REASON))
    assert (row["void_reason"], row["void_note"]) == ("STAFF", REASON)
    await world.check(deal)


async def test_freezing_a_party_ends_it(world: ContractWorld) -> None:
    deal = await world.ready()
    async with database.transaction() as tx:
        await tx.execute("UPDATE users SET status = 'FROZEN' WHERE id = $1", deal.seller.id)
    await world.change(deal.buyer, lambda change: voiding.freeze(change, deal.seller.id))
    assert (await world.contract(deal))["void_reason"] == "PARTY_FROZEN"
    # A frozen seller's listing is not for sale again.
    assert (await world.row("listings", deal.listing["id"]))["status"] == "INACTIVE"
    await world.check(deal)


async def test_an_executed_contract_ends_only_with_its_escrow(world: ContractWorld) -> None:
    deal = await world.ready()
    await world.sign(deal.seller, deal)
    await world.sign(deal.buyer, deal)
    with pytest.raises(InvalidState):
        await world.call_off(deal.buyer, deal)
    world.later(100 * HOUR)
    assert await world.sweeper.expire() == 0
    await world.check(deal)


async def _refusal(world: ContractWorld, deal: Deal) -> EscrowEvent:
    """Return what the stream says to the command that would begin the trade."""
    contract = await executed_contract(deal.id, world.clock.now())
    assert contract is not None
    now = world.clock.now()
    command = commands.EscrowCommand(
        metadata=metadata.new(
            common.PRODUCER_CONTRACTS, now, message_id=ids.creation_id_for(str(deal.id))
        ),
        escrow_id=str(deal.row["escrow_id"]),
        actor=common.Actor(kind=common.ACTOR_KIND_SYSTEM),
        create_escrow=commands.CreateEscrow(
            contract_id=str(deal.id),
            contract_sha256=deal.sha256.hex(),
            delivery_days=7,
            buyer=contract.buyer,
            seller=contract.seller,
        ),
    )
    [event] = decide(None, command, Context(now, fencing_token=1, origin=Origin())).events
    return event


@pytest.mark.parametrize(("side", "listing"), [("seller", "INACTIVE"), ("buyer", "ACTIVE")])
async def test_a_party_frozen_before_the_trade_began_ends_it(
    world: ContractWorld, side: str, listing: str
) -> None:
    """Else it would be in force for ever, its listing reserved, its parties bound."""
    deal = await world.noted()
    await world.sign(deal.seller, deal)
    await world.sign(deal.buyer, deal)
    await _status(world, getattr(deal, side).id, "FROZEN")
    event = await _refusal(world, deal)
    for _ in range(2):
        await world.change(Actor.system(), lambda change: voiding.for_refused_escrow(change, event))
    row = await world.contract(deal)
    assert (row["status"], row["void_reason"]) == ("VOID", "PARTY_FROZEN")
    assert row["void_note"] == "The account of a party is frozen."
    assert (await world.row("listings", deal.listing["id"]))["status"] == listing
    offer = await world.row("offers", row["offer_id"])
    assert offer["active"] is False
    said, audited = await world.said(deal.id), await world.audited(deal.id)
    assert (said[-1], said.count("contract_voided")) == ("contract_voided", 1)
    assert (audited[-1], audited.count("contract.voided")) == ("contract.voided", 1)
    contract = await executed_contract(deal.id, world.clock.now())
    assert contract is not None
    assert contract.void


async def test_no_other_refusal_ends_a_contract_in_force(world: ContractWorld) -> None:
    deal = await world.noted()
    await world.sign(deal.seller, deal)
    await world.sign(deal.buyer, deal)
    await _status(world, deal.buyer.id, "FROZEN")
    refusal = await _refusal(world, deal)
    other_command, later, other_kind = (
        EscrowEvent.FromString(refusal.SerializeToString()) for _ in range(3)
    )
    other_command.escrow_command_rejected.command_id = str(ids.uuid7())
    later.sequence = 3
    other_kind.escrow_cancelled.SetInParent()
    for event in (other_command, later, other_kind):
        end = partial(voiding.for_refused_escrow, event=event)
        assert await world.change(Actor.system(), end) is None
    await world.check(deal)


async def test_time_ends_it_late_never_early(world: ContractWorld) -> None:
    deal = await world.ready()
    await world.sign(deal.buyer, deal)
    world.later(72 * HOUR - timedelta(microseconds=1))
    assert await world.sweeper.expire() == 0
    world.later(timedelta(microseconds=1))
    with pytest.raises(SigningExpired):
        await world.sign(deal.seller, deal)
    assert await world.sweeper.expire() == 1
    assert (await world.contract(deal))["void_reason"] == "EXPIRED"
    await world.check(deal)


async def test_reminders_go_to_who_has_not_signed(world: ContractWorld) -> None:
    deal = await world.ready()
    await world.sign(deal.buyer, deal)
    world.later(35 * HOUR)
    assert await world.sweeper.remind() == 0
    world.later(1 * HOUR)
    assert await world.sweeper.remind() == 1
    assert await world.sweeper.remind() == 0
    world.later(29 * HOUR)
    assert await world.sweeper.remind() == 1
    assert (await world.told(deal.seller.id)).count("signing_reminder") == 2
    assert "signing_reminder" not in await world.told(deal.buyer.id)


async def test_an_outage_moves_the_window(world: ContractWorld) -> None:
    deal = await world.ready()
    staff = await world.person()
    started = world.clock.now()
    world.later(70 * HOUR)
    row = (
        await world.change(
            staff,
            lambda change: outages.record_outage(change, NewOutage("WEB", started, REASON)),
        )
    ).outage
    world.later(3 * HOUR)
    # While it is open nothing ends.
    assert await world.sweeper.expire() == 0
    now = world.clock.now()
    await world.change(staff, lambda change: outages.close_outage(change, row["id"], now, REASON))
    assert await world.sweeper.expire() == 0
    after = await world.contract(deal)
    assert after["sign_deadline_at"] == deal.row["sign_deadline_at"] + 72 * HOUR
    assert (await world.sign(deal.buyer, deal))["status"] == "PENDING_SIGNATURE"


async def test_a_stored_document_that_was_changed_is_refused(world: ContractWorld) -> None:
    deal = await world.ready()
    key = key_of(deal.id, deal.sha256)
    await world.vault.check(deal.id, deal.sha256)
    await world.objects.put(key, b"%PDF- something else", content_type="application/pdf")
    # Looked at a moment ago; after a quarter of an hour it is looked at again.
    await world.vault.check(deal.id, deal.sha256)
    world.later(timedelta(minutes=15))
    with pytest.raises(ContractIntegrity):
        await world.vault.check(deal.id, deal.sha256)
    await world.objects.delete(key)
    with pytest.raises(ContractIntegrity):
        await world.vault.link(deal.row, deal.sha256)


async def test_signatures_are_never_changed(world: ContractWorld) -> None:
    deal: Deal = await world.ready()
    await world.sign(deal.buyer, deal)
    for statement in ("UPDATE signatures SET side = 'SELLER'", "DELETE FROM signatures"):
        with pytest.raises(Exception, match="append-only"):
            async with database.transaction() as tx:
                await tx.execute(statement)
