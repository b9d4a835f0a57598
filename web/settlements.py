"""Proposals to divide a trade's money, from the first to the last."""

from bloxtr8.messaging.metadata import moment
from bloxtr8.money import currency_code
from bloxtr8.store.database import Transaction
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as record
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import answers, present
from web.cases import side_of
from web.fields import money

_EVENTS = ("settlement_proposed", "settlement_closed", "settlement_accepted")
_EVENTS_MAX = 400


async def of_escrow(tx: Transaction, escrow: record.Escrow) -> list[answers.SettlementEntry]:
    """Return what was proposed in the trade and what became of it, the first first."""
    rows = await tx.fetch(
        "SELECT DISTINCT ON (sequence) payload FROM escrow_events WHERE escrow_id = $1"
        " AND type = ANY($2::text[]) ORDER BY sequence, fencing_token DESC LIMIT $3",
        escrow.escrow_id,
        list(_EVENTS),
        _EVENTS_MAX,
    )
    found: dict[str, answers.SettlementEntry] = {}
    for row in rows:
        event = events.EscrowEvent.FromString(row["payload"])
        if event.WhichOneof("body") == "settlement_proposed":
            found[event.settlement_proposed.proposal_id] = _proposed(escrow, event)
            continue
        proposal_id, end = _end(event)
        entry = found.get(proposal_id)
        if entry is not None and entry.end is None:
            ended = {"end": end, "ended_at": moment(event.metadata.occurred_at)}
            found[proposal_id] = entry.model_copy(update=ended)
    return list(found.values())


def _proposed(escrow: record.Escrow, event: events.EscrowEvent) -> answers.SettlementEntry:
    body = event.settlement_proposed
    return answers.SettlementEntry(
        id=body.proposal_id,
        by=side_of(escrow, body.by) or "SYSTEM",
        seller_amount=money(
            escrow.price.minor - body.refund_minor, currency_code(escrow.price.currency)
        ),
        lapses_at=present.time_of(body, "lapses_at"),
        at=moment(event.metadata.occurred_at),
        end=None,
        ended_at=None,
    )


def _end(event: events.EscrowEvent) -> tuple[str, str]:
    """Return the id of a proposal and how it ended."""
    if event.WhichOneof("body") == "settlement_accepted":
        return event.settlement_accepted.proposal_id, "ACCEPTED"
    closed = event.settlement_closed
    return closed.proposal_id, present.name(types.SettlementEnd, closed.end)
