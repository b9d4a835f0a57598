"""What time, outages and the ends of trades do to listings, offers and drafts."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from bloxtr8 import ids
from bloxtr8.access.identity import StaffRole
from bloxtr8.errors import DraftStale, InvalidState, NotFound, OwnListing, ValidationFailed
from bloxtr8.market import drafts, moderation, outages, reports, reservations
from bloxtr8.market.actors import Actor, Channel
from bloxtr8.market.clockwork import Sweeper
from bloxtr8.market.drafts import Draft
from bloxtr8.market.offers import Proposal
from bloxtr8.market.outages import NewOutage
from bloxtr8.market.reservations import Ended
from bloxtr8.messaging import metadata
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1.commands_pb2 import EscrowCommand
from proto.bloxtr8.escrow.v1.record_pb2 import Escrow
from tests.integration.trading.world import Row, World

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def _run(sql: str, *args: Any) -> None:
    async with database.transaction() as tx:
        await tx.execute(sql, *args)


async def _admin(world: World) -> Actor:
    person = await world.person()
    return Actor(person.id, Channel.WEB, person.traceparent, role=StaffRole.ADMIN)


# --- reminders and sweeps --------------------------------------------------------------------


async def test_the_addressee_is_reminded_at_half_and_nine_tenths(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    offer = await world.offer(buyer, await world.listing(seller))
    sweeper = Sweeper(world.place)
    world.later(36 * HOUR - timedelta(seconds=1))
    assert await sweeper.remind() == 0
    world.later(timedelta(seconds=1))
    assert [await sweeper.remind() for _ in range(2)] == [1, 0]
    world.later(29 * HOUR)
    assert [await sweeper.remind() for _ in range(2)] == [1, 0]
    rows = await database.fetch(
        "SELECT user_id, data FROM notification_deliveries WHERE template = 'offer_reminder'"
        " AND channel = 'INBOX'"
        " ORDER BY id"
    )
    assert [(row["user_id"], json.loads(row["data"])["percent"]) for row in rows] == [
        (seller.id, 50),
        (seller.id, 90),
    ]
    await world.counter(seller, offer, 110_000)
    world.later(71 * HOUR)
    assert await sweeper.remind() == 1
    assert (await world.told(buyer.id)).count("offer_reminder") == 1


async def test_a_reminder_that_was_missed_is_not_sent_after_a_later_one(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    await world.offer(buyer, await world.listing(seller))
    world.later(70 * HOUR)
    sweeper = Sweeper(world.place)
    assert [await sweeper.remind() for _ in range(2)] == [1, 0]
    assert (await world.told(seller.id)).count("offer_reminder") == 1


async def test_untouched_listings_go_off_the_market(world: World) -> None:
    seller = await world.person()
    listing = await world.listing(seller)
    world.later(90 * DAY - timedelta(seconds=1))
    assert await Sweeper(world.place).hold_stale() == 0
    world.later(timedelta(seconds=1))
    assert await Sweeper(world.place).hold_stale() == 1
    row = await world.row("listings", listing["id"])
    assert (row["status"], row["hold_reason"]) == ("INACTIVE", "STALE")
    assert await world.told(seller.id) == ["listing_stale"]


async def test_ownership_is_asked_again_every_week(world: World) -> None:
    seller, buyer, thief = [await world.person() for _ in range(3)]
    kept, lost = await world.listing(seller), await world.listing(seller)
    await world.offer(buyer, lost)
    sweeper = Sweeper(world.place)
    assert await sweeper.recheck() == 0
    world.later(7 * DAY)
    world.roblox.owners[lost["universe_id"]] = thief.id
    world.roblox.silent = True
    assert await sweeper.recheck() == 2
    assert (await world.row("listings", lost["id"]))["status"] == "ACTIVE", "nothing was said"
    world.roblox.silent = False
    assert await sweeper.recheck() == 0, "not at once again"
    world.later(HOUR)
    assert await sweeper.recheck() == 2
    assert world.roblox.patient, "nobody waits for it"
    row = await world.row("listings", lost["id"])
    assert (row["status"], row["hold_reason"]) == ("INACTIVE", "OWNERSHIP")
    for person in (seller, buyer):
        assert "listing_ownership_lost" in await world.told(person.id)
    row = await world.row("listings", kept["id"])
    assert (row["status"], row["check_due_at"]) == ("ACTIVE", world.clock.now() + 7 * DAY)


async def test_freezing_stops_what_a_person_offers_and_sells(world: World) -> None:
    person, other, admin = await world.person(), await world.person(), await _admin(world)
    own, others = await world.listing(person), await world.listing(other)
    made, received = await world.offer(person, others), await world.offer(other, own)
    await world.change(admin, lambda change: moderation.freeze_trading(change, person.id))
    assert (await world.row("listings", own["id"]))["status"] == "INACTIVE"
    for offer in (made, received):
        row = await world.row("offers", offer["id"])
        assert (row["status"], row["decline_reason"]) == ("DECLINED", "STAFF")
    assert (await world.row("listings", others["id"]))["status"] == "ACTIVE"


# --- the ends of trades ----------------------------------------------------------------------


async def _reserved(world: World) -> tuple[Actor, Row, Row]:
    """Return seller, listing and contract of a trade."""
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    accepted = await world.accept(seller, await world.offer(buyer, listing))
    return seller, await world.row("listings", listing["id"]), accepted.contract


def _ended(contract: Row, **body: Any) -> events.EscrowEvent:
    now = metadata.new(common.PRODUCER_ESCROW, contract["created_at"])
    return events.EscrowEvent(metadata=now, escrow_id=str(contract["escrow_id"]), **body)


async def _apply(world: World, event: events.EscrowEvent) -> Row | None:
    return await world.change(Actor.system(), lambda change: reservations.apply(change, event))


@pytest.mark.parametrize(
    ("body", "status", "hold", "said"),
    [
        ({"escrow_released": events.EscrowReleased()}, "SOLD", None, "listing_sold"),
        ({"escrow_refunded": events.EscrowRefunded()}, "ACTIVE", None, "listing_updated"),
        ({"escrow_cancelled": events.EscrowCancelled()}, "ACTIVE", None, "listing_updated"),
        ({"escrow_split": events.EscrowSplit()}, "INACTIVE", "POST_DISPUTE", "listing_updated"),
    ],
)
async def test_a_trades_end_ends_the_reservation_once(
    world: World, body: dict[str, Any], status: str, hold: str | None, said: str
) -> None:
    _, listing, contract = await _reserved(world)
    event = _ended(contract, **body)
    changed, again = await _apply(world, event), await _apply(world, event)
    assert (changed is None, again is None) == (False, True)
    row = await world.row("listings", listing["id"])
    assert (row["status"], row["hold_reason"], row["reserved_contract_id"]) == (status, hold, None)
    assert (await world.row("offers", contract["offer_id"]))["active"] is False
    assert (await world.said(listing["id"]))[-1] == said
    if status == "ACTIVE":
        assert row["check_due_at"] == world.clock.now(), "Roblox is asked again"


async def test_other_and_unknown_events_change_nothing(world: World) -> None:
    _, listing, contract = await _reserved(world)
    for event in (
        _ended(contract, escrow_delivered=events.EscrowDelivered()),
        _ended(contract | {"escrow_id": ids.uuid7()}, escrow_released=events.EscrowReleased()),
    ):
        assert await _apply(world, event) is None
    assert (await world.row("listings", listing["id"]))["status"] == "RESERVED"


async def test_a_late_event_does_not_end_the_next_reservation(world: World) -> None:
    seller, listing, first = await _reserved(world)
    void = Ended(first["id"], "VOID")
    await world.change(Actor.system(), lambda change: reservations.end(change, void))
    buyer = await world.person()
    second = (await world.accept(seller, await world.offer(buyer, listing))).contract
    late = _ended(first, escrow_released=events.EscrowReleased())
    await _apply(world, late)
    row = await world.row("listings", listing["id"])
    assert (row["status"], row["reserved_contract_id"]) == ("RESERVED", second["id"])


async def test_a_frozen_sellers_listing_does_not_come_back(world: World) -> None:
    seller, listing, contract = await _reserved(world)
    await _run("UPDATE users SET status = 'FROZEN' WHERE id = $1", seller.id)
    ended = Ended(contract["id"], "VOID")
    await world.change(Actor.system(), lambda change: reservations.end(change, ended))
    assert (await world.row("listings", listing["id"]))["status"] == "INACTIVE"


# --- outages ---------------------------------------------------------------------------------


async def test_an_outage_pauses_sweeps_and_its_end_moves_what_ran(world: World) -> None:
    seller, early, late, admin = [await world.person() for _ in range(3)] + [await _admin(world)]
    listing = await world.listing(seller)
    before = await world.offer(early, listing)
    world.later(10 * HOUR)
    began = world.clock.now()
    opened = await world.change(
        admin,
        lambda c: outages.record_outage(c, NewOutage("WEB", began, "The web does not answer.")),
    )
    world.later(2 * HOUR)
    during = await world.offer(late, listing)
    world.later(70 * HOUR)
    assert await Sweeper(world.place).expire_offers() == 0, "paused"
    ended = world.clock.now() - HOUR
    moved = await world.change(
        admin, lambda c: outages.close_outage(c, opened.outage["id"], ended, "It answers again.")
    )
    assert moved.rows == 2
    rows = {row_id: await world.row("offers", row_id) for row_id in (before["id"], during["id"])}
    overlap = ended - during["created_at"]
    assert rows[during["id"]]["expires_at"] == during["expires_at"] + overlap
    until_its_end = before["expires_at"] - began
    assert rows[before["id"]]["expires_at"] == before["expires_at"] + until_its_end
    assert await Sweeper(world.place).expire_offers() == 0
    extensions = await database.fetch("SELECT subject_type, seconds FROM deadline_extensions")
    assert sorted(row["seconds"] for row in extensions) == sorted(
        int(span.total_seconds()) for span in (overlap, until_its_end)
    )
    with pytest.raises(InvalidState):
        await world.change(
            admin, lambda c: outages.close_outage(c, opened.outage["id"], ended, "Once more.")
        )


async def test_outages_of_payments_do_not_move_offers(world: World) -> None:
    seller, buyer, admin = await world.person(), await world.person(), await _admin(world)
    offer = await world.offer(buyer, await world.listing(seller))
    began = world.clock.now()
    world.later(HOUR)
    new = NewOutage("STRIPE", began, "Stripe is down.", world.clock.now())
    moved = await world.change(admin, lambda c: outages.record_outage(c, new))
    assert moved.rows == 0
    assert (await world.row("offers", offer["id"]))["expires_at"] == offer["expires_at"]


async def test_an_outage_orders_extensions_of_the_trades_it_touched(world: World) -> None:
    admin, began = await _admin(world), world.clock.now()
    escrow_id = await _mirrored_escrow(began - DAY, began + 2 * DAY)
    await _mirrored_escrow(began - 3 * DAY, began - DAY)
    world.later(5 * HOUR)
    new = NewOutage("STRIPE", began, "Stripe is down.", world.clock.now())
    moved = await world.change(admin, lambda c: outages.record_outage(c, new))
    assert moved.rows == 1
    (row,) = await database.fetch("SELECT key, payload FROM outbox")
    command = EscrowCommand.FromString(row["payload"])
    assert (row["key"], command.extend_deadline.version) == (str(escrow_id), 4)
    until = metadata.moment(command.extend_deadline.until)
    assert until == began + 2 * DAY + 5 * HOUR


async def _mirrored_escrow(began: Any, at: Any) -> UUID:
    escrow = Escrow(escrow_id=str(ids.uuid7()))
    escrow.deadline.started_at.CopyFrom(metadata.timestamp(began))
    escrow.deadline.at.CopyFrom(metadata.timestamp(at))
    escrow.deadline.version = 4
    await _run(
        "INSERT INTO escrows (id, state, version, fencing_token, rail, currency, price_minor,"
        " buyer_fee_minor, seller_fee_minor, received_minor, held_minor, released_minor,"
        " refunded_minor, fees_minor, state_bytes, chain_hash)"
        " VALUES ($1, 'AWAIT_FUNDS', 1, 1, 'STRIPE', 'USD', 100000, 0, 0, 0, 0, 0, 0, 0, $2, $3)",
        UUID(escrow.escrow_id),
        escrow.SerializeToString(),
        b"\0" * 32,
    )
    return UUID(escrow.escrow_id)


async def _record(world: World, admin: Actor, new: NewOutage) -> outages.Moved:
    return await world.change(admin, lambda change: outages.record_outage(change, new))


async def test_an_outage_lies_in_the_past(world: World) -> None:
    admin, now = await _admin(world), world.clock.now()
    for began, ended in (
        (now + HOUR, None),
        (now - HOUR, now - 2 * HOUR),
        (now - HOUR, now + HOUR),
    ):
        new = NewOutage("ALL", began, "Wrong times.", ended)
        with pytest.raises(InvalidState):
            await _record(world, admin, new)


# --- drafts and reports ----------------------------------------------------------------------


async def _save(world: World, actor: Actor, listing: Row, draft: Draft) -> Row:
    return await world.change(actor, lambda change: drafts.save(change, listing["id"], draft))


async def _send(world: World, actor: Actor, draft: Row) -> Row:
    return await world.change(
        actor, lambda change: drafts.submit(change, draft["id"], draft["version"])
    )


async def test_a_draft_is_sent_once_and_only_as_it_was_last_saved(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    first = await _save(world, buyer, listing, Draft(Proposal(100_000)))
    second = await _save(world, buyer, listing, Draft(Proposal(110_000, "With the group.")))
    assert (second["id"], second["version"]) == (first["id"], 2)
    with pytest.raises(DraftStale):
        await _send(world, buyer, first)
    with pytest.raises(DraftStale):
        await _send(world, seller, second)
    offer = await _send(world, buyer, second)
    assert (offer["amount_minor"], offer["conditions"]) == (110_000, "With the group.")
    with pytest.raises(DraftStale):
        await _send(world, buyer, second)


async def test_a_draft_that_cannot_be_sent_stays(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    await world.offer(buyer, listing)
    draft = await _save(world, buyer, listing, Draft(Proposal(100_000)))
    with pytest.raises(Exception, match="open offer"):
        await _send(world, buyer, draft)
    assert await world.row("offer_drafts", draft["id"])


async def test_a_counter_may_be_drafted_by_its_addressee(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    offer = await world.offer(buyer, listing)
    with pytest.raises(OwnListing):
        await _save(world, seller, listing, Draft(Proposal(130_000)))
    with pytest.raises(ValidationFailed):
        await _save(world, buyer, listing, Draft(Proposal(130_000), offer["id"]))
    draft = await _save(world, seller, listing, Draft(Proposal(130_000), offer["id"]))
    countered = await _send(world, seller, draft)
    assert (countered["parent_id"], countered["proposed_by"]) == (offer["id"], "SELLER")


async def test_drafts_live_for_half_an_hour(world: World) -> None:
    seller, buyer = await world.person(), await world.person()
    listing = await world.listing(seller)
    draft = await _save(world, buyer, listing, Draft(Proposal(100_000)))
    world.later(timedelta(minutes=30))
    with pytest.raises(NotFound):
        await world.change(buyer, lambda change: drafts.read(change, listing["id"]))
    with pytest.raises(DraftStale):
        await _send(world, buyer, draft)
    assert [await Sweeper(world.place).purge_drafts() for _ in range(2)] == [1, 0]


async def test_a_report_is_kept_once_while_it_is_open(world: World) -> None:
    seller, reporter = await world.person(), await world.person()
    listing = await world.listing(seller)
    given = reports.Report("LISTING", listing["id"], "STOLEN", "That game is mine.")
    made = [
        await world.change(reporter, lambda change: reports.report(change, given)) for _ in range(2)
    ]
    assert made == [True, False]
    tasks = await database.fetch("SELECT kind, subject_type FROM staff_tasks")
    assert [(task["kind"], task["subject_type"]) for task in tasks] == [("REPORT", "listing")]
    offer = await world.offer(await world.person(), listing)
    foreign = reports.Report("OFFER", offer["id"], "ABUSE")
    with pytest.raises(NotFound):
        await world.change(reporter, lambda change: reports.report(change, foreign))
