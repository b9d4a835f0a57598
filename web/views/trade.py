"""What the two parties of a trade do: deliver, release, refund, cancel, extend, name a payee."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from google.protobuf.message import Message

from bloxtr8.disputes import files
from bloxtr8.errors import PayoutMethodMissing, ValidationFailed
from bloxtr8.messaging.metadata import timestamp
from bloxtr8.store import database
from bloxtr8.store import operations as store
from bloxtr8.store.database import Transaction
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import answers, requests, submission, texts
from web.call import Call
from web.limits import RateClass
from web.orders import Order, order
from web.routes import Handler, KeyRule, Reply, Route, Who
from web.submission import Waiting, submit
from web.texts import Text

AGREE_WITHIN = timedelta(hours=72)
# Advisory lock: requests for more time of one trade are stored one after the other.
_EXTENSIONS = 0x626C_7865
Fetch = Callable[..., Awaitable[list[dict[str, Any]]]]
_PAYOUT_KINDS = {common.RAIL_STRIPE: "STRIPE_ACCOUNT", common.RAIL_USDC_BASE: "BASE_WALLET"}


async def with_text(call: Call, body: Message, text: Text | None) -> Reply:
    """Send `body`; `text` is stored with its operation."""

    async def writes(tx: Transaction) -> None:
        if text is not None:
            await texts.insert(tx, call, text)

    return await submit(call, order(call, body), writes=writes)


async def mark_delivered(call: Call) -> Reply:
    body: requests.Delivered = call.body
    note = _note(body.note)
    method = types.DeliveryMethod.Value(f"DELIVERY_METHOD_{body.method}")
    shown = await _evidence(call, body.evidence_ids)
    told = commands.MarkDelivered(method=method, note=note.ref if note else None, evidence=shown)
    return await with_text(call, told, note)


async def _evidence(call: Call, file_ids: list[str]) -> list[types.EvidenceRef]:
    """Return the caller's files about the trade; raises ValidationFailed for others."""
    escrow_id, side = UUID(call.trade.escrow.escrow_id), call.trade.side
    found = await files.of_side(escrow_id, side or "", [UUID(file_id) for file_id in file_ids])
    unknown = [
        {
            "field": f"/evidence_ids/{index}",
            "code": "unknown",
            "message": "That is no file of yours.",
        }
        for index, file_id in enumerate(file_ids)
        if UUID(file_id) not in found
    ]
    if unknown:
        raise ValidationFailed(errors=unknown)
    return [types.EvidenceRef(id=str(key), sha256=sha256) for key, sha256 in found.items()]


async def release(call: Call) -> Reply:
    return await submit(call, order(call, commands.ReleaseFunds()))


async def refund(call: Call) -> Reply:
    body: requests.ConfirmRefund = call.body
    return await with_text(call, commands.RefundBuyer(), _note(body.note))


async def cancel(call: Call) -> Reply:
    body: requests.Cancel = call.body
    reason = types.CancelReason.Value(f"CANCEL_REASON_{body.reason}")
    return await with_text(call, commands.CancelEscrow(reason=reason), _note(body.note))


async def set_payee(call: Call) -> Reply:
    body: requests.Payee = call.body
    payee = await payee_of(call, body.payout_method_id, call.trade.escrow.seller_id)
    return await submit(call, order(call, commands.SetPayee(payee=payee)))


async def payee_of(call: Call, method_id: str, owner_id: str) -> types.Payee:
    """Return a usable payout method of `owner_id` for the trade's rail.

    Raises PayoutMethodMissing when there is none of that id.
    """
    row = await database.fetchrow(
        "SELECT external_ref FROM payout_methods WHERE id = $1 AND user_id = $2 AND kind = $3"
        " AND status = 'VERIFIED' AND disabled_at IS NULL AND usable_from <= $4",
        method_id,
        owner_id,
        _PAYOUT_KINDS.get(call.trade.escrow.rail, ""),
        call.now,
    )
    if row is None:
        raise PayoutMethodMissing("That payout method cannot be used for this trade.")
    return types.Payee(payout_method_id=method_id, destination=row["external_ref"])


async def extend(call: Call) -> Reply:
    """The first side's request waits; the other side's equal one sends it."""
    body: requests.Extension = call.body
    escrow = call.trade.escrow
    wanted = commands.ExtendDeadline(
        version=escrow.deadline.version,
        until=timestamp(body.until),
        agreed_by=sorted([escrow.buyer_id, escrow.seller_id]),
    )
    judged = order(call, wanted)
    waiting = await _waiting_extension(call, wanted, database.fetch)
    if waiting is None:
        try:
            return await _ask(call, judged, wanted)
        except _AskedMeanwhile as other:
            waiting = other.command
    return await _agree(call, waiting, wanted)


class _AskedMeanwhile(Exception):
    """The other side's equal request was committed since we looked."""

    def __init__(self, command: commands.EscrowCommand) -> None:
        super().__init__(command.metadata.message_id)
        self.command = command


async def _ask(call: Call, judged: Order, wanted: commands.ExtendDeadline) -> Reply:
    """Let the request wait; raises _AskedMeanwhile, and nothing is stored."""
    # Alone it says who agreed so far, and the rules would refuse it.
    del judged.command.extend_deadline.agreed_by[:]
    judged.command.extend_deadline.agreed_by.append(call.caller.user_id)
    escrow_id = call.trade.escrow.escrow_id

    async def writes(tx: Transaction) -> None:
        # One after the other: of two that ask at once, the second sees the first.
        await tx.lock(_EXTENSIONS, escrow_id)
        other = await _waiting_extension(call, wanted, tx.fetch)
        if other is not None:
            raise _AskedMeanwhile(other)
        await tx.execute(
            "UPDATE operations SET status = 'REJECTED', error_code = 'superseded',"
            " finished_at = $3, updated_at = $3 WHERE escrow_id = $1 AND requested_by = $2"
            " AND kind = 'extend_deadline' AND status = 'PENDING_APPROVAL' AND id <> $4",
            escrow_id,
            call.caller.user_id,
            call.now,
            judged.command.metadata.message_id,
        )

    return await submit(call, judged, writes=writes, waiting=Waiting(call.now + AGREE_WITHIN))


async def _waiting_extension(
    call: Call, wanted: commands.ExtendDeadline, fetch: Fetch
) -> commands.EscrowCommand | None:
    """Return the other side's waiting command, if it asks for the same."""
    rows = await fetch(
        "SELECT command FROM operations WHERE escrow_id = $1 AND kind = 'extend_deadline'"
        " AND status = 'PENDING_APPROVAL' AND requested_by <> $2 AND not_after > $3",
        call.trade.escrow.escrow_id,
        call.caller.user_id,
        call.now,
    )
    for row in rows:
        command = commands.EscrowCommand.FromString(row["command"])
        asked = command.extend_deadline
        if (asked.version, asked.until) == (wanted.version, wanted.until):
            return command
    return None


async def _agree(
    call: Call, command: commands.EscrowCommand, wanted: commands.ExtendDeadline
) -> Reply:
    command.extend_deadline.CopyFrom(wanted)

    async def work(tx: Transaction) -> dict[str, Any]:
        return await store.approve(tx, command, call.now)

    return await submission.release_waiting(call, command, work)


def _note(text: str | None) -> Text | None:
    return Text.new("NOTE", text) if text else None


def money_route(path: str, handler: Handler, who: Who, summary: str, **more: Any) -> Route:
    """Return a POST that sends a command: it needs a key and counts as moving money."""
    return Route(
        "POST",
        path,
        handler,
        who,
        summary,
        RateClass.MONEY,
        answer=answers.OperationOut,
        status=submission.ACCEPTED,
        key=KeyRule.REQUIRED,
        **more,
    )


_ESCROW = "/api/v1/escrows/{escrow_id}"
ROUTES = (
    money_route(
        f"{_ESCROW}/mark-delivered",
        mark_delivered,
        Who.SELLER,
        "Say that the game was handed over",
        body=requests.Delivered,
    ),
    money_route(
        f"{_ESCROW}/release",
        release,
        Who.BUYER,
        "Pay the seller",
        body=requests.Confirm,
        step_up=True,
    ),
    money_route(
        f"{_ESCROW}/refund",
        refund,
        Who.SELLER,
        "Give the money back",
        body=requests.ConfirmRefund,
        step_up=True,
    ),
    money_route(f"{_ESCROW}/cancel", cancel, Who.PARTY, "Call the trade off", body=requests.Cancel),
    money_route(
        f"{_ESCROW}/extension",
        extend,
        Who.PARTY,
        "Ask for, or agree to, more time",
        body=requests.Extension,
    ),
    money_route(
        f"{_ESCROW}/payee",
        set_payee,
        Who.SELLER,
        "Choose where to be paid",
        body=requests.Payee,
        step_up=True,
    ),
)
