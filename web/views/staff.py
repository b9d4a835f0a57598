"""What staff see and decide about trades."""

from datetime import timedelta
from typing import Any

from google.protobuf.message import Message

from bloxtr8.disputes import statements
from bloxtr8.errors import AmountOutOfRange, ValidationFailed
from bloxtr8.messaging.metadata import timestamp
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import answers, approvals, pages, present, requests, submission, texts
from web.actors import actor_of
from web.call import Call
from web.limits import RateClass
from web.orders import order
from web.routes import Handler, KeyRule, Reply, Route, Who
from web.submission import Writes
from web.texts import Text
from web.views.escrows import page_of
from web.views.trade import payee_of


async def list_escrows(call: Call) -> Reply:
    query: requests.StaffEscrowList = call.query
    stuck = timedelta(hours=query.stuck_for_h) if query.stuck_for_h else None
    rows = await database.fetch(
        "SELECT e.state_bytes, e.updated_at, e.id, c.ref FROM escrows e"
        " LEFT JOIN contracts c ON c.escrow_id = e.id"
        " WHERE ($1::text IS NULL OR e.state = $1) AND ($2::text IS NULL OR e.rail = $2)"
        " AND ($3::uuid IS NULL OR $3 IN (e.buyer_id, e.seller_id))"
        " AND ($4::bigint IS NULL OR $4 <="
        " CASE e.currency WHEN 'USDC' THEN e.price_minor / 10000 ELSE e.price_minor END)"
        " AND ($5::timestamptz IS NULL OR (e.updated_at < $5 AND e.ended_at IS NULL))"
        " AND ($6::timestamptz IS NULL OR (e.updated_at, e.id) < ($6, $7::uuid))"
        " ORDER BY e.updated_at DESC, e.id DESC LIMIT $8",
        query.status,
        query.rail,
        query.party,
        query.min_amount,
        call.now - stuck if stuck else None,
        *pages.moment_position(call),
        query.limit + 1,
    )
    return page_of(call, rows)


async def resolve(call: Call) -> Reply:
    """Decide a dispute; with `preview` only say which money would move."""
    body: requests.Resolve = call.body
    verdict = Text.new("VERDICT", body.verdict)
    judged = order(
        call,
        commands.ResolveDispute(
            outcome=types.Outcome.Value(f"OUTCOME_{body.outcome}"),
            refund_minor=_refund_minor(call, body),
            verdict=verdict.ref,
        ),
    )
    if body.preview:
        assert judged.outcome.record is not None, "what is accepted has a state after it"
        return Reply(present.moves(judged.outcome.record.escrow))

    async def writes(tx: Transaction) -> None:
        await _claim(tx, call)
        await texts.insert(tx, call, verdict)

    return await approvals.submit_or_ask(call, judged, reason=body.reason, writes=writes)


async def _claim(tx: Transaction, call: Call) -> None:
    """Who has taken the dispute decides it; nobody has: whoever decides takes it."""
    dispute_id = await tx.fetchval(
        "SELECT id FROM disputes WHERE escrow_id = $1 AND status = 'OPEN'",
        call.trade.escrow.escrow_id,
    )
    if dispute_id is not None:
        await statements.claim(tx, actor_of(call), dispute_id, call.now)


def _refund_minor(call: Call, body: requests.Resolve) -> int:
    """Return the part of the price that goes back; only a split has one."""
    if (body.outcome == "SPLIT") != (body.seller_amount is not None):
        entry = {
            "field": "/seller_amount",
            "code": "split_only",
            "message": "Give seller_amount with outcome SPLIT, and only then.",
        }
        raise ValidationFailed(errors=[entry])
    if body.seller_amount is None:
        return 0
    price = call.trade.escrow.price.minor
    seller_minor = body.seller_amount.in_currency(call.trade.currency)
    if not 0 < seller_minor < price:
        raise AmountOutOfRange("A split gives each side a part of the price.")
    return price - seller_minor


async def hold(call: Call) -> Reply:
    body: requests.StaffHold = call.body
    kind = types.HoldKind.Value(f"HOLD_KIND_{body.kind}")
    return await _act(call, commands.PlaceHold(kind=kind))


async def unhold(call: Call) -> Reply:
    return await _act(call, commands.LiftHold())


async def review_funds(call: Call) -> Reply:
    body: requests.FundsReview = call.body
    approve = body.decision == "APPROVE"
    return await _act(call, commands.ApproveFunds() if approve else commands.RejectFunds())


async def release(call: Call) -> Reply:
    return await _act(call, commands.ReleaseFunds())


async def refund(call: Call) -> Reply:
    return await _act(call, commands.RefundBuyer())


async def cancel(call: Call) -> Reply:
    return await _act(call, commands.CancelEscrow(reason=types.CANCEL_REASON_STAFF))


async def retry_payout(call: Call) -> Reply:
    body: requests.RetryPayout = call.body
    if body.payout_method_id is None:
        return await _act(call, commands.RetryPayout())
    payee = await payee_of(call, body.payout_method_id, call.trade.escrow.seller_id)
    return await _act(call, commands.RetryPayout(payee=payee))


async def retry_refund(call: Call) -> Reply:
    return await _act(call, commands.RetryRefund())


async def extend(call: Call) -> Reply:
    body: requests.StaffExtension = call.body
    version = call.trade.escrow.deadline.version
    return await _act(call, commands.ExtendDeadline(version=version, until=timestamp(body.until)))


async def _act(call: Call, body: Message, writes: Writes | None = None) -> Reply:
    action: requests.StaffAction = call.body
    return await approvals.submit_or_ask(
        call, order(call, body), reason=action.reason, writes=writes
    )


def _write(path: str, handler: Handler, who: Who, summary: str, **more: Any) -> Route:
    return Route(
        "POST",
        f"/api/v1/staff/escrows/{{escrow_id}}/{path}",
        handler,
        who,
        summary,
        RateClass.STAFF,
        answer=answers.OperationOut,
        status=submission.ACCEPTED,
        key=KeyRule.REQUIRED,
        **{"body": requests.StaffAction} | more,
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/staff/escrows",
        list_escrows,
        Who.SUPPORT,
        "All trades",
        RateClass.STAFF,
        query=requests.StaffEscrowList,
        answer=answers.EscrowPage,
    ),
    _write(
        "resolve",
        resolve,
        Who.MODERATOR,
        "Decide a dispute",
        body=requests.Resolve,
        preview=answers.MoneyMoves,
    ),
    _write("hold", hold, Who.MODERATOR, "Stop the money", body=requests.StaffHold),
    _write("unhold", unhold, Who.MODERATOR, "Let the money move again"),
    _write(
        "funds-review",
        review_funds,
        Who.ADMIN,
        "Accept or return funds under review",
        body=requests.FundsReview,
    ),
    _write("release", release, Who.ADMIN, "Pay the seller"),
    _write("refund", refund, Who.ADMIN, "Give the money back"),
    _write("cancel", cancel, Who.ADMIN, "Call the trade off"),
    _write(
        "retry-payout",
        retry_payout,
        Who.ADMIN,
        "Order a failed payout again",
        body=requests.RetryPayout,
    ),
    _write("retry-refund", retry_refund, Who.ADMIN, "Order a failed refund again"),
    _write(
        "extension",
        extend,
        Who.MODERATOR,
        "Move the deadline",
        body=requests.StaffExtension,
    ),
)
